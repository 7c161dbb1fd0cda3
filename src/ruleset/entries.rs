//! Entries in the compact form in which a rule set keeps them: 16 bytes for IPv4, 32 for IPv6.
//!
//! A full routing table has more than a million of them; they are read only where a decision is explained.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{ListId, Match, Space};
use crate::blocklist::Sources;

/// Address bits of one family, most significant first.
pub(super) trait Bits: Copy + Ord + Default {
    /// Length of the address in bits.
    const LENGTH: u8;
    /// The address as a number.
    fn number(self) -> u128;
    /// The address with this number.
    fn of_number(number: u128) -> Self;
    fn masked(self, length: u8) -> Self;
    /// The last address of the prefix of this length.
    fn last(self, length: u8) -> Self;
    /// The address after this one, if there is one.
    fn next(self) -> Option<Self>;
    /// The address before this one, if there is one.
    fn previous(self) -> Option<Self>;
    fn prefix(self, length: u8) -> Option<IpNet>;
    /// How many digits of 16 bits an address has.
    const DIGITS: usize = Self::LENGTH as usize / 16;
    /// The digit of this number, from 0 on.
    fn digit(self, number: usize) -> u16;
    /// Nothing but zeros behind the digit of this number.
    fn ends_with_digit(self, number: usize) -> bool {
        self == self.masked((number as u8 + 1) * 16)
    }
    /// How much address space these ranges are; they are disjoint and ascending.
    fn space(ranges: &[(Self, Self)]) -> Space;
}

impl Bits for u32 {
    const LENGTH: u8 = 32;
    fn number(self) -> u128 {
        self.into()
    }
    fn of_number(number: u128) -> Self {
        number as u32
    }
    #[inline]
    fn masked(self, length: u8) -> Self {
        self & u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0)
    }
    fn last(self, length: u8) -> Self {
        self | u32::MAX.checked_shr(u32::from(length)).unwrap_or(0)
    }
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
    fn previous(self) -> Option<Self> {
        self.checked_sub(1)
    }
    fn prefix(self, length: u8) -> Option<IpNet> {
        Ipv4Net::new(Ipv4Addr::from(self), length).ok().map(IpNet::V4)
    }
    #[inline]
    fn digit(self, number: usize) -> u16 {
        (self >> (16_usize.wrapping_sub(16 * number) & 31)) as u16
    }
    fn space(ranges: &[(u32, u32)]) -> Space {
        let ipv4_addresses = ranges.iter().map(|(first, last)| u64::from(last - first) + 1).sum();
        Space { ipv4_addresses, ipv6_networks: 0 }
    }
}

impl Bits for u128 {
    const LENGTH: u8 = 128;
    fn number(self) -> u128 {
        self
    }
    fn of_number(number: u128) -> Self {
        number
    }
    #[inline]
    fn masked(self, length: u8) -> Self {
        self & u128::MAX.checked_shl(128 - u32::from(length.min(128))).unwrap_or(0)
    }
    fn last(self, length: u8) -> Self {
        self | u128::MAX.checked_shr(u32::from(length)).unwrap_or(0)
    }
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
    fn previous(self) -> Option<Self> {
        self.checked_sub(1)
    }
    fn prefix(self, length: u8) -> Option<IpNet> {
        Ipv6Net::new(Ipv6Addr::from(self), length).ok().map(IpNet::V6)
    }
    #[inline]
    fn digit(self, number: usize) -> u16 {
        (self >> (112_usize.wrapping_sub(16 * number) & 127)) as u16
    }
    fn space(ranges: &[(u128, u128)]) -> Space {
        let networks = |(first, last): &(u128, u128)| {
            ((last >> 64) as u64 - (first >> 64) as u64).saturating_add(1)
        };
        let ipv6_networks = ranges.iter().map(networks).fold(0, u64::saturating_add);
        Space { ipv4_addresses: 0, ipv6_networks }
    }
}

/// One entry of one list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<B> {
    pub(super) bits: B,
    pub(super) line: u32,
    pub(super) origin: u32,
    pub(super) list: u16,
    pub(super) length: u8,
    pub(super) sources: u8,
}

impl<B: Bits> Entry<B> {
    /// The order in which entries are kept: a covering prefix before what it covers, then by list and line.
    pub(super) fn key(&self) -> (B, u8, u16, u32) {
        (self.bits, self.length, self.list, self.line)
    }

    /// The first and the last address that it covers, as numbers.
    pub(super) fn range(&self) -> (u128, u128) {
        let first = self.bits.number();
        let free = u32::from(B::LENGTH.saturating_sub(self.length));
        (first, first | 1_u128.checked_shl(free).map_or(u128::MAX, |size| size - 1))
    }

    pub(super) fn as_match(&self) -> Option<Match> {
        Some(Match {
            list: ListId(self.list),
            line: self.line,
            prefix: self.bits.prefix(self.length)?,
            origin: (self.origin != 0).then_some(self.origin),
            sources: Sources::from_bits(self.sources),
        })
    }
}

/// Sorted entries, those of the same prefix together.
pub(super) fn by_prefix<B: Bits>(sorted: &[Entry<B>]) -> impl Iterator<Item = &[Entry<B>]> {
    sorted.chunk_by(|a, b| a.bits == b.bits && a.length == b.length)
}

/// Every entry of `sorted` that covers the prefix of this length, longest first.
pub(super) fn covering<B: Bits>(sorted: &[Entry<B>], bits: B, length: u8) -> Vec<Match> {
    let mut found = Vec::new();
    for length in (0..=length.min(B::LENGTH)).rev() {
        let wanted = (bits.masked(length), length);
        let from = sorted.partition_point(|entry| (entry.bits, entry.length) < wanted);
        let same = sorted.get(from..).unwrap_or_default();
        found.extend(
            same.iter()
                .take_while(|entry| (entry.bits, entry.length) == wanted)
                .filter_map(Entry::as_match),
        );
    }
    found
}

/// The bits of an address, by family.
pub(super) fn bits_of(address: IpAddr) -> Result<u32, u128> {
    match address {
        IpAddr::V4(address) => Ok(address.to_bits()),
        IpAddr::V6(address) => Err(address.to_bits()),
    }
}
