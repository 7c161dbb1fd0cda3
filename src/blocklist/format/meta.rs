//! What a list file says about itself: serial, date, number of entries, credit.
//!
//! Invariant: only comments of the forms below are taken; of two that say the same the first counts.

use crate::blocklist::date::in_words;
use crate::config::Day;

/// What a file says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The number that it counts its versions by.
    pub serial: Option<u64>,
    /// The time of its data, in seconds since 1970.
    pub dated: Option<u64>,
    /// How many entries it says it has.
    pub declared: Option<Declared>,
    /// Whom to credit, as its terms ask for.
    pub credit: Option<String>,
}

/// A number of entries that a file claims to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Declared {
    /// The number.
    pub number: u64,
    /// The line that says so, from 1.
    pub line: u32,
    /// What the file calls it: `records`, `Entries`.
    pub word: &'static str,
}

/// Whose comments are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `date: 2026-06-17`, `serial: 17`.
    Own,
    /// Also `Version : 7437`, `This File Date : ...`, `Entries : 17 subnets, ...`.
    Firehol,
    /// Also `Last-Modified: ...`, `Spamhaus DROP List ... - (c) ...`.
    Spamhaus,
    /// Also `updated: ...`.
    Dshield,
}

/// The most bytes of a credit that are kept.
const MAX_CREDIT: usize = 200;

impl Metadata {
    /// Takes what the text of a comment at this line says.
    pub(super) fn comment(&mut self, dialect: Dialect, line: u32, comment: &[u8]) {
        let signs = |c: char| c.is_whitespace() || matches!(c, '#' | ';' | '/');
        let text = String::from_utf8_lossy(comment);
        let text = text.trim_matches(signs);
        if dialect == Dialect::Spamhaus
            && let Some((_, owner)) = text.split_once("(c)")
        {
            self.credit(&format!("(c){owner}"));
        }
        let Some((key, value)) = text.split_once(':') else { return };
        let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
        match (key.as_str(), dialect) {
            ("date", _) => self.date(Day::parse(value).map(Day::unix)),
            ("serial", _) | ("version", Dialect::Firehol) => {
                self.serial = self.serial.or_else(|| value.parse().ok());
            }
            ("this file date", Dialect::Firehol)
            | ("last-modified", Dialect::Spamhaus)
            | ("updated", Dialect::Dshield) => self.date(in_words(value)),
            ("entries", Dialect::Firehol) => {
                let number = value.split([' ', ',']).next().and_then(|word| word.parse().ok());
                if let (None, Some(number)) = (self.declared, number) {
                    self.declared = Some(Declared { number, line, word: "Entries" });
                }
            }
            (_, _) => {}
        }
    }

    /// Takes a time, if it is one and the first.
    pub(super) fn date(&mut self, seconds: Option<u64>) {
        self.dated = self.dated.or(seconds);
    }

    /// Takes whom to credit, if it is the first.
    pub(super) fn credit(&mut self, text: &str) {
        let printing = text.chars().filter(|c| !c.is_control()).take(MAX_CREDIT);
        self.credit.get_or_insert_with(|| printing.collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(dialect: Dialect, comments: &[&str]) -> Metadata {
        let mut meta = Metadata::default();
        for (line, comment) in (1..).zip(comments) {
            meta.comment(dialect, line, comment.as_bytes());
        }
        meta
    }

    #[test]
    fn each_dialect_has_its_words_and_the_first_of_two_counts() {
        let own = ["# date: 2026-06-17", "# serial: 17", ";serial: 18", "// date: 2027-01-01"];
        let meta = read(Dialect::Own, &own);
        assert_eq!((meta.serial, meta.dated), (Some(17), Some(1_781_654_400)));

        let firehol = [
            "# Version         : 7437",
            "# This File Date  : Thu Oct 31 12:27:36 UTC 2019",
            "# Source File Date: Thu Oct 31 12:23:00 UTC 2019",
            "# Entries         : 6273 subnets, 680864624 unique IPs",
            "# Category        : attacks",
        ];
        let meta = read(Dialect::Firehol, &firehol);
        assert_eq!((meta.serial, meta.dated), (Some(7437), Some(1_572_524_856)));
        let declared = Declared { number: 6273, line: 4, word: "Entries" };
        assert_eq!(meta.declared, Some(declared));
        assert_eq!(read(Dialect::Own, &firehol), Metadata::default(), "not in a list of one's own");

        let spamhaus = [
            "; Spamhaus DROP List 2019/10/31 - (c) 2019 The Spamhaus Project",
            "; Last-Modified: Thu, 31 Oct 2019 12:27:36 GMT",
        ];
        let meta = read(Dialect::Spamhaus, &spamhaus);
        assert_eq!(meta.dated, Some(1_572_524_856));
        assert_eq!(meta.credit.as_deref(), Some("(c) 2019 The Spamhaus Project"));

        let dshield = ["#  updated:    Thu Oct 31 12:27:36 2019 UTC"];
        assert_eq!(read(Dialect::Dshield, &dshield).dated, Some(1_572_524_856));
    }

    #[test]
    fn what_is_no_number_or_date_is_passed_over() {
        let odd =
            ["# Version : x", "# Entries : many", "# date: soon", "# date", "", "#\u{7}:\u{7}"];
        assert_eq!(read(Dialect::Firehol, &odd), Metadata::default());
        let minus = ["# date: 1969-12-31", "# Version : -1", "# Entries : 99999999999999999999999"];
        assert_eq!(read(Dialect::Firehol, &minus), Metadata::default());
    }
}
