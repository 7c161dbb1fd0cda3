//! IKE by its header (RFC 7296 section 3.1, RFC 2408 section 3.1), ESP in UDP (RFC 3948), both in TCP (RFC 9329).
//!
//! IKE is recognised whatever the port: version, exchange, flags and a length that is the datagram's leave no room
//! for another protocol. ESP has an identifier and a counter and then noise, so on a port of its own choice it takes
//! several packets: RTP, SRT and TFTP count within the first four bytes; RTCP, STUN, DTLS, DNS and KCP do not count in
//! the next four, or from high numbers; QUIC hides both; SRT's acknowledgements count there, but have no noise behind.

use super::Sight;
use super::rest::{Datagram, Rest, is_noise};
use crate::verdict::Tunnel;

/// The port of NAT traversal.
pub(super) const TRAVERSAL: u16 = 4500;
/// Four zeros where ESP has its identifier (RFC 3948 section 2.2).
const MARKER: usize = 4;
/// Identifiers below are reserved (RFC 4303 section 2.1).
const FIRST_SPI: u32 = 256;
/// Identifier, counter, an initialisation vector of 8 bytes, and a check of 12, padded.
const SHORTEST_ESP: u32 = 32;

/// What a datagram tells.
#[inline]
pub(super) fn sight(datagram: &Datagram<'_>) -> Sight {
    let payload = &datagram.payload;
    if is_ike(payload) {
        return Sight::of_flow(Tunnel::Ike);
    }
    match payload.u32(0) {
        Some(0) => match payload.skip(MARKER) {
            // What shares the flow with it is ESP.
            Some(behind) if is_ike(&behind) => Sight::Flow { now: Tunnel::Ike, later: Tunnel::Esp },
            Some(_) | None => Sight::Nothing,
        },
        Some(spi @ FIRST_SPI..) => esp(datagram, spi),
        None if is_keepalive(payload) && datagram.has(TRAVERSAL) => Sight::Tunnel(Tunnel::Esp),
        Some(_) | None => Sight::Nothing,
    }
}

/// Whoever answers from port 4500 has been seen to speak IKE; a source port of that number alone says nothing.
#[inline]
fn esp(datagram: &Datagram<'_>, spi: u32) -> Sight {
    let payload = &datagram.payload;
    // A media stream, which begins with 0x80 to 0xbf, may have been asked for at that port.
    if datagram.destination == TRAVERSAL && spi >> 30 != 2 {
        return if payload.length >= 16 { Sight::Tunnel(Tunnel::Esp) } else { Sight::Nothing };
    }
    let Some(sequence @ 1..=0xffff) = payload.u32(4) else { return Sight::Nothing };
    let padded = payload.length.is_multiple_of(4) || payload.aggregate;
    // Behind a counter that may serve as the initialisation vector.
    if padded && payload.length >= SHORTEST_ESP && payload.array(16).is_some_and(is_noise) {
        Sight::MaybeEsp { spi, sequence }
    } else {
        Sight::Nothing
    }
}

#[inline]
fn is_keepalive(payload: &Rest<'_>) -> bool {
    payload.length == 1 && payload.u8(0) == Some(0xff)
}

#[inline]
fn is_ike(message: &Rest<'_>) -> bool {
    let Some([next, version @ (0x10 | 0x20), exchange, flags]) = message.array::<4>(16) else {
        return false;
    };
    let form = if version == 0x20 {
        // SA_INIT to FOLLOWUP_KE, with the reserved numbers between; initiator, version and response flags.
        (34..=44).contains(&exchange) && flags & !0x38 == 0 && (next == 0 || next >= 33)
    } else {
        matches!(exchange, 1..=6 | 32 | 33) && flags & !0x07 == 0 && !(33..128).contains(&next)
    };
    form && message.array::<8>(0).is_some_and(|spi| spi != [0; 8])
        && message.u32(24).is_some_and(|length| length >= 28 && message.is_long(length))
}

/// What the payload of a TCP segment tells: the words that open the stream.
#[inline]
pub(super) fn sight_in_segment(payload: &Rest<'_>) -> Sight {
    match payload.array(0) == Some(*b"IKETCP") {
        true => Sight::Flow { now: Tunnel::Ike, later: Tunnel::Esp },
        false => Sight::Nothing,
    }
}
