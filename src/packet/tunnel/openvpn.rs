//! OpenVPN by the message that opens a session (the protocol's RFC draft, and `ssl_pkt.c` of OpenVPN 2.6), over UDP
//! and TCP, whatever the port.
//!
//! All of a message is held against its form, so that a QUIC packet with a short header, which often begins with
//! 0x40 or 0x50, does not match: its bytes 9 to 13 are ciphertext. RTP, STUN, DTLS and SRT begin with other bytes.
//! With a static key a message has no form at all, and is not recognised.

use super::Sight;
use super::rest::{Rest, is_noise, is_short_noise};
use crate::verdict::Tunnel;

// The opcode stands in the upper five bits; the key identifier below is 0 when a session opens.
const CLIENT_V2: u8 = 7 << 3;
const SERVER_V2: u8 = 8 << 3;
const CLIENT_V3: u8 = 10 << 3;
/// A new key within a session; the key identifier is 1 to 7.
const SOFT_RESET: u8 = 3;

const CONTROL: u8 = 4 << 3;
const ACKNOWLEDGEMENT: u8 = 5 << 3;

/// HMACs of MD5, SHA1, SHA224, SHA256, SHA384 and SHA512 (`--auth`).
const HMACS: [usize; 6] = [16, 20, 28, 32, 48, 64];
/// The packet identifier against replays counts from 1; a client repeats itself with the next ones.
const FIRST: std::ops::RangeInclusive<u32> = 1..=8;
/// It has this bit pattern where the client can send its key once more, and in the answer (`EARLY_NEG_START`).
const EARLY: u32 = 0x0f00_0000;
/// A wrapped client key: a tag of 32 bytes, a key of 256, a length of 2, and up to 734 bytes of metadata
/// (`tls_crypt.h`).
const WRAPPED_KEY: std::ops::RangeInclusive<u32> = 290..=1024;
/// The opcode, the session, the replay identifier and time, the tag; the acknowledgements and the identifier of the
/// message are encrypted.
const CRYPT: u32 = 1 + 8 + 8 + 32 + 5;
/// The acknowledged message, and the session it was of.
const ANSWER: u32 = 4 + 8;
/// What a server may add: that it takes a client's key once more.
const EARLY_FLAGS: u32 = 6;

/// What the payload of a datagram tells.
#[inline]
pub(super) fn sight(payload: &Rest<'_>) -> Sight {
    match opening(payload) {
        Form::Whole => Sight::of_flow(Tunnel::OpenVpn),
        Form::Cut | Form::None => Sight::Nothing,
    }
}

/// What the payload of a TCP segment tells: the message stands behind its length, alone. Where the copy ends before
/// the proof does, the next message of the session gives it.
#[inline]
pub(super) fn sight_in_segment(payload: &Rest<'_>) -> Sight {
    let Some(
        [high, low, CONTROL | ACKNOWLEDGEMENT | CLIENT_V2 | SERVER_V2 | CLIENT_V3 | 0x19..=0x1f],
    ) = payload.array(0)
    else {
        return Sight::Nothing;
    };
    let length = u16::from_be_bytes([high, low]);
    let Some(message) = payload.skip(2) else { return Sight::Nothing };
    let session = message.array(1).map(u64::from_be_bytes);
    match (message.u8(0), session) {
        (Some(CONTROL | ACKNOWLEDGEMENT), Some(session)) if has_session(&message) => {
            Sight::MaybeOpenVpn { session, opens: false }
        }
        (Some(_), Some(session)) if u32::from(length) == message.length => {
            match opening(&message) {
                Form::Whole => Sight::of_flow(Tunnel::OpenVpn),
                Form::Cut => Sight::MaybeOpenVpn { session, opens: true },
                Form::None => Sight::Nothing,
            }
        }
        (_, _) => Sight::Nothing,
    }
}

/// How a message that may open a session looks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As it must.
    Whole,
    /// As it must, as far as the copy reaches, but the proof lies beyond.
    Cut,
    /// Not so.
    None,
}

#[inline]
fn opening(message: &Rest<'_>) -> Form {
    let form = |is_so| if is_so { Form::Whole } else { Form::None };
    let answer = match message.u8(0) {
        Some(CLIENT_V2) => false,
        Some(SERVER_V2) => true,
        Some(CLIENT_V3) => return form(has_session(message) && with_client_key(message)),
        Some(first) if first >> 3 == SOFT_RESET && first & 7 != 0 => {
            return form(has_session(message) && plain(message, false));
        }
        Some(_) | None => return Form::None,
    };
    if !has_session(message) {
        Form::None
    } else if plain(message, answer) || encrypted(message, answer) {
        Form::Whole
    } else {
        authenticated(message, answer)
    }
}

/// A random number of eight bytes.
fn has_session(message: &Rest<'_>) -> bool {
    message.array(1).is_some_and(is_short_noise)
}

/// From `at` on: the acknowledgements, and the message's identifier, 0; nothing behind it.
fn ends_as_first(message: &Rest<'_>, at: usize, answer: bool) -> bool {
    match answer {
        true => says(message, at, [1, 0, 0, 0, 0]) && says(message, at + 13, [0; 4]),
        false => says(message, at, [0; 5]),
    }
}

/// Bytes of that end.
fn end(answer: bool) -> u32 {
    if answer { 17 } else { 5 }
}

/// The bytes are these, or beyond the copy.
fn says<const N: usize>(message: &Rest<'_>, at: usize, expected: [u8; N]) -> bool {
    message.array(at).is_none_or(|found| found == expected)
}

fn plain(message: &Rest<'_>, answer: bool) -> bool {
    message.is_long(9 + end(answer))
        && message.bytes.len() >= 14
        && ends_as_first(message, 9, answer)
}

/// `--tls-auth`: an HMAC, a replay identifier and the time before it.
fn authenticated(message: &Rest<'_>, answer: bool) -> Form {
    let hmac = HMACS.into_iter().find(|hmac| {
        message.is_long(17 + *hmac as u32 + end(answer))
            && ends_as_first(message, 17 + hmac, answer)
            && message.u32(9 + hmac).is_none_or(|id| FIRST.contains(&id))
    });
    match hmac.map(|hmac| message.u32(9 + hmac)) {
        Some(Some(_)) => Form::Whole,
        Some(None) if message.array(9).is_some_and(is_noise) => Form::Cut,
        Some(None) | None => Form::None,
    }
}

/// `--tls-crypt`
fn encrypted(message: &Rest<'_>, answer: bool) -> bool {
    let long = match answer {
        false => message.is_long(CRYPT),
        true => message.is_long(CRYPT + ANSWER) || message.is_long(CRYPT + ANSWER + EARLY_FLAGS),
    };
    long && is_among_first(message)
}

/// `--tls-crypt-v2`: the client's wrapped key stands behind.
fn with_client_key(message: &Rest<'_>) -> bool {
    let long = message.length.checked_sub(CRYPT).is_some_and(|key| WRAPPED_KEY.contains(&key));
    long && is_among_first(message)
}

/// By the replay identifier.
fn is_among_first(message: &Rest<'_>) -> bool {
    message.u32(9).is_some_and(|id| FIRST.contains(&id) || FIRST.contains(&(id ^ EARLY)))
}

/// A message of a flow that was recognised: opcodes 1 to 11.
pub(super) fn resembles(payload: &Rest<'_>) -> bool {
    payload.u8(0).is_some_and(|first| (1..=11).contains(&(first >> 3)))
}
