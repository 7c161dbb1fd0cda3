//! Address space as runs of ranges: what a rule set blocks, exemptions counted in.
//!
//! Invariants: ranges are ascending, disjoint and do not touch; both ends belong to them.

use super::entries::{Bits, Entry};
use crate::config::Action;

/// First and last address.
pub(super) type Range<B> = (B, B);

/// What these entries block: covered by a block list and by no allow list. The entries are in the order of
/// [`Entry::key`].
pub(super) fn blocked<B: Bits>(actions: &[Action], sorted: &[Entry<B>]) -> Vec<Range<B>> {
    let of = |action| {
        let mine = move |entry: &&Entry<B>| actions.get(usize::from(entry.list)) == Some(&action);
        sorted.iter().filter(mine)
    };
    only_in_first(&joined(of(Action::Block)), &joined(of(Action::Allow)))
}

/// The ranges of prefixes that come in the order of their first addresses.
pub(super) fn joined<'e, B: Bits + 'e>(
    sorted: impl Iterator<Item = &'e Entry<B>>,
) -> Vec<Range<B>> {
    let mut ranges: Vec<Range<B>> = Vec::new();
    for entry in sorted {
        let (first, last) = (entry.bits, entry.bits.last(entry.length));
        match ranges.last_mut() {
            // Inside of what is there, or right behind it.
            Some(open) if open.1.next().is_none_or(|next| first <= next) => {
                open.1 = open.1.max(last);
            }
            Some(_) | None => ranges.push((first, last)),
        }
    }
    ranges
}

/// What lies in `first` and not in `second`.
pub(super) fn only_in_first<B: Bits>(first: &[Range<B>], second: &[Range<B>]) -> Vec<Range<B>> {
    let mut left = Vec::new();
    let mut second = second.iter().peekable();
    for (begin, end) in first {
        let mut at = Some(*begin);
        // What ends before this range has no part in it or in any later one.
        while second.next_if(|(_, last)| last < begin).is_some() {}
        while let Some((from, to)) = second.peek().filter(|(from, _)| from <= end) {
            if let (Some(start), Some(before)) = (at, from.previous())
                && start <= before
            {
                left.push((start, before));
            }
            at = to.next();
            if to > end {
                // It reaches into the next range.
                at = None;
                break;
            }
            second.next();
            if at.is_none() {
                break;
            }
        }
        if let Some(start) = at.filter(|start| start <= end) {
            left.push((start, *end));
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A slow and obviously right set of small numbers.
    fn set(ranges: &[Range<u32>]) -> std::collections::BTreeSet<u32> {
        ranges.iter().flat_map(|(first, last)| *first..=*last).collect()
    }

    fn ranges(set: &std::collections::BTreeSet<u32>) -> Vec<Range<u32>> {
        let mut ranges: Vec<Range<u32>> = Vec::new();
        for n in set {
            match ranges.last_mut() {
                Some(open) if open.1 + 1 == *n => open.1 = *n,
                Some(_) | None => ranges.push((*n, *n)),
            }
        }
        ranges
    }

    #[test]
    fn what_is_only_in_the_first_is_what_a_set_says() {
        let mut state = 7_u64;
        let mut random = |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for _ in 0..2_000 {
            let mut some = || -> std::collections::BTreeSet<u32> {
                let many = random(20);
                (0..many).map(|_| random(24) as u32).collect()
            };
            let (a, b) = (some(), some());
            let left = only_in_first(&ranges(&a), &ranges(&b));
            assert_eq!(set(&left), a.difference(&b).copied().collect(), "{a:?} without {b:?}");
            assert_eq!(left, ranges(&set(&left)), "disjoint and not touching");
        }
    }

    #[test]
    fn the_ends_of_the_address_space_are_no_trouble() {
        let all = [(0, u32::MAX)];
        assert_eq!(only_in_first(&all, &[]), all);
        assert_eq!(only_in_first::<u32>(&all, &all), []);
        assert_eq!(only_in_first(&all, &[(0, 0), (u32::MAX, u32::MAX)]), [(1, u32::MAX - 1)]);
        assert_eq!(only_in_first(&[(u128::MAX, u128::MAX)], &[(0, 5)]), [(u128::MAX, u128::MAX)]);
    }

    #[test]
    fn what_an_allow_list_covers_is_not_blocked() {
        let entry = |bits, length, list| Entry {
            bits,
            line: 1,
            origin: 0,
            list,
            length,
            sources: Default::default(),
        };
        let actions = [Action::Block, Action::Allow, Action::Monitor];
        let sorted = [
            entry(0x0a00_0000_u32, 24, 0),
            entry(0x0a00_0010, 28, 1),
            entry(0x0a00_0100, 24, 0),
            entry(0x0b00_0000, 24, 2),
        ];
        let found = blocked(&actions, &sorted);
        assert_eq!(found, [(0x0a00_0000, 0x0a00_000f), (0x0a00_0020, 0x0a00_01ff)]);
    }
}
