//! What stands behind a header: the bytes that were copied, and how many the packet has.

use crate::packet::{Fragment, Headers, Held};

/// Bytes behind a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rest<'a> {
    /// As far as the copy reaches; never more than `length`.
    pub(super) bytes: &'a [u8],
    /// Bytes that the packet has.
    pub(super) length: u32,
    /// The kernel flagged the packet as an aggregate: these may be the bytes of several, in a row.
    pub(super) aggregate: bool,
    /// What follows is in the fragments that follow.
    pub(super) goes_on: bool,
}

impl<'a> Rest<'a> {
    /// All that the IP header is followed by.
    #[inline]
    pub(super) fn of(headers: &Headers, held: Held<'a>) -> Self {
        let length = headers.beyond(held);
        let bytes = held.bytes.get(usize::from(headers.transport)..).unwrap_or_default();
        Rest {
            bytes: bytes.get(..length as usize).unwrap_or(bytes),
            length,
            aggregate: held.aggregate,
            goes_on: headers.fragment == Fragment::First,
        }
    }

    /// What follows so many bytes. `None` where the packet ends before; the copy may.
    #[inline]
    pub(super) fn skip(self, bytes: usize) -> Option<Self> {
        Some(Rest {
            bytes: self.bytes.get(bytes..).unwrap_or_default(),
            length: self.length.checked_sub(u32::try_from(bytes).ok()?)?,
            ..self
        })
    }

    /// The bytes from `at` on, where the copy has them.
    #[inline]
    pub(super) fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.bytes.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied()
    }

    #[inline]
    pub(super) fn u8(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    #[inline]
    pub(super) fn u16(&self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_be_bytes)
    }

    #[inline]
    pub(super) fn u32(&self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_be_bytes)
    }

    /// The message is of this length; an aggregate begins with one of this length or longer than the copy tells.
    #[inline]
    pub(super) fn is_long(&self, length: u32) -> bool {
        self.length == length || (self.aggregate && self.length > length)
    }
}

/// A UDP datagram.
#[derive(Debug, Clone, Copy)]
pub(super) struct Datagram<'a> {
    pub(super) source: u16,
    pub(super) destination: u16,
    /// Its length is the one in the UDP header, also in a first fragment: receivers go by that.
    pub(super) payload: Rest<'a>,
}

impl<'a> Datagram<'a> {
    const HEADER: usize = 8;

    /// `None` where the packet is none, or a later fragment of one, or the copy or the header ends too early.
    #[inline]
    pub(super) fn of(headers: &Headers, held: Held<'a>) -> Option<Self> {
        if headers.protocol != 17 || headers.fragment == Fragment::Later {
            return None;
        }
        let rest = Rest::of(headers, held);
        let header: [u8; 8] = rest.array(0)?;
        let [a, b, c, d, high, low, _, _] = header;
        let mut payload = rest.skip(Self::HEADER)?;
        let field = u32::from(u16::from_be_bytes([high, low]));
        // 0: too big for the field (BIG TCP's cousin, RFC 2675).
        if field != 0 && !held.aggregate {
            payload.length = field.checked_sub(Self::HEADER as u32)?;
            payload.bytes = payload.bytes.get(..payload.length as usize).unwrap_or(payload.bytes);
        }
        // A datagram is whole by its own length.
        payload.goes_on = false;
        Some(Datagram {
            source: u16::from_be_bytes([a, b]),
            destination: u16::from_be_bytes([c, d]),
            payload,
        })
    }

    /// One of its ports is this one.
    #[inline]
    pub(super) fn has(&self, port: u16) -> bool {
        self.destination == port || self.source == port
    }
}

/// The payload of a TCP segment. `None` where the packet is none, or its header ends too early.
#[inline]
pub(super) fn segment<'a>(headers: &Headers, held: Held<'a>) -> Option<Rest<'a>> {
    if headers.protocol != 6 || headers.fragment == Fragment::Later {
        return None;
    }
    let rest = Rest::of(headers, held);
    let offset = usize::from(rest.u8(12)? >> 4) * 4;
    if offset < 20 { None } else { rest.skip(offset) }
}

/// These bytes look like noise, as keys, ciphertext and their checks do: hardly a zero, bits in balance, and not
/// all below 0x80 as text is. True of all but 1 of 20,000 random ones.
#[inline]
pub(super) fn is_noise(bytes: [u8; 16]) -> bool {
    let bits = u128::from_be_bytes(bytes);
    let high = bits & u128::from_be_bytes([0x80; 16]);
    high != 0
        && (40..=88).contains(&bits.count_ones())
        && bytes.iter().filter(|byte| **byte == 0).count() <= 2
}

/// The same of eight bytes, which tell less: no more than two zeros, bits in balance.
#[inline]
pub(super) fn is_short_noise(bytes: [u8; 8]) -> bool {
    (12..=52).contains(&u64::from_be_bytes(bytes).count_ones())
        && bytes.iter().filter(|byte| **byte == 0).count() <= 2
}
