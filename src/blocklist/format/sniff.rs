//! Which format a list file has, found out from its first lines.
//!
//! Invariant: a look at no more than [`SIGNIFICANT`] lines that say something and [`LINES`] lines in all. A guess
//! comes with its reason; where two formats fit equally there is none.

use std::fmt;
use std::path::Path;

use super::{in_words, p2p, plain};
use crate::blocklist::asn::looks_like_asn;
use crate::blocklist::country::Country;
use crate::blocklist::lines::Lines;
use crate::blocklist::place::Place;
use crate::blocklist::token::{comment_of, words};
use crate::config::{ListFormat, ListKind};
use crate::failure::{ExitStatus, Failure};

/// How many lines are looked at that are neither blank nor a comment.
const SIGNIFICANT: u32 = 200;
/// How many lines are read to find them.
const LINES: u32 = 20_000;

/// A format, and why it is thought to be the one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListGuess {
    /// The format.
    pub format: ListFormat,
    /// The reason, for the user: `187 of 200 lines are prefixes`.
    pub why: String,
}

impl fmt::Display for ListGuess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (\"{}\"): {}", in_words(self.format), self.format, self.why)
    }
}

/// Guesses the format of a file. With a kind, bare numbers are AS numbers where that is `asn`, and a file that
/// looks like nothing known is taken for the plain text of that kind, whose reader says what is wrong with it.
///
/// # Errors
///
/// 65 where two formats fit equally or, without a kind, none fits; as [`crate::blocklist::read_list`] if the file
/// cannot be read.
pub fn sniff_list(path: &Path, kind: Option<ListKind>) -> Result<ListGuess, Failure> {
    let mut tally = Tally::default();
    let mut lines = Lines::open(path)?;
    while let Some((number, line)) = lines.next_or_flaw()? {
        if let Ok(line) = line {
            tally.line(line);
        }
        if tally.significant == SIGNIFICANT || number == LINES {
            break;
        }
    }
    tally.guess(kind).map_err(|message| {
        Failure::new(ExitStatus::BadData, format!("{}: {message}", Place::file(path)))
    })
}

/// What a line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Format(ListFormat),
    /// A number alone: an AS number in a list of them, otherwise nothing.
    Number,
    Other,
}

#[derive(Debug, Default)]
struct Tally {
    significant: u32,
    /// How many lines look like each format.
    votes: Vec<(ListFormat, u32)>,
    numbers: u32,
    /// A comment as FireHOL's files have it.
    firehol: bool,
    /// The comment that names Spamhaus.
    spamhaus: bool,
    /// A statement of nftables began, so what follows belongs to it.
    nft: bool,
    /// DShield's header row.
    dshield: bool,
}

impl Tally {
    fn line(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        if text.starts_with(['#', ';']) || text.starts_with("//") {
            self.comment(text);
            return;
        }
        self.significant += 1;
        match self.look(line, text) {
            Look::Format(format) => {
                match self.votes.iter_mut().find(|(voted, _)| *voted == format) {
                    Some((_, votes)) => *votes += 1,
                    None => self.votes.push((format, 1)),
                }
            }
            Look::Number => self.numbers += 1,
            Look::Other => {}
        }
    }

    fn comment(&mut self, text: &str) {
        let text = text.trim_start_matches(|c: char| c.is_whitespace() || "#;/".contains(c));
        let hash = text.starts_with("ipv4 hash:") || text.starts_with("ipv6 hash:");
        let entries = text
            .strip_prefix("Entries")
            .is_some_and(|rest| rest.trim_start().starts_with(':') && rest.contains("IPs"));
        self.firehol |= hash || entries;
        self.spamhaus |= text.starts_with("Spamhaus");
        self.nft |= text.starts_with("!/usr/sbin/nft");
    }

    fn look(&mut self, line: &[u8], text: &str) -> Look {
        let mut parts = text.split_whitespace();
        let (first, second) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let nft = match first {
            "elements" => second.starts_with('='),
            "add" | "create" => second == "element",
            "table" | "set" => text.ends_with('{'),
            "flush" => second == "ruleset" || second == "set" || second == "table",
            _ => text.contains("elements = {"),
        };
        self.nft |= nft;
        if self.nft {
            return Look::Format(ListFormat::Nft);
        }
        if matches!(first, "add" | "create" | "-A" | "-N") && parts.next().is_some() {
            return Look::Format(ListFormat::Ipset);
        }
        if text.starts_with('{') {
            return match (text.contains("\"cidr\""), text.contains("\"asn\"")) {
                (true, false) => Look::Format(ListFormat::SpamhausJson),
                (false, true) => Look::Format(ListFormat::SpamhausAsn),
                (_, _) => Look::Other,
            };
        }
        self.dshield |= super::dshield::is_header(line);
        if self.dshield || super::dshield::is_row(line) {
            return Look::Format(ListFormat::Dshield);
        }
        if is_delegated(text) {
            return Look::Format(ListFormat::Delegated);
        }
        if is_p2p(line) {
            return Look::Format(ListFormat::P2p);
        }
        self.one_word(line)
    }

