//! What wins at every address, flat: a search over elementary intervals, in a few loads and with hardly a branch.
//!
//! Once precedence is settled, the prefixes of a fixed table cut the address space into intervals, at each of which one
//! answer holds; neighbours with the same answer are one. An address is read 16 bits at a time, its *digits*. The first
//! digit chooses a word. A word is an answer; or it leads to lines, of which the upper bits of the next digit choose one. A
//! line holds up to eight intervals of that digit, and one comparison of vectors says which of their words holds. An IPv4
//! address is answered by then. With IPv6 the word may lead on, to lines of the digit after that.
//!
//! A branch on a word waits for that word, and one that the processor cannot guess holds up the look-ups behind it, which
//! could have waited for memory at the same time. A line that is at hand costs less. So the first two digits of an IPv4 address
//! and the first three of an IPv6 address (most prefixes are /32 to /48) are always looked at; an answer that is known sooner
//! leads to a line that has no other.
//!
//! Where intervals lie so unevenly that lines for all of them would be mostly empty, a word leads to further lines for the
//! same digit ([`SAME`]). Answers are the same as those of a walk over the prefixes; the tests compare them with a trie, a
//! scan and hash tables. Where a table outgrew what a word can name (33 million lines), it is searched by halves.

mod draft;

use wide::i16x8;

use super::entries::{self, Bits, Entry};
use super::precedence::{Slot, Walk};
use crate::config::Action;

/// Words for the first digit.
const ROOT: usize = 1 << u16::BITS;
/// Intervals in a line.
const LANES: usize = 8;

/// This word leads to lines; otherwise it is an answer, which needs 18 bits.
const LINES: u32 = 1 << 31;
/// To lines for the digit that led here, not for the next one.
const SAME: u32 = 1 << 30;
/// Then, in five bits, how many lower bits of the digit do not choose among the lines.
const SHIFT: u32 = 25;
/// And the place of the line that digit 0 would choose. It wraps: lines for a part of the digits lie where theirs fall.
const PLACE: u32 = (1 << SHIFT) - 1;

/// How many digits are looked at in any case.
const fn looked_at<B: Bits>() -> usize {
    if B::DIGITS < 3 { B::DIGITS } else { 3 }
}

/// Up to eight intervals of one digit: 48 bytes, in one line of the processor's cache.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Line {
    /// Where each interval's successor begins, as [`ordered`] numbers; the last one has none. Unused ones begin at the
    /// last digit.
    ends: i16x8,
    /// Their words; unused ones have the last interval's.
    words: [u32; LANES],
}

/// A look-up that has begun. Its parts are for batches: each is done for all packets before the next one for any, so
/// that what they wait for is on its way together.
#[derive(Debug, Clone, Copy, Default)]
pub struct Begun(u32);

/// A look-up that knows what its first line says; nothing where there are no lines.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reached(Option<u32>);

/// The answers of one family.
pub(super) struct Flat<B> {
    root: Box<[u32; ROOT]>,
    lines: Vec<Line>,
    /// All intervals, where there are too many for words to name their lines.
    all: Vec<(B, Slot)>,
}

impl<B: Bits> Flat<B> {
    /// Compiles sorted entries.
    pub(super) fn compile(actions: &[Action], sorted: &[Entry<B>]) -> Self {
        draft::lay_out(intervals(actions, sorted), PLACE as usize)
    }

    /// What wins at an address.
    #[inline]
    pub(super) fn lookup(&self, bits: B) -> Slot {
        self.finish(self.reach(self.begin(bits), bits), bits)
    }

    /// The first part of a look-up: the first word.
    #[inline]
    pub(super) fn begin(&self, bits: B) -> Begun {
        Begun(self.root.get(usize::from(bits.digit(0))).copied().unwrap_or(LINES))
    }

    /// The second part of the look-up of the same address: what the line says that the word leads to.
    #[inline]
    pub(super) fn reach(&self, begun: Begun, bits: B) -> Reached {
        Reached(self.look(begun.0, bits.digit(1)))
    }

    /// The rest of it.
    #[inline]
    pub(super) fn finish(&self, reached: Reached, bits: B) -> Slot {
        self.find(reached, bits).unwrap_or_else(|| self.search(bits))
    }

