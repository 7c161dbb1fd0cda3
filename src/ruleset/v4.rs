//! The IPv4 table: a front table of whole /16 and /24, and a compressed trie of what it cannot answer.
//!
//! Where nothing longer than /16 is listed, one load answers; where nothing longer than /24 is, a second one
//! does; the rest is asked of the trie. That holds, for each /24 in question, what is listed around it and
//! everything within. The front table takes 256 KiB, and 512 bytes for each /16 with longer prefixes: 13 MiB
//! for a full routing table, of which the trie holds one prefix in a hundred.

use std::net::Ipv4Addr;

use iptrie::Ipv4Prefix;
use iptrie::map::{LCTrieMap, RTrieMap};

use super::entries::{self, Bits, Entry};
use super::front::{Brief, Pages, count_distinct, fill};
use super::precedence::{Slot, Walk};
use crate::config::Action;

/// The length of the front table's smallest blocks.
const BLOCK: u8 = 24;

/// The compiled IPv4 prefixes.
pub(super) struct V4 {
    front: Front,
    trie: LCTrieMap<Ipv4Prefix, Slot>,
}

impl V4 {
    /// Compiles sorted entries.
    pub(super) fn compile(actions: &[Action], sorted: &[Entry<u32>]) -> V4 {
        // Where not every list fits into the front table, any block may have to be asked of the trie.
        let whole = actions.len() > Brief::LISTS;
        let in_trie = |entry: &&Entry<u32>| whole || entry.length > BLOCK;
        // For each of them there may be one that says what is around it.
        let room = sorted.iter().filter(in_trie).count() * 2 + 1;
        let mut trie = RTrieMap::with_root_and_capacity(Slot::NONE, room);
        let mut front = Front::empty(sorted);
        let mut walk = Walk::new(actions);
        let mut last_block = None;
        // A covering prefix comes before what it covers, so the longest is written last.
        for group in entries::by_prefix(sorted) {
            let Some(&Entry { bits, length, .. }) = group.first() else { continue };
            let block = bits.masked(BLOCK);
            if length > BLOCK && last_block != Some(block) {
                insert(&mut trie, block, BLOCK, walk.at(block));
                last_block = Some(block);
            }
            let slot = walk.enter(group);
            if whole || length > BLOCK {
                insert(&mut trie, bits, length, slot);
            }
            front.fill(bits, length, if length <= BLOCK { Brief::of(slot) } else { Brief::ASK });
        }
        V4 { front, trie: trie.compress() }
    }

    #[inline]
    pub(super) fn lookup(&self, destination: Ipv4Addr) -> Slot {
        match self.front.lookup(destination.to_bits()) {
            Brief::ASK => *self.trie.lookup(&destination).1,
            brief => brief.slot(),
        }
    }
}

/// Lengths come from prefixes and are never too long.
pub(super) fn insert(trie: &mut RTrieMap<Ipv4Prefix, Slot>, bits: u32, length: u8, slot: Slot) {
    if let Ok(prefix) = Ipv4Prefix::new(Ipv4Addr::from_bits(bits), length) {
        trie.insert(prefix, slot);
    }
}

/// Set in a root that is a page's number; there can be more pages than a [`Brief`] can name.
const PAGE: u32 = 1 << 31;

struct Front {
    /// By the first 16 bits: an answer, or [`PAGE`] | the number of the page.
    roots: Vec<u32>,
    /// By the next 8 bits.
    pages: Pages,
}

impl Front {
    /// A table without an answer, with room for what these entries need.
    fn empty(sorted: &[Entry<u32>]) -> Front {
        let long = sorted.iter().filter(|entry| entry.length > 16).map(|entry| entry.bits >> 16);
        Front {
            roots: vec![Brief::NONE.bits().into(); 1 << 16],
            pages: Pages::with_room(count_distinct(long)),
        }
    }

    /// Writes an answer over whatever a prefix that covers this one has left.
    fn fill(&mut self, bits: u32, length: u8, brief: Brief) {
        let root = (bits >> 16) as usize;
        if length <= 16 {
            fill(&mut self.roots, root, 16 - length, brief.bits().into());
        } else {
            let page = self.page(root);
            let block = (bits >> 8) as u8;
            self.pages.fill(page, block, BLOCK.saturating_sub(length), brief);
        }
    }

    /// The page of a /16; a new one says what the root said.
    fn page(&mut self, root: usize) -> usize {
        let Some(entry) = self.roots.get_mut(root) else { return 0 };
        if *entry & PAGE == 0 {
            *entry = PAGE | self.pages.add(Brief::from_bits(*entry as u16)) as u32;
        }
        (*entry & !PAGE) as usize
    }

    #[inline]
    fn lookup(&self, bits: u32) -> Brief {
        match self.roots.get((bits >> 16) as usize) {
            Some(&root) if root & PAGE != 0 => {
                self.pages.get((root & !PAGE) as usize, (bits >> 8) as u8)
            }
            Some(&root) => Brief::from_bits(root as u16),
            None => Brief::ASK,
        }
    }
}
