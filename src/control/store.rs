//! Descriptors that outlive the process, in the service manager's store (`FDSTORE=1` in `sd_notify(3)`,
//! `sd_listen_fds(3)`).
//!
//! What was passed at start is ours to take by name; what is kept stays in the store until it is forgotten, or
//! until the service is stopped for good.

use std::os::fd::{BorrowedFd, OwnedFd};

use super::inherited;
use super::notify::tell;

/// What the service manager passed at start.
#[derive(Default)]
pub struct Store {
    descriptors: Vec<(String, OwnedFd)>,
}

impl Store {
    /// Takes what was passed to this process; to be called once, before anything else is opened.
    pub fn inherited() -> Store {
        Store { descriptors: inherited::take() }
    }

    /// Everything under this name.
    pub fn take(&mut self, name: &str) -> Vec<OwnedFd> {
        let all = std::mem::take(&mut self.descriptors);
        let (taken, left): (Vec<_>, Vec<_>) = all.into_iter().partition(|(known, _)| known == name);
        self.descriptors = left;
        taken.into_iter().map(|(_, descriptor)| descriptor).collect()
    }

    /// The names of what is left.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.descriptors.iter().map(|(name, _)| name.as_str())
    }
}

/// Whether there is a service manager that could keep anything.
pub fn exists() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Has the service manager keep a copy of a descriptor. Where there is none, nobody does.
///
/// Not polled (`FDPOLL=0`): a store that polls throws away a socket whose other end says no once.
pub fn keep(name: &str, descriptor: BorrowedFd<'_>) {
    tell(&format!("FDSTORE=1\nFDNAME={name}\nFDPOLL=0"), &[descriptor]);
}

/// Has the service manager close what it keeps under this name.
pub fn forget(name: &str) {
    tell(&format!("FDSTOREREMOVE=1\nFDNAME={name}"), &[]);
}

#[cfg(test)]
mod tests {
    use super::Store;
    use std::os::fd::OwnedFd;

    #[test]
    fn all_of_one_name_are_taken_and_the_others_stay() {
        let open = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let descriptors =
            ["a", "b", "a"].map(|name| (name.to_owned(), open())).into_iter().collect();
        let mut store = Store { descriptors };
        assert_eq!(store.take("a").len(), 2);
        assert_eq!(store.take("a").len(), 0);
        assert_eq!(store.names().collect::<Vec<_>>(), ["b"]);
    }
}
