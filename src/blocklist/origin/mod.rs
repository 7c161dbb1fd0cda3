//! Origin tables: which prefixes an AS number announces, what the organisation is called, and where prefixes are
//! registered.
//!
//! Invariants: every row of a table is checked, only rows of wanted AS numbers and countries are kept, so memory
//! follows the lists and not the tables; the prefixes of each are canonical, sorted, and each is there once.
//! A table counts among the sources of a prefix if it gives *all addresses* of the prefix to the AS number, in
//! whatever pieces: tables of ranges cut otherwise than tables of announcements.

mod disagree;
mod memory;
mod mmdb;
mod row;
mod sniff;
mod spans;
mod text;
mod vrp;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ipnet::IpNet;

pub use disagree::{Disagreement, Disagreements, disagreements};
pub(super) use memory::Held;
pub use memory::Memory;
pub use sniff::{Guess, sniff_origin};

use super::contained::contained;
use super::country::Country;
use super::errors::ListErrors;
use super::lines::Lines;
use super::place::Place;
use super::sources::Sources;
use crate::config::{Day, OriginConfig, OriginFormat};
use crate::failure::Failure;
use row::Row;
use spans::{Span, Spans};

/// The most prefixes that are kept of all tables together, in 24 bytes each.
const MAX_PREFIXES: usize = 5_000_000;

/// Who holds a prefix, as far as a table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Holder {
    /// The AS number that announces it.
    Asn(u32),
    /// The country in which it is registered.
    Country(Country),
}

/// A prefix that somebody holds, and where that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OriginPrefix {
    /// The prefix.
    pub prefix: IpNet,
    /// The tables that give all of it to the holder.
    pub sources: Sources,
    /// Index of the origin table in the configuration that has it as it is; the first one, where several have.
    pub source: usize,
    /// The row's line in that table, from 1; 0 where it was put together from several rows.
    pub line: u32,
}

/// What an origin table says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginDate {
    /// The table's name in the configuration.
    pub source: String,
    /// The format that it was read in.
    pub format: OriginFormat,
    /// The day of the data, `YYYY-MM-DD`; `None` where the table says none.
    pub date: Option<String>,
    /// The same in seconds since 1970: the beginning of that day in UTC, where no time is said.
    pub unix_seconds: Option<i64>,
}

impl OriginDate {
    /// Takes no notice of a date that is more than a day ahead of the clock: data with such a date would never
    /// be stale. Says so.
    pub(super) fn distrust(&mut self, now: u64) -> Option<String> {
        let limit = i64::try_from(now).unwrap_or(i64::MAX).saturating_add(86_400);
        let ahead = self.unix_seconds.filter(|date| *date > limit)?;
        self.unix_seconds = None;
        let date = self.date.take().unwrap_or_else(|| ahead.to_string());
        Some(format!(
            "origin {}: its data says it is of {date}, which is still to come: its age is counted by the \
             file's time; is the clock right?",
            self.source
        ))
    }
}

/// What the tables say about the wanted AS numbers and countries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OriginTable {
    prefixes: BTreeMap<Holder, Vec<OriginPrefix>>,
    names: BTreeMap<u32, String>,
    dates: Vec<OriginDate>,
}

impl OriginTable {
    /// Reads all tables, for these AS numbers.
    ///
    /// # Errors
    ///
    /// 65 with up to 20 places if a row is not one of its format, or if a table has none; 66 and 77 if a file
    /// cannot be read.
    pub fn read(origins: &[OriginConfig], wanted: &BTreeSet<u32>) -> Result<Self, Failure> {
        let mut errors = ListErrors::new();
        let wanted = wanted.iter().copied().map(Holder::Asn).collect();
        let table = Self::gather(origins, &wanted, &mut errors);
        errors.into_result().map(|()| table)
    }

    /// The same, with what is wrong added to `errors`; the table is worth something only if nothing was.
    pub(super) fn gather(
        origins: &[OriginConfig],
        wanted: &BTreeSet<Holder>,
        errors: &mut ListErrors,
    ) -> Self {
        let mut gathering = Gathering::new(wanted);
        let mut dates = Vec::with_capacity(origins.len());
        for (source, origin) in origins.iter().enumerate() {
            let mut sink = |line: u32, row: &Row<'_>| gathering.row(source, line, row);
            match contained(&origin.path, || read_table(origin, errors, &mut sink)) {
                Err(failure) => errors.absorb(failure),
                Ok(reading) => dates.push(reading.date_of(origin)),
            }
            if gathering.count > MAX_PREFIXES {
                let message = format!(
                    "the tables up to here give more than {MAX_PREFIXES} prefixes to what the lists name"
                );
                errors.refuse(Place::file(&origin.path), message);
                gathering = Gathering::new(wanted);
            }
        }
        let Gathering { places, found, names, .. } = gathering;
        let mut prefixes = BTreeMap::new();
        for (holder, place) in places {
            if let Some(found) = found.get(place).filter(|found| !found.is_empty()) {
                prefixes.insert(holder, joined(holder, found, origins.len()));
            }
        }
        OriginTable { prefixes, names, dates }
    }

