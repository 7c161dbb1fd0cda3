//! The IPv4 table: one compressed trie over prefixes and cells.
//!
//! A cell is one of equally long prefixes that together are the whole address space, each with the answer
//! that the prefixes covering it give. Prefixes as long as a cell or shorter are in the trie only through
//! cells. So the trie's first levels are full, and `iptrie` compresses them into a single step: without
//! them a full routing table takes six steps to most prefixes, with them four.

use std::net::Ipv4Addr;

use iptrie::Ipv4Prefix;
use iptrie::map::{LCTrieMap, RTrieMap};

use super::entries::{self, Entry};
use super::precedence::{Slot, Walk};
use crate::config::Action;

/// The most bits of a cell's prefix: `iptrie` makes no step wider (`compression_level`).
const LONGEST_CELL: u32 = 15;

/// The compiled IPv4 prefixes.
pub(super) struct V4(LCTrieMap<Ipv4Prefix, Slot>);

impl V4 {
    /// Compiles sorted entries, of which `distinct` differ in their prefixes.
    pub(super) fn compile(actions: &[Action], sorted: &[Entry<u32>], distinct: usize) -> V4 {
        // Two prefixes to a cell, so that cells cost little.
        let length = distinct.checked_ilog2().unwrap_or(0).saturating_sub(1).min(LONGEST_CELL);
        let cells = 1_u32 << length;
        let first_of = |cell: u32| cell.checked_shl(32 - length).unwrap_or(0);
        let cell_of = |bits: u32| bits.checked_shr(32 - length).unwrap_or(0);
        let mut trie = RTrieMap::with_root_and_capacity(Slot::default(), distinct + cells as usize);
        let mut walk = Walk::new(actions, sorted);
        let mut next_cell = 0;
        for group in entries::by_prefix(sorted) {
            let Some(first) = group.first() else { continue };
            let inside = u32::from(first.length) > length;
            let up_to = cell_of(first.bits) + u32::from(inside);
            for cell in next_cell..up_to {
                insert(&mut trie, first_of(cell), length as u8, walk.at(first_of(cell)));
            }
            next_cell = next_cell.max(up_to);
            let slot = walk.enter(group);
            if inside {
                insert(&mut trie, first.bits, first.length, slot);
            }
        }
        for cell in next_cell..cells {
            insert(&mut trie, first_of(cell), length as u8, walk.at(first_of(cell)));
        }
        V4(trie.compress())
    }

    #[inline]
    pub(super) fn lookup(&self, destination: Ipv4Addr) -> Slot {
        *self.0.lookup(&destination).1
    }
}

/// Lengths come from prefixes or constants and are never too long.
pub(super) fn insert(trie: &mut RTrieMap<Ipv4Prefix, Slot>, bits: u32, length: u8, slot: Slot) {
    if let Ok(prefix) = Ipv4Prefix::new(Ipv4Addr::from_bits(bits), length) {
        trie.insert(prefix, slot);
    }
}
