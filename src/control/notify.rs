//! Messages to the service manager (`sd_notify(3)`): ready, reloading, stopping, a status line, descriptors to
//! keep.

use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, sendmsg, socket,
};

/// Tells the service manager, if there is one; a failure is its loss, not ours.
pub fn notify(message: &str) {
    tell(message, &[]);
}

/// Tells the service manager and hands it copies of these descriptors; `false` if there is none, or if it could
/// not be told.
pub(super) fn tell(message: &str, descriptors: &[BorrowedFd<'_>]) -> bool {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return false };
    let address = match name.as_bytes() {
        [b'@', name @ ..] => UnixAddr::new_abstract(name),
        path => UnixAddr::new(path),
    };
    match address.and_then(|address| send(message, descriptors, &address)) {
        Ok(()) => true,
        Err(error) => {
            tracing::debug!("service manager: {error}");
            false
        }
    }
}

fn send(message: &str, descriptors: &[BorrowedFd<'_>], to: &UnixAddr) -> Result<(), Errno> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let from = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
    let numbers: Vec<_> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    let rights = if numbers.is_empty() { &[] } else { &rights[..] };
    let message = [IoSlice::new(message.as_bytes())];
    sendmsg(from.as_raw_fd(), &message, rights, MsgFlags::MSG_NOSIGNAL, Some(to)).map(drop)
}