    /// `None` where lines are missing.
    #[inline]
    fn find(&self, reached: Reached, bits: B) -> Option<Slot> {
        let mut word = self.settle(reached.0?, bits.digit(1))?;
        for number in 2..looked_at::<B>() {
            word = self.step(word, bits.digit(number))?;
        }
        for number in looked_at::<B>()..B::DIGITS {
            if word & LINES == 0 {
                break;
            }
            word = self.step(word, bits.digit(number))?;
        }
        Some(Slot::from_bits(word))
    }

    /// What the lines at `word` say of a digit.
    #[inline]
    fn step(&self, word: u32, digit: u16) -> Option<u32> {
        self.settle(self.look(word, digit)?, digit)
    }

    /// The word of the line that a digit chooses.
    #[inline]
    fn look(&self, word: u32, digit: u16) -> Option<u32> {
        self.lines.get(place(word, digit) as usize).map(|line| line.word(digit))
    }

    /// The word behind those that lead to lines for the same digit.
    #[inline]
    fn settle(&self, mut word: u32, digit: u16) -> Option<u32> {
        while word & SAME != 0 {
            word = self.look(word, digit)?;
        }
        Some(word)
    }

    #[cold]
    fn search(&self, bits: B) -> Slot {
        let before = self.all.partition_point(|(first, _)| *first <= bits);
        self.all.get(before.saturating_sub(1)).map_or(Slot::NONE, |(_, slot)| *slot)
    }

    /// Memory that it takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&self.root[..]) + size_of_val(&self.lines[..]) + size_of_val(&self.all[..])
    }
}

/// The line that a digit chooses among those that the word leads to.
#[inline]
fn place(word: u32, digit: u16) -> u32 {
    word.wrapping_add(u32::from(digit) >> (word >> SHIFT & 31)) & PLACE
}

impl Line {
    /// The word of the last interval that begins at this digit or before.
    #[inline]
    fn word(&self, digit: u16) -> u32 {
        let later = self.ends.simd_gt(i16x8::splat(ordered(digit))).to_bitmask();
        let lane = (later | 1 << (LANES - 1)).trailing_zeros();
        // There is a word for each lane.
        self.words.get(lane as usize).copied().unwrap_or(Slot::NONE.bits())
    }
}

