//! The IPv4 header and its options (RFC 791).
//!
//! Invariant: the walk over the options is bounded by the header's 40 bytes of them, and each step moves forward.

use std::net::Ipv4Addr;

use super::{Addresses, Fragment, Headers, Held, ports};
use crate::verdict::{Redirect, Unparsable};

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
    let redirect = match held.bytes.get(FIXED..header) {
        None | Some([]) => None,
        Some(options) => redirect(options)?,
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
        redirect,
        authenticated: false,
        transport: header as u16,
    })
}

const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const LOOSE: u8 = 131;
const STRICT: u8 = 137;

/// The first source route among the options. An option whose length runs beyond the header, or is too short to
/// hold itself, makes the header unfit: whoever reads on from there reads something else than we do.
fn redirect(mut options: &[u8]) -> Result<Option<Redirect>, Unparsable> {
    let mut found = None;
    while let Some((&kind, behind)) = options.split_first() {
        match kind {
            END => break,
            NO_OPERATION => {
                options = behind;
                continue;
            }
            LOOSE => found = found.or(Some(Redirect::LooseSourceRoute)),
            STRICT => found = found.or(Some(Redirect::StrictSourceRoute)),
            _ => {}
        }
        options = match behind.first() {
            Some(&length) if length >= 2 => {
                options.get(usize::from(length)..).ok_or(Unparsable::Options)?
            }
            Some(_) | None => return Err(Unparsable::Options),
        };
    }
    Ok(found)
}
