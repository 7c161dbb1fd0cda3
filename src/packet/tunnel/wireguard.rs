//! WireGuard by its four messages (the protocol's paper, section 5.4), whatever the port.
//!
//! No ordinary protocol of cameras begins so: RTP, RTCP and SRTP have 0x80 to 0xbf, DTLS 0x14 to 0x3f, QUIC 0x40 or
//! more, and STUN's fourth byte, the length, is not zero in a message of these lengths. DNS with identifier 0x0100
//! and no flag set is told by its counts.

use super::Sight;
use super::rest::{Rest, is_noise};
use crate::verdict::Tunnel;

const INITIATION: u8 = 1;
const RESPONSE: u8 = 2;
const COOKIE: u8 = 3;
const DATA: u8 = 4;

/// What the payload of a datagram tells.
#[inline]
pub(super) fn sight(payload: &Rest<'_>) -> Sight {
    // The type and three reserved bytes.
    let Some([kind @ INITIATION..=DATA, 0, 0, 0]) = payload.array::<4>(0) else {
        return Sight::Nothing;
    };
    let known = match kind {
        INITIATION => payload.is_long(148) && is_key(payload, 8) && !is_dns(payload),
        RESPONSE => payload.is_long(92) && is_key(payload, 12) && !is_dns(payload),
        // A receiver, a nonce of 24 bytes, and an encrypted cookie.
        COOKIE => payload.is_long(64) && payload.array(8).is_some_and(is_noise),
        _ => return data(payload),
    };
    if known { Sight::of_flow(Tunnel::WireGuard) } else { Sight::Nothing }
}

/// A receiver, a counter, and ciphertext with a check of sixteen bytes. Not every program pads it to sixteen.
fn data(payload: &Rest<'_>) -> Sight {
    if payload.length < 32 || !payload.array(16).is_some_and(is_noise) {
        return Sight::Nothing;
    }
    let counter = payload.array(8).map(u64::from_le_bytes);
    match (payload.u32(4), counter) {
        // Below 2^40: the counter begins at 0 with every key, and a key lasts two minutes.
        (Some(receiver), Some(counter)) if counter >> 40 == 0 => {
            Sight::MaybeWireGuard { receiver, counter }
        }
        _ => Sight::Nothing,
    }
}

/// A public key of Curve25519: noise, and below 2^255.
fn is_key(payload: &Rest<'_>, at: usize) -> bool {
    payload.array(at).is_some_and(is_noise)
        && payload.array(at + 16).is_some_and(is_noise)
        && payload.u8(at + 31).is_some_and(|last| last < 0x80)
}

/// One question, no answer and no authority: a query whose identifier and flags look like a type.
fn is_dns(payload: &Rest<'_>) -> bool {
    payload.array(4) == Some([0, 1, 0, 0, 0, 0])
}

/// A message of a flow that was recognised.
pub(super) fn resembles(payload: &Rest<'_>) -> bool {
    matches!(payload.array::<4>(0), Some([INITIATION..=DATA, 0, 0, 0]))
}
