//! Precedence, settled while a table is compiled: what wins at each prefix, once and for all.
//!
//! Exempt beats block whatever the lengths, a block beats a monitor entry, and among equals the longest
//! prefix is named. So the packet path makes one look-up and compares nothing.

use super::ListId;
use super::entries::{Bits, Entry};
use super::table::Hit;
use crate::config::Action;

/// What one look-up finds, in 18 bits: what becomes of the packet, and by which list. Which of the list's entries it was is
/// found out where somebody asks ([`Table::origin_of`](super::Table::origin_of)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(u32);

/// In the order of [`Action`], so that a look-up need not translate.
const BLOCK: u32 = 0;
const ALLOW: u32 = 1;
const MONITOR: u32 = 2;
const NOTHING: u32 = 3;

impl Slot {
    /// Nothing is listed.
    pub(super) const NONE: Slot = Slot(NOTHING << 16);

    #[inline]
    pub(super) fn hit(self) -> Option<Hit> {
        let action = match self.0 >> 16 {
            BLOCK => Action::Block,
            ALLOW => Action::Allow,
            MONITOR => Action::Monitor,
            _ => return None,
        };
        Some(Hit { action, list: ListId(self.0 as u16) })
    }

    /// As a number of 18 bits.
    #[inline]
    pub(super) fn bits(self) -> u32 {
        self.0
    }

    /// The reverse of [`bits`](Self::bits).
    #[inline]
    pub(super) fn from_bits(bits: u32) -> Slot {
        Slot(bits)
    }

    fn from_code_and_list(code: u32, list: u16) -> Slot {
        Slot(code << 16 | u32::from(list))
    }
}

/// The list of the longest prefix of each action among the prefixes that cover a place.
#[derive(Clone, Copy, Default)]
struct Winners {
    allow: Option<u16>,
    block: Option<u16>,
    monitor: Option<u16>,
}

/// A walk over sorted entries, from the first address to the last.
pub(super) struct Walk<'a, B> {
    actions: &'a [Action],
    /// The prefixes that cover the present place, outermost first, each with the winners so far.
    covering: Vec<(B, u8, Winners)>,
}

impl<'a, B: Bits> Walk<'a, B> {
    pub(super) fn new(actions: &'a [Action]) -> Self {
        Walk { actions, covering: Vec::with_capacity(usize::from(B::LENGTH) + 1) }
    }

    /// Enters all entries of the next prefix, in the order of [`Entry::key`], and says what wins there.
    pub(super) fn enter(&mut self, same_prefix: &[Entry<B>]) -> Slot {
        let Some(first) = same_prefix.first() else { return Slot::NONE };
        self.advance(first.bits);
        let above = self.innermost();
        let mut here = Winners::default();
        for entry in same_prefix {
            let winner = match self.actions.get(usize::from(entry.list)) {
                Some(Action::Allow) => &mut here.allow,
                Some(Action::Monitor) => &mut here.monitor,
                Some(Action::Block) | None => &mut here.block,
            };
            winner.get_or_insert(entry.list);
        }
        let winners = Winners {
            allow: here.allow.or(above.allow),
            block: here.block.or(above.block),
            monitor: here.monitor.or(above.monitor),
        };
        self.covering.push((first.bits, first.length, winners));
        winners.slot()
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
}

impl Winners {
    fn slot(self) -> Slot {
        match (self.allow, self.block, self.monitor) {
            (Some(list), _, _) => Slot::from_code_and_list(ALLOW, list),
            (None, Some(list), _) => Slot::from_code_and_list(BLOCK, list),
            (None, None, Some(list)) => Slot::from_code_and_list(MONITOR, list),
            (None, None, None) => Slot::NONE,
        }
    }
}
