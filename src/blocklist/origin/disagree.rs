//! Where origin tables disagree: addresses that one gives to a listed AS number and another to somebody else.
//!
//! Invariants: a table's word about an address is its most specific row for it, so a table with a customer's /24
//! inside a provider's /16 does not disagree with one that has cut the /24 out; of a VRP table every row counts
//! that covers the address, as RFC 6811 has it. That a table says nothing is no disagreement. Memory is 48 bytes
//! for each row that meets a listed prefix, at most [`MAX_ROWS`] rows of a table.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::row::Row;
use super::spans::{Span, Spans};
use super::{OriginTable, read_table};
use crate::blocklist::errors::ListErrors;
use crate::blocklist::place::Place;
use crate::config::{OriginConfig, OriginFormat};
use crate::failure::Failure;

/// The most rows of one table that are looked at.
const MAX_ROWS: usize = 4_000_000;
/// How many disagreements are kept.
const KEPT: usize = 10_000;

/// A prefix that one table gives to a listed AS number and another one to others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Disagreement {
    /// The listed AS number.
    pub asn: u32,
    /// The table that gives the prefix to it.
    pub table: String,
    /// The table that does not.
    pub other_table: String,
    /// To whom that one gives it.
    pub others: Vec<u32>,
    /// The prefix.
    pub prefix: IpNet,
}

/// All disagreements about some AS numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disagreements {
    /// How many there are.
    pub total: u64,
    /// The first 10,000 of them, by AS number.
    pub first: Vec<Disagreement>,
}

/// Reads all tables and finds what they disagree on about these AS numbers. Reads each table twice; one table
/// alone does not disagree and is not read.
///
/// # Errors
/// As [`OriginTable::read`]; 65 if a table has too many rows for the prefixes of these AS numbers.
pub fn disagreements(
    origins: &[OriginConfig],
    asns: &BTreeSet<u32>,
) -> Result<Disagreements, Failure> {
    if origins.len() < 2 {
        return Ok(Disagreements::default());
    }
    let table = OriginTable::read(origins, asns)?;
    let listed = asns.iter().flat_map(|asn| table.prefixes_of(*asn));
    let listed: Spans = listed.map(|found| Span::from(found.prefix)).collect();
    let mut errors = ListErrors::new();
    let mut words = Vec::with_capacity(origins.len());
    for origin in origins {
        words.push(words_of(origin, &listed, &mut errors)?);
    }
    errors.into_result()?;
    let mut found: BTreeMap<(u32, usize, usize, &[u32]), Vec<Span>> = BTreeMap::new();
    for (one, words_of_one) in words.iter().enumerate() {
        for (other, words_of_other) in words.iter().enumerate().filter(|(at, _)| *at != one) {
            compare(words_of_one, words_of_other, &mut |span, mine, theirs| {
                for asn in mine.iter().filter(|asn| asns.contains(asn) && !theirs.contains(asn)) {
                    found.entry((*asn, one, other, theirs)).or_default().push(span);
                }
            });
        }
    }
    let name = |place: usize| origins.get(place).map_or(String::new(), |o| o.name.clone());
    let mut all = Disagreements::default();
    for ((asn, one, other, others), spans) in found {
        let spans: Spans = spans.into_iter().collect();
        for prefix in spans.iter().flat_map(|span| span.range().prefixes()) {
            all.total += 1;
            if all.first.len() < KEPT {
                let (table, other_table) = (name(one), name(other));
                let others = others.to_vec();
                all.first.push(Disagreement { asn, table, other_table, others, prefix });
            }
        }
    }
    Ok(all)
}

/// What a table says: to whom it gives which addresses, ascending and without overlaps.
type Words = Vec<(Span, Vec<u32>)>;

fn words_of(
    origin: &OriginConfig,
    listed: &Spans,
    errors: &mut ListErrors,
) -> Result<Words, Failure> {
    let mut rows: Vec<(Span, u32)> = Vec::new();
    let mut sink = |_: u32, row: &Row<'_>| {
        for span in row.range.prefixes().map(Span::from).filter(|span| listed.meet(*span)) {
            let asns = row.asns.as_slice().iter().filter(|asn| **asn != 0);
            if rows.len() <= MAX_ROWS {
                rows.extend(asns.map(|asn| (span, *asn)));
            }
        }
    };
    let reading = read_table(origin, errors, &mut sink)?;
    if rows.len() > MAX_ROWS {
        let message =
            format!("more than {MAX_ROWS} rows meet the prefixes of the listed AS numbers");
        errors.refuse(Place::file(&origin.path), message);
        return Ok(Words::new());
    }
    let all_count = matches!(reading.format, Some(OriginFormat::VrpJson | OriginFormat::VrpCsv));
    Ok(innermost(rows, all_count))
}

/// Prefixes that may lie in one another to pieces that do not overlap. A piece belongs to the innermost prefix, or
/// to all that it lies in.
fn innermost(mut rows: Vec<(Span, u32)>, all_count: bool) -> Words {
    rows.sort_unstable_by_key(|(span, asn)| (span.v6, span.first, Reverse(span.last), *asn));
    rows.dedup();
    let mut sweep = Sweep::default();
    for same in rows.chunk_by(|a, b| a.0 == b.0) {
        let Some((span, _)) = same.first() else { continue };
        sweep.close_before(*span);
        let mut asns: Vec<u32> = same.iter().map(|(_, asn)| *asn).collect();
        if let Some((_, outer)) = sweep.open.last().filter(|_| all_count) {
            asns.extend(outer);
            asns.sort_unstable();
            asns.dedup();
        }
        sweep.begin(*span, asns);
    }
    sweep.close_all();
    sweep.pieces
}

