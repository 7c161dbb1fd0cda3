//! What wins at every address, flat: a search over elementary intervals, in a few loads that lie close together.
//!
//! Once precedence is settled, the prefixes of a fixed table cut the address space into intervals, at each of which one
//! answer holds; neighbours with the same answer are one. The first 16 bits of an address choose a word. A word is the
//! answer itself; or leads to as many more words as there is need for, chosen by the next bits; or to a short run of
//! intervals, which is read from its beginning. So sparse space costs one load, and dense space a few more. Answers are
//! the same as those of a walk over the prefixes; the tests compare them with a trie, a scan and hash tables.
//!
//! Where a table outgrew what a word can name (some hundred million intervals), the rest is searched by halves.

use super::entries::{self, Bits, Entry};
use super::precedence::{Slot, Walk};
use crate::config::Action;

/// The bits that the first words are chosen by.
const ROOT: u8 = 16;
/// Intervals that are read one after the other; with more, bits choose.
const RUN: usize = 6;

/// The two highest bits of a word say what it is: an answer, which needs 18 bits.
const ANSWER: u32 = 0;
/// More words: how many bits choose, less one, in four bits, and the first word's place in 26.
const WORDS: u32 = 1;
/// A run: its length in four bits, and its place in 26.
const HERE: u32 = 2;
/// Halving, over all intervals.
const SEARCH: u32 = 3;
const KIND: u32 = 30;
const COUNT: u32 = 26;
const PLACE: u32 = (1 << COUNT) - 1;

/// The answers of one family.
pub(super) struct Flat<B> {
    words: Vec<u32>,
    /// First addresses of the intervals in runs.
    firsts: Vec<B>,
    /// Their answers.
    answers: Vec<Slot>,
    /// All intervals, where some word says [`SEARCH`].
    all: Vec<(B, Slot)>,
}

impl<B: Bits> Flat<B> {
    /// Compiles sorted entries.
    pub(super) fn compile(actions: &[Action], sorted: &[Entry<B>]) -> Self {
        Draft::new(intervals(actions, sorted), PLACE as usize).finish()
    }

    /// What wins at an address.
    #[inline]
    pub(super) fn lookup(&self, bits: B) -> Slot {
        let mut used = ROOT;
        let mut word = self.word(bits.choose(0, ROOT));
        loop {
            let count = word >> COUNT & 15;
            match word >> KIND {
                WORDS => {
                    let choosing = count as u8 + 1;
                    word = self.word((word & PLACE) as usize + bits.choose(used, choosing));
                    used += choosing;
                }
                HERE => return self.in_run((word & PLACE) as usize, count as usize, bits),
                SEARCH => return self.search(bits),
                _ => return Slot::from_bits(word),
            }
        }
    }

    /// Nothing is listed where there is no word; there always is one.
    #[inline]
    fn word(&self, place: usize) -> u32 {
        self.words.get(place).copied().unwrap_or(ANSWER)
    }

    #[inline]
    fn in_run(&self, place: usize, length: usize, bits: B) -> Slot {
        let run = self.firsts.get(place..place + length).unwrap_or_default();
        let before = run.iter().filter(|first| **first <= bits).count();
        self.answers.get(place + before.saturating_sub(1)).copied().unwrap_or(Slot::NONE)
    }

    #[cold]
    fn search(&self, bits: B) -> Slot {
        let before = self.all.partition_point(|(first, _)| *first <= bits);
        self.all.get(before.saturating_sub(1)).map_or(Slot::NONE, |(_, slot)| *slot)
    }

    /// Memory that it takes, in bytes.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        size_of_val(&self.words[..])
            + size_of_val(&self.firsts[..])
            + size_of_val(&self.answers[..])
            + size_of_val(&self.all[..])
    }
}

/// The elementary intervals: each with its first address and the answer up to the next one's. The first begins at the
/// first address of all.
fn intervals<B: Bits>(actions: &[Action], sorted: &[Entry<B>]) -> Vec<(B, Slot)> {
    let mut found: Vec<(B, Slot)> = vec![(B::default(), Slot::NONE)];
    // The prefixes around the present place, outermost first: last address, and what wins there.
    let mut around: Vec<(B, Slot)> = Vec::with_capacity(usize::from(B::LENGTH) + 1);
    let mut walk = Walk::new(actions);
    for group in entries::by_prefix(sorted) {
        let Some(&Entry { bits, length, .. }) = group.first() else { continue };
        leave(&mut found, &mut around, Some(bits));
        let slot = walk.enter(group);
        begin(&mut found, bits, slot);
        around.push((bits.last(length), slot));
    }
    leave(&mut found, &mut around, None);
    found.shrink_to_fit();
    found
}

