//! Origin tables: which prefixes an AS number announces, and what the organisation is called.
//!
//! Invariants: every row of a table is checked, only rows of wanted AS numbers are kept, so memory follows
//! the lists and not the table; an AS number's prefixes are canonical, sorted, and each is there once.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::errors::ListErrors;
use super::lines::Lines;
use super::place::Place;
use super::row::parse_row;
use crate::config::OriginConfig;
use crate::failure::Failure;

/// A prefix that an AS number announces, and where that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OriginPrefix {
    /// The prefix.
    pub prefix: IpNet,
    /// Index of the origin table in the configuration; the first one, where several agree.
    pub source: usize,
    /// The row's line in that table, from 1.
    pub line: u32,
}

/// How old an origin table says that its data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginDate {
    /// The table's name in the configuration.
    pub source: String,
    /// `YYYY-MM-DD` of the header comment `# date: ...`; `None` without one.
    pub date: Option<String>,
    /// The beginning of that day in UTC, in seconds since 1970.
    pub unix_seconds: Option<i64>,
}

/// What the tables say about the wanted AS numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OriginTable {
    prefixes: BTreeMap<u32, Vec<OriginPrefix>>,
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
        let table = Self::gather(origins, wanted, &mut errors);
        errors.into_result().map(|()| table)
    }

    /// The same, with what is wrong added to `errors`; the table is worth something only if nothing was.
    pub(super) fn gather(
        origins: &[OriginConfig],
        wanted: &BTreeSet<u32>,
        errors: &mut ListErrors,
    ) -> Self {
        let mut table = OriginTable::default();
        for (source, origin) in origins.iter().enumerate() {
            if let Err(failure) = table.add(source, origin, wanted, errors) {
                errors.absorb(failure);
            }
        }
        for prefixes in table.prefixes.values_mut() {
            // Stable: of equal prefixes the one of the first table stays.
            prefixes.sort_by_key(|p| p.prefix);
            prefixes.dedup_by_key(|p| p.prefix);
        }
        table
    }

    /// The prefixes of an AS number, sorted; empty if it announces nothing or was not wanted.
    pub fn prefixes_of(&self, asn: u32) -> &[OriginPrefix] {
        self.prefixes.get(&asn).map_or(&[], Vec::as_slice)
    }

    /// The organisation of a wanted AS number, by the first row that names one.
    pub fn name_of(&self, asn: u32) -> Option<&str> {
        self.names.get(&asn).map(String::as_str)
    }

    /// All names known.
    pub fn names(&self) -> &BTreeMap<u32, String> {
        &self.names
    }

    /// The age of each table, in the order of the configuration.
    pub fn dates(&self) -> &[OriginDate] {
        &self.dates
    }

    pub(super) fn into_names_and_dates(self) -> (BTreeMap<u32, String>, Vec<OriginDate>) {
        (self.names, self.dates)
    }

    fn add(
        &mut self,
        source: usize,
        origin: &OriginConfig,
        wanted: &BTreeSet<u32>,
        errors: &mut ListErrors,
    ) -> Result<(), Failure> {
        let before = errors.total();
        let mut rows = 0usize;
        let mut date = None;
        let mut lines = Lines::open(&origin.path)?;
        while let Some((line, bytes)) = lines.next(errors)? {
            if bytes.trim_ascii().is_empty() {
                continue;
            }
            if let Some(comment) = bytes.strip_prefix(b"#") {
                date = date.or_else(|| date_in(comment));
                continue;
            }
            match parse_row(origin.format, bytes) {
                Err(flaw) => errors.refuse(flaw.place(&origin.path, line), flaw),
                Ok(row) => {
                    rows += 1;
                    if wanted.contains(&row.asn) {
                        let found = row.range.prefixes().into_iter();
                        let found = found.map(|prefix| OriginPrefix { prefix, source, line });
                        self.prefixes.entry(row.asn).or_default().extend(found);
                        if !self.names.contains_key(&row.asn)
                            && let Some(name) = row.name()
                        {
                            self.names.insert(row.asn, name);
                        }
                    }
                }
            }
        }
        if rows == 0 && errors.total() == before {
            errors.refuse(Place::file(&origin.path), "no rows: an empty origin table is refused");
        }
        let (date, unix_seconds) = date.unzip();
        self.dates.push(OriginDate { source: origin.name.clone(), date, unix_seconds });
        Ok(())
    }
}

/// The day in a comment ` date: 2026-06-17`, also as seconds since 1970; other wordings are not dates to us.
fn date_in(comment: &[u8]) -> Option<(String, i64)> {
    let text = std::str::from_utf8(comment).ok()?.trim();
    let (key, value) = text.split_once(':')?;
    if !key.trim().eq_ignore_ascii_case("date") {
        return None;
    }
    let value = value.trim();
    let digits = |from: usize, to: usize| -> Option<i64> {
        let part = value.get(from..to)?;
        part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())?
    };
    let dashes = (value.get(4..5), value.get(7..8)) == (Some("-"), Some("-"));
    if value.len() != 10 || !dashes {
        return None;
    }
    let days = days_since_1970(digits(0, 4)?, digits(5, 7)?, digits(8, 10)?)?;
    Some((value.to_owned(), days * 86_400))
}

/// Days from 1970-01-01 to this day of the Gregorian calendar; `None` if there is no such day.
fn days_since_1970(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let in_month = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        _ => return None,
    };
    if !(1..=in_month).contains(&day) {
        return None;
    }
    // Years counted from March, so that the leap day is the last of its year; 719468 days lie between
    // 0000-03-01 and 1970-01-01.
    let year = year - i64::from(month <= 2);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    Some(365 * year + leap_days + day_of_year - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_read_from_its_comment_only_if_it_is_one() {
        let seconds = |text: &str| date_in(text.as_bytes()).map(|(_, s)| s);
        assert_eq!(seconds(" date: 2026-06-17"), Some(1_781_654_400));
        assert_eq!(seconds("Date:2026-06-17 "), Some(1_781_654_400));
        assert_eq!(seconds(" date: 1970-01-01"), Some(0));
        assert_eq!(seconds(" date: 2000-02-29"), Some(951_782_400));
        for text in [
            " date: 2026-02-29",
            " date: 1900-02-29",
            " date: 2026-13-01",
            " date: 2026-00-01",
            " date: 2026-06-00",
            " date: 2026-06-31",
            " date: 26-06-17",
            " date: 2026/06/17",
            " date: +026-06-17",
            " date: Wed, 17 Jun",
            " date: 2026-06-1\u{e9}",
            " updated: 2026-06-17",
            " date",
            "",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
