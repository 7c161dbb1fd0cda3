//! The IPv4 table: a compressed trie of every prefix, behind a front table of whole /16 and /24.
//!
//! Where nothing longer than /16 is listed, one load answers; where nothing longer than /24 is, a second one
//! does; the rest is asked of the trie. The front table takes 256 KiB, and 512 bytes for each /16 with longer
//! prefixes: 13 MiB for a full routing table.

use std::net::Ipv4Addr;

use iptrie::Ipv4Prefix;
use iptrie::map::{LCTrieMap, RTrieMap};

use super::entries::{self, Entry};
use super::front::{Brief, Pages, count_distinct, fill};
use super::precedence::{Slot, Walk};
use crate::config::Action;

/// The compiled IPv4 prefixes.
pub(super) struct V4 {
    front: Front,
    trie: LCTrieMap<Ipv4Prefix, Slot>,
}

impl V4 {
    /// Compiles sorted entries, of which `distinct` differ in their prefixes.
    pub(super) fn compile(actions: &[Action], sorted: &[Entry<u32>], distinct: usize) -> V4 {
        let mut trie = RTrieMap::with_root_and_capacity(Slot::NONE, distinct + 1);
        let mut walk = Walk::new(actions);
        for group in entries::by_prefix(sorted) {
            let Some(&Entry { bits, length, .. }) = group.first() else { continue };
            insert(&mut trie, bits, length, walk.enter(group));
        }
        // The radix trie is gone before the front table takes its room.
        let trie = trie.compress();
        V4 { front: Front::compile(actions, sorted), trie }
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
    fn compile(actions: &[Action], sorted: &[Entry<u32>]) -> Front {
        let long = sorted.iter().filter(|entry| entry.length > 16).map(|entry| entry.bits >> 16);
        let mut front = Front {
            roots: vec![Brief::NONE.bits().into(); 1 << 16],
            pages: Pages::with_room(count_distinct(long)),
        };
        let mut walk = Walk::new(actions);
        // A covering prefix comes before what it covers, so the longest is written last.
        for group in entries::by_prefix(sorted) {
            let Some(&Entry { bits, length, .. }) = group.first() else { continue };
            let slot = walk.enter(group);
            let brief = if length <= 24 { Brief::of(slot) } else { Brief::ASK };
            let root = (bits >> 16) as usize;
            if length <= 16 {
                fill(&mut front.roots, root, 16 - length, brief.bits().into());
            } else {
                let page = front.page(root);
                let block = (bits >> 8) as u8;
                front.pages.fill(page, block, 24_u8.saturating_sub(length), brief);
            }
        }
        front
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
