//! GRE (RFC 2784, RFC 2890) and PPTP's version of it with its control connection (RFC 2637).

use super::Sight;
use super::carried::{self, Carried};
use super::rest::Rest;
use crate::verdict::Tunnel;

// Bits of the first two bytes.
const CHECKSUM: u16 = 0x8000;
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
const ACKNOWLEDGEMENT: u16 = 0x0080;
const VERSION: u16 = 0x0007;

/// What a packet of protocol 47 carries.
pub(super) fn carries(rest: Rest<'_>) -> Carried<'_> {
    let (Some(flags), Some(kind)) = (rest.u16(0), rest.u16(2)) else { return Carried::Unknown };
    let behind = |fields: &[u16]| {
        let fields = fields.iter().filter(|field| flags & **field != 0).count();
        rest.skip(4 + fields * 4)
    };
    match (flags & VERSION, flags & ROUTING) {
        (0, 0) => match (kind, behind(&[CHECKSUM, KEY, SEQUENCE])) {
            // A keepalive asks its own sender.
            (_, Some(Rest { length: 0, .. })) => Carried::Nothing,
            // ERSPAN mirrors frames: its first version without a header, its second behind one of eight bytes.
            (0x88be, Some(frame)) if flags & SEQUENCE == 0 => carried::ethernet(frame),
            (0x88be, Some(header)) => header.skip(8).map_or(Carried::Unknown, carried::ethernet),
            (kind, Some(payload)) => carried::by_ethertype(kind, payload),
            (_, None) => Carried::Unknown,
        },
        // The key field holds the payload's length and the call; without a sequence number there is no payload.
        (1, 0) if kind == 0x880b && flags & KEY != 0 => {
            match (flags & SEQUENCE, behind(&[KEY, SEQUENCE, ACKNOWLEDGEMENT])) {
                (0, Some(_)) => Carried::Nothing,
                (_, Some(frame)) => carried::ppp(frame),
                (_, None) => Carried::Unknown,
            }
        }
        (_, _) => Carried::Unknown,
    }
}

/// What the payload of a TCP segment tells: PPTP's control messages have a length, a type and a magic cookie.
#[inline]
pub(super) fn sight_in_segment(payload: &Rest<'_>) -> Sight {
    const COOKIE: u32 = 0x1a2b_3c4d;
    let is_control = payload.u32(4) == Some(COOKIE)
        && payload.u16(2) == Some(1)
        && payload.u16(0).is_some_and(|length| payload.is_long(length.into()));
    if is_control { Sight::of_flow(Tunnel::Gre) } else { Sight::Nothing }
}
