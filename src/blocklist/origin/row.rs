//! One row of an origin table: a range of addresses, who announces it, and what else the row says.
//!
//! Invariant: the range of a row in hand runs upwards within one family, so it has an exact set of CIDRs.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::blocklist::country::Country;
use crate::blocklist::place::{Flaw, characters, shown};
pub(super) use crate::blocklist::range::Range;

/// The AS numbers of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asns {
    One(u32),
    /// Several origins of one prefix, or the members of an AS set.
    Several(Vec<u32>),
}

impl Asns {
    pub(super) fn as_slice(&self) -> &[u32] {
        match self {
            Asns::One(asn) => std::slice::from_ref(asn),
            Asns::Several(asns) => asns,
        }
    }
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row<'a> {
    pub(super) range: Range,
    /// 0 means that nobody announces the range, or that the table does not say who does.
    pub(super) asns: Asns,
    /// Where the range is registered, if the table says so.
    pub(super) country: Option<Country>,
    /// The organisation as written.
    pub(super) name: &'a [u8],
}

impl Row<'_> {
    /// The organisation, if the row names one: quotes undone, fit for a terminal.
    pub(super) fn name(&self) -> Option<String> {
        let text = String::from_utf8_lossy(self.name);
        let text = match unquoted(&text) {
            Some(inner) => Cow::Owned(inner.replace("\"\"", "\"")),
            None => text,
        };
        let printing: String = text.chars().filter(|c| !c.is_control()).collect();
        match printing.trim() {
            "" => None,
            name => Some(name.to_owned()),
        }
    }
}

/// A piece of the line and the bytes before it.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    line: &'a [u8],
    start: usize,
    pub(super) bytes: &'a [u8],
}

impl<'a> Field<'a> {
    pub(super) fn flaw(&self, message: impl Into<String>) -> Flaw {
        Flaw::new(characters(self.line.get(..self.start).unwrap_or_default()), message)
    }

    /// The text without blanks and quotes around it, if it is ASCII as all but names must be.
    pub(super) fn text(&self) -> Result<&'a str, Flaw> {
        match std::str::from_utf8(self.bytes) {
            Ok(text) => Ok(unquoted(text.trim()).unwrap_or(text.trim())),
            Err(_) => Err(self.flaw("bytes that are not UTF-8")),
        }
    }
}

/// A line as fields, from the left.
pub(super) struct Fields<'a> {
    line: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    pub(super) fn new(line: &'a [u8]) -> Self {
        Fields { line, at: 0 }
    }

    /// The field before the next separator, which must be there: it is the `nth` of `columns`.
    pub(super) fn up_to(
        &mut self,
        separator: u8,
        nth: usize,
        columns: usize,
    ) -> Result<Field<'a>, Flaw> {
        let rest = self.rest();
        match rest.bytes.iter().position(|b| *b == separator) {
            Some(length) => {
                self.at = rest.start + length + 1;
                Ok(Field { bytes: rest.bytes.get(..length).unwrap_or_default(), ..rest })
            }
            None => Err(rest.flaw(format!("the row ends after {nth} of its {columns} columns"))),
        }
    }

    /// The field before the next separator or the end of the line.
    pub(super) fn next(&mut self, separator: u8) -> Field<'a> {
        let rest = self.rest();
        let length = rest.bytes.iter().position(|b| *b == separator).unwrap_or(rest.bytes.len());
        self.at = (rest.start + length + 1).min(self.line.len());
        Field { bytes: rest.bytes.get(..length).unwrap_or_default(), ..rest }
    }

    /// The next word between blanks; empty at the end.
    pub(super) fn word(&mut self) -> Field<'a> {
        let rest = self.rest();
        let blank = |b: &u8| matches!(b, b' ' | b'\t');
        let begin = rest.bytes.iter().position(|b| !blank(b)).unwrap_or(rest.bytes.len());
        let bytes = rest.bytes.get(begin..).unwrap_or_default();
        let length = bytes.iter().position(blank).unwrap_or(bytes.len());
        let start = rest.start + begin;
        self.at = start + length;
        Field { line: self.line, start, bytes: bytes.get(..length).unwrap_or_default() }
    }

    /// All that is left.
    pub(super) fn rest(&self) -> Field<'a> {
        let bytes = self.line.get(self.at..).unwrap_or_default();
        Field { line: self.line, start: self.at, bytes }
    }
}

