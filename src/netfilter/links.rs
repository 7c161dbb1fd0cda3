//! Interfaces that belong to another one: ports of a bridge, members of a VRF or a bond.
//!
//! Their packets enter the IP layer by their master, so a rule that names them never fits, and nothing of
//! such a camera's would be held. The kernel is asked by netlink in the network namespace at hand (/sys may
//! show another one).
//!
//! Sources: include/uapi/linux/rtnetlink.h (`RTM_GETLINK`, `struct ifinfomsg`), include/uapi/linux/if_link.h
//! (`IFLA_*`), drivers/net/vrf.c (`vrf_ip_rcv`), net/bridge/br_input.c (`br_pass_frame_up`).

use std::fmt;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
    setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;

use crate::failure::{ExitStatus, Failure};

/// `RTM_GETLINK`, and what answers it: `RTM_NEWLINK`, `NLMSG_ERROR`, `NLMSG_DONE`.
const GET_LINK: u16 = 18;
const NEW_LINK: u16 = 16;
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const DUMP: u16 = 0x301;
/// `IFLA_IFNAME`, `IFLA_MASTER`, `IFLA_LINKINFO`, in which `IFLA_INFO_SLAVE_KIND`; `IFLA_EXT_MASK`.
const NAME: u16 = 3;
const MASTER: u16 = 10;
const LINK_INFO: u16 = 18;
const SLAVE_KIND: u16 = 4;
const EXT_MASK: u16 = 29;
/// `RTEXT_FILTER_SKIP_STATS`.
const SKIP_STATS: u32 = 8;
/// Bytes of a netlink header; of `struct ifinfomsg` behind it.
const HEADER: usize = 16;
const INFO: usize = 16;
/// The kernel fills at most 32 KiB per message of a dump (`netlink_dump`).
const ROOM: usize = 64 << 10;

/// An interface of the configuration that belongs to another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enslaved {
    /// As the configuration names it, maybe with a `+` at the end.
    pub configured: String,
    /// The interface.
    pub interface: String,
    /// The interface that it belongs to.
    pub master: String,
    /// What that is, as the kernel calls it: `bridge`, `vrf`, `bond`.
    pub kind: String,
}

impl fmt::Display for Enslaved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Enslaved { configured, interface, master, kind } = self;
        if configured != interface {
            write!(f, "`{configured}` covers {interface}: ")?;
        }
        let what = match kind.as_str() {
            "bridge" => "a port of bridge",
            "vrf" => "a member of VRF",
            "bond" | "team" => "a member of bond",
            _ => "a part of",
        };
        write!(f, "{interface} is {what} {master}: its packets enter by {master}; ")?;
        write!(f, "write \"{master}\" instead")
    }
}

/// There is no interface of this name; one that ends in `+` stands for any number of them, and none.
pub fn is_missing(name: &str) -> bool {
    !name.ends_with('+') && if_nametoindex(name).is_err()
}

/// Those of these interfaces that belong to another one, unless that one is named as well.
///
/// # Errors
/// 1 where the kernel does not answer.
pub fn enslaved(configured: &[String]) -> Result<Vec<Enslaved>, Failure> {
    if configured.is_empty() {
        return Ok(Vec::new());
    }
    let broken = |error: nix::Error| {
        Failure::new(
            ExitStatus::Failed,
            format!("the kernel does not list its interfaces: {error}"),
        )
    };
    Ok(among(configured, &all().map_err(broken)?))
}

/// An interface, as the kernel lists it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Link {
    index: u32,
    name: String,
    master: Option<u32>,
    kind_of_master: String,
}

fn among(configured: &[String], links: &[Link]) -> Vec<Enslaved> {
    let fits = |pattern: &str, name: &str| match pattern.strip_suffix('+') {
        Some(stem) => name.starts_with(stem),
        None => name == pattern,
    };
    let mut found = Vec::new();
    for link in links {
        let (Some(index), Some(pattern)) =
            (link.master, configured.iter().find(|pattern| fits(pattern, &link.name)))
        else {
            continue;
        };
        let master = links.iter().find(|other| other.index == index);
        let master = master.map_or_else(|| format!("interface {index}"), |link| link.name.clone());
        if !configured.iter().any(|pattern| fits(pattern, &master)) {
            found.push(Enslaved {
                configured: pattern.clone(),
                interface: link.name.clone(),
                master,
                kind: link.kind_of_master.clone(),
            });
        }
    }
    found
}

fn all() -> nix::Result<Vec<Link>> {
    let socket: OwnedFd = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(2, 0))?;
    send(socket.as_raw_fd(), &request(), MsgFlags::MSG_NOSIGNAL)?;
    let (mut links, mut room) = (Vec::new(), vec![0_u8; ROOM]);
    loop {
        let length = recv(socket.as_raw_fd(), &mut room, MsgFlags::empty())?;
        if length == 0 || read(room.get(..length).unwrap_or_default(), &mut links)? {
            return Ok(links);
        }
    }
}

fn request() -> Vec<u8> {
    let length = (HEADER + INFO + 8) as u32;
    let mut message = Vec::with_capacity(HEADER + INFO + 8);
    message.extend(length.to_ne_bytes());
    message.extend(GET_LINK.to_ne_bytes());
    message.extend(DUMP.to_ne_bytes());
    message.resize(HEADER + INFO, 0);
    message.extend(8_u16.to_ne_bytes());
    message.extend(EXT_MASK.to_ne_bytes());
    message.extend(SKIP_STATS.to_ne_bytes());
    message
}

