//! Who asked: the process at the other end of the control socket, as the kernel says, and whom it claims to
//! act for.
//!
//! Invariant: user and process come from the kernel (`SO_PEERCRED`: as they were when the client connected).
//! What the client says of itself under sudo is never believed, only written down as claimed.

use std::fmt;
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{Uid, User};
use serde::{Deserialize, Serialize};

/// The longest claimed name that is written down, in characters.
const LONGEST: usize = 64;

/// Who asked for a change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The user's number.
    pub uid: u32,
    /// The process, where the kernel says.
    pub pid: Option<i32>,
    /// The user's name, where the system knows one.
    pub user: Option<String>,
    /// The user behind sudo, as the client claims.
    pub sudo_user: Option<String>,
}

impl Caller {
    /// The caller with this user and process; `claimed` is what the client says of sudo's user.
    pub fn new(uid: u32, pid: Option<i32>, claimed: Option<&str>) -> Self {
        let user = User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name);
        Caller { uid, pid, user, sudo_user: claimed.and_then(plain) }
    }

    /// Root, or the user that this process runs as.
    pub fn is_trusted(&self) -> bool {
        self.uid == 0 || self.uid == nix::unistd::geteuid().as_raw()
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.user {
            Some(user) => write!(f, "{user} (uid {}", self.uid)?,
            None => write!(f, "uid {}", self.uid)?,
        }
        match (&self.user, self.pid) {
            (Some(_), Some(pid)) => write!(f, ", process {pid})")?,
            (Some(_), None) => f.write_str(")")?,
            (None, Some(pid)) => write!(f, " (process {pid})")?,
            (None, None) => {}
        }
        match &self.sudo_user {
            Some(name) => write!(f, ", through sudo by {name} (claimed)"),
            None => Ok(()),
        }
    }
}

/// Whether the process at the other end has closed the connection, and waits for nothing any more. One that only has
/// nothing more to say still waits.
pub(super) fn has_left(stream: impl AsFd) -> bool {
    let mut polled = [PollFd::new(stream.as_fd(), PollFlags::empty())];
    let found = poll(&mut polled, PollTimeout::ZERO).is_ok_and(|count| count > 0);
    found && polled[0].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP))
}

/// Whom this process claims to act for: sudo's word, if it runs under sudo.
pub fn claimed() -> Option<String> {
    std::env::var("SUDO_USER").ok().filter(|name| !name.is_empty())
}

/// A claimed name as it may stand in a log line.
fn plain(claimed: &str) -> Option<String> {
    let name: String = claimed
        .chars()
        .take(LONGEST)
        .map(|c| if c.is_control() || c.is_whitespace() { '?' } else { c })
        .collect();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::Shutdown;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_caller_is_named_with_what_is_known() {
        let root = Caller::new(0, Some(7), Some("alice"));
        assert_eq!(root.to_string(), "root (uid 0, process 7), through sudo by alice (claimed)");
        let nobody_knows = Caller::new(3_999_999_999, None, None);
        assert_eq!(nobody_knows.to_string(), "uid 3999999999");
        assert!(root.is_trusted());
        assert!(!nobody_knows.is_trusted());
    }

    #[test]
    fn who_closes_has_left_and_who_only_ends_what_he_says_has_not() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        assert!(!has_left(&ours));
        (&theirs).write_all(b"{}").unwrap();
        assert!(!has_left(&ours), "something to read");
        theirs.shutdown(Shutdown::Write).unwrap();
        assert!(!has_left(&ours), "waits for an answer");
        drop(theirs);
        assert!(has_left(&ours), "what was said is still to be read");
    }

    #[test]
    fn a_claim_cannot_forge_a_log_line() {
        let caller = Caller::new(0, None, Some("eve\n2026-01-01 INFO all is well"));
        assert_eq!(caller.sudo_user.as_deref(), Some("eve?2026-01-01?INFO?all?is?well"));
        let long = "x".repeat(10_000);
        assert_eq!(Caller::new(0, None, Some(&long)).sudo_user.unwrap().len(), LONGEST);
        assert_eq!(Caller::new(0, None, Some("")).sudo_user, None);
    }
}
