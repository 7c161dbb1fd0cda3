//! L2TP: versions 2 and 3 in UDP (RFC 2661 section 3.1, RFC 3931 section 4.1.2), version 3 in IP, and what they carry.

use super::Sight;
use super::carried::{self, Carried};
use super::rest::{Datagram, Rest};
use crate::verdict::Tunnel;

const PORT: u16 = 1701;
// Bits of the first two bytes.
const CONTROL: u16 = 0x8000;
const LENGTH: u16 = 0x4000;
const SEQUENCE: u16 = 0x0800;
const OFFSET: u16 = 0x0200;
const RESERVED: u16 = 0x34f0;

/// What a datagram tells: on its port by the header, elsewhere by a control message that says all of itself.
#[inline]
pub(super) fn sight(datagram: &Datagram<'_>) -> Sight {
    let payload = &datagram.payload;
    let Some(flags) = payload.u16(0) else { return Sight::Nothing };
    if !matches!(flags & 0xf, 2 | 3) || flags & RESERVED != 0 {
        return Sight::Nothing;
    }
    if datagram.has(PORT) && has_form(payload, flags) {
        return Sight::Tunnel(Tunnel::L2tp);
    }
    // The first attribute is the kind of message: mandatory, eight bytes long, 1 to 28 (RFC 3931 section 6).
    let speaks = flags & CONTROL != 0
        && has_form(payload, flags)
        && payload.array(12) == Some([0x80, 8, 0, 0, 0, 0, 0])
        && payload.u8(19).is_some_and(|kind| (1..=28).contains(&kind));
    if speaks { Sight::of_flow(Tunnel::L2tp) } else { Sight::Nothing }
}

fn has_form(payload: &Rest<'_>, flags: u16) -> bool {
    let says_length = || payload.u16(2).is_some_and(|length| payload.is_long(length.into()));
    let nonzero = |at| payload.u16(at).is_some_and(|id| id != 0);
    match (flags & CONTROL != 0, flags & 0xf) {
        (true, _) => flags & !0xf == CONTROL | LENGTH | SEQUENCE && says_length(),
        (false, 2) if flags & LENGTH != 0 => says_length(),
        // A tunnel and a session, and a PPP frame.
        (false, 2) => {
            nonzero(2)
                && nonzero(4)
                && version_2(*payload, flags).is_some_and(|frame| carried::is_ppp(&frame))
        }
        (false, _) => {
            flags == 3 && payload.u16(2) == Some(0) && payload.u32(4).is_some_and(|id| id != 0)
        }
    }
}

/// What a datagram of L2TP carries.
pub(super) fn in_udp<'a>(payload: Rest<'a>) -> Carried<'a> {
    let Some(flags) = payload.u16(0) else { return Carried::Unknown };
    if flags & CONTROL != 0 {
        return Carried::Nothing;
    }
    match flags & 0xf {
        2 => version_2(payload, flags).map_or(Carried::Unknown, carried::ppp),
        3 => payload.skip(8).map_or(Carried::Unknown, pseudowire),
        _ => Carried::Unknown,
    }
}

/// The PPP frame behind the header.
fn version_2(payload: Rest<'_>, flags: u16) -> Option<Rest<'_>> {
    let mut header = 6;
    for (bit, bytes) in [(LENGTH, 2), (SEQUENCE, 4)] {
        header += if flags & bit == 0 { 0 } else { bytes };
    }
    if flags & OFFSET != 0 {
        header += 2 + usize::from(payload.u16(header)?);
    }
    payload.skip(header)
}

/// What protocol 115 carries: session 0 is for control messages.
pub(super) fn in_ip(rest: Rest<'_>) -> Carried<'_> {
    match rest.u32(0) {
        Some(0) => Carried::Nothing,
        Some(_) => rest.skip(4).map_or(Carried::Unknown, pseudowire),
        None => Carried::Unknown,
    }
}

/// The cookie of 0, 4 or 8 bytes and the sublayer of 0 or 4 are agreed upon elsewhere: an Ethernet frame is taken
/// for one only if it fits at exactly one place.
fn pseudowire(rest: Rest<'_>) -> Carried<'_> {
    let mut fits = [0, 4, 8, 12].into_iter().filter_map(|skipped| {
        let frame = rest.skip(skipped)?;
        carried::fits_in_ethernet(frame).then_some(frame)
    });
    match (fits.next(), fits.next()) {
        (Some(frame), None) => carried::ethernet(frame),
        (Some(_), Some(_)) | (None, _) => Carried::Unknown,
    }
}
