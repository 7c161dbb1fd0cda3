//! Intervals to lines: how a table is laid out. Not on the packet's way.

use std::collections::HashMap;
use std::ops::Range;

use wide::i16x8;

use super::{Bits, Flat, LANES, LINES, Line, PLACE, ROOT, SAME, SHIFT, Slot, looked_at, ordered};

/// How many bits of a digit may choose among lines, however few the pieces: a line more is cheaper than a second look.
const FEW: u32 = 5;

/// Lays out intervals, the first of which begins at the first address, in no more than `room` lines; with fewer than it
/// takes, they are kept to be searched.
pub(super) fn lay_out<B: Bits>(intervals: Vec<(B, Slot)>, room: usize) -> Flat<B> {
    let mut draft =
        Draft { intervals, room, lines: Vec::new(), single: HashMap::new(), full: false };
    let mut root = Box::new([LINES; ROOT]);
    let mut pieces = draft.pieces(0..draft.intervals.len(), 0).into_iter().peekable();
    let mut word = 0;
    for (digit, place) in (0..=u16::MAX).zip(root.iter_mut()) {
        if let Some((_, what)) = pieces.next_if(|(start, _)| *start == digit) {
            word = match what {
                What::Answer(slot) => draft.answer(slot.bits(), 0),
                What::Within(inside) => draft.digit(inside, 1),
            };
        }
        *place = word;
    }
    let Draft { intervals, lines, full, .. } = draft;
    if full {
        return Flat { root: Box::new([LINES; ROOT]), lines: Vec::new(), all: intervals };
    }
    // A copy, in one piece from the beginning: the C library asks for large pages for such a one alone.
    Flat { root, lines: lines.to_vec(), all: Vec::new() }
}

/// What holds from a digit on.
#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Answer(Slot),
    /// More than one answer within one digit: these intervals, of which the first holds where the digit begins.
    Within(Range<usize>),
}

/// A digit, and what holds from there on.
type Piece = (u16, What);

/// Digits that share their upper bits.
#[derive(Debug, Clone, Copy)]
struct Block {
    first: u16,
    /// How many lower bits differ.
    bits: u32,
}

/// All digits.
const ALL: Block = Block { first: 0, bits: u16::BITS };

impl Block {
    fn last(self) -> u16 {
        self.first | u16::MAX.checked_shr(u16::BITS - self.bits).unwrap_or(0)
    }

    /// The block of this number, if `choosing` bits choose among as many blocks.
    fn part(self, choosing: u32, number: u16) -> Block {
        let bits = self.bits - choosing;
        Block { first: self.first | number.checked_shl(bits).unwrap_or(0), bits }
    }

    /// The smallest block that holds both digits.
    fn around(one: u16, other: u16) -> Block {
        let bits = u16::BITS - (one ^ other).leading_zeros();
        Block { first: one & u16::MAX.checked_shl(bits).unwrap_or(0), bits }
    }

    /// Those of the pieces that hold somewhere in the block; the first of them may begin before it.
    fn of(self, pieces: &[Piece]) -> &[Piece] {
        let from = pieces.partition_point(|(start, _)| *start <= self.first).saturating_sub(1);
        let to = pieces.partition_point(|(start, _)| *start <= self.last());
        pieces.get(from..to).unwrap_or_default()
    }
}

struct Draft<B> {
    intervals: Vec<(B, Slot)>,
    room: usize,
    lines: Vec<Line>,
    /// The words for answers that are known at the digit of a number.
    single: HashMap<(u32, usize), u32>,
    full: bool,
}

impl<B: Bits> Draft<B> {
    /// Cuts intervals at the digits of this number. The first interval holds where the first digit begins.
    fn pieces(&self, inside: Range<usize>, number: usize) -> Vec<Piece> {
        let Range { start, end } = inside;
        let slot = |place: usize| self.intervals.get(place).map_or(Slot::NONE, |(_, slot)| *slot);
        let digit = |place: usize| self.intervals.get(place).map(|(first, _)| first.digit(number));
        let whole = |place: usize| {
            self.intervals.get(place).is_some_and(|(first, _)| first.ends_with_digit(number))
        };
        let mut found = vec![(0, What::Answer(slot(start)))];
        let mut next = start + 1;
        while let Some(at) = digit(next).filter(|_| next < end) {
            let first = next;
            while next < end && digit(next) == Some(at) {
                next += 1;
            }
            if whole(first) && next == first + 1 {
                begin(&mut found, at, What::Answer(slot(first)));
                continue;
            }
            let before = if whole(first) { first } else { first - 1 };
            begin(&mut found, at, What::Within(before..next));
            if let Some(after) = at.checked_add(1) {
                begin(&mut found, after, What::Answer(slot(next - 1)));
            }
        }
        found
    }