/// Ends the prefixes that end before this address, or all.
fn leave<B: Bits>(found: &mut Vec<(B, Slot)>, around: &mut Vec<(B, Slot)>, before: Option<B>) {
    while let Some(&(last, _)) = around.last() {
        if before.is_some_and(|bits| last >= bits) {
            return;
        }
        around.pop();
        let outside = around.last().map_or(Slot::NONE, |(_, slot)| *slot);
        if let Some(next) = last.next() {
            begin(found, next, outside);
        }
    }
}

/// From this address on another answer holds.
fn begin<B: Bits>(found: &mut Vec<(B, Slot)>, first: B, slot: Slot) {
    if found.last().is_some_and(|(known, _)| *known == first) {
        found.pop();
    }
    if found.last().is_none_or(|(_, before)| *before != slot) {
        found.push((first, slot));
    }
}

/// A table that is being laid out.
struct Draft<B> {
    flat: Flat<B>,
    intervals: Vec<(B, Slot)>,
    /// No place beyond this one can be named.
    room: usize,
    full: bool,
}

impl<B: Bits> Draft<B> {
    fn new(intervals: Vec<(B, Slot)>, room: usize) -> Self {
        let flat =
            Flat { words: Vec::new(), firsts: Vec::new(), answers: Vec::new(), all: Vec::new() };
        Draft { flat, intervals, room, full: false }
    }

    fn finish(mut self) -> Flat<B> {
        let intervals = std::mem::take(&mut self.intervals);
        self.flat.words.resize(1 << ROOT, ANSWER);
        self.lay_out(&intervals, 0, 0, ROOT, B::default());
        self.flat.words.shrink_to_fit();
        self.flat.firsts.shrink_to_fit();
        self.flat.answers.shrink_to_fit();
        if self.full {
            self.flat.all = intervals;
        }
        self.flat
    }

    /// Writes the words of the block at `first`, of which `used` bits are common and the next `choosing` ones choose.
    /// `inside`: the interval that the block begins in, and all that begin within it.
    fn lay_out(&mut self, inside: &[(B, Slot)], base: usize, used: u8, choosing: u8, first: B) {
        let mut rest = inside;
        for number in 0..1_usize << choosing {
            let from = first.block(used + choosing, number);
            let last = from.last(used + choosing);
            // The one that holds at the block's first address is the last that begins there or before.
            let skip = rest.iter().take_while(|(at, _)| *at <= from).count().saturating_sub(1);
            rest = rest.get(skip..).unwrap_or_default();
            let here = rest.iter().take_while(|(at, _)| *at <= last).count();
            let word = self.word(rest.get(..here).unwrap_or_default(), used + choosing, from);
            if let Some(place) = self.flat.words.get_mut(base + number) {
                *place = word;
            }
            rest = rest.get(here.saturating_sub(1)..).unwrap_or_default();
        }
    }

    /// The word for a block: `inside` as above.
    fn word(&mut self, inside: &[(B, Slot)], used: u8, first: B) -> u32 {
        let (runs, words) = (self.flat.firsts.len(), self.flat.words.len());
        match inside {
            [] => ANSWER,
            [(_, slot)] => slot.bits(),
            _ if inside.len() <= RUN => {
                if runs + inside.len() > self.room {
                    return self.searched();
                }
                self.flat.firsts.extend(inside.iter().map(|(at, _)| *at));
                self.flat.answers.extend(inside.iter().map(|(_, slot)| *slot));
                HERE << KIND | (inside.len() as u32) << COUNT | runs as u32
            }
            _ => {
                // About two words for each interval.
                let choosing = (inside.len().ilog2() as u8 + 1).min(16).min(B::LENGTH - used);
                if words + (1 << choosing) > self.room {
                    return self.searched();
                }
                self.flat.words.resize(words + (1 << choosing), ANSWER);
                self.lay_out(inside, words, used, choosing, first);
                WORDS << KIND | u32::from(choosing - 1) << COUNT | words as u32
            }
        }
    }

