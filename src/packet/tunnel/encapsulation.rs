//! Packets in UDP, in the clear: VXLAN, Geneve, GTP-U, Teredo, MPLS, and bare IPv4.
//!
//! On a protocol's own port its header suffices. On any other port, and behind MPLS labels, which have no form of their
//! own, the packet within must fit exactly as well, its length and, for IPv4, its checksum; ciphertext and media do
//! not.

use super::Sight;
use super::carried::{self, Carried};
use super::rest::{Datagram, Rest};
use crate::verdict::Tunnel;

/// VXLAN: the assigned port, that of its generic protocol extension, and the one that Linux used before.
const VXLAN: [u16; 3] = [4789, 4790, 8472];
const GENEVE: u16 = 6081;
const GTP_U: u16 = 2152;
const TEREDO: u16 = 3544;
/// The one port here of a tunnel whose header has no form of its own.
pub(super) const MPLS: u16 = 6635;

/// What a datagram tells.
#[inline]
pub(super) fn sight(datagram: &Datagram<'_>) -> Sight {
    match recognise(datagram) {
        Some(tunnel) => Sight::Tunnel(tunnel),
        None => Sight::Nothing,
    }
}

#[inline]
fn recognise(datagram: &Datagram<'_>) -> Option<Tunnel> {
    let payload = datagram.payload;
    let first = payload.array::<4>(0)?;
    if is_vxlan(&payload, first) {
        let (within, bare) = vxlan(payload);
        if VXLAN.iter().any(|port| datagram.has(*port)) || fits(within, bare) {
            return Some(Tunnel::Vxlan);
        }
    }
    if is_geneve(&payload, first)
        && (datagram.has(GENEVE) || fits(geneve(payload), payload.u16(2) != Some(ETHERNET)))
    {
        return Some(Tunnel::Geneve);
    }
    if is_gtp(&payload, first) && (datagram.has(GTP_U) || fits(gtp(payload), true)) {
        return Some(Tunnel::GtpU);
    }
    if matches!(first, [0, 0 | 1, _, _] | [0x60..=0x6f, _, _, _])
        && let Some(packet) = teredo(payload)
        && carried::fits_as_v6(&packet)
        && (datagram.has(TEREDO) || has_teredo_address(&packet))
    {
        return Some(Tunnel::Teredo);
    }
    if matches!(first, [0x45..=0x4f, _, _, _]) && carried::fits_as_v4(&payload) {
        return Some(Tunnel::Ipip);
    }
    if datagram.has(MPLS) && carried::behind_labels(payload).is_some_and(fits_behind_labels) {
        return Some(Tunnel::Mpls);
    }
    None
}

/// What stands behind the header of this tunnel in UDP.
pub(super) fn carries<'a>(tunnel: Tunnel, payload: Rest<'a>) -> Carried<'a> {
    match tunnel {
        Tunnel::Vxlan => match vxlan(payload) {
            (Some(packet), true) => carried::ip(packet),
            (Some(frame), false) => carried::ethernet(frame),
            (None, _) => Carried::Unknown,
        },
        Tunnel::Geneve => match (payload.u16(2), geneve(payload)) {
            (Some(ETHERNET), Some(frame)) => carried::ethernet(frame),
            (Some(kind), Some(packet)) => carried::by_ethertype(kind, packet),
            (_, None) | (None, _) => Carried::Unknown,
        },
        Tunnel::GtpU => match payload.u8(1) {
            Some(G_PDU) => gtp(payload).map_or(Carried::Unknown, carried::ip),
            Some(_) => Carried::Nothing,
            None => Carried::Unknown,
        },
        Tunnel::Teredo => match teredo(payload) {
            // A bubble: no payload, no next header (RFC 4380 section 2.8).
            Some(packet) if packet.length == 40 && packet.u8(6) == Some(59) => Carried::Nothing,
            Some(packet) => carried::ip(packet),
            None => Carried::Unknown,
        },
        Tunnel::Mpls => carried::labels(payload),
        Tunnel::Ipip | Tunnel::SixInFour => carried::ip(payload),
        Tunnel::Gre
        | Tunnel::Esp
        | Tunnel::Ah
        | Tunnel::L2tp
        | Tunnel::EtherIp
        | Tunnel::IpComp
        | Tunnel::WireGuard
        | Tunnel::OpenVpn
        | Tunnel::Ike => Carried::Unknown,
    }
}

