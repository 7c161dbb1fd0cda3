//! The IPv6 table: two compressed tries, behind a front table of whole /32, /40 and /48.
//!
//! Real IPv6 prefixes lie far apart in their first 32 bits and close together after them. So the prefixes
//! longer than /32 that share their first 32 bits form a group, and a hash table gives each group a number.
//! An address of no group is looked up in the trie of short prefixes, by its first 32 bits. An address of a
//! group finds its answer by the next eight bits or by eight more, unless prefixes longer than /48 are
//! listed there: then it is asked of the trie of all prefixes. The front table takes 512 bytes for each group
//! and for each /40 with longer prefixes: 16 MiB for a full routing table.

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
    groups: Groups,
    /// By the group's number, then the next 8 bits.
    forties: Pages,
    /// By the page that `forties` names, then the next 8 bits.
    forty_eights: Pages,
    /// Prefixes up to /32, by the first 32 bits.
    short: LCTrieMap<Ipv4Prefix, Slot>,
    all: LCTrieMap<Ipv6Prefix, Slot>,
}

impl V6 {
    /// Compiles sorted entries, of which `distinct` differ in their prefixes.
    pub(super) fn compile(actions: &[Action], sorted: &[Entry<u128>], distinct: usize) -> V6 {
        let shorts = sorted.iter().filter(|entry| entry.length <= SHORT).count();
        let mut short = RTrieMap::with_root_and_capacity(Slot::NONE, shorts + 1);
        let mut all = RTrieMap::with_root_and_capacity(Slot::NONE, distinct + 1);
        let mut walk = Walk::new(actions);
        for group in entries::by_prefix(sorted) {
            let Some(&Entry { bits, length, .. }) = group.first() else { continue };
            let slot = walk.enter(group);
            if length <= SHORT {
                v4::insert(&mut short, top(bits), length, slot);
            }
            if let Ok(prefix) = Ipv6Prefix::new(Ipv6Addr::from_bits(bits), length) {
                all.insert(prefix, slot);
            }
        }
        let mut table = V6 {
            short: short.compress(),
            all: all.compress(),
            groups: Groups::of(sorted),
            forties: Pages::with_room(0),
            forty_eights: Pages::with_room(0),
        };
        table.compile_front(actions, sorted);
        table
    }

    fn compile_front(&mut self, actions: &[Action], sorted: &[Entry<u128>]) {
        let long = sorted.iter().filter(|entry| entry.length > 40).map(|entry| entry.bits >> 88);
        self.forties = Pages::with_room(self.groups.count as usize);
        self.forty_eights = Pages::with_room(count_distinct(long));
        let mut walk = Walk::new(actions);
        let mut last_group = None;
        // A covering prefix comes before what it covers, so the longest is written last.
        for same_prefix in entries::by_prefix(sorted) {
            let Some(&Entry { bits, length, .. }) = same_prefix.first() else { continue };
            let group = self.groups.number(top(bits)).filter(|_| length > SHORT);
            if group.is_some() && group != last_group {
                // Groups are numbered in the order of their addresses.
                self.forties.add(Brief::of(walk.at(bits.masked(SHORT))));
                last_group = group;
            }
            let slot = walk.enter(same_prefix);
            let Some(group) = group else { continue };
            let brief = if length <= 48 { Brief::of(slot) } else { Brief::ASK };
            let forty = (bits >> 88) as u8;
            if length <= 40 {
                self.forties.fill(group, forty, 40 - length, brief);
            } else if let Some(page) = self.page(group, forty) {
                self.forty_eights.fill(
                    page,
                    (bits >> 80) as u8,
                    48_u8.saturating_sub(length),
                    brief,
                );
            }
        }
    }

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
    pub(super) fn lookup(&self, destination: Ipv6Addr) -> Slot {
        let bits = destination.to_bits();
        let Some(group) = self.groups.number(top(bits)) else {
            return *self.short.lookup(&Ipv4Addr::from_bits(top(bits))).1;
        };
        let mut brief = self.forties.get(group, (bits >> 88) as u8);
        if let Some(page) = brief.as_page() {
            brief = self.forty_eights.get(page, (bits >> 80) as u8);
        }
        match brief {
            Brief::ASK => *self.all.lookup(&destination).1,
            brief => brief.slot(),
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
