//! Text to AS numbers.
//!
//! Invariant: a number that comes out can announce prefixes; those reserved for other uses are refused.
//! Private and documentation numbers are not: test networks and closed networks announce them.

use super::place::{Flaw, shown};

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

/// The numbers that announce nothing.
pub(super) const RESERVED: [u32; 4] = [0, 23456, 65535, u32::MAX];

/// Why this number announces nothing, if so.
pub(super) fn reserved(asn: u32) -> Option<&'static str> {
    match asn {
        0 => Some("reserved (RFC 7607): no network has this number"),
        23456 => Some("AS_TRANS (RFC 6793): it stands for any network with a 4-byte number"),
        65535 | u32::MAX => Some("reserved (RFC 7300): no network has this number"),
        _ => None,
    }
}
