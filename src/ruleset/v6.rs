//! The IPv6 table: a front table of whole /32, /40 and /48, and two compressed tries.
//!
//! Real IPv6 prefixes lie far apart in their first 32 bits and close together after them. So the prefixes
//! longer than /32 that share their first 32 bits form a group, and a hash table gives each group a number.
//! An address of no group is looked up in the trie of short prefixes, by its first 32 bits. An address of a
//! group finds its answer by the next eight bits or by eight more, unless prefixes longer than /48 are
//! listed there, or there was no room for another page: then it is asked of the other trie, which holds, for
//! each block in question, what is listed around it and everything within. The front table takes 512 bytes for
//! each group and for each /40 with longer prefixes: 16 MiB for a full routing table.

use std::net::{Ipv4Addr, Ipv6Addr};

use iptrie::map::{LCTrieMap, RTrieMap};
use iptrie::{Ipv4Prefix, Ipv6Prefix};

use super::entries::{self, Bits, Entry};
use super::front::{Brief, Pages, count_distinct};
use super::precedence::{Slot, Walk};
use super::v4;
use crate::config::Action;

/// The longest prefix of the short trie, and the bits that make a group.
const SHORT: u8 = 32;

/// The compiled IPv6 prefixes.
pub(super) struct V6 {
    front: Front,
    /// Prefixes up to /32, by the first 32 bits.
    short: LCTrieMap<Ipv4Prefix, Slot>,
    /// What the front table cannot answer.
    rest: LCTrieMap<Ipv6Prefix, Slot>,
}

impl V6 {
    /// Compiles sorted entries.
    pub(super) fn compile(actions: &[Action], sorted: &[Entry<u128>]) -> V6 {
        let count = |wanted: fn(&&Entry<u128>) -> bool| sorted.iter().filter(wanted).count();
        let forties = sorted.iter().filter(|entry| entry.length > 40).map(|entry| entry.bits >> 88);
        let groups = Groups::of(sorted);
        let mut table = Draft {
            front: Front {
                forties: Pages::with_room(groups.count as usize),
                forty_eights: Pages::with_room(count_distinct(forties)),
                groups,
            },
            short: RTrieMap::with_root_and_capacity(
                Slot::NONE,
                count(|entry| entry.length <= SHORT) + 1,
            ),
            rest: RTrieMap::with_root_and_capacity(
                Slot::NONE,
                count(|entry| entry.length > 48) * 2 + 1,
            ),
            // Where not every list fits into the front table, any block may have to be asked of the trie.
            whole: actions.len() > Brief::LISTS,
            last_block: None,
        };
        let mut walk = Walk::new(actions);
        let mut last_group = None;
        // A covering prefix comes before what it covers, so the longest is written last.
        for same_prefix in entries::by_prefix(sorted) {
            let Some(&Entry { bits, length, .. }) = same_prefix.first() else { continue };
            let group = table.front.groups.number(top(bits)).filter(|_| length > SHORT);
            if group.is_some() && group != last_group {
                // Groups are numbered in the order of their addresses.
                table.front.forties.add(Brief::of(walk.at(bits.masked(SHORT))));
                last_group = group;
            }
            table.enter(group, same_prefix, &mut walk);
        }
        V6 { front: table.front, short: table.short.compress(), rest: table.rest.compress() }
    }

    #[inline]
    pub(super) fn lookup(&self, destination: Ipv6Addr) -> Slot {
        let bits = destination.to_bits();
        let Some(group) = self.front.groups.number(top(bits)) else {
            return *self.short.lookup(&Ipv4Addr::from_bits(top(bits))).1;
        };
        match self.front.lookup(group, bits) {
            Brief::ASK => *self.rest.lookup(&destination).1,
            brief => brief.slot(),
        }
    }
}

/// A table that is being compiled.
struct Draft {
    front: Front,
    short: RTrieMap<Ipv4Prefix, Slot>,
    rest: RTrieMap<Ipv6Prefix, Slot>,
    /// Every prefix goes into `rest`.
    whole: bool,
    /// The block of which `rest` has said what is listed around it.
    last_block: Option<(u128, u8)>,
}

