//! The regional registries' delegated and delegated-extended files: which addresses and AS numbers are registered
//! where.
//!
//! Source: the registries' statistics exchange format (version line, summary lines, record lines of seven or
//! more fields between `|`). The value of an ipv4 record is a number of addresses, which need not be a power of
//! two; of an ipv6 record a prefix length; of an asn record a number of AS numbers. Invariant: only what is
//! allocated or assigned is an entry. A registration says where the holder is, not where the packets go.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::meta::{Declared, Dialect, Metadata};
use super::{Found, Item, Out, Parser, Subject, give};
use crate::blocklist::country::Country;
use crate::blocklist::place::{Flaw, characters, shown};
use crate::blocklist::prefix::parse_address;
use crate::blocklist::range::Range;
use crate::config::{Day, ListKind};

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::blocklist) enum What {
    Addresses(Range),
    /// The first AS number and how many.
    Asns(u32, u32),
}

/// A record that is allocated or assigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::blocklist) struct Record<'a> {
    /// Where it is registered; `None` where the registry writes nothing.
    pub(in crate::blocklist) country: Option<Country>,
    pub(in crate::blocklist) what: What,
    /// `allocated` or `assigned`.
    pub(in crate::blocklist) status: &'a str,
    /// The day of the registration, `YYYYMMDD`; may be empty or `00000000`.
    pub(in crate::blocklist) day: &'a str,
}

/// A line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::blocklist) enum Line<'a> {
    /// `2|ripencc|20261008|123456|19830705|20261008|+0100`
    Version {
        serial: u64,
        records: u64,
        last_day: &'a str,
    },
    /// `ripencc|*|ipv4|*|80000|summary`
    Summary,
    /// A record that is available or reserved.
    Free,
    Record(Record<'a>),
}

/// A line that is neither blank nor a comment.
///
/// # Errors
///
/// It is none of the format, at which place.
pub(in crate::blocklist) fn line(text: &str) -> Result<Line<'_>, Flaw> {
    let mut columns = Columns { text, rest: Some(text) };
    let first = columns.next("registry")?;
    if first.0.starts_with(|c: char| c.is_ascii_digit()) {
        return version(columns);
    }
    let (country, kind) = (columns.next("country")?, columns.next("type")?);
    let (start, value) = (columns.next("start")?, columns.next("value")?);
    if country.0 == "*" {
        return Ok(Line::Summary);
    }
    let (day, status) = (columns.next("date")?, columns.next("status")?);
    match status.0 {
        "allocated" | "assigned" => {}
        "available" | "reserved" => return Ok(Line::Free),
        other => {
            let message = format!(
                "{} is not a status: allocated, assigned, available or reserved",
                shown(other)
            );
            return Err(Flaw::new(status.1, message));
        }
    }
    let what = match kind.0 {
        "ipv4" => What::Addresses(counted(start, value)?),
        "ipv6" => What::Addresses(prefix(start, value)?),
        "asn" => {
            let (first, count) = (number(start)?, number(value)?);
            if count == 0 || first.checked_add(count - 1).is_none() {
                return Err(Flaw::new(value.1, format!("{count} AS numbers from {first} on")));
            }
            What::Asns(first, count)
        }
        other => {
            let message = format!("{} is not a type: ipv4, ipv6 or asn", shown(other));
            return Err(Flaw::new(kind.1, message));
        }
    };
    let country = match country.0 {
        "" | "ZZ" | "zz" => None,
        code => Some(Country::parse(code).ok_or_else(|| {
            Flaw::new(country.1, format!("{} is not a country code of two letters", shown(code)))
        })?),
    };
    Ok(Line::Record(Record { country, what, status: status.0, day: day.0 }))
}