    /// The prefixes of an AS number, sorted; empty if it announces nothing or was not wanted.
    pub fn prefixes_of(&self, asn: u32) -> &[OriginPrefix] {
        self.held_by(Holder::Asn(asn))
    }

    /// The prefixes of an AS number or a country, sorted; empty if it has none or was not wanted.
    pub fn held_by(&self, holder: Holder) -> &[OriginPrefix] {
        self.prefixes.get(&holder).map_or(&[], Vec::as_slice)
    }

    /// The organisation of a wanted AS number, by the first row that names one.
    pub fn name_of(&self, asn: u32) -> Option<&str> {
        self.names.get(&asn).map(String::as_str)
    }

    /// What each table says about itself, in the order of the configuration.
    pub fn dates(&self) -> &[OriginDate] {
        &self.dates
    }

    pub(super) fn into_names_and_dates(self) -> (BTreeMap<u32, String>, Vec<OriginDate>) {
        (self.names, self.dates)
    }
}

/// What comes of reading a table besides its rows.
#[derive(Debug, Default)]
struct Reading {
    /// 0 for a file that was not read to its end.
    rows: u64,
    format: Option<OriginFormat>,
    dated: Option<Dated>,
}

/// The time of a table's data by its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Dated {
    day: Day,
    unix: u64,
}

impl Dated {
    fn day(day: Day) -> Dated {
        Dated { day, unix: day.unix() }
    }

    /// Seconds since 1970.
    fn at(unix: u64) -> Option<Dated> {
        Some(Dated { day: Day::of_unix(unix)?, unix })
    }
}

impl Reading {
    fn date_of(self, origin: &OriginConfig) -> OriginDate {
        OriginDate {
            source: origin.name.clone(),
            format: self.format.unwrap_or(origin.format),
            date: self.dated.as_ref().map(|dated| dated.day.to_string()),
            unix_seconds: self.dated.and_then(|dated| i64::try_from(dated.unix).ok()),
        }
    }
}

/// Takes a row and its line.
type Sink<'s> = dyn FnMut(u32, &Row<'_>) + 's;

/// Reads one table from its beginning to its end.
fn read_table(
    origin: &OriginConfig,
    errors: &mut ListErrors,
    sink: &mut Sink<'_>,
) -> Result<Reading, Failure> {
    let before = errors.total();
    let format = match origin.format {
        OriginFormat::Auto => sniff_origin(&origin.path)?.format,
        format => format,
    };
    let reading = match format {
        OriginFormat::Mmdb => mmdb::read(&origin.path, errors, sink)?,
        OriginFormat::VrpJson => vrp::read(&origin.path, errors, sink)?,
        format => read_lines(origin, format, errors, sink)?,
    };
    if reading.rows == 0 && errors.total() == before {
        errors.refuse(Place::file(&origin.path), "no rows: an empty origin table is refused");
    }
    Ok(Reading { format: Some(format), ..reading })
}

fn read_lines(
    origin: &OriginConfig,
    format: OriginFormat,
    errors: &mut ListErrors,
    sink: &mut Sink<'_>,
) -> Result<Reading, Failure> {
    let mut reading = Reading::default();
    let mut lines = Lines::open(&origin.path)?;
    while let Some((line, bytes)) = lines.next(errors)? {
        if bytes.trim_ascii().is_empty() {
            continue;
        }
        if let Some(comment) = bytes.strip_prefix(b"#") {
            reading.dated = reading.dated.or_else(|| date_in(comment));
            continue;
        }
        match text::parse_row(format, bytes) {
            Err(flaw) => errors.refuse(flaw.place(&origin.path, line), flaw),
            Ok(Some(row)) => {
                reading.rows += 1;
                sink(line, &row);
            }
            Ok(None) if format == OriginFormat::Delegated => {
                let day = || text::delegated_date(bytes).and_then(Day::parse_compact);
                reading.dated = reading.dated.or_else(|| day().map(Dated::day));
            }
            Ok(None) => {}
        }
    }
    Ok(reading)
}