pub(super) fn unquoted(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"')
}

/// A quote that opens the name must close it: if not, the row is cut off or runs over lines.
pub(super) fn check_quotes(name: &Field<'_>) -> Result<(), Flaw> {
    let text = name.bytes.trim_ascii();
    let closed = text.len() > 1 && text.ends_with(b"\"");
    if text.starts_with(b"\"") && !closed {
        return Err(name.flaw("the quote that begins the name is not closed"));
    }
    Ok(())
}

/// An end of a range: an address, or a number that stands for one.
#[derive(Clone, Copy)]
enum End {
    Address(IpAddr),
    Number(u128),
}

/// The range from `first` to `last`: addresses, or the numbers that some tables write for them. Numbers that
/// both fit into 32 bits are IPv4 addresses: what would be such IPv6 addresses (`::/96`) nobody announces.
pub(super) fn range(first: &Field<'_>, last: &Field<'_>) -> Result<Range, Flaw> {
    let (a, b) = match (end(first)?, end(last)?) {
        (End::Address(a), End::Address(b)) => (a, b),
        (End::Number(a), End::Number(b)) => match (u32::try_from(a), u32::try_from(b)) {
            (Ok(a), Ok(b)) => (Ipv4Addr::from(a).into(), Ipv4Addr::from(b).into()),
            (_, _) => (Ipv6Addr::from(a).into(), Ipv6Addr::from(b).into()),
        },
        (End::Address(_), End::Number(_)) | (End::Number(_), End::Address(_)) => {
            return Err(last.flaw("the range has an address at one end and a number at the other"));
        }
    };
    Range::between(a, b).map_err(|message| last.flaw(message))
}

fn end(field: &Field<'_>) -> Result<End, Flaw> {
    let text = field.text()?;
    if text.is_empty() {
        return Err(field.flaw("the address is missing"));
    }
    if let Ok(address) = text.parse() {
        return Ok(End::Address(address));
    }
    match text.parse::<u128>() {
        Ok(number) if text.bytes().all(|b| b.is_ascii_digit()) => Ok(End::Number(number)),
        Ok(_) | Err(_) => Err(field.flaw(format!("{} is not an address", shown(text)))),
    }
}

/// `192.0.2.0/24`. Host bits are masked away: tables carry what routers announce, and some announce them.
pub(super) fn prefix(field: &Field<'_>) -> Result<IpNet, Flaw> {
    let text = field.text()?;
    prefix_in(text).ok_or_else(|| field.flaw(format!("{} is not a prefix", shown(text))))
}

pub(super) fn prefix_in(text: &str) -> Option<IpNet> {
    let (address, length) = text.split_once('/')?;
    net(address.parse().ok()?, length)
}

/// The network of this many bits that holds the address.
pub(super) fn net(address: IpAddr, length: &str) -> Option<IpNet> {
    let digits = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
    let length = length.parse().ok().filter(|_| digits)?;
    IpNet::new(address, length).ok().map(|net| net.trunc())
}

/// An AS number in digits.
pub(super) fn number(field: &Field<'_>) -> Result<u32, Flaw> {
    let text = field.text()?;
    if text.is_empty() {
        return Err(field.flaw("the AS number is missing"));
    }
    number_in(text).ok_or_else(|| field.flaw(format!("{} is not an AS number", shown(text))))
}

/// An AS number in digits, with `AS` before them or not.
pub(super) fn number_or_as(field: &Field<'_>) -> Result<u32, Flaw> {
    let text = field.text()?;
    if text.is_empty() {
        return Err(field.flaw("the AS number is missing"));
    }
    asn_in(text).ok_or_else(|| field.flaw(format!("{} is not an AS number", shown(text))))
}

pub(super) fn asn_in(text: &str) -> Option<u32> {
    match text.split_at_checked(2) {
        Some((head, digits)) if head.eq_ignore_ascii_case("as") => number_in(digits),
        Some(_) | None => number_in(text),
    }
}

