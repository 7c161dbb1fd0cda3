//! Whether a table of nf_tables' is switched off: then the kernel looks at none of its chains, while every tool lists
//! them as ever, and `iptables` says nothing of it.
//!
//! Sources: include/uapi/linux/netfilter/nf_tables.h (`NFT_MSG_GETTABLE`, `NFTA_TABLE_FLAGS`, `NFT_TABLE_F_DORMANT`),
//! net/netfilter/nf_tables_api.c (`nf_tables_gettable`).

use std::os::fd::AsRawFd;

use nix::sys::socket::{MsgFlags, recv, send};

use super::generation::{attribute, message, netfilter_socket};
use crate::verdict::Family;

/// `NFNL_SUBSYS_NFTABLES` << 8 | `NFT_MSG_GETTABLE`.
const GET: u16 = 10 << 8 | 1;
/// `NFNL_SUBSYS_NFTABLES` << 8 | `NFT_MSG_NEWTABLE`.
const NEW: u16 = 10 << 8;
/// `NFTA_TABLE_NAME`.
const NAME: u16 = 1;
/// `NFTA_TABLE_FLAGS`.
const FLAGS: u16 = 2;
/// `NFT_TABLE_F_DORMANT`.
const DORMANT: u32 = 1;

/// Whether this family's table is switched off; `false`, too, where there is none, or the kernel does not say.
pub(super) fn is_asleep(family: Family, table: &str) -> bool {
    ask(family, table)
        .is_some_and(|answer| flags(&answer).is_some_and(|flags| flags & DORMANT != 0))
}

fn ask(family: Family, table: &str) -> Option<Vec<u8>> {
    let socket = netfilter_socket(0)?;
    send(socket.as_raw_fd(), &request(family, table), MsgFlags::MSG_NOSIGNAL).ok()?;
    // The kernel answers while we send.
    let mut answer = vec![0_u8; 4096];
    let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::MSG_DONTWAIT).ok()?;
    answer.truncate(length);
    Some(answer)
}

fn request(family: Family, table: &str) -> Vec<u8> {
    // `NFPROTO_IPV4`, `NFPROTO_IPV6`.
    let family = match family {
        Family::V4 => 2,
        Family::V6 => 10,
    };
    let length = 4 + table.len() + 1;
    let mut name = Vec::with_capacity(length.next_multiple_of(4));
    name.extend((length as u16).to_ne_bytes());
    name.extend(NAME.to_ne_bytes());
    name.extend(table.as_bytes());
    name.resize(length.next_multiple_of(4), 0);
    message(GET, family, &name)
}

/// The table's flags in the kernel's answer; total over any bytes.
fn flags(answer: &[u8]) -> Option<u32> {
    attribute(answer, NEW, FLAGS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(flags: u32) -> Vec<u8> {
        let mut bytes = request(Family::V4, "mangle");
        bytes[4..6].copy_from_slice(&NEW.to_ne_bytes());
        bytes.extend(8_u16.to_ne_bytes());
        bytes.extend(FLAGS.to_ne_bytes());
        bytes.extend(flags.to_be_bytes());
        bytes
    }

    #[test]
    fn a_table_is_asked_for_by_family_and_name() {
        let message = request(Family::V6, "mangle");
        assert_eq!(message.len(), 32);
        assert_eq!(message[..2], 32_u16.to_ne_bytes());
        assert_eq!((message[16], &message[24..31]), (10, &b"mangle\0"[..]));
    }

    #[test]
    fn the_flags_are_found_behind_the_name() {
        assert_eq!(flags(&answer(0)), Some(0));
        assert_eq!(flags(&answer(DORMANT)), Some(DORMANT));
        let whole = answer(DORMANT);
        for length in 0..whole.len() {
            assert_eq!(flags(&whole[..length]), None, "{length} bytes");
        }
    }
}