    /// The word that leads to what these intervals say of the digit of this number.
    fn digit(&mut self, inside: Range<usize>, number: usize) -> u32 {
        let pieces = self.pieces(inside, number);
        if pieces.len() > LANES {
            return self.spread(&pieces, ALL, number);
        }
        let line = self.line(&pieces, ALL, number);
        self.add(line)
    }

    /// Lines for a block: as few as give each piece a place in them. Where that would take more than half of the pieces,
    /// and more bits than [`FEW`], no more than half: what has no place is led on.
    fn spread(&mut self, pieces: &[Piece], block: Block, number: usize) -> u32 {
        let fits = |choosing: u32| {
            let mut blocks =
                (0..=u16::MAX >> (u16::BITS - choosing)).map(|n| block.part(choosing, n));
            blocks.all(|part| part.of(pieces).len() <= LANES)
        };
        let half = (pieces.len() / 2 + 1).ilog2().min(block.bits).max(1);
        let most = half.max(FEW.min(block.bits));
        let choosing = (1..=most).find(|choosing| fits(*choosing)).unwrap_or(half);
        let place = self.lines.len();
        let count = 1 << choosing;
        if place + count > self.room {
            self.full = true;
            return LINES;
        }
        self.lines.resize(place + count, Line::EMPTY);
        for n in 0..count {
            let part = block.part(choosing, n as u16);
            let line = self.line(part.of(pieces), part, number);
            if let Some(empty) = self.lines.get_mut(place + n) {
                *empty = line;
            }
        }
        word(place, block.first, block.bits - choosing)
    }

    /// One line for a block. With more pieces than it has room for it leads on to further lines for the part that holds
    /// all their beginnings.
    fn line(&mut self, pieces: &[Piece], block: Block, number: usize) -> Line {
        let mut line = Line::EMPTY;
        let mut starts = [u16::MAX; LANES];
        let mut lanes = starts.iter_mut().zip(&mut line.words);
        let mut put = |start: u16, word: u32| {
            if let Some((at, of)) = lanes.next() {
                (*at, *of) = (start, word);
            }
            word
        };
        let mut last = 0;
        if pieces.len() <= LANES {
            for (start, what) in pieces {
                last = put(*start, self.word(what, number));
            }
        } else if let [(_, before), inner @ ..] = pieces
            && let (Some((first, _)), Some((final_start, after))) = (inner.first(), inner.last())
        {
            let part = Block::around(*first, *final_start);
            if part.first > block.first {
                put(block.first, self.word(before, number));
            }
            last = put(part.first, self.spread(part.of(pieces), part, number) | SAME);
            if part.last() < block.last() {
                last = put(part.last() + 1, self.word(after, number));
            }
        }
        for (_, word) in lanes {
            *word = last;
        }
        // The first one holds where no other has begun.
        starts.rotate_left(1);
        line.ends = starts.map(ordered).into();
        line
    }

    /// The word for what holds at a digit of this number.
    fn word(&mut self, what: &What, number: usize) -> u32 {
        match what {
            What::Answer(slot) => self.answer(slot.bits(), number),
            What::Within(inside) => self.digit(inside.clone(), number + 1),
        }
    }

    /// The word for an answer that is known at the digit of this number: where the next one is looked at in any case, it
    /// leads to a line that has no other.
    fn answer(&mut self, answer: u32, number: usize) -> u32 {
        if number + 1 >= looked_at::<B>() {
            return answer;
        }
        if let Some(word) = self.single.get(&(answer, number)) {
            return *word;
        }
        let line = Line { words: [self.answer(answer, number + 1); LANES], ..Line::EMPTY };
        let word = self.add(line);
        self.single.insert((answer, number), word);
        word
    }

    /// Leads to one line for all digits.
    fn add(&mut self, line: Line) -> u32 {
        let place = self.lines.len();
        if place >= self.room {
            self.full = true;
            return LINES;
        }
        self.lines.push(line);
        word(place, ALL.first, ALL.bits)
    }
}

impl Line {
    const EMPTY: Line = Line { ends: i16x8::MAX, words: [0; LANES] };
}

/// From this digit on something else holds.
fn begin(found: &mut Vec<Piece>, start: u16, what: What) {
    found.pop_if(|(known, _)| *known == start);
    if found.last().is_none_or(|(_, before)| *before != what) {
        found.push((start, what));
    }
}

/// Leads to lines at `place` for a block that begins at the digit `first`, of which the lower `shift` bits do not choose.
fn word(place: usize, first: u16, shift: u32) -> u32 {
    let before = u32::from(first).checked_shr(shift).unwrap_or(0);
    LINES | shift << SHIFT | (place as u32).wrapping_sub(before) & PLACE
}