/// As a signed number, which vectors can compare, in the order of unsigned ones.
#[inline]
fn ordered(digit: u16) -> i16 {
    (digit ^ 1 << 15).cast_signed()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ruleset::{Hit, ListId};

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

    /// Prefixes whose digits are few, beside one another and apart, so that every kind of word comes up.
    fn entries<B: Bits>(random: &mut Random, count: usize) -> Vec<Entry<B>> {
        // One that covers all of them leaves few intervals.
        let shortest = if count < 300 { 8 } else { 17 };
        let mut entries: Vec<Entry<B>> = (0..count)
            .map(|line| {
                let any = shortest + random.next() as u8 % (B::LENGTH + 1 - shortest);
                let length = match random.next() % 3 {
                    0 => any,
                    1 => any.next_multiple_of(4),
                    _ => B::LENGTH - random.next() as u8 % 6,
                };
                let digit = |random: &mut Random, number: usize| match (number, random.next() % 4) {
                    (0, _) => 0x0a00 | random.next() & 1,
                    (_, 0) => random.next() & 0xffff,
                    (_, 1) => random.next() & 3,
                    (_, _) => 0x1200 | random.next() & 0x3f,
                };
                let address = (0..B::DIGITS)
                    .map(|number| digit(random, number))
                    .fold(0_u128, |number, digit| number << 16 | u128::from(digit));
                let bits = B::of_number(address).masked(length);
                // A short exempt one would leave nothing to tell apart.
                let list = match length < B::LENGTH - 2 {
                    true => (random.next() % 2 * 2) as u16,
                    false => (random.next() % 3) as u16,
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
    fn scan<B: Bits>(entries: &[Entry<B>], bits: B) -> Slot {
        let mut walk = Walk::new(&ACTIONS);
        let mut slot = Slot::NONE;
        let covers = |entry: &&Entry<B>| bits.masked(entry.length) == entry.bits;
        let covering: Vec<Entry<B>> = entries.iter().filter(covers).copied().collect();
        for group in entries::by_prefix(&covering) {
            slot = walk.enter(group);
        }
        slot
    }

    fn probes<B: Bits>(entries: &[Entry<B>]) -> impl Iterator<Item = B> {
        let edges = |entry: &Entry<B>| {
            let (first, last) = (entry.bits, entry.bits.last(entry.length));
            [Some(first), Some(last), first.previous(), last.next()].into_iter().flatten()
        };
        let (first, last) = (B::default(), B::default().last(0));
        let ends = [Some(first), first.next(), Some(last), last.previous()];
        entries.iter().flat_map(edges).chain(ends.into_iter().flatten())
    }

    fn every_edge<B: Bits + std::fmt::Debug>() {
        let mut random = Random(0x666c_6174);
        for count in [0, 1, 2, 5, 40, 300, 1_000] {
            let entries = entries(&mut random, count);
            let flat = Flat::<B>::compile(&ACTIONS, &entries);
            let same = |line: &Line| line.words.iter().any(|word| word & SAME != 0);
            assert!(count < 300 || flat.lines.iter().any(same));
            for bits in probes(&entries) {
                assert_eq!(flat.lookup(bits), scan(&entries, bits), "{count} entries, {bits:x?}");
            }
        }
    }

    #[test]
    fn every_edge_has_the_answer_of_a_scan() {
        every_edge::<u32>();
        every_edge::<u128>();
    }

    #[test]
    fn what_no_word_can_name_is_searched_and_found_all_the_same() {
        let entries = entries::<u128>(&mut Random(1), 300);
        let whole = Flat::compile(&ACTIONS, &entries);
        for room in [0, 1, 40, whole.lines.len() - 1] {
            let flat = draft::lay_out(intervals(&ACTIONS, &entries), room);
            assert!(!flat.all.is_empty(), "room for {room}");
            for bits in probes(&entries) {
                assert_eq!(flat.lookup(bits), whole.lookup(bits), "room for {room}, {bits:#x}");
            }
        }
        let flat = draft::lay_out(intervals(&ACTIONS, &entries), whole.lines.len());
        assert!(flat.all.is_empty() && whole.all.is_empty());
    }

    #[test]
    fn few_addresses_close_together_take_few_lines() {
        let host = |bits| Entry { bits, line: 1, origin: 0, list: 0, length: 32, sources: 0 };
        for hosts in [1, 3, 9, 100, 1_000] {
            let apart = (0..hosts).map(|n| host(0x0a00_1200 + 2 * n));
            let apart: Vec<Entry<u32>> = apart.collect();
            let flat = Flat::compile(&ACTIONS, &apart);
            let lines = flat.lines.len();
            assert!(lines <= 2 * hosts as usize, "{hosts} hosts: {lines} lines");
            assert!(probes(&apart).all(|bits| flat.lookup(bits) == scan(&apart, bits)));
        }
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
            (4 << 16) + 2 * size_of::<Line>(),
            "the first words, and a line for each answer"
        );
    }

    #[test]
    fn the_whole_space_and_its_last_address_are_no_special_case() {
        let all = [Entry { bits: 0_u128, line: 1, origin: 0, list: 0, length: 0, sources: 0 }];
        let last = [Entry { bits: u128::MAX, length: 128, ..all[0] }];
        let both = [all[0], Entry { list: 1, ..last[0] }];
        let [block, allow] = [(Action::Block, 0), (Action::Allow, 1)]
            .map(|(action, list)| Hit { action, list: ListId(list) });
        assert_eq!(Flat::compile(&ACTIONS, &all).lookup(u128::MAX).hit(), Some(block));
        assert_eq!(Flat::compile(&ACTIONS, &last).lookup(u128::MAX).hit(), Some(block));
        assert_eq!(Flat::compile(&ACTIONS, &last).lookup(u128::MAX - 1), Slot::NONE);
        let flat = Flat::compile(&ACTIONS, &both);
        let found = [u128::MAX, u128::MAX - 1].map(|bits| flat.lookup(bits).hit());
        assert_eq!(found, [Some(allow), Some(block)]);
    }
}