    /// A line whose entry is its only word, a comment behind it or not.
    fn one_word(&self, line: &[u8]) -> Look {
        let (data, comment) = comment_of(line);
        let Ok(Some(words)) = words(data) else { return Look::Other };
        let text = match (words.only(), words.parted()) {
            (Ok(token), _) => token.text,
            (Err(_), Some((first, _))) => first.text,
            (Err(_), None) => return Look::Other,
        };
        if looks_like_asn(text) || text.to_ascii_lowercase().starts_with("group:") {
            return Look::Format(ListFormat::Asn);
        }
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return Look::Number;
        }
        if Country::parse(text).is_some() {
            return Look::Format(ListFormat::Country);
        }
        let address = text.split(['/', '-']).next().unwrap_or("");
        let dotted = address.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let is_address =
            address.parse::<std::net::IpAddr>().is_ok() || (dotted && address.contains('.'));
        match is_address {
            false => Look::Other,
            true if self.firehol => Look::Format(ListFormat::Netset),
            true if self.spamhaus || is_sbl(comment) => Look::Format(ListFormat::Spamhaus),
            true => Look::Format(ListFormat::Cidr),
        }
    }

    fn guess(mut self, kind: Option<ListKind>) -> Result<ListGuess, String> {
        let numbers_count = kind.is_none_or(|kind| kind == ListKind::Asn);
        if self.numbers > 0 && numbers_count {
            match self.votes.iter_mut().find(|(format, _)| *format == ListFormat::Asn) {
                Some((_, votes)) => *votes += self.numbers,
                None => self.votes.push((ListFormat::Asn, self.numbers)),
            }
        }
        self.votes.sort_by_key(|(_, votes)| std::cmp::Reverse(*votes));
        let all = self.significant;
        let mut votes = self.votes.iter();
        match (votes.next(), votes.next()) {
            (Some((a, n)), Some((b, m))) if n == m && 2 * n >= all => Err(format!(
                "two formats fit equally: {n} of {all} lines look like {}, {m} like {}; set format",
                in_words(*a),
                in_words(*b)
            )),
            (Some((format, n)), _) if 2 * n >= all => {
                let bare = *format == ListFormat::Asn && self.numbers == *n;
                let why = match bare {
                    false => format!("{n} of {all} lines looked at"),
                    true => format!(
                        "{n} of {all} lines looked at are bare numbers, which are AS numbers only in \
                         a list with kind = \"asn\""
                    ),
                };
                Ok(ListGuess { format: *format, why: self.marks(*format) + &why })
            }
            (best, _) => {
                let look = match best {
                    None => format!("none of {all} lines looks like a known format"),
                    Some((format, n)) => format!(
                        "only {n} of {all} lines look like one known format ({})",
                        in_words(*format)
                    ),
                };
                match kind {
                    Some(kind) => Ok(ListGuess { format: plain(kind), why: look }),
                    None if all == 0 => Err("no line says anything".to_owned()),
                    None => Err(format!("no format fits: {look}")),
                }
            }
        }
    }

    /// What else speaks for a format.
    fn marks(&self, format: ListFormat) -> String {
        let marks = [
            (ListFormat::Netset, self.firehol, "a header as FireHOL writes it, "),
            (ListFormat::Spamhaus, self.spamhaus, "a header as Spamhaus writes it, "),
            (ListFormat::Dshield, self.dshield, "a header row as DShield writes it, "),
        ];
        let found = marks.into_iter().find(|(of, seen, _)| *of == format && *seen);
        found.map_or(String::new(), |(_, _, text)| text.to_owned())
    }
}

/// A version line, a summary or a record.
fn is_delegated(text: &str) -> bool {
    let columns: Vec<&str> = text.split('|').take(8).collect();
    match columns.as_slice() {
        ["2" | "2.3", _, _, _, _, _, _] => true,
        [_, "*", "ipv4" | "ipv6" | "asn", ..] => true,
        [_, country, "ipv4" | "ipv6" | "asn", _, _, ..] => country.len() <= 2,
        _ => false,
    }
}

/// `label:1.2.3.4-1.2.3.5`
fn is_p2p(line: &[u8]) -> bool {
    let Some((label, range, _)) = p2p::parts(line) else { return false };
    let Ok(range) = std::str::from_utf8(range) else { return false };
    let Some((first, last)) = range.split_once('-') else { return false };
    let dotted = |text: &str| {
        let text = text.trim();
        text.split('.').count() == 4 && text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    };
    // An IPv6 range whose ends close with IPv4 is none of them.
    dotted(first) && dotted(last) && !label.ends_with(b":")
}

/// `; SBL256894`
fn is_sbl(comment: &[u8]) -> bool {
    let text = String::from_utf8_lossy(comment);
    let rest = text.trim_start_matches([';', ' ']).strip_prefix("SBL");
    rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
}