/// The prefixes by AS number in the text of a CSV table, with the date that it has in a comment.
pub(super) fn extract(text: &str) -> BTreeMap<u32, Vec<Held>> {
    let mut found: BTreeMap<u32, Vec<Held>> = BTreeMap::new();
    let mut seen = 0;
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix('#') {
            seen = date_in(comment.as_bytes()).map_or(seen, |dated| dated.unix);
        } else if let Ok(Some(row)) = text::parse_row(OriginFormat::Csv, line.as_bytes()) {
            for asn in row.asns.as_slice() {
                let held = row.range.prefixes().map(|prefix| Held { prefix, seen });
                found.entry(*asn).or_default().extend(held);
            }
        }
    }
    found
}

/// The day in a comment ` date: 2026-06-17`; other wordings are not dates to us.
fn date_in(comment: &[u8]) -> Option<Dated> {
    let text = std::str::from_utf8(comment).ok()?.trim();
    let (key, value) = text.split_once(':')?;
    let named = key.trim().eq_ignore_ascii_case("date");
    Day::parse(value.trim()).filter(|_| named).map(Dated::day)
}

/// A prefix as one table has it.
#[derive(Debug, Clone, Copy)]
struct Found {
    prefix: IpNet,
    line: u32,
    source: u8,
}

/// The rows of wanted holders, as they come.
struct Gathering {
    places: HashMap<Holder, usize>,
    found: Vec<Vec<Found>>,
    names: BTreeMap<u32, String>,
    countries: bool,
    count: usize,
}

impl Gathering {
    fn new(wanted: &BTreeSet<Holder>) -> Self {
        Gathering {
            places: wanted.iter().copied().zip(0..).collect(),
            found: vec![Vec::new(); wanted.len()],
            names: BTreeMap::new(),
            countries: wanted.iter().any(|holder| matches!(holder, Holder::Country(_))),
            count: 0,
        }
    }

    fn row(&mut self, source: usize, line: u32, row: &Row<'_>) {
        for asn in row.asns.as_slice().iter().copied().filter(|asn| *asn != 0) {
            if self.keep(Holder::Asn(asn), source, line, row)
                && !row.name.is_empty()
                && !self.names.contains_key(&asn)
                && let Some(name) = row.name()
            {
                self.names.insert(asn, name);
            }
        }
        if self.countries
            && let Some(country) = row.country
        {
            self.keep(Holder::Country(country), source, line, row);
        }
    }

    /// Whether the holder was wanted.
    fn keep(&mut self, holder: Holder, source: usize, line: u32, row: &Row<'_>) -> bool {
        let place = self.places.get(&holder).copied();
        let Some(found) = place.and_then(|place| self.found.get_mut(place)) else { return false };
        if self.count <= MAX_PREFIXES {
            let before = found.len();
            let source = u8::try_from(source).unwrap_or(u8::MAX);
            found.extend(row.range.prefixes().map(|prefix| Found { prefix, line, source }));
            self.count += found.len() - before;
        }
        true
    }
}

/// The prefixes of one holder out of all tables, each with the tables that give it all of the prefix.
fn joined(holder: Holder, found: &[Found], tables: usize) -> Vec<OriginPrefix> {
    let of_table =
        |table: usize| found.iter().filter(move |found| usize::from(found.source) == table);
    let given: Vec<Spans> = (0..tables)
        .map(|table| of_table(table).map(|found| Span::from(found.prefix)).collect())
        .collect();
    let mut all: Vec<(IpNet, u8, u32)> = match holder {
        Holder::Asn(_) => found.iter().map(|f| (f.prefix, f.source, f.line)).collect(),
        // Where one registration ends and the next begins is of no interest.
        Holder::Country(_) => (0u8..)
            .zip(&given)
            .flat_map(|(table, spans)| spans.iter().map(move |span| (table, span)))
            .flat_map(|(table, span)| span.range().prefixes().map(move |p| (p, table, 0)))
            .collect(),
    };
    // Of equal prefixes the one of the first table stays.
    all.sort_unstable();
    all.dedup_by_key(|(prefix, _, _)| *prefix);
    let one = |(prefix, source, line): (IpNet, u8, u32)| {
        let span = Span::from(prefix);
        let by = given.iter().enumerate().filter(|(_, spans)| spans.cover(span));
        let sources = by.fold(Sources::NONE, |all, (table, _)| all.and(Sources::one(table)));
        OriginPrefix { prefix, sources, source: source.into(), line }
    };
    all.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests;
