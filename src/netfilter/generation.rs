//! The number of the kernel's nftables rule set, which changes whenever anybody commits anything, and word of
//! each commit.
//!
//! One small netlink exchange, so that rules can be watched several times a second without running a
//! program. iptables-nft commits through nf_tables, too, and so changes the number.
//!
//! Sources: include/uapi/linux/netfilter/nf_tables.h (`NFT_MSG_GETGEN`, `NFTA_GEN_ID`),
//! include/uapi/linux/netfilter/nfnetlink.h (`NFNLGRP_NFTABLES`), net/netfilter/nf_tables_api.c
//! (`nf_tables_getgen`, `nf_tables_gen_notify`).

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
    socket,
};

/// `NFNL_SUBSYS_NFTABLES` << 8 | `NFT_MSG_GETGEN`.
const GET: u16 = 10 << 8 | 16;
/// `NFNL_SUBSYS_NFTABLES` << 8 | `NFT_MSG_NEWGEN`.
const NEW: u16 = 10 << 8 | 15;
/// `NFTA_GEN_ID`.
const ID: u16 = 1;
/// Bytes of a netlink header and nfnetlink's header behind it.
pub(super) const HEADERS: usize = 20;

/// `NFNLGRP_NFTABLES`, as the bit that joins it.
const GROUP: u32 = 1 << (7 - 1);

/// A netlink socket to netfilter that hears these groups.
pub(super) fn netfilter_socket(groups: u32) -> Option<OwnedFd> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkNetFilter,
    )
    .ok()?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups)).ok()?;
    Some(socket)
}

/// Hears whenever anybody commits anything.
#[derive(Debug)]
pub struct Commits(OwnedFd);

impl Commits {
    /// A socket that hears; `None` where there is none to be had (no permission).
    pub fn open() -> Option<Commits> {
        netfilter_socket(GROUP).map(Commits)
    }

    /// Waits for the next commit. That something changed is all it says, also where the socket's buffer was too small
    /// for a big one.
    ///
    /// # Errors
    /// Nothing more will be heard.
    pub fn wait(&self) -> Result<(), Errno> {
        let mut message = [0_u8; 4096];
        // The first one is waited for, what lies behind it is passed over.
        let mut flags = MsgFlags::empty();
        loop {
            match recv(self.0.as_raw_fd(), &mut message, flags) {
                Ok(_) | Err(Errno::ENOBUFS) => flags = MsgFlags::MSG_DONTWAIT,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(()),
                Err(errno) => return Err(errno),
            }
        }
    }
}

/// Asks for the number, over a socket that stays open.
#[derive(Debug)]
pub struct Generation(OwnedFd);

impl Generation {
    /// A socket to ask over; `None` where there is none to be had.
    pub fn open() -> Option<Generation> {
        netfilter_socket(0).map(Generation)
    }

    /// The number now; `None` where the kernel does not say (no nf_tables, no permission).
    pub fn read(&self) -> Option<u32> {
        send(self.0.as_raw_fd(), &request(), MsgFlags::MSG_NOSIGNAL).ok()?;
        // The kernel answers while we send; what was left from before is passed over.
        let mut latest = None;
        let mut answer = [0_u8; 512];
        while let Ok(length) = recv(self.0.as_raw_fd(), &mut answer, MsgFlags::MSG_DONTWAIT) {
            latest = answer.get(..length).and_then(number).or(latest);
        }
        latest
    }
}

fn request() -> Vec<u8> {
    message(GET, 0, &[])
}

/// A request of this kind, with what follows the headers; `family` is nfnetlink's.
pub(super) fn message(kind: u16, family: u8, attributes: &[u8]) -> Vec<u8> {
    let length = HEADERS + attributes.len();
    let mut message = Vec::with_capacity(length);
    message.extend((length as u32).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    // NLM_F_REQUEST; no sequence number, no port; nfnetlink's header: family, version 0, resource 0.
    message.extend(1_u16.to_ne_bytes());
    message.extend([0; 8]);
    message.extend([family, 0, 0, 0]);
    message.extend(attributes);
    message
}

/// The number in the kernel's answer.
fn number(answer: &[u8]) -> Option<u32> {
    attribute(answer, NEW, ID)
}

/// A number in an answer of this kind; total over any bytes.
pub(super) fn attribute(answer: &[u8], kind: u16, wanted: u16) -> Option<u32> {
    if u16::from_ne_bytes(*answer.get(4..)?.first_chunk()?) != kind {
        return None;
    }
    let mut rest = answer.get(HEADERS..)?;
    loop {
        let length = usize::from(u16::from_ne_bytes(*rest.first_chunk()?));
        if u16::from_ne_bytes(*rest.get(2..)?.first_chunk()?) == wanted {
            return Some(u32::from_be_bytes(*rest.get(4..)?.first_chunk()?));
        }
        rest = rest.get(length.max(4).next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Vec<u8> {
        let mut bytes = request();
        bytes[4..6].copy_from_slice(&NEW.to_ne_bytes());
        for (kind, value) in [(2_u16, [0, 0, 0, 9]), (ID, [0, 0, 1, 2])] {
            bytes.extend(8_u16.to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(value);
        }
        bytes
    }

    #[test]
    fn the_number_is_found_among_other_attributes() {
        assert_eq!(number(&answer()), Some(0x102));
    }

    #[test]
    fn an_answer_cut_short_or_of_another_kind_has_no_number() {
        let whole = answer();
        for length in 0..whole.len() {
            assert_eq!(number(&whole[..length]), None, "{length} bytes");
        }
        let mut other = answer();
        other[4] = 2;
        assert_eq!(number(&other), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..100)) {
            let _ = number(&bytes);
        }
    }
}
