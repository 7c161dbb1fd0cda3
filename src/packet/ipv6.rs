//! The IPv6 header and its extension chain (RFC 8200, RFC 4302, RFC 6275, RFC 7401, RFC 5533).
//!
//! Invariant: the walk is bounded by [`MOST_EXTENSIONS`] and by the copied bytes, and each step moves
//! forward by at least eight bytes.

use std::net::Ipv6Addr;

use super::{Addresses, Fragment, Headers, Held, ports};
use crate::verdict::{Redirect, Unparsable};

const FIXED: usize = 40;
/// The most extension headers that are walked; RFC 8200 names each of the six kinds at most once, and
/// destination options twice.
pub(super) const MOST_EXTENSIONS: usize = 8;

#[inline]
pub(super) fn parse(held: Held<'_>) -> Result<Headers, Unparsable> {
    let Some((fixed, rest)) = held.bytes.split_first_chunk::<FIXED>() else {
        return Err(Unparsable::Truncated);
    };
    let payload = u32::from(u16::from_be_bytes([fixed[4], fixed[5]]));
    let after_header = held.length.saturating_sub(FIXED as u32);
    // 0: nothing follows, or an aggregate too big for the field (BIG TCP; ipv6_payload_len, include/net/ipv6.h).
    let fits = match payload {
        0 => held.aggregate || fixed[6] == NO_NEXT_HEADER || after_header == 0,
        _ => payload <= after_header,
    };
    if !fits {
        return Err(Unparsable::TotalLength);
    }
    let chain = walk(fixed[6], rest, after_header as usize)?;
    Ok(Headers {
        addresses: Addresses::V6 { source: address(fixed, 8), destination: address(fixed, 24) },
        protocol: chain.protocol,
        ports: if chain.fragment == Fragment::Later {
            None
        } else {
            ports(chain.protocol, chain.transport)
        },
        fragment: chain.fragment,
        redirect: chain.redirect,
        authenticated: chain.authenticated,
        transport: held.bytes.len().saturating_sub(chain.transport.len()) as u16,
    })
}

#[inline]
fn address(fixed: &[u8; FIXED], at: usize) -> Ipv6Addr {
    let octets = fixed.get(at..).and_then(|rest| rest.first_chunk::<16>());
    Ipv6Addr::from(octets.copied().unwrap_or_default())
}

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const NO_NEXT_HEADER: u8 = 59;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;
const HIP: u8 = 139;
const SHIM6: u8 = 140;

struct Chain<'a> {
    protocol: u8,
    fragment: Fragment,
    redirect: Option<Redirect>,
    authenticated: bool,
    transport: &'a [u8],
}

#[inline]
fn walk(first: u8, copied: &[u8], packet: usize) -> Result<Chain<'_>, Unparsable> {
    let mut chain = Chain {
        protocol: first,
        fragment: Fragment::Whole,
        redirect: None,
        authenticated: false,
        transport: copied,
    };
    let mut left = packet;
    for _ in 0..=MOST_EXTENSIONS {
        let units = match chain.protocol {
            HOP_BY_HOP | ROUTING | DESTINATION | MOBILITY | HIP | SHIM6 => 8,
            FRAGMENT => 0,
            AUTHENTICATION => 4,
            _ => return Ok(chain),
        };
        let Some(&[next, length, high, low]) = chain.transport.first_chunk::<4>() else {
            return Err(if left < 8 {
                Unparsable::ExtensionLength
            } else {
                Unparsable::HeaderChainTooLong
            });
        };
        let size = match units {
            0 => 8,
            4 => (usize::from(length) + 2) * 4,
            _ => (usize::from(length) + 1) * 8,
        };
        if size > left {
            return Err(Unparsable::ExtensionLength);
        }
        if chain.protocol == AUTHENTICATION {
            chain.authenticated = true;
        } else if chain.protocol == ROUTING {
            chain.redirect = worse(chain.redirect, high);
        } else if chain.protocol == FRAGMENT {
            let field = u16::from_be_bytes([high, low]);
            chain.fragment = match (field >> 3, field & 1) {
                (0, 0) => Fragment::Whole,
                (0, _) => Fragment::First,
                (_, _) => Fragment::Later,
            };
        }
        left -= size;
        chain.protocol = next;
        chain.transport = match chain.transport.get(size..) {
            Some(rest) => rest,
            // What follows the cut could be another extension header; only a later fragment has no more headers.
            None => return Err(Unparsable::HeaderChainTooLong),
        };
        if chain.fragment == Fragment::Later {
            return Ok(chain);
        }
    }
    Err(Unparsable::HeaderChainTooLong)
}

/// The first routing header counts; but one of type 2, which may be allowed, covers up no other (RFC 8200 section
/// 4.4: the type is the third byte). A header that has no segments left counts as well.
fn worse(known: Option<Redirect>, kind: u8) -> Option<Redirect> {
    let this = match kind {
        0 => Redirect::Routing0,
        2 => Redirect::Routing2,
        4 => Redirect::Routing4,
        _ => Redirect::RoutingOther,
    };
    match known {
        None | Some(Redirect::Routing2) => Some(this),
        Some(_) => known,
    }
}
