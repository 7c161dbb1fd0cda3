//! The addresses that entries cover, as ascending ranges without overlap, one after the other: a full routing
//! table is never laid out in memory for it.

use crate::ruleset::entries::{Bits, Entry};

/// First and last address.
type Range = (u128, u128);

/// What the entries of these lists cover together. The entries are sorted.
pub(super) fn union<'a, B: Bits>(
    sorted: &'a [Entry<B>],
    of: impl Fn(u16) -> bool + 'a,
) -> impl Iterator<Item = Range> + 'a {
    let mut entries =
        sorted.iter().filter(move |entry| of(entry.list)).map(Entry::range).peekable();
    std::iter::from_fn(move || {
        let (first, mut last) = entries.next()?;
        // Whatever begins inside, or right behind.
        while let Some((_, end)) = entries.next_if(|(start, _)| *start <= last.saturating_add(1)) {
            last = last.max(end);
        }
        Some((first, last))
    })
}

/// What both cover.
pub(super) fn meet(
    one: impl Iterator<Item = Range>,
    other: impl Iterator<Item = Range>,
) -> impl Iterator<Item = Range> {
    let (mut one, mut other) = (one.peekable(), other.peekable());
    std::iter::from_fn(move || {
        loop {
            let (a, b) = (*one.peek()?, *other.peek()?);
            // The one that ends first cannot meet anything more.
            if a.1 <= b.1 {
                one.next()
            } else {
                other.next()
            };
            let (first, last) = (a.0.max(b.0), a.1.min(b.1));
            if first <= last {
                return Some((first, last));
            }
        }
    })
}

/// How many addresses these are: exact below 2 to the power of 53, and near enough for a percentage above.
pub(super) fn size(ranges: impl Iterator<Item = Range>) -> f64 {
    ranges.map(|(first, last)| (last - first) as f64 + 1.0).sum()
}
