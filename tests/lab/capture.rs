//! What reaches a server on the wire, whatever it is: frames with a mark in them.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use super::topology::{self, Place};
use super::{Context, PATIENCE, Res, wait_until};

/// Eight bytes that no other packet carries.
pub(crate) type Mark = [u8; 8];

pub(crate) fn mark() -> Mark {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let mut mark = *b"KRD>....";
    // Without runs of zeros: it also stands where keys and sessions do.
    let number = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b1);
    mark[4..].copy_from_slice(&number.to_be_bytes());
    mark
}

/// All frames that a server's interface takes in.
pub(crate) struct Capture {
    socket: OwnedFd,
    frames: Vec<Vec<u8>>,
}

impl Capture {
    /// Begins to listen.
    pub(crate) fn start(place: Place) -> Res<Self> {
        let socket = topology::at(place, || {
            let kind = SockFlag::SOCK_CLOEXEC;
            socket(AddressFamily::Packet, SockType::Raw, kind, SockProtocol::EthAll)
                .context("server: packet socket")
        })?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::milliseconds(20))
            .context("server: timeout")?;
        Ok(Capture { socket, frames: Vec::new() })
    }

    /// How many frames with this mark came so far.
    pub(crate) fn arrived(&mut self, mark: &[u8]) -> usize {
        let mut frame = [0; 2048];
        while let Ok(length) = recv(self.socket.as_raw_fd(), &mut frame, MsgFlags::MSG_DONTWAIT) {
            if !is_icmp(&frame[..length]) {
                self.frames.push(frame[..length].to_vec());
            }
        }
        let has = |frame: &&Vec<u8>| frame.windows(mark.len()).any(|window| window == mark);
        self.frames.iter().filter(has).count()
    }

    /// Waits for a frame with this mark.
    pub(crate) fn wait_for(&mut self, mark: &[u8], what: &str) -> Res {
        match wait_until(PATIENCE, || self.arrived(mark) > 0) {
            true => Ok(()),
            false => Err(format!("{what} did not arrive, and should")),
        }
    }

    /// None may have come, and none comes soon. A fence has shown that what was sent before has been judged.
    pub(crate) fn none(&mut self, mark: &[u8], what: &str) -> Res {
        std::thread::sleep(Duration::from_millis(20));
        match self.arrived(mark) {
            0 => Ok(()),
            _ => Err(format!("{what} arrived, and may not")),
        }
    }
}

/// An error message, which quotes what it is about, and which the server sends as well.
fn is_icmp(frame: &[u8]) -> bool {
    match frame.get(12..) {
        Some([8, 0, header @ ..]) => header.get(9) == Some(&1),
        Some([0x86, 0xdd, header @ ..]) => header.get(6) == Some(&58),
        Some(_) | None => false,
    }
}