/// A packet, or a frame, with a control word before it or without (RFC 4448 section 4.6).
fn fits_behind_labels(within: Rest<'_>) -> bool {
    carried::fits_as_ip(&within)
        || carried::fits_in_ethernet(within)
        || within.skip(4).is_some_and(carried::fits_in_ethernet)
}

fn fits(within: Option<Rest<'_>>, bare: bool) -> bool {
    within.is_some_and(|within| match bare {
        true => carried::fits_as_ip(&within),
        false => carried::fits_in_ethernet(within),
    })
}

/// RFC 7348 section 5: the flag that says that the network identifier is valid, and reserved bits. The group policy
/// extension has a flag and two bytes among these, the generic protocol extension a flag and a protocol.
#[inline]
fn is_vxlan(payload: &Rest<'_>, first: [u8; 4]) -> bool {
    let form = [[0x08, 0, 0, 0], [0x0c, 0, 0, 1], [0x0c, 0, 0, 2], [0x0c, 0, 0, 3]];
    (form.contains(&first) || matches!(first, [0x88, 0 | 0x08 | 0x40 | 0x48, _, _]))
        && payload.u8(7) == Some(0)
        && payload.length >= 8 + 14
}

/// What stands behind the header, and whether it is a packet and no frame.
fn vxlan(payload: Rest<'_>) -> (Option<Rest<'_>>, bool) {
    (payload.skip(8), matches!(payload.array(0), Some([0x0c, 0, 0, 1 | 2])))
}

/// Transparent Ethernet bridging, a pseudo EtherType.
const ETHERNET: u16 = 0x6558;

/// RFC 8926 section 3.4: version 0, reserved bits, a protocol that is an Ethernet frame or IP.
#[inline]
fn is_geneve(payload: &Rest<'_>, first: [u8; 4]) -> bool {
    let [version, flags, high, low] = first;
    matches!(u16::from_be_bytes([high, low]), ETHERNET | 0x0800 | 0x86dd)
        && version >> 6 == 0
        && flags & 0x3f == 0
        && payload.u8(7) == Some(0)
        && geneve(*payload).is_some()
}

/// Behind the options.
fn geneve(payload: Rest<'_>) -> Option<Rest<'_>> {
    payload.skip(8 + usize::from(payload.u8(0)? & 0x3f) * 4)
}

/// A user's packet.
const G_PDU: u8 = 255;

/// TS 29.281 section 5.1: version 1, not GTP', a known message, and the length of what follows.
#[inline]
fn is_gtp(payload: &Rest<'_>, first: [u8; 4]) -> bool {
    let [flags, message, high, low] = first;
    flags & 0xf8 == 0x30
        && matches!(message, 1 | 2 | 26 | 31 | 253 | 254 | G_PDU)
        && payload.is_long(u32::from(u16::from_be_bytes([high, low])) + 8)
}

/// The most extension headers that are walked.
const MOST_EXTENSIONS: usize = 8;

/// Behind the optional fields and extension headers.
fn gtp(payload: Rest<'_>) -> Option<Rest<'_>> {
    let flags = payload.u8(0)?;
    if flags & 0x07 == 0 {
        return payload.skip(8);
    }
    let mut next = if flags & 0x04 == 0 { 0 } else { payload.u8(11)? };
    let mut rest = payload.skip(12)?;
    for _ in 0..MOST_EXTENSIONS {
        if next == 0 {
            return Some(rest);
        }
        // In units of four bytes; the last byte says what follows.
        let length = usize::from(rest.u8(0)?) * 4;
        next = rest.u8(length.checked_sub(1)?)?;
        rest = rest.skip(length)?;
    }
    None
}

/// The IPv6 packet behind the authentication and origin indications (RFC 4380 section 5.1.1).
#[inline]
fn teredo(payload: Rest<'_>) -> Option<Rest<'_>> {
    let mut rest = payload;
    if let Some([0, 1, identifier, authentication]) = rest.array(0) {
        // A nonce of eight bytes and a confirmation of one.
        rest = rest.skip(4 + usize::from(identifier) + usize::from(authentication) + 9)?;
    }
    if rest.u16(0) == Some(0) {
        rest = rest.skip(8)?;
    }
    (rest.u8(0)? >> 4 == 6).then_some(rest)
}

/// `2001::/32` at either end.
fn has_teredo_address(packet: &Rest<'_>) -> bool {
    const PREFIX: Option<u32> = Some(0x2001_0000);
    packet.u32(8) == PREFIX || packet.u32(24) == PREFIX
}