pub(super) fn number_in(digits: &str) -> Option<u32> {
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use ipnet::{Ipv4Subnets, Ipv6Subnets};
    use proptest::prelude::*;

    use super::super::text::parse_row;
    use super::*;
    use crate::config::OriginFormat;

    fn csv(line: &str) -> Result<(String, u32, Option<String>), String> {
        read(OriginFormat::Csv, line)
    }

    fn read(format: OriginFormat, line: &str) -> Result<(String, u32, Option<String>), String> {
        match parse_row(format, line.as_bytes()) {
            Ok(None) => Err("no row".to_owned()),
            Ok(Some(row)) => {
                let nets: Vec<String> = row.range.prefixes().map(|net| net.to_string()).collect();
                let [asn] = row.asns.as_slice() else { return Err("several".to_owned()) };
                Ok((nets.join(" "), *asn, row.name()))
            }
            Err(flaw) => Err(format!("{}: {flaw}", flaw.offset + 1)),
        }
    }

    fn good(nets: &str, asn: u32, name: &str) -> Result<(String, u32, Option<String>), String> {
        Ok((nets.to_owned(), asn, Some(name.to_owned()).filter(|n| !n.is_empty())))
    }

    #[test]
    fn names_may_hold_commas_and_quotes() {
        let net = "192.0.2.0/24";
        let row = |name: &str| csv(&format!("192.0.2.0,192.0.2.255,64500,{name}"));
        assert_eq!(row("Example LLC"), good(net, 64500, "Example LLC"));
        assert_eq!(row("\"Example, Inc.\""), good(net, 64500, "Example, Inc."));
        assert_eq!(row("Example, Inc."), good(net, 64500, "Example, Inc."));
        assert_eq!(row("\"LLC \"\"Example\"\"\""), good(net, 64500, "LLC \"Example\""));
        assert_eq!(row("LLC \"Example\""), good(net, 64500, "LLC \"Example\""));
        assert_eq!(row("Ex\u{1b}ample\t"), good(net, 64500, "Example"));
        assert_eq!(row(""), good(net, 64500, ""));
        let quoted = r#""192.0.2.0","192.0.2.255","64500","Example, Inc.""#;
        assert_eq!(csv(quoted), good(net, 64500, "Example, Inc."));
        let latin1 = b"192.0.2.0,192.0.2.255,64500,Caf\xe9";
        let row = parse_row(OriginFormat::Csv, latin1).unwrap().unwrap();
        assert_eq!(row.name().as_deref(), Some("Caf\u{fffd}"));
    }

    #[test]
    fn iptoasn_rows_are_read() {
        let read = |line| read(OriginFormat::Iptoasn, line);
        assert_eq!(
            read("1.0.0.0\t1.0.0.255\t13335\tUS\tCLOUDFLARENET"),
            good("1.0.0.0/24", 13335, "CLOUDFLARENET")
        );
        assert_eq!(
            read("1.0.1.0\t1.0.3.255\t0\tNone\tNot routed"),
            good("1.0.1.0/24 1.0.2.0/23", 0, "Not routed")
        );
        assert_eq!(
            read("2001:db8::\t2001:db8:2:ffff:ffff:ffff:ffff:ffff\t64500\tNone\t"),
            good("2001:db8::/47 2001:db8:2::/48", 64500, "")
        );
        assert_eq!(
            read("1.0.0.0\t1.0.0.255\t13335\tUS").unwrap_err(),
            "25: the row ends after 4 of its 5 columns"
        );
    }

    #[test]
    fn every_refusal_names_its_column() {
        for (line, said) in [
            ("192.0.2.0,192.0.2.255,64500", "23: the row ends after 3 of its 4 columns"),
            ("192.0.2.0", "1: the row ends after 1 of its 4 columns"),
            ("192.0.2.0,192.0.2.255,,x", "23: the AS number is missing"),
            ("192.0.2.0,,1,x", "11: the address is missing"),
            ("192.0.2.0,192.0.2.255,AS64500,x", "23: AS64500 is not an AS number"),
            ("192.0.2.0,192.0.2.255,+64500,x", "23: +64500 is not an AS number"),
            ("192.0.2.0,192.0.2.255,4294967296,x", "23: 4294967296 is not an AS number"),
            (
                "192.0.2.9,192.0.2.1,1,x",
                "11: the range ends at 192.0.2.1, before its start 192.0.2.9",
            ),
            (
                "192.0.2.0,2001:db8::,1,x",
                "11: the range runs from 192.0.2.0 to 2001:db8::, of another family",
            ),
            ("192.0.02.0,192.0.2.255,1,x", "1: 192.0.02.0 is not an address"),
            ("start,end,asn,org", "1: start is not an address"),
            (
                "16777216,1.0.0.255,13335,x",
                "10: the range has an address at one end and a number at the other",
            ),
            ("+16777216,+16777471,1,x", "1: +16777216 is not an address"),
            (
                "192.0.2.0,192.0.2.255,64500,\"Examp",
                "29: the quote that begins the name is not closed",
            ),
            ("192.0.2.0,192.0.2.255,64500,\"", "29: the quote that begins the name is not closed"),
        ] {
            assert_eq!(csv(line).unwrap_err(), said, "{line}");
        }
        let flaw = parse_row(OriginFormat::Csv, b"192.0.2.0,\xff,1,x").unwrap_err();
        assert_eq!((flaw.offset, flaw.message.as_str()), (10, "bytes that are not UTF-8"));
    }

    #[test]
    fn the_whole_of_a_family_is_one_prefix() {
        let v4 = Range::V4(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST);
        assert_eq!(v4.prefixes().collect::<Vec<_>>(), ["0.0.0.0/0".parse().unwrap()]);
        let v6 = Range::V6(Ipv6Addr::UNSPECIFIED, Ipv6Addr::from(u128::MAX));
        assert_eq!(v6.prefixes().collect::<Vec<_>>(), ["::/0".parse().unwrap()]);
    }

    /// Covers `first..=last` and nothing else, in order, and no two neighbours could be one.
    fn check_exact(first: u128, last: u128, nets: &[(u128, u128, u8)]) {
        let mut next = Some(first);
        for (start, end, _) in nets {
            assert_eq!(Some(*start), next);
            next = end.checked_add(1);
        }
        assert_eq!(nets.last().map(|n| n.1), Some(last));
        for pair in nets.windows(2) {
            let (a, b) = (pair[0], pair[1]);
            let size = a.1 - a.0 + 1;
            assert!(a.2 != b.2 || a.0 % (size * 2) != 0, "{a:?} and {b:?} could be one");
        }
    }

    proptest! {
        #[test]
        fn ipv4_prefixes_cover_exactly_the_range(a: u32, length in 0u32..5000) {
            let last = a.saturating_add(length);
            let nets: Vec<IpNet> = Range::V4(a.into(), last.into()).prefixes().collect();
            for address in a.saturating_sub(300)..=last.saturating_add(300) {
                let ip = IpAddr::V4(address.into());
                let holders = nets.iter().filter(|n| n.contains(&ip)).count();
                prop_assert_eq!(holders, usize::from((a..=last).contains(&address)));
            }
        }

        #[test]
        fn ipv4_prefixes_are_exact_and_fewest(a: u32, b: u32) {
            let (a, b) = (a.min(b), a.max(b));
            let nets: Vec<_> = Ipv4Subnets::new(a.into(), b.into(), 0)
                .map(|n| (u128::from(u32::from(n.network())), u128::from(u32::from(n.broadcast())), n.prefix_len()))
                .collect();
            check_exact(a.into(), b.into(), &nets);
        }

        #[test]
        fn ipv6_prefixes_are_exact_and_fewest(a: u128, b: u128, shift in 0u32..128) {
            let b = a.saturating_add(b >> shift);
            // The two halves of the whole space have a size that does not double in 128 bits.
            prop_assume!(a > 0 && b < u128::MAX && b - a < u128::MAX / 4);
            let nets: Vec<_> = Ipv6Subnets::new(a.into(), b.into(), 0)
                .map(|n| (u128::from(n.network()), u128::from(n.broadcast()), n.prefix_len()))
                .collect();
            check_exact(a, b, &nets);
        }
    }
}
