//! The IPv4 header (RFC 791).

use std::net::Ipv4Addr;

use super::{Addresses, Fragment, Headers, Held, ports};
use crate::verdict::Unparsable;

const FIXED: usize = 20;

#[inline]
pub(super) fn parse(held: Held<'_>) -> Result<Headers, Unparsable> {
    let Some(fixed) = held.bytes.first_chunk::<FIXED>() else {
        return Err(Unparsable::Truncated);
    };
    let header = usize::from(fixed[0] & 0x0f) * 4;
    if header < FIXED || header as u64 > u64::from(held.length) {
        return Err(Unparsable::HeaderLength);
    }
    let total = u32::from(u16::from_be_bytes([fixed[2], fixed[3]]));
    // 0: an aggregate too big for the field (BIG TCP; iph_totlen, include/linux/ip.h).
    let fits = match total {
        0 => held.aggregate,
        _ => total as usize >= header && total <= held.length,
    };
    if !fits {
        return Err(Unparsable::TotalLength);
    }
    let Some(transport) = held.bytes.get(header..) else {
        return Err(Unparsable::HeaderChainTooLong);
    };
    let fragment_field = u16::from_be_bytes([fixed[6], fixed[7]]);
    let fragment = match (fragment_field & 0x1fff, fragment_field & 0x2000 != 0) {
        (0, false) => Fragment::Whole,
        (0, true) => Fragment::First,
        (_, _) => Fragment::Later,
    };
    let protocol = fixed[9];
    Ok(Headers {
        addresses: Addresses::V4 {
            source: Ipv4Addr::new(fixed[12], fixed[13], fixed[14], fixed[15]),
            destination: Ipv4Addr::new(fixed[16], fixed[17], fixed[18], fixed[19]),
        },
        protocol,
        ports: if fragment == Fragment::Later { None } else { ports(protocol, transport) },
        fragment,
        redirect: None,
        authenticated: false,
        transport: header as u16,
    })
}
