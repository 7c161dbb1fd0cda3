//! Precedence, settled while a table is compiled: what wins at each prefix, once and for all.
//!
//! Exempt beats block whatever the lengths, a block beats a monitor entry, and among equals the longest
//! prefix is named. So the packet path makes one look-up and compares nothing.

use super::ListId;
use super::entries::{Bits, Entry};
use super::table::Hit;
use crate::config::Action;

/// What one look-up finds: eight bytes beside each prefix of a trie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Slot {
    /// 0 for nothing, else the action's code << 16 | list; and [`DEEPER`].
    found: u32,
    /// Place of the entry among the family's entries.
    entry: u32,
}

const ACTION: u32 = 0x00ff_0000;
const BLOCK: u32 = 1 << 16;
const ALLOW: u32 = 2 << 16;
const MONITOR: u32 = 3 << 16;
/// There are longer prefixes in another trie.
const DEEPER: u32 = 1 << 24;

impl Slot {
    #[inline]
    pub(super) fn hit(self) -> Option<Hit> {
        let action = match self.found & ACTION {
            BLOCK => Action::Block,
            ALLOW => Action::Allow,
            MONITOR => Action::Monitor,
            _ => return None,
        };
        Some(Hit { action, list: ListId(self.found as u16), entry: self.entry })
    }

    /// The same, with a note that another trie has longer prefixes.
    pub(super) fn with_deeper(self) -> Slot {
        Slot { found: self.found | DEEPER, ..self }
    }

    #[inline]
    pub(super) fn has_deeper(self) -> bool {
        self.found & DEEPER != 0
    }
}

/// The best entry of each action among the prefixes that cover a place.
#[derive(Clone, Copy, Default)]
struct Winners {
    allow: Option<u32>,
    block: Option<u32>,
    monitor: Option<u32>,
}

/// A walk over sorted entries, from the first address to the last.
pub(super) struct Walk<'a, B> {
    actions: &'a [Action],
    entries: &'a [Entry<B>],
    /// The prefixes that cover the present place, outermost first, each with the winners so far.
    covering: Vec<(B, u8, Winners)>,
    place: u32,
}

impl<'a, B: Bits> Walk<'a, B> {
    /// `entries` must be sorted by [`Entry::key`].
    pub(super) fn new(actions: &'a [Action], entries: &'a [Entry<B>]) -> Self {
        let covering = Vec::with_capacity(usize::from(B::LENGTH) + 1);
        Walk { actions, entries, covering, place: 0 }
    }

    /// What wins at an address, by the prefixes entered so far; never behind an address asked before.
    pub(super) fn at(&mut self, bits: B) -> Slot {
        self.advance(bits);
        self.slot()
    }

    /// Enters all entries of the next prefix and says what wins there.
    pub(super) fn enter(&mut self, same_prefix: &[Entry<B>]) -> Slot {
        let Some(first) = same_prefix.first() else { return Slot::default() };
        self.advance(first.bits);
        let mut winners = self.innermost();
        let mut here = Winners::default();
        for entry in same_prefix {
            let winner = match self.actions.get(usize::from(entry.list)) {
                Some(Action::Allow) => &mut here.allow,
                Some(Action::Monitor) => &mut here.monitor,
                Some(Action::Block) | None => &mut here.block,
            };
            winner.get_or_insert(self.place);
            self.place += 1;
        }
        winners.allow = here.allow.or(winners.allow);
        winners.block = here.block.or(winners.block);
        winners.monitor = here.monitor.or(winners.monitor);
        self.covering.push((first.bits, first.length, winners));
        self.slot()
    }

    fn advance(&mut self, to: B) {
        let left = |(bits, length, _): &(B, u8, Winners)| to.masked(*length) != *bits;
        while self.covering.last().is_some_and(left) {
            self.covering.pop();
        }
    }

    fn innermost(&self) -> Winners {
        self.covering.last().map(|(_, _, winners)| *winners).unwrap_or_default()
    }

    fn slot(&self) -> Slot {
        let winners = self.innermost();
        let (code, entry) = match (winners.allow, winners.block, winners.monitor) {
            (Some(entry), _, _) => (ALLOW, entry),
            (None, Some(entry), _) => (BLOCK, entry),
            (None, None, Some(entry)) => (MONITOR, entry),
            (None, None, None) => return Slot::default(),
        };
        let list = self.entries.get(entry as usize).map_or(0, |entry| entry.list);
        Slot { found: code | u32::from(list), entry }
    }
}