impl Draft {
    /// Enters the next prefix, of this group or too short for one.
    fn enter(
        &mut self,
        group: Option<usize>,
        same_prefix: &[Entry<u128>],
        walk: &mut Walk<'_, u128>,
    ) {
        let Some(&Entry { bits, length, .. }) = same_prefix.first() else { return };
        let forty = (bits >> 88) as u8;
        let page = group.filter(|_| length > 40).map(|group| self.front.page(group, forty));
        // The block that cannot be answered without this prefix.
        let block = match page {
            Some(None) => Some((bits.masked(40), 40)),
            Some(Some(_)) if length > 48 => Some((bits.masked(48), 48)),
            Some(Some(_)) | None => None,
        };
        if let Some((first, of)) = block.filter(|_| block != self.last_block) {
            insert(&mut self.rest, first, of, walk.at(first));
            self.last_block = block;
        }
        let slot = walk.enter(same_prefix);
        if self.whole || block.is_some() {
            insert(&mut self.rest, bits, length, slot);
        }
        if length <= SHORT {
            v4::insert(&mut self.short, top(bits), length, slot);
        }
        let brief = if length <= 48 { Brief::of(slot) } else { Brief::ASK };
        match (group, page) {
            (Some(group), None) => self.front.forties.fill(group, forty, 40 - length, brief),
            (Some(_), Some(Some(page))) => {
                let forty_eight = (bits >> 80) as u8;
                let blocks = 48_u8.saturating_sub(length);
                self.front.forty_eights.fill(page, forty_eight, blocks, brief);
            }
            (Some(_), Some(None)) | (None, _) => {}
        }
    }
}

/// Lengths come from prefixes and are never too long.
fn insert(trie: &mut RTrieMap<Ipv6Prefix, Slot>, bits: u128, length: u8, slot: Slot) {
    if let Ok(prefix) = Ipv6Prefix::new(Ipv6Addr::from_bits(bits), length) {
        trie.insert(prefix, slot);
    }
}

/// Answers for whole blocks of addresses.
struct Front {
    groups: Groups,
    /// By the group's number, then the next 8 bits.
    forties: Pages,
    /// By the page that `forties` names, then the next 8 bits.
    forty_eights: Pages,
}

impl Front {
    /// The page of a /40, a new one says what the /40 said; `None` if it must be asked of the trie.
    fn page(&mut self, group: usize, forty: u8) -> Option<usize> {
        let known = self.forties.get(group, forty);
        if known != Brief::ASK && known.as_page().is_none() {
            let page = Brief::page(self.forty_eights.add(known));
            self.forties.fill(group, forty, 0, page);
            return page.as_page();
        }
        known.as_page()
    }

    #[inline]
    fn lookup(&self, group: usize, bits: u128) -> Brief {
        let brief = self.forties.get(group, (bits >> 88) as u8);
        match brief.as_page() {
            Some(page) => self.forty_eights.get(page, (bits >> 80) as u8),
            None => brief,
        }
    }
}

#[inline]
fn top(bits: u128) -> u32 {
    (bits >> 96) as u32
}

/// The first 32 bits of each group to its number. Open addressing, at most half full.
struct Groups {
    /// First 32 bits, and number + 1; 0 where free.
    places: Vec<(u32, u32)>,
    count: u32,
}

impl Groups {
    fn of(sorted: &[Entry<u128>]) -> Groups {
        let long = || sorted.iter().filter(|entry| entry.length > SHORT).map(|e| top(e.bits));
        let size = (count_distinct(long()) * 2).next_power_of_two().max(2);
        let mut groups = Groups { places: vec![(0, 0); size], count: 0 };
        for first_bits in long() {
            groups.add(first_bits);
        }
        groups
    }

    fn add(&mut self, first_bits: u32) {
        let (mut place, mask) = (Self::first_place(first_bits), self.places.len() - 1);
        while let Some(taken) = self.places.get_mut(place & mask) {
            match *taken {
                (_, 0) => {
                    self.count += 1;
                    *taken = (first_bits, self.count);
                    return;
                }
                (known, _) if known == first_bits => return,
                (_, _) => place += 1,
            }
        }
    }

    /// The number of the group with these first bits.
    #[inline]
    fn number(&self, first_bits: u32) -> Option<usize> {
        let mut place = Self::first_place(first_bits);
        loop {
            let &(bits, number) = self.places.get(place & (self.places.len() - 1))?;
            if number == 0 {
                return None;
            }
            if bits == first_bits {
                return Some(number as usize - 1);
            }
            place += 1;
        }
    }

    #[inline]
    fn first_place(first_bits: u32) -> usize {
        // Fibonacci hashing (Knuth, TAOCP 6.4): the upper half of the product is well mixed.
        (u64::from(first_bits).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize
    }
}
