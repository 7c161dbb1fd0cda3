//! Text with one entry per line and comments: prefixes and ranges, AS numbers, countries, FireHOL's netset and
//! ipset files, and Spamhaus DROP as text.
//!
//! Invariant: one's own prefixes are read strictly; those of a feed lose their host bits, which is counted.

use std::borrow::Cow;

use super::meta::{Dialect, Metadata};
use super::{Item, Out, Parser, Subject, give};
use crate::blocklist::asn::parse_asn;
use crate::blocklist::country::Country;
use crate::blocklist::place::{Flaw, characters, shown};
use crate::blocklist::prefix::{parse_address, parse_loose, parse_prefix};
use crate::blocklist::range::Range;
use crate::blocklist::token::{Words, comment_of, words};

/// The longest name of a group, in characters, as in the configuration.
const LONGEST_GROUP: usize = 64;

/// What the tokens of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    /// Prefixes, addresses, ranges.
    Strict,
    /// The same, host bits cleared.
    Loose,
    Asn,
    Country,
}

/// A text format.
pub(super) struct Text {
    token: Token,
    dialect: Dialect,
    meta: Metadata,
}

impl Text {
    pub(super) fn cidr() -> Self {
        Self::new(Token::Strict, Dialect::Own)
    }

    pub(super) fn asn() -> Self {
        Self::new(Token::Asn, Dialect::Own)
    }

    pub(super) fn country() -> Self {
        Self::new(Token::Country, Dialect::Own)
    }

    pub(super) fn netset() -> Self {
        Self::new(Token::Loose, Dialect::Firehol)
    }

    pub(super) fn spamhaus() -> Self {
        Self::new(Token::Loose, Dialect::Spamhaus)
    }

    fn new(token: Token, dialect: Dialect) -> Self {
        Text { token, dialect, meta: Metadata::default() }
    }
}

impl Parser for Text {
    fn line(&mut self, number: u32, line: &[u8], out: Out<'_>) {
        let (data, comment) = comment_of(line);
        let found = match words(data) {
            Err(flaw) => Err(flaw),
            Ok(None) => {
                self.meta.comment(self.dialect, number, comment);
                return;
            }
            Ok(Some(words)) => entry(self.token, words, number, remark(comment)).map(Some),
        };
        give(number, found, out);
    }

    fn end(&mut self, _: Out<'_>) -> Metadata {
        std::mem::take(&mut self.meta)
    }
}

fn entry<'a>(
    token: Token,
    words: Words<'a>,
    line: u32,
    remark: Cow<'a, str>,
) -> Result<Item<'a>, Flaw> {
    let behind = |flaw: Flaw| flaw.behind(words.first.offset);
    let (subject, masked) = match token {
        Token::Strict => prefix_or_range(words)?,
        Token::Loose => match words.parted() {
            Some(_) => prefix_or_range(words)?,
            None => loose(words.only()?.text).map_err(behind)?,
        },
        Token::Asn => (asn_or_group(words.only()?.text).map_err(behind)?, false),
        Token::Country => {
            let text = words.only()?.text;
            let Some(country) = Country::parse(text) else {
                let message = "is not a country code of two letters (ISO 3166)";
                return Err(behind(Flaw::new(0, format!("{} {message}", shown(text)))));
            };
            (Subject::Country(country), false)
        }
    };
    let column = words.first.offset.saturating_add(1);
    Ok(Item { subject, line, column, remark, masked })
}

fn prefix_or_range<'a>(words: Words<'_>) -> Result<(Subject<'a>, bool), Flaw> {
    let start = words.first.offset;
    if let Some((first, last)) = words.parted() {
        let offset = last.offset.saturating_sub(start);
        let range = between(first.text, last.text, offset);
        return range.map(|range| (range, false)).map_err(|flaw| flaw.behind(start));
    }
    let text = words.only()?.text;
    let subject = match ends(text) {
        Some((first, last, offset)) => between(first, last, offset),
        None => parse_prefix(text).map(Subject::Prefix),
    };
    subject.map(|subject| (subject, false)).map_err(|flaw| flaw.behind(start))
}

/// `ADDRESS`, `PREFIX` or `FIRST-LAST` of somebody else's file: the subject, and whether host bits were cleared.
pub(super) fn loose<'a>(text: &str) -> Result<(Subject<'a>, bool), Flaw> {
    match ends(text) {
        Some((first, last, offset)) => Ok((between(first, last, offset)?, false)),
        None => parse_loose(text).map(|(prefix, masked)| (Subject::Prefix(prefix), masked)),
    }
}

/// The two ends of `FIRST-LAST` and where the last one begins; `None` for what is no range, as a host name.
fn ends(text: &str) -> Option<(&str, &str, u32)> {
    let (first, last) = text.split_once('-')?;
    let address = first.contains(':') || first.starts_with(|c: char| c.is_ascii_digit());
    (address && !first.contains('/'))
        .then(|| (first, last, characters(first.as_bytes()).saturating_add(1)))
}

/// A range from its two ends; `offset` is where the last one begins.
fn between<'a>(first: &str, last: &str, offset: u32) -> Result<Subject<'a>, Flaw> {
    let (a, b) = (parse_address(first)?, parse_address(last).map_err(|f| f.behind(offset))?);
    let range = Range::between(a, b).map_err(|message| Flaw::new(offset, message))?;
    Ok(Subject::Range(range))
}

fn asn_or_group(text: &str) -> Result<Subject<'_>, Flaw> {
    let Some((key, name)) = text.split_once(':') else { return parse_asn(text).map(Subject::Asn) };
    if !key.eq_ignore_ascii_case("group") {
        return parse_asn(text).map(Subject::Asn);
    }
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() {
        return Err(Flaw::new(6, "the name of the group is missing"));
    }
    if name.chars().count() > LONGEST_GROUP || !name.chars().all(fits) {
        return Err(Flaw::new(6, format!("{} is not the name of a group", shown(name))));
    }
    Ok(Subject::Group(name))
}

/// A comment as a remark: without the signs and blanks around it.
fn remark(comment: &[u8]) -> Cow<'_, str> {
    let signs = |c: char| c.is_whitespace() || matches!(c, '#' | ';' | '/');
    match String::from_utf8_lossy(comment) {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_start_matches(signs).trim_end()),
        Cow::Owned(text) => Cow::Owned(text.trim_start_matches(signs).trim_end().to_owned()),
    }
}
