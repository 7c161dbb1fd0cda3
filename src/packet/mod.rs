//! Held bytes to source, destination, protocol and ports; never panics.
//!
//! Invariant: every function here is total. Whatever the bytes, the answer is [`Headers`] or a cause.
//! Layer 3 alone decides; ports are for the record and may be missing.

mod embedded;
mod ipv4;
mod ipv6;
pub mod synthetic;
mod tunnel;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use embedded::{Embedded, embedded};
pub use tunnel::{Inner, Sight, inner, resembles, sight};

use crate::config::Mac;
use crate::verdict::{Family, Redirect, Unparsable};

/// A packet as the kernel held it: the first bytes of it, and what the kernel said of the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held<'a> {
    /// The bytes copied, from the IP header on; at most the queue's copy range.
    pub bytes: &'a [u8],
    /// The packet's length in bytes before the copy was cut.
    pub length: u32,
    /// The kernel flagged it as an aggregate (GSO): a total length of 0 is then a big packet, not garbage.
    pub aggregate: bool,
    /// The number of the interface that it came by; 0 where the kernel does not say.
    pub interface: u32,
    /// The MAC address that it came from, where it came in an Ethernet frame.
    pub mac: Option<Mac>,
}

impl<'a> From<&'a [u8]> for Held<'a> {
    /// A whole packet, nothing cut.
    fn from(bytes: &'a [u8]) -> Self {
        Held { bytes, length: bytes.len() as u32, aggregate: false, interface: 0, mac: None }
    }
}

impl Held<'_> {
    /// The family that the version nibble claims, if it is one of ours.
    #[inline]
    pub fn family(&self) -> Option<Family> {
        match self.bytes.first().map(|byte| byte >> 4) {
            Some(4) => Some(Family::V4),
            Some(6) => Some(Family::V6),
            Some(_) | None => None,
        }
    }
}

/// Source and destination of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addresses {
    /// Of an IPv4 packet.
    V4 {
        /// The camera, before any source NAT.
        source: Ipv4Addr,
        /// The true destination, after any destination NAT.
        destination: Ipv4Addr,
    },
    /// Of an IPv6 packet.
    V6 {
        /// The camera.
        source: Ipv6Addr,
        /// The destination in the fixed header.
        destination: Ipv6Addr,
    },
}

impl Addresses {
    /// The packet's source.
    pub fn source(&self) -> IpAddr {
        match *self {
            Addresses::V4 { source, .. } => IpAddr::V4(source),
            Addresses::V6 { source, .. } => IpAddr::V6(source),
        }
    }

    /// The packet's destination.
    pub fn destination(&self) -> IpAddr {
        match *self {
            Addresses::V4 { destination, .. } => IpAddr::V4(destination),
            Addresses::V6 { destination, .. } => IpAddr::V6(destination),
        }
    }

    /// The address family.
    pub fn family(&self) -> Family {
        match self {
            Addresses::V4 { .. } => Family::V4,
            Addresses::V6 { .. } => Family::V6,
        }
    }
}

/// Where a packet stands in a fragmented datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fragment {
    /// Not a fragment (or an atomic one, RFC 6946).
    Whole,
    /// The first fragment: carries the transport header.
    First,
    /// A later fragment: no ports.
    Later,
}

/// What a packet's headers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headers {
    /// Source and destination.
    pub addresses: Addresses,
    /// The protocol after all extension headers (IANA protocol numbers).
    pub protocol: u8,
    /// Source and destination port, where the protocol has ports and the copy reaches them.
    pub ports: Option<(u16, u16)>,
    /// Whether this is a fragment.
    pub fragment: Fragment,
    /// A header that sends the packet elsewhere: the first one found, but for a routing header of type 2 before
    /// another one.
    pub redirect: Option<Redirect>,
    /// An authentication header (RFC 4302) stands in the IPv6 extension chain.
    pub authenticated: bool,
    /// Where the transport header begins among the copied bytes.
    pub transport: u16,
}

impl Headers {
    /// This first fragment ends before its transport header does (RFC 1858, RFC 7112), or, in UDP, before what tunnels
    /// are recognised by: the rest hides in the next one. No link has packets so short. The packet's length counts,
    /// not the copy's.
    #[inline]
    pub fn lacks_transport(&self, held: Held<'_>) -> bool {
        self.fragment == Fragment::First && self.beyond(held) < shortest_header(self.protocol)
    }

    /// Options or extension headers leave so little of a datagram in the copy that tunnels cannot be recognised by
    /// their content. A longer copy range shows more.
    #[inline]
    pub fn hides_payload(&self, held: Held<'_>) -> bool {
        let fixed = match self.addresses {
            Addresses::V4 { .. } => 20,
            Addresses::V6 { .. } => 40,
        };
        if self.transport <= fixed || self.protocol != 17 || self.fragment == Fragment::Later {
            return false;
        }
        let shown = held.bytes.len().saturating_sub(usize::from(self.transport)) as u32;
        shown < UDP_HEADER + TELLING && self.beyond(held) > shown
    }

    /// Bytes of the packet from the transport header on, by the IP header's own length; what a sender appended to
    /// it does not count.
    #[inline]
    pub fn beyond(&self, held: Held<'_>) -> u32 {
        let field = |at: usize| {
            let field = held.bytes.get(at..).and_then(|rest| rest.first_chunk::<2>());
            field.map_or(0, |field| u32::from(u16::from_be_bytes(*field)))
        };
        let end = match self.addresses {
            Addresses::V4 { .. } => field(2),
            Addresses::V6 { .. } => match field(4) {
                0 => 0,
                payload => payload + 40,
            },
        };
        // 0: an aggregate too big for the field, or a header alone.
        let end = if end == 0 { held.length } else { end.min(held.length) };
        end.saturating_sub(u32::from(self.transport))
    }
}

const UDP_HEADER: u32 = 8;
/// Bytes of a payload by which tunnels are recognised; OpenVPN's, with an HMAC of 32 bytes, is the longest that is
/// usual.
const TELLING: u32 = 56;

/// Bytes of the protocol's shortest header. Every fragment but the last carries a multiple of eight bytes (RFC 791,
/// RFC 8200 section 4.5), so a first one below eight is short in any protocol.
fn shortest_header(protocol: u8) -> u32 {
    match protocol {
        17 => UDP_HEADER + TELLING,
        // IPv4, TCP.
        4 | 6 => 20,
        // DCCP (RFC 4340 section 5.1), AH (RFC 4302), SCTP (RFC 9260 section 3).
        33 | 51 | 132 => 12,
        // IPv6.
        41 => 40,
        // ICMP, ESP, UDP-Lite, and all others.
        _ => 8,
    }
}

/// Reads the headers of a held packet.
///
/// # Errors
/// The cause, where the bytes are not an IPv4 or IPv6 header that can be judged.
#[inline]
pub fn parse(held: Held<'_>) -> Result<Headers, Unparsable> {
    match held.bytes.first().map(|byte| byte >> 4) {
        Some(4) => ipv4::parse(held),
        Some(6) => ipv6::parse(held),
        Some(_) => Err(Unparsable::Version),
        None => Err(Unparsable::Empty),
    }
}

/// Ports of TCP, UDP, DCCP, SCTP and UDP-Lite: the first four bytes of the transport header.
#[inline]
fn ports(protocol: u8, transport: &[u8]) -> Option<(u16, u16)> {
    match (protocol, transport) {
        (6 | 17 | 33 | 132 | 136, [a, b, c, d, ..]) => {
            Some((u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])))
        }
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
