//! Ranges of addresses.
//!
//! Invariant: a range in hand runs upwards within one family, so it has an exact set of CIDRs.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

/// An inclusive range of addresses, first not after last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Range {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

impl Range {
    /// The range between two addresses.
    ///
    /// # Errors
    ///
    /// Why there is none: the end is before the start, or of another family.
    pub(super) fn between(first: IpAddr, last: IpAddr) -> Result<Range, String> {
        match (first, last) {
            (IpAddr::V4(a), IpAddr::V4(b)) if a <= b => Ok(Range::V4(a, b)),
            (IpAddr::V6(a), IpAddr::V6(b)) if a <= b => Ok(Range::V6(a, b)),
            (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => {
                Err(format!("the range ends at {last}, before its start {first}"))
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
                Err(format!("the range runs from {first} to {last}, of another family"))
            }
        }
    }

    /// The fewest canonical prefixes that cover exactly this range, upwards.
    pub(super) fn prefixes(self) -> impl Iterator<Item = IpNet> {
        let (v4, v6) = match self {
            Range::V4(first, last) => (Some(Ipv4Subnets::new(first, last, 0)), None),
            Range::V6(first, last) => (None, Some(Ipv6Subnets::new(first, last, 0))),
        };
        let v4 = v4.into_iter().flatten().map(IpNet::V4);
        v4.chain(v6.into_iter().flatten().map(IpNet::V6))
    }
}

impl From<IpNet> for Range {
    fn from(net: IpNet) -> Range {
        match net {
            IpNet::V4(net) => Range::V4(net.network(), net.broadcast()),
            IpNet::V6(net) => Range::V6(net.network(), net.broadcast()),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Range::V4(first, last) => write!(f, "{first}-{last}"),
            Range::V6(first, last) => write!(f, "{first}-{last}"),
        }
    }
}
