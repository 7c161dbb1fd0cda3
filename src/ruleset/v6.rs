//! The IPv6 table: compressed tries of short, grouped and deep prefixes.
//!
//! Real IPv6 prefixes lie far apart in their first 32 bits and close together after them, where a trie of
//! the whole address takes nine steps to most prefixes. So all prefixes longer than /32 that share their
//! first 32 bits form a group, and a front table gives each group a number. In the `grouped` trie the number
//! stands in place of the 32 bits, and 64 bits are enough for almost every prefix: leaves are 20 bytes in
//! place of 48, and the numbers, being dense, are one step. An address of no group is looked up in the
//! `short` trie by its first 32 bits. What 64 bits do not reach is in the `deep` trie, and the leaf above
//! it says so.
//!
//! Invariant: each group has a leaf of its own with the answer of the prefixes up to /32 that cover it, so
//! one trie gives the whole answer.

use std::net::{Ipv4Addr, Ipv6Addr};

use iptrie::map::{LCTrieMap, RTrieMap};
use iptrie::{Ipv4Prefix, Ipv6NetPrefix, Ipv6Prefix};

use super::entries::{self, Bits, Entry};
use super::precedence::{Slot, Walk};
use super::v4;
use crate::config::Action;

/// The longest prefix of the short trie, and the bits that make a group.
const SHORT: u8 = 32;

/// The compiled IPv6 prefixes.
pub(super) struct V6 {
    groups: Groups,
    /// By the first 32 bits.
    short: LCTrieMap<Ipv4Prefix, Slot>,
    /// By the group's number and the bits that follow.
    grouped: LCTrieMap<Ipv6NetPrefix, Slot>,
    deep: LCTrieMap<Ipv6Prefix, Slot>,
}

impl V6 {
    /// Compiles sorted entries, of which `distinct` differ in their prefixes.
    pub(super) fn compile(actions: &[Action], sorted: &[Entry<u128>], distinct: usize) -> V6 {
        let groups = Groups::of(sorted);
        let reach = groups.reach();
        let (none, few) = (Slot::default(), distinct / 8);
        let mut short = RTrieMap::with_root_and_capacity(none, few);
        let mut grouped = RTrieMap::with_root_and_capacity(none, distinct);
        let mut deep = RTrieMap::with_root_and_capacity(none, 1);
        let mut walk = Walk::new(actions, sorted);
        let (mut last_group, mut last_deep) = (None, None);
        for same_prefix in entries::by_prefix(sorted) {
            let Some(&Entry { bits, length, .. }) = same_prefix.first() else { continue };
            let Some(group) = groups.number(top(bits)).filter(|_| length > SHORT) else {
                v4::insert(&mut short, top(bits), length, walk.enter(same_prefix));
                continue;
            };
            if last_group != Some(group) {
                last_group = Some(group);
                let above = walk.at(bits.masked(SHORT));
                insert64(&mut grouped, groups.key(group, 0), groups.width, above);
            }
            let key = groups.key(group, bits);
            if length <= reach {
                let slot = walk.enter(same_prefix);
                insert64(&mut grouped, key, length - SHORT + groups.width, slot);
                continue;
            }
            if last_deep != Some(key) {
                last_deep = Some(key);
                let above = walk.at(bits.masked(reach));
                insert64(&mut grouped, key, 64, above.with_deeper());
            }
            let slot = walk.enter(same_prefix);
            if let Ok(prefix) = Ipv6Prefix::new(Ipv6Addr::from_bits(bits), length) {
                deep.insert(prefix, slot);
            }
        }
        // Numbers without a group, so that the first step of the trie is as wide as numbers are.
        for unused in groups.count..1_u32.checked_shl(groups.width.into()).unwrap_or(0) {
            insert64(&mut grouped, groups.key(unused, 0), groups.width, none);
        }
        V6 { groups, short: short.compress(), grouped: grouped.compress(), deep: deep.compress() }
    }

    #[inline]
    pub(super) fn lookup(&self, destination: Ipv6Addr) -> Slot {
        let bits = destination.to_bits();
        let Some(group) = self.groups.number(top(bits)) else {
            return *self.short.lookup(&Ipv4Addr::from_bits(top(bits))).1;
        };
        let slot = *self.grouped.lookup(&prefix64(self.groups.key(group, bits), 64)).1;
        if slot.has_deeper() {
            let deep = *self.deep.lookup(&destination).1;
            return if deep == Slot::default() { slot } else { deep };
        }
        slot
    }
}

#[inline]
fn top(bits: u128) -> u32 {
    (bits >> 96) as u32
}

#[inline]
fn prefix64(key: u64, length: u8) -> Ipv6NetPrefix {
    Ipv6NetPrefix::new_assert(Ipv6Addr::from_bits(u128::from(key) << 64), length)
}

fn insert64(trie: &mut RTrieMap<Ipv6NetPrefix, Slot>, key: u64, length: u8, slot: Slot) {
    trie.insert(prefix64(key, length), slot);
}

/// The front table: the first 32 bits of each group to its number. Open addressing, at most half full.
struct Groups {
    /// First 32 bits, and number + 1; 0 where free.
    places: Vec<(u32, u32)>,
    count: u32,
    /// Bits of a number, at least 1.
    width: u8,
}

impl Groups {
    fn of(sorted: &[Entry<u128>]) -> Groups {
        let long = || sorted.iter().filter(|entry| entry.length > SHORT).map(|e| top(e.bits));
        // Sorted, so that the entries of a group are neighbours, but for shorter ones between them.
        let (mut count, mut last) = (0_u32, None);
        for first_bits in long() {
            count += u32::from(last != Some(first_bits));
            last = Some(first_bits);
        }
        let size = (count as usize * 2).next_power_of_two().max(2);
        let width = u32::BITS - count.saturating_sub(1).leading_zeros();
        let mut groups =
            Groups { places: vec![(0, 0); size], count: 0, width: (width as u8).max(1) };
        for first_bits in long() {
            if groups.number(first_bits).is_none() {
                groups.add(first_bits);
            }
        }
        groups
    }

    fn add(&mut self, first_bits: u32) {
        self.count += 1;
        let (mut place, mask) = (self.first_place(first_bits), self.places.len() - 1);
        while let Some(taken) = self.places.get_mut(place & mask) {
            if taken.1 == 0 {
                *taken = (first_bits, self.count);
                return;
            }
            place += 1;
        }
    }

    /// The number of the group with these first bits.
    #[inline]
    fn number(&self, first_bits: u32) -> Option<u32> {
        let mut place = self.first_place(first_bits);
        loop {
            let &(bits, number) = self.places.get(place & (self.places.len() - 1))?;
            if number == 0 {
                return None;
            }
            if bits == first_bits {
                return Some(number - 1);
            }
            place += 1;
        }
    }

    #[inline]
    fn first_place(&self, first_bits: u32) -> usize {
        // Fibonacci hashing (Knuth, TAOCP 6.4): the upper half of the product is well mixed.
        (u64::from(first_bits).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize
    }

    /// The longest prefix that a key of 64 bits reaches.
    fn reach(&self) -> u8 {
        SHORT + 64 - self.width
    }

    /// The key of an address of this group in the grouped trie.
    #[inline]
    fn key(&self, number: u32, bits: u128) -> u64 {
        let after = ((bits << SHORT) >> 64) as u64;
        (u64::from(number) << (64 - self.width)) | (after >> self.width)
    }
}
