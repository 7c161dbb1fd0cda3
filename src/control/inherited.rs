//! The descriptors that the service manager passed to this process (`sd_listen_fds(3)`), as owned ones.
//!
//! The only file with unsafe code: a number from the environment becomes an owner of the descriptor behind it.
//! (`pidfd_getfd` would do without, but the unit's system call filter forbids it, as one of debuggers'.)
//! Every descriptor taken is closed when a child process starts.

#![allow(unsafe_code)]

use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

/// The first number that a service manager uses (`SD_LISTEN_FDS_START`).
const FIRST: RawFd = 3;
/// The most descriptors that are taken: two for each of 64 queues, and as many again.
const MOST: usize = 256;

static TAKEN: AtomicBool = AtomicBool::new(false);

/// What was passed: name and descriptor. To be asked before anything else is opened; nothing the second time.
pub(super) fn take() -> Vec<(String, OwnedFd)> {
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Vec::new();
    }
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let passed = passed(
        std::process::id(),
        &variable("LISTEN_PID"),
        &variable("LISTEN_FDS"),
        &variable("LISTEN_FDNAMES"),
    );
    passed.into_iter().filter_map(|(number, name)| Some((name, own(number)?))).collect()
}

/// The descriptor behind a number that the service manager named; `None` if there is none.
fn own(number: RawFd) -> Option<OwnedFd> {
    // An open descriptor has an entry there, even of a socket.
    std::fs::symlink_metadata(format!("/proc/self/fd/{number}")).ok()?;
    // SAFETY: the descriptor is open (looked up above), and nobody else in this process owns it: the service
    // manager passed it to this very process (LISTEN_PID), each number comes once, `TAKEN` lets this happen
    // once, and it happens before the process opens anything itself.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    // Passed without the flag, or it would not be here.
    fcntl(&descriptor, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).ok()?;
    Some(descriptor)
}

/// Numbers and names, from the three variables. Nothing if they are meant for another process, or make no
/// sense. A descriptor without a name is `unknown`, as in `sd_listen_fds_with_names(3)`.
fn passed(pid: u32, listen_pid: &str, listen_fds: &str, names: &str) -> Vec<(RawFd, String)> {
    if listen_pid.parse() != Ok(pid) {
        return Vec::new();
    }
    let count = listen_fds.parse::<usize>().unwrap_or(0).min(MOST);
    let names = names.split(':').filter(|name| !name.is_empty()).map(str::to_owned);
    let names = names.chain(std::iter::repeat_with(|| "unknown".to_owned()));
    (FIRST..).zip(names).take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::passed;

    #[test]
    fn descriptors_are_numbered_from_three_and_named_in_order() {
        let taken = passed(7, "7", "3", "nfq-40:nfq-40-answered");
        let expected = [(3, "nfq-40"), (4, "nfq-40-answered"), (5, "unknown")];
        assert_eq!(taken, expected.map(|(number, name)| (number, name.to_owned())));
    }

    #[test]
    fn what_is_meant_for_another_process_or_makes_no_sense_is_left_alone() {
        for (pid, fds) in [("8", "2"), ("", "2"), ("7", ""), ("7", "-1"), ("7", "two"), ("7x", "2")]
        {
            assert_eq!(passed(7, pid, fds, "a:b"), [], "{pid} {fds}");
        }
        assert_eq!(passed(7, "7", "99999999", "a").len(), super::MOST);
    }

    proptest::proptest! {
        #[test]
        fn any_variables_give_distinct_numbers_behind_the_standard_ones(
            fds in ".{0,8}", names in ".{0,40}", pid in proptest::prelude::any::<u32>(),
        ) {
            let taken = passed(pid, &pid.to_string(), &fds, &names);
            for (place, (number, name)) in taken.iter().enumerate() {
                assert_eq!(*number, 3 + place as i32);
                assert!(!name.is_empty());
            }
        }
    }
}
