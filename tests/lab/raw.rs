//! Probes in packets of our own making: IPv4 options, IPv6 extension headers, chains too long to read.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, sendto, socket,
};

use super::topology::{self, Place};
use super::traffic::{PORT, Stream};
use super::{Context, Res};

/// Hop-by-hop options, destination options, fragment (IANA protocol numbers).
pub(crate) const HOP_BY_HOP: u8 = 0;
pub(crate) const DESTINATION: u8 = 60;
pub(crate) const FRAGMENT: u8 = 44;
const UDP: u8 = 17;

/// One extension header: its protocol number, and its bytes from the second on (the first one names what
/// follows).
#[derive(Clone)]
pub(crate) struct Extension {
    pub(crate) kind: u8,
    pub(crate) rest: Vec<u8>,
}

impl Extension {
    /// Eight bytes of options that say nothing (PadN, RFC 8200 section 4.2), or an atomic fragment header.
    pub(crate) fn empty(kind: u8) -> Self {
        let rest = match kind {
            FRAGMENT => vec![0, 0, 0, 0, 0, 0, 1],
            _ => vec![0, 1, 4, 0, 0, 0, 0],
        };
        Extension { kind, rest }
    }

    /// The same, but it claims to be 2,048 bytes long.
    pub(crate) fn beyond_the_packet() -> Self {
        Extension { kind: DESTINATION, rest: vec![255, 1, 4, 0, 0, 0, 0] }
    }
}

/// Sends a stream's next probe in an IPv4 packet with these options (a multiple of four bytes, 40 at most).
pub(crate) fn send_v4(stream: &mut Stream, options: &[u8]) -> Res {
    let (IpAddr::V4(from), IpAddr::V4(to)) = (topology::CAMERA, stream.to()) else {
        return Err(format!("{} is not an IPv4 address", stream.to()));
    };
    let udp = udp(&stream.next_payload());
    let header = 20 + options.len();
    let mut packet = vec![0x40 | (header / 4) as u8, 0];
    packet.extend(((header + udp.len()) as u16).to_be_bytes());
    // The kernel fills in identification and checksum; UDP's checksum may be absent.
    packet.extend([0, 0, 0, 0, 64, UDP, 0, 0]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(options);
    packet.extend(udp);
    send(AddressFamily::Inet, &packet, stream.to())
}

/// Sends a stream's next probe in an IPv6 packet with these extension headers.
pub(crate) fn send_v6(stream: &mut Stream, extensions: &[Extension]) -> Res {
    let (IpAddr::V6(from), IpAddr::V6(to)) = (topology::CAMERA6, stream.to()) else {
        return Err(format!("{} is not an IPv6 address", stream.to()));
    };
    let mut udp = udp(&stream.next_payload());
    let sum = checksum(&[&from.octets(), &to.octets(), &[0, udp.len() as u8, 0, UDP], &udp]);
    udp[6..8].copy_from_slice(&sum.to_be_bytes());
    let mut payload = Vec::new();
    let kinds = extensions.iter().map(|extension| extension.kind).chain([UDP]);
    for (extension, next) in extensions.iter().zip(kinds.clone().skip(1)) {
        payload.push(next);
        payload.extend(&extension.rest);
    }
    payload.extend(udp);
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([kinds.clone().next().unwrap_or(UDP), 64]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(payload);
    send(AddressFamily::Inet6, &packet, stream.to())
}

pub(crate) fn udp(payload: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    datagram.extend(40_000_u16.to_be_bytes());
    datagram.extend(PORT.to_be_bytes());
    datagram.extend((8 + payload.len() as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    datagram
}

/// RFC 1071, over parts of even length.
pub(crate) fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks_exact(2));
    let mut sum: u32 = words.map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    match !(sum as u16) {
        0 => 0xffff,
        sum => sum,
    }
}

/// An IPv4 packet between these, of this protocol, with these options.
pub(crate) fn v4(
    from: IpAddr,
    to: IpAddr,
    protocol: u8,
    options: &[u8],
    payload: &[u8],
) -> Res<Vec<u8>> {
    let (IpAddr::V4(from), IpAddr::V4(to)) = (from, to) else {
        return Err(format!("{from} and {to} are not IPv4 addresses"));
    };
    let header = 20 + options.len();
    let mut packet = vec![0x40 | (header / 4) as u8, 0];
    packet.extend(((header + payload.len()) as u16).to_be_bytes());
    packet.extend([0, 1, 0, 0, 64, protocol, 0, 0]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(options);
    let sum = checksum(&[&packet]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(payload);
    Ok(packet)
}

/// An IPv6 packet between these, of this protocol or with this first extension header.
pub(crate) fn v6(from: IpAddr, to: IpAddr, protocol: u8, payload: &[u8]) -> Res<Vec<u8>> {
    let (IpAddr::V6(from), IpAddr::V6(to)) = (from, to) else {
        return Err(format!("{from} and {to} are not IPv6 addresses"));
    };
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([protocol, 64]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(payload);
    Ok(packet)
}

/// A UDP datagram from and to these ports, without a checksum.
pub(crate) fn udp_between(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    datagram.extend(from.to_be_bytes());
    datagram.extend(to.to_be_bytes());
    datagram.extend((8 + payload.len() as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    datagram
}

/// Sends a packet from the camera as it is.
pub(crate) fn send_as_it_is(packet: &[u8], to: IpAddr) -> Res {
    let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    send(family, packet, to)
}

/// The packet as it is; `IPPROTO_RAW` means that it brings its own header (raw(7), and
/// `rawv6_init_sk` in net/ipv6/raw.c).
fn send(family: AddressFamily, packet: &[u8], to: IpAddr) -> Res {
    topology::at(Place::Camera, || {
        let socket: OwnedFd =
            socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Raw)
                .context("camera: raw socket")?;
        let address = SockaddrStorage::from(SocketAddr::from((to, 0)));
        let sent = sendto(socket.as_raw_fd(), packet, &address, MsgFlags::empty());
        match sent.context(format!("camera: raw packet to {to}"))? {
            n if n == packet.len() => Ok(()),
            n => Err(format!("camera: {n} of {} bytes went to {to}", packet.len())),
        }
    })
}
