//! What origin tables said at earlier loads, so that what they say no longer stays for a while.
//!
//! Invariants: what a load says now replaces what covers the same addresses and was said by no more tables; what
//! it does not say ages. Ages are counted in steps from load to load, not from the date of the last sighting: a
//! step is never negative and never longer than [`LONGEST_STEP`], so a clock that is set back neither drops what
//! is held nor holds it for ever, and one that jumps ahead does not drop all at once. Memory and file are
//! bounded by [`MAX_RECORDS`].

mod file;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use ipnet::IpNet;

use super::spans::{Span, Spans};
use super::{Holder, OriginTable};
use crate::failure::Failure;

/// The most that anything ages from one load to the next, in seconds: half of the hold_down that is set if
/// nothing is said.
const LONGEST_STEP: u64 = 7 * 86_400;
/// The most records, in about 60 bytes each.
const MAX_RECORDS: usize = 2_000_000;

/// A prefix that so many tables gave to somebody, and when that was last so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Record {
    prefix: IpNet,
    /// How many tables said so.
    tables: u8,
    /// When they last did, by the clock of that time, in seconds since 1970.
    seen: u64,
    /// How long ago that is, in seconds of ageing.
    age: u64,
}

/// A prefix that stays although the tables no longer say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::blocklist) struct Held {
    pub(in crate::blocklist) prefix: IpNet,
    /// When a table last said it, in seconds since 1970.
    pub(in crate::blocklist) seen: u64,
}

/// What tables said at earlier loads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// The clock at the last load, in seconds since 1970.
    written: u64,
    /// The highest that the clock was at any load.
    highest: u64,
    records: BTreeMap<Holder, Vec<Record>>,
}

impl Memory {
    /// What the last load left in this state folder; nothing where it left nothing.
    ///
    /// # Errors
    /// Why what is there is not used, with the file's name.
    pub fn read(folder: &Path) -> Result<Memory, String> {
        file::read(folder)
    }

    /// Leaves it in this state folder.
    ///
    /// # Errors
    /// Where the folder is missing or cannot be written, naming the file.
    pub fn write(&self, folder: &Path) -> Result<(), Failure> {
        file::write(self, folder)
    }

    /// Nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The same at a later load, when the clock says `now`.
    pub(in crate::blocklist) fn aged(mut self, now: u64) -> Memory {
        let step = if now >= self.highest {
            // Either the clock was right all the time, or it was behind at the last load and is right again.
            now - self.highest
        } else {
            now.saturating_sub(self.written)
        };
        let step = if self.written == 0 { 0 } else { step.min(LONGEST_STEP) };
        for record in self.records.values_mut().flatten() {
            record.age = record.age.saturating_add(step);
        }
        self.written = now;
        self.highest = self.highest.max(now);
        self
    }

    /// What at least so many tables gave to `holder` less than `hold_down` seconds ago, and what `current` does
    /// not cover.
    pub(in crate::blocklist) fn withdrawn(
        &self,
        holder: Holder,
        at_least: u8,
        hold_down: u64,
        current: &[IpNet],
    ) -> Vec<Held> {
        let records = self.of(holder, at_least).filter(|record| record.age < hold_down);
        let mut records: Vec<&Record> = records.collect();
        if records.is_empty() {
            return Vec::new();
        }
        let current: Spans = current.iter().copied().map(Span::from).collect();
        records.retain(|record| !current.cover(record.prefix.into()));
        held(records)
    }

    /// What at least so many tables gave to `holder` when they last gave it anything, however long ago.
    pub(in crate::blocklist) fn last(&self, holder: Holder, at_least: u8) -> Vec<Held> {
        let youngest = self.of(holder, at_least).map(|record| record.age).min();
        held(self.of(holder, at_least).filter(|record| Some(record.age) == youngest).collect())
    }

    /// What is to be remembered after a load: what `table` says now, and of what was said earlier that which
    /// some list may still hold. `holds` are the wanted holders and how long they are held at most, in seconds.
    pub(in crate::blocklist) fn after(
        &self,
        table: &OriginTable,
        holds: &BTreeMap<Holder, u64>,
        now: u64,
    ) -> Memory {
        let mut records = BTreeMap::new();
        for (holder, hold) in holds {
            let mut current: Vec<Record> = Vec::new();
            for found in table.held_by(*holder) {
                let tables = u8::try_from(found.sources.count()).unwrap_or(u8::MAX);
                current.push(Record { prefix: found.prefix, tables, seen: now, age: 0 });
            }
            let kept = self.kept(*holder, &current, *hold);
            current.extend(kept);
            if !current.is_empty() {
                records.insert(*holder, current);
            }
        }
        Memory { written: self.written, highest: self.highest, records }
    }

    fn kept(&self, holder: Holder, current: &[Record], hold: u64) -> Vec<Record> {
        // By the number of tables that a record rests on: what covers it now, and the youngest of its kind.
        let mut by_tables: BTreeMap<u8, (Spans, Option<u64>)> = BTreeMap::new();
        let mut kept = Vec::new();
        for record in self.of(holder, 0) {
            let (now, youngest) = by_tables.entry(record.tables).or_insert_with(|| {
                let now = current.iter().filter(|now| now.tables >= record.tables);
                let now = now.map(|now| Span::from(now.prefix)).collect();
                (now, self.of(holder, record.tables).map(|other| other.age).min())
            });
            let is_last = now.is_empty() && *youngest == Some(record.age);
            if !now.cover(record.prefix.into()) && (record.age < hold || is_last) {
                kept.push(*record);
            }
        }
        kept
    }

    fn of(&self, holder: Holder, at_least: u8) -> impl Iterator<Item = &Record> {
        let records = self.records.get(&holder).map_or(&[][..], Vec::as_slice);
        records.iter().filter(move |record| record.tables >= at_least)
    }

    fn count(&self) -> usize {
        self.records.values().map(Vec::len).sum()
    }
}

/// Each prefix once, as it was last seen.
fn held(mut records: Vec<&Record>) -> Vec<Held> {
    records.sort_unstable_by_key(|record| (record.prefix, record.age));
    records.dedup_by_key(|record| record.prefix);
    records.iter().map(|record| Held { prefix: record.prefix, seen: record.seen }).collect()
}

impl fmt::Display for Holder {
    /// `AS64500`, `RU`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Holder::Asn(asn) => write!(f, "AS{asn}"),
            Holder::Country(country) => country.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