    fn searched(&mut self) -> u32 {
        self.full = true;
        SEARCH << KIND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small generator, so that a failure can be made again.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            self.0 >> 20
        }
    }

    fn entries(random: &mut Random, count: usize) -> Vec<Entry<u32>> {
        let mut entries: Vec<Entry<u32>> = (0..count)
            .map(|line| {
                let length = (random.next() % 25 + 8) as u8;
                // Many in the same few /16, so that every kind of word comes up.
                let bits = (random.next() as u32 & 0x0003_ffff | 0x0a00_0000).masked(length);
                // A short exempt one would leave nothing to tell apart.
                let list = match length {
                    0..24 => (random.next() % 2 * 2) as u16,
                    _ => (random.next() % 3) as u16,
                };
                Entry { bits, line: line as u32 + 1, origin: 0, list, length, sources: 0 }
            })
            .collect();
        entries.sort_unstable_by_key(Entry::key);
        entries.dedup_by_key(|entry| entry.key());
        entries
    }

    const ACTIONS: [Action; 3] = [Action::Block, Action::Allow, Action::Monitor];

    /// The walk itself, asked for one address.
    fn scan(entries: &[Entry<u32>], bits: u32) -> Slot {
        let mut walk = Walk::new(&ACTIONS);
        let mut slot = Slot::NONE;
        let covers = |entry: &&Entry<u32>| bits.masked(entry.length) == entry.bits;
        let covering: Vec<Entry<u32>> = entries.iter().filter(covers).copied().collect();
        for group in entries::by_prefix(&covering) {
            slot = walk.enter(group);
        }
        slot
    }

    fn probes(entries: &[Entry<u32>]) -> impl Iterator<Item = u32> {
        let edges = |entry: &Entry<u32>| {
            let (first, last) = (entry.bits, entry.bits.last(entry.length));
            [first, last, first.wrapping_sub(1), last.wrapping_add(1)]
        };
        entries.iter().flat_map(edges).chain([0, 1, u32::MAX, u32::MAX - 1])
    }

    #[test]
    fn every_edge_has_the_answer_of_a_scan() {
        let mut random = Random(0x666c_6174);
        for count in [0, 1, 2, 5, 40, 300] {
            let entries = entries(&mut random, count);
            let flat = Flat::compile(&ACTIONS, &entries);
            assert!(count < 300 || !flat.firsts.is_empty() && flat.words.len() > 1 << ROOT);
            for bits in probes(&entries) {
                assert_eq!(flat.lookup(bits), scan(&entries, bits), "{count} entries, {bits:#x}");
            }
        }
    }

    #[test]
    fn what_no_word_can_name_is_searched_and_found_all_the_same() {
        let entries = entries(&mut Random(1), 300);
        let whole = Flat::compile(&ACTIONS, &entries);
        for room in [0, 3, 1 << 16, (1 << 16) + 40] {
            let flat = Draft::new(intervals(&ACTIONS, &entries), room).finish();
            assert!(!flat.all.is_empty(), "room for {room}");
            for bits in probes(&entries) {
                assert_eq!(flat.lookup(bits), whole.lookup(bits), "room for {room}, {bits:#x}");
            }
        }
        assert!(whole.all.is_empty());
    }

    #[test]
    fn neighbours_with_one_answer_are_one_interval() {
        let halves: Vec<Entry<u32>> = [0x0a00_0000, 0x0a80_0000]
            .map(|bits| Entry { bits, line: 1, origin: 0, list: 0, length: 9, sources: 0 })
            .to_vec();
        let found = intervals(&ACTIONS, &halves);
        let starts: Vec<u32> = found.iter().map(|(first, _)| *first).collect();
        assert_eq!(starts, [0, 0x0a00_0000, 0x0b00_0000]);
        assert_eq!(
            Flat::compile(&ACTIONS, &halves).bytes(),
            4 << 16,
            "no more than the first words"
        );
    }

    #[test]
    fn the_whole_space_and_its_last_address_are_no_special_case() {
        let all = [Entry { bits: 0_u128, line: 1, origin: 0, list: 0, length: 0, sources: 0 }];
        let last = [Entry { bits: u128::MAX, length: 128, ..all[0] }];
        let both = [all[0], Entry { list: 1, ..last[0] }];
        let (block, allow) = (Slot::from_code_and_list(1, 0), Slot::from_code_and_list(2, 1));
        assert_eq!(Flat::compile(&ACTIONS, &all).lookup(u128::MAX), block);
        assert_eq!(Flat::compile(&ACTIONS, &last).lookup(u128::MAX), block);
        assert_eq!(Flat::compile(&ACTIONS, &last).lookup(u128::MAX - 1), Slot::NONE);
        let flat = Flat::compile(&ACTIONS, &both);
        assert_eq!((flat.lookup(u128::MAX), flat.lookup(u128::MAX - 1)), (allow, block));
    }
}