fn version(mut columns: Columns<'_>) -> Result<Line<'_>, Flaw> {
    let (_registry, serial, records) =
        (columns.next("registry")?, columns.next("serial")?, columns.next("records")?);
    let (_first_day, last_day) = (columns.next("startdate")?, columns.next("enddate")?);
    let read = |column: (&str, u32)| {
        let wrong = || Flaw::new(column.1, format!("{} is not a number", shown(column.0)));
        column.0.parse::<u64>().map_err(|_| wrong())
    };
    let (serial, records) = (read(serial)?, read(records)?);
    Ok(Line::Version { serial, records, last_day: last_day.0 })
}

/// From this address on so many.
fn counted(start: (&str, u32), value: (&str, u32)) -> Result<Range, Flaw> {
    let IpAddr::V4(first) = parse_address(start.0).map_err(|flaw| flaw.behind(start.1))? else {
        return Err(Flaw::new(start.1, format!("{} is not an IPv4 address", shown(start.0))));
    };
    let count = number(value)?;
    match count.checked_sub(1).and_then(|more| u32::from(first).checked_add(more)) {
        Some(last) => Ok(Range::V4(first, Ipv4Addr::from(last))),
        None => Err(Flaw::new(value.1, format!("{count} addresses from {first} on"))),
    }
}

fn prefix(start: (&str, u32), value: (&str, u32)) -> Result<Range, Flaw> {
    let address @ IpAddr::V6(_) = parse_address(start.0).map_err(|flaw| flaw.behind(start.1))?
    else {
        return Err(Flaw::new(start.1, format!("{} is not an IPv6 address", shown(start.0))));
    };
    let length = u8::try_from(number(value)?).ok();
    match length.and_then(|length| IpNet::new(address, length).ok()) {
        Some(net) => Ok(Range::from(net)),
        None => Err(Flaw::new(value.1, format!("{} is not a prefix length", shown(value.0)))),
    }
}

fn number((text, offset): (&str, u32)) -> Result<u32, Flaw> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let read = text.parse().ok().filter(|_| digits);
    read.ok_or_else(|| Flaw::new(offset, format!("{} is not a number", shown(text))))
}

/// Fields between `|`, each with the characters before it.
struct Columns<'a> {
    text: &'a str,
    rest: Option<&'a str>,
}

impl<'a> Columns<'a> {
    fn next(&mut self, name: &str) -> Result<(&'a str, u32), Flaw> {
        let Some(rest) = self.rest else {
            return Err(Flaw::new(0, format!("the row ends before its {name}")));
        };
        let before = self.text.len() - rest.len();
        let offset = characters(self.text.as_bytes().get(..before).unwrap_or_default());
        let (column, rest) = match rest.split_once('|') {
            Some((column, rest)) => (column, Some(rest)),
            None => (rest, None),
        };
        self.rest = rest;
        Ok((column.trim(), offset))
    }
}

/// A delegated file as a list: of the kind asn its AS numbers, otherwise its addresses.
pub(super) struct Delegated {
    asns: bool,
    meta: Metadata,
    /// Records of all kinds and states, held against the number in the version line.
    records: u64,
}

impl Delegated {
    pub(super) fn new(kind: ListKind) -> Self {
        Delegated { asns: kind == ListKind::Asn, meta: Metadata::default(), records: 0 }
    }

    fn read<'a>(&mut self, number: u32, text: &'a str) -> Result<Option<Item<'a>>, Flaw> {
        let record = match line(text) {
            Ok(Line::Record(record)) => record,
            Ok(Line::Version { serial, records, last_day }) => {
                self.meta.serial = self.meta.serial.or(Some(serial));
                self.meta.date(Day::parse_compact(last_day).map(Day::unix));
                let declared = Declared { number: records, line: number, word: "records" };
                self.meta.declared.get_or_insert(declared);
                return Ok(None);
            }
            Ok(Line::Summary) => return Ok(None),
            Ok(Line::Free) => {
                self.records += 1;
                return Ok(None);
            }
            Err(flaw) => {
                self.records += 1;
                return Err(flaw);
            }
        };
        self.records += 1;
        let subject = match record.what {
            What::Addresses(range) if !self.asns => Subject::Range(range),
            What::Asns(first, count) if self.asns => Subject::Asns(first, count),
            What::Addresses(_) | What::Asns(..) => return Ok(None),
        };
        let country = record.country.map_or("no country".to_owned(), |code| code.to_string());
        let remark = Cow::Owned(format!("{country}, {} {}", record.status, record.day));
        Ok(Some(Item { subject, line: number, column: 1, remark, masked: false }))
    }
}

impl Parser for Delegated {
    fn line(&mut self, number: u32, line: &[u8], out: Out<'_>) {
        let begin = line.trim_ascii();
        if begin.starts_with(b"#") {
            self.meta.comment(Dialect::Own, number, line);
        } else if !begin.is_empty() {
            match std::str::from_utf8(line) {
                Ok(text) => give(number, self.read(number, text), out),
                Err(_) => {
                    self.records += 1;
                    out(Found::Wrong(number, Flaw::new(0, "bytes that are not UTF-8")));
                }
            }
        }
    }

    fn end(&mut self, out: Out<'_>) -> Metadata {
        // Checked here: not every record is an entry.
        if let Some(declared) = self.meta.declared.take()
            && declared.number != self.records
        {
            out(Found::Guard(declared.line, disagree(declared, self.records)));
        }
        std::mem::take(&mut self.meta)
    }
}

/// What is said of a file whose own count is wrong.
pub(in crate::blocklist) fn disagree(declared: Declared, found: u64) -> Flaw {
    let Declared { number, word, .. } = declared;
    let why = if found < number { ": it may be cut off" } else { "" };
    Flaw::new(0, format!("the file says {word} {number} and has {found}{why}"))
}