#[derive(Default)]
struct Sweep {
    /// Prefixes that hold the next address, the innermost last.
    open: Vec<(Span, Vec<u32>)>,
    /// The first address that is in no piece yet; `None` after the last one that there is.
    next: Option<u128>,
    pieces: Words,
}

impl Sweep {
    /// Closes what ends before `span` begins.
    fn close_before(&mut self, span: Span) {
        while let Some((open, _)) = self.open.last()
            && (open.v6 != span.v6 || open.last < span.first)
        {
            self.close();
        }
    }

    fn close_all(&mut self) {
        while !self.open.is_empty() {
            self.close();
        }
    }

    fn close(&mut self) {
        let Some((span, asns)) = self.open.pop() else { return };
        self.piece(span, span.last, &asns);
        self.next = span.last.checked_add(1);
    }

    fn begin(&mut self, span: Span, asns: Vec<u32>) {
        if let Some((outer, of_outer)) = self.open.last().cloned()
            && let Some(before) = span.first.checked_sub(1)
        {
            self.piece(outer, before, &of_outer);
        }
        self.next = Some(span.first);
        self.open.push((span, asns));
    }

    /// From where the last piece ended up to `last`.
    fn piece(&mut self, of: Span, last: u128, asns: &[u32]) {
        if let Some(first) = self.next.filter(|first| *first <= last) {
            self.pieces.push((Span { v6: of.v6, first, last }, asns.to_vec()));
        }
    }
}

/// Hands over every range that both have something to say about.
fn compare<'w>(
    one: &'w Words,
    other: &'w Words,
    found: &mut dyn FnMut(Span, &'w [u32], &'w [u32]),
) {
    let mut from = 0;
    for (span, mine) in one {
        let after =
            |(theirs, _): &(Span, Vec<u32>)| (theirs.v6, theirs.last) < (span.v6, span.first);
        while other.get(from).is_some_and(after) {
            from += 1;
        }
        for (theirs, asns) in other.get(from..).unwrap_or_default() {
            if (theirs.v6, theirs.first) > (span.v6, span.last) {
                break;
            }
            let (first, last) = (span.first.max(theirs.first), span.last.min(theirs.last));
            found(Span { v6: span.v6, first, last }, mine, asns);
        }
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
    fn the_whole_of_a_family_ends_where_addresses_end() {
        let all = Span { v6: true, first: 0, last: u128::MAX };
        let half = Span { v6: true, first: 1 << 127, last: u128::MAX };
        let lower = Span { v6: true, first: 0, last: (1 << 127) - 1 };
        let pieces = innermost(vec![(all, 1), (half, 2)], false);
        assert_eq!(pieces, [(lower, vec![1]), (half, vec![2])]);
        let pieces = innermost(vec![(all, 1), (half, 2)], true);
        assert_eq!(pieces, [(lower, vec![1]), (half, vec![1, 2])]);
    }

    proptest! {
        #[test]
        fn pieces_say_of_every_address_what_its_innermost_prefix_says(
            prefixes in prop::collection::vec((0u32..6, 0u128..32, 1u32..5), 0..10),
            all_count: bool,
        ) {
            let rows: Vec<(Span, u32)> = prefixes
                .iter()
                .map(|(bits, at, asn)| {
                    let first = at >> bits << bits;
                    (span(first, first + (1 << bits) - 1), *asn)
                })
                .collect();
            let pieces = innermost(rows.clone(), all_count);
            for pair in pieces.windows(2) {
                prop_assert!(pair[0].0.last < pair[1].0.first);
            }
            for address in 0..40u128 {
                let holds = |s: &Span| (s.first..=s.last).contains(&address);
                let size = |s: &Span| s.last - s.first;
                let smallest = rows.iter().filter(|(s, _)| holds(s)).map(|(s, _)| size(s)).min();
                let expected: BTreeSet<u32> = rows
                    .iter()
                    .filter(|(s, _)| holds(s) && (all_count || Some(size(s)) == smallest))
                    .map(|(_, asn)| *asn)
                    .collect();
                let said: Vec<&Vec<u32>> =
                    pieces.iter().filter(|(s, _)| holds(s)).map(|(_, asns)| asns).collect();
                let said: BTreeSet<u32> = said.into_iter().flatten().copied().collect();
                prop_assert_eq!(said, expected, "{}", address);
            }
        }

        #[test]
        fn comparing_meets_every_address_that_both_speak_of_once(
            one in prop::collection::vec((0u128..60, 0u128..6), 0..8),
            other in prop::collection::vec((0u128..60, 0u128..6), 0..8),
        ) {
            let words = |ranges: &[(u128, u128)]| -> Words {
                let spans: Spans = ranges.iter().map(|(a, n)| span(*a, a + n)).collect();
                spans.iter().map(|s| (s, vec![1])).collect()
            };
            let (one, other) = (words(&one), words(&other));
            let mut met = vec![0; 70];
            compare(&one, &other, &mut |span, _, _| {
                for address in span.first..=span.last {
                    met[address as usize] += 1;
                }
            });
            for (address, met) in met.iter().enumerate() {
                let holds = |words: &Words| {
                    words.iter().any(|(s, _)| (s.first..=s.last).contains(&(address as u128)))
                };
                prop_assert_eq!(*met, usize::from(holds(&one) && holds(&other)), "{}", address);
            }
        }
    }
}