/// Reads the messages of one datagram; true at the end of the dump. Total over any bytes.
fn read(mut bytes: &[u8], links: &mut Vec<Link>) -> nix::Result<bool> {
    while let (Some(length), Some(kind)) = (number(bytes, 0), short(bytes, 4)) {
        let length = length as usize;
        let Some(message) = bytes.get(HEADER..length) else { return Ok(true) };
        match kind {
            NEW_LINK => links.push(link(message)),
            DONE => return Ok(true),
            ERROR => {
                // A negative errno.
                let code = number(message, 0).unwrap_or_default() as i32;
                return if code == 0 { Ok(true) } else { Err(nix::Error::from_raw(-code)) };
            }
            _ => {}
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

fn link(message: &[u8]) -> Link {
    let mut link = Link { index: number(message, 4).unwrap_or_default(), ..Link::default() };
    for (kind, value) in attributes(message.get(INFO..).unwrap_or_default()) {
        match kind {
            NAME => link.name = text(value),
            MASTER => link.master = number(value, 0).filter(|index| *index != 0),
            LINK_INFO => {
                let kind = attributes(value).find(|(kind, _)| *kind == SLAVE_KIND);
                link.kind_of_master = kind.map_or_else(String::new, |(_, value)| text(value));
            }
            _ => {}
        }
    }
    link
}

/// The attributes (`struct rtattr`) in these bytes, as far as they are whole.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(short(bytes, 0)?);
        // The two upper bits are flags (`NLA_TYPE_MASK`).
        let kind = short(bytes, 2)? & 0x3fff;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(value.get(..end).unwrap_or_default()).into_owned()
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, name: &str, master: Option<u32>, kind: &str) -> Link {
        Link { index, name: name.to_owned(), master, kind_of_master: kind.to_owned() }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend((4 + value.len() as u16).to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(((HEADER + body.len()) as u32).to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.resize(HEADER, 0);
        bytes.extend(body);
        bytes
    }

    /// What the kernel says of `cam0`, a member of the VRF with index 7, and the end of its list.
    fn listed() -> Vec<u8> {
        let mut body = vec![0; INFO];
        body[4..8].copy_from_slice(&3_u32.to_ne_bytes());
        body.extend(attribute(NAME, b"cam0\0"));
        body.extend(attribute(MASTER, &7_u32.to_ne_bytes()));
        // Flagged as nested, behind another attribute, as the kernel sends it.
        let info = [attribute(1, b"veth\0"), attribute(SLAVE_KIND, b"vrf\0")].concat();
        body.extend(attribute(LINK_INFO | 0x8000, &info));
        [message(NEW_LINK, &body), message(DONE, &[0; 4])].concat()
    }

    #[test]
    fn a_member_of_a_vrf_is_read_from_the_kernels_answer() {
        let mut links = Vec::new();
        assert_eq!(read(&listed(), &mut links), Ok(true));
        assert_eq!(links, [link(3, "cam0", Some(7), "vrf")]);
    }

    #[test]
    fn an_error_of_the_kernel_is_one() {
        let refused = message(ERROR, &(-13_i32).to_ne_bytes());
        assert_eq!(read(&refused, &mut Vec::new()), Err(nix::Error::EACCES));
    }

    #[test]
    fn an_interface_that_belongs_to_another_is_named_with_what_to_write() {
        let links = [
            link(2, "cam0", Some(5), "bridge"),
            link(3, "cam1", Some(6), "vrf"),
            link(4, "eth0", Some(5), "bridge"),
            link(5, "br0", None, ""),
            link(6, "cctv", None, ""),
            link(7, "lone", None, ""),
        ];
        let said = |configured: &[&str]| {
            let found = among(&names(configured), &links);
            found.iter().map(Enslaved::to_string).collect::<Vec<String>>()
        };
        assert_eq!(
            said(&["cam0", "lone"]),
            ["cam0 is a port of bridge br0: its packets enter by br0; write \"br0\" instead"]
        );
        assert_eq!(
            said(&["cam1"]),
            ["cam1 is a member of VRF cctv: its packets enter by cctv; write \"cctv\" instead"]
        );
        assert!(said(&["cam+"])[0].starts_with("`cam+` covers cam0: cam0 is a port of bridge br0"));
        assert_eq!(said(&["cam+"]).len(), 2);
        // What enters by the master is held: nothing is wrong.
        assert!(said(&["cam0", "br0"]).is_empty());
        assert!(said(&["lone", "br0"]).is_empty());
        assert!(said(&["none"]).is_empty());
    }

    #[test]
    fn the_kernel_here_lists_its_loopback() {
        let links = all().unwrap();
        assert!(links.iter().any(|link| link.name == "lo" && link.master.is_none()), "{links:?}");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = read(&bytes, &mut Vec::new());
        }

        #[test]
        fn any_damage_to_an_answer_ends(at in 0_usize..76, to in proptest::num::u8::ANY) {
            let mut bytes = listed();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = to;
            }
            let _ = read(&bytes, &mut Vec::new());
        }
    }
}
