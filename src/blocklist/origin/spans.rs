//! Sets of addresses as ranges: whether a table gives all of a prefix to somebody, however the table cuts it.
//!
//! Invariant: the ranges of a [`Spans`] are sorted, do not overlap and do not touch.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::row::Range;

/// A range of addresses of one family; families do not mix in comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) v6: bool,
    pub(super) first: u128,
    pub(super) last: u128,
}

impl From<Range> for Span {
    fn from(range: Range) -> Span {
        match range {
            Range::V4(first, last) => {
                Span { v6: false, first: first.to_bits().into(), last: last.to_bits().into() }
            }
            Range::V6(first, last) => {
                Span { v6: true, first: first.to_bits(), last: last.to_bits() }
            }
        }
    }
}

impl From<IpNet> for Span {
    fn from(net: IpNet) -> Span {
        Range::from(net).into()
    }
}

impl Span {
    /// The same as a range of addresses.
    pub(super) fn range(self) -> Range {
        // What is not IPv6 came from 32 bits.
        let v4 = |bits: u128| Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or(u32::MAX));
        if self.v6 {
            Range::V6(Ipv6Addr::from_bits(self.first), Ipv6Addr::from_bits(self.last))
        } else {
            Range::V4(v4(self.first), v4(self.last))
        }
    }

    fn touches(&self, next: &Span) -> bool {
        self.v6 == next.v6 && self.last.checked_add(1).is_none_or(|after| next.first <= after)
    }
}

/// A set of addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Spans(Vec<Span>);

impl FromIterator<Span> for Spans {
    fn from_iter<I: IntoIterator<Item = Span>>(spans: I) -> Spans {
        let mut all: Vec<Span> = spans.into_iter().collect();
        all.sort_unstable();
        let mut merged: Vec<Span> = Vec::with_capacity(all.len());
        for span in all {
            match merged.last_mut() {
                Some(before) if before.touches(&span) => before.last = before.last.max(span.last),
                Some(_) | None => merged.push(span),
            }
        }
        merged.shrink_to_fit();
        Spans(merged)
    }
}

impl Spans {
    /// Whether every address of `span` is in the set.
    pub(super) fn cover(&self, span: Span) -> bool {
        let at = self.0.partition_point(|s| (s.v6, s.first) <= (span.v6, span.first));
        let holder = at.checked_sub(1).and_then(|before| self.0.get(before));
        holder.is_some_and(|s| s.v6 == span.v6 && s.last >= span.last)
    }

    /// Whether some address of `span` is in the set.
    pub(super) fn meet(&self, span: Span) -> bool {
        let at = self.0.partition_point(|s| (s.v6, s.last) < (span.v6, span.first));
        self.0.get(at).is_some_and(|s| s.v6 == span.v6 && s.first <= span.last)
    }

    /// The ranges, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = Span> + '_ {
        self.0.iter().copied()
    }

    /// There is no address in it.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(first: u128, last: u128) -> Span {
        Span { v6: false, first, last }
    }

    #[test]
    fn families_do_not_mix_and_the_last_address_has_no_next() {
        let whole = Span { v6: true, first: 0, last: u128::MAX };
        let spans: Spans = [whole, whole, span(0, u128::from(u32::MAX))].into_iter().collect();
        assert_eq!(spans.iter().count(), 2);
        assert!(spans.cover(whole) && spans.meet(whole));
        let v4: Spans = [span(1, 9)].into_iter().collect();
        let v6 = Span { v6: true, first: 2, last: 3 };
        assert!(!v4.cover(v6) && !v4.meet(v6));
        assert!(v4.cover(span(2, 3)), "the control");
        assert!(Spans::default().is_empty() && !v4.is_empty());
    }

    #[test]
    fn a_span_and_its_range_are_the_same() {
        for net in ["192.0.2.0/24", "0.0.0.0/0", "::/0", "2001:db8::/32"] {
            let net: IpNet = net.parse().unwrap();
            let back: Vec<IpNet> = Span::from(net).range().prefixes().collect();
            assert_eq!(back, [net]);
        }
    }

    proptest! {
        #[test]
        fn sets_say_of_every_address_what_their_ranges_say(
            ranges in prop::collection::vec((0u128..60, 0u128..8), 0..12),
            first in 0u128..64,
            length in 0u128..8,
        ) {
            let spans: Vec<Span> = ranges.iter().map(|(a, n)| span(*a, a + n)).collect();
            let set: Spans = spans.iter().copied().collect();
            let holds = |at: u128| spans.iter().any(|s| (s.first..=s.last).contains(&at));
            let asked = span(first, first + length);
            prop_assert_eq!(set.cover(asked), (first..=first + length).all(holds));
            prop_assert_eq!(set.meet(asked), (first..=first + length).any(holds));
            let parts: Vec<Span> = set.iter().collect();
            for pair in parts.windows(2) {
                prop_assert!(pair[0].last + 1 < pair[1].first);
            }
        }
    }
}
