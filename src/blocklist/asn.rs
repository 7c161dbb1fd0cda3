//! AS number lists: one number per line.
//!
//! Invariant: a number that comes out can announce prefixes; those reserved for other uses are refused.
//! Private and documentation numbers are not: test networks and closed networks announce them.

use std::collections::HashSet;
use std::path::Path;

use super::errors::ListErrors;
use super::lines::Lines;
use super::place::{Flaw, Place, shown};
use super::token::only_token;
use crate::failure::Failure;

/// One line of an AS number list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsnLine {
    /// The AS number.
    pub asn: u32,
    /// Its line, from 1.
    pub line: u32,
    /// Its column, from 1, in characters.
    pub column: u32,
}

/// An AS number list as read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AsnList {
    /// The entries in the order of the file, each number once.
    pub entries: Vec<AsnLine>,
    /// Lines that repeat an earlier number.
    pub duplicates: usize,
    /// The last line has no line end: the file may be cut off.
    pub unterminated: bool,
}

/// Reads an AS number list.
///
/// # Errors
///
/// 65 with up to 20 places if a line is not an AS number that can announce something, or if there is no
/// entry; 66 and 77 if the file cannot be read.
pub fn read_asns(path: &Path) -> Result<AsnList, Failure> {
    let mut errors = ListErrors::new();
    let list = gather_asns(path, &mut errors);
    errors.into_result().map(|()| list)
}

/// The same, with what is wrong added to `errors`; the list is worth something only if nothing was.
pub(super) fn gather_asns(path: &Path, errors: &mut ListErrors) -> AsnList {
    let before = errors.total();
    match gather(path, errors) {
        Ok(list) => {
            if list.entries.is_empty() && errors.total() == before {
                errors.refuse(Place::file(path), "no entries: an empty list is refused");
            }
            list
        }
        Err(failure) => {
            errors.absorb(failure);
            AsnList::default()
        }
    }
}

fn gather(path: &Path, errors: &mut ListErrors) -> Result<AsnList, Failure> {
    let mut list = AsnList::default();
    let mut seen = HashSet::new();
    let mut lines = Lines::open(path)?;
    while let Some((line, bytes)) = lines.next(errors)? {
        match entry(bytes) {
            Ok(None) => {}
            Ok(Some((asn, column))) if seen.insert(asn) => {
                list.entries.push(AsnLine { asn, line, column });
            }
            Ok(Some(_)) => list.duplicates += 1,
            Err(flaw) => errors.refuse(flaw.place(path, line), flaw),
        }
    }
    list.unterminated = !lines.is_terminated();
    Ok(list)
}

fn entry(line: &[u8]) -> Result<Option<(u32, u32)>, Flaw> {
    let Some(token) = only_token(line)? else { return Ok(None) };
    match parse_asn(token.text) {
        Ok(asn) => Ok(Some((asn, token.offset.saturating_add(1)))),
        Err(flaw) => Err(flaw.behind(token.offset)),
    }
}

/// `AS64500`, `as64500` or `64500`.
///
/// # Errors
///
/// It is no AS number, or one that cannot announce anything.
pub fn parse_asn(text: &str) -> Result<u32, Flaw> {
    let say = |what: &str| Err(Flaw::new(0, format!("{}{what}", shown(text))));
    let digits = without_as(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return say(&what_it_is_instead(digits));
    }
    if digits.len() > 1 && digits.starts_with('0') {
        return say(" has a leading zero");
    }
    match digits.parse::<u32>() {
        Err(_) => say(" is above 4294967295, the highest AS number"),
        Ok(asn) => match reserved(asn) {
            None => Ok(asn),
            Some(why) => say(&format!(" is {why}")),
        },
    }
}

/// Whether this is `AS` and digits, which belongs into a list of another kind.
pub(super) fn looks_like_asn(text: &str) -> bool {
    let digits = without_as(text);
    digits.len() < text.len() && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

fn without_as(text: &str) -> &str {
    match text.split_at_checked(2) {
        Some((head, tail)) if head.eq_ignore_ascii_case("as") => tail,
        Some(_) | None => text,
    }
}

/// What stands in the place of the digits, as the second half of a message.
fn what_it_is_instead(digits: &str) -> String {
    let address = digits.split_once('/').map_or(digits, |(address, _)| address);
    if address.parse::<std::net::IpAddr>().is_ok() {
        return " is an address: this list holds AS numbers (kind = \"prefix\" holds prefixes)"
            .to_owned();
    }
    // RFC 5396: `high.low`, both 16 bits.
    if let Some((high, low)) = digits.split_once('.')
        && let (Ok(high), Ok(low)) = (high.parse::<u16>(), low.parse::<u16>())
    {
        let asn = u32::from(high) << 16 | u32::from(low);
        return format!(" is in dotted notation: write AS{asn}");
    }
    if digits.contains(',') {
        return ": one AS number per line, without commas".to_owned();
    }
    if digits.contains('-') && digits.starts_with(|c: char| c.is_ascii_digit()) {
        return " is a range: write one AS number per line".to_owned();
    }
    " is not an AS number".to_owned()
}

/// Why this number announces nothing, if so.
fn reserved(asn: u32) -> Option<&'static str> {
    match asn {
        0 => Some("reserved (RFC 7607): no network has this number"),
        23456 => Some("AS_TRANS (RFC 6793): it stands for any network with a 4-byte number"),
        65535 | u32::MAX => Some("reserved (RFC 7300): no network has this number"),
        _ => None,
    }
}
