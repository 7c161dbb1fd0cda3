//! Tunnels: which one a packet is, as far as one packet tells, and what it carries.
//!
//! Invariant: every function here is total, and reads no more than the copied bytes. A form is written so that
//! ordinary traffic of cameras (RTP, RTSP, DNS, NTP, HTTP, TLS, QUIC, STUN, DTLS, SRT) does not have it, and noise has
//! it by chance in fewer than one of 2^32 datagrams.

mod by_protocol;
mod carried;
mod encapsulation;
mod glance;
mod gre;
mod ipsec;
mod l2tp;
mod openvpn;
mod rest;
mod wireguard;

use super::{Headers, Held};
use crate::verdict::Tunnel;
use carried::Carried;
use rest::{Datagram, Rest};

/// What one packet tells of the tunnel that it may belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// No tunnel that is known.
    Nothing,
    /// It is this, and so is every packet like it.
    Tunnel(Tunnel),
    /// It is this, and what its flow does later is this, whatever it looks like.
    Flow {
        /// The packet.
        now: Tunnel,
        /// What follows.
        later: Tunnel,
    },
    /// It has the form of ESP in UDP, which one packet alone does not prove.
    MaybeEsp {
        /// The security parameters index.
        spi: u32,
        /// The sequence number.
        sequence: u32,
    },
    /// It has the form of OpenVPN in TCP, which the copy does not show enough of.
    MaybeOpenVpn {
        /// The sender's session.
        session: u64,
        /// It opens the session, or else belongs to one that is open.
        opens: bool,
    },
    /// It has the form of WireGuard's data, which one packet alone does not prove.
    MaybeWireGuard {
        /// The receiver's index.
        receiver: u32,
        /// The counter.
        counter: u64,
    },
}

impl Sight {
    fn of_flow(tunnel: Tunnel) -> Self {
        Sight::Flow { now: tunnel, later: tunnel }
    }
}

/// What the packet tells by itself.
#[inline]
pub fn sight(headers: &Headers, held: Held<'_>) -> Sight {
    if headers.authenticated {
        return Sight::Tunnel(Tunnel::Ah);
    }
    match headers.protocol {
        17 if glance::at_datagram(headers, held) => in_datagram(headers, held),
        6 if glance::at_segment(headers, held) => in_segment(headers, held),
        6 | 17 => Sight::Nothing,
        protocol => by_protocol::tunnel(protocol).map_or(Sight::Nothing, Sight::Tunnel),
    }
}

#[inline(never)]
fn in_datagram(headers: &Headers, held: Held<'_>) -> Sight {
    let Some(datagram) = Datagram::of(headers, held) else { return Sight::Nothing };
    let payload = &datagram.payload;
    wireguard::sight(payload)
        .or(|| openvpn::sight(payload))
        .or(|| l2tp::sight(&datagram))
        .or(|| encapsulation::sight(&datagram))
        .or(|| ipsec::sight(&datagram))
}

/// The longest first message of a tunnel in TCP: OpenVPN's with a wrapped key.
const LONGEST_SEGMENT: u32 = 1_100;

#[inline(never)]
fn in_segment(headers: &Headers, held: Held<'_>) -> Sight {
    match rest::segment(headers, held) {
        Some(payload) if payload.length <= LONGEST_SEGMENT => openvpn::sight_in_segment(&payload)
            .or(|| gre::sight_in_segment(&payload))
            .or(|| ipsec::sight_in_segment(&payload)),
        Some(_) | None => Sight::Nothing,
    }
}

impl Sight {
    #[inline]
    fn or(self, other: impl FnOnce() -> Sight) -> Sight {
        match self {
            Sight::Nothing => other(),
            Sight::Tunnel(_)
            | Sight::Flow { .. }
            | Sight::MaybeEsp { .. }
            | Sight::MaybeOpenVpn { .. }
            | Sight::MaybeWireGuard { .. } => self,
        }
    }
}

/// A packet of a flow that was recognised as this still looks like it; one that does not may be of another program
/// that got the same ports.
#[inline]
pub fn resembles(tunnel: Tunnel, headers: &Headers, held: Held<'_>) -> bool {
    let Some(datagram) = Datagram::of(headers, held) else { return true };
    match tunnel {
        Tunnel::WireGuard => wireguard::resembles(&datagram.payload),
        Tunnel::OpenVpn => openvpn::resembles(&datagram.payload),
        Tunnel::Ipip
        | Tunnel::SixInFour
        | Tunnel::Gre
        | Tunnel::Esp
        | Tunnel::Ah
        | Tunnel::L2tp
        | Tunnel::EtherIp
        | Tunnel::IpComp
        | Tunnel::Mpls
        | Tunnel::Vxlan
        | Tunnel::Geneve
        | Tunnel::GtpU
        | Tunnel::Teredo
        | Tunnel::Ike => true,
    }
}

/// What an inspected tunnel carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inner<'a> {
    /// A packet.
    Packet(Held<'a>),
    /// Nothing that goes anywhere: control messages, keepalives.
    Nothing,
    /// It cannot be read: cut off by the copy, encrypted, a protocol that is not known.
    Unreadable,
}

/// What the packet, which is of this tunnel, carries.
pub fn inner<'a>(tunnel: Tunnel, headers: &Headers, held: Held<'a>) -> Inner<'a> {
    if tunnel == Tunnel::Ah {
        return by_protocol::behind_authentication(headers, held);
    }
    let carried = match headers.protocol {
        17 => match Datagram::of(headers, held) {
            Some(datagram) if tunnel == Tunnel::L2tp => l2tp::in_udp(datagram.payload),
            Some(datagram) => encapsulation::carries(tunnel, datagram.payload),
            None => Carried::Unknown,
        },
        // PPTP's control connection.
        6 if tunnel == Tunnel::Gre => Carried::Nothing,
        _ => by_protocol::carries(headers, held),
    };
    match carried {
        Carried::Ip(packet) => whole(packet),
        Carried::Nothing => Inner::Nothing,
        Carried::Unknown => Inner::Unreadable,
    }
}

/// The packet within, as if it had been held itself.
fn whole(packet: Rest<'_>) -> Inner<'_> {
    let says = match packet.u8(0).map(|first| first >> 4) {
        Some(4) => packet.u16(2).map(u32::from),
        Some(6) => {
            packet.u16(4).map(|payload| if payload == 0 { 0 } else { u32::from(payload) + 40 })
        }
        Some(_) | None => None,
    };
    let Some(says) = says else { return Inner::Unreadable };
    // Behind the first of several may stand one to somewhere else. 0: one that is too big for the field.
    if packet.aggregate && says != packet.length && says != 0 {
        return Inner::Unreadable;
    }
    let length = if packet.goes_on { packet.length.max(says) } else { packet.length };
    Inner::Packet(Held { length, aggregate: packet.aggregate, ..Held::from(packet.bytes) })
}

#[cfg(test)]
mod tests;
