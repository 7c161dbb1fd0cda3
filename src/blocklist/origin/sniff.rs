//! The format of an origin table, guessed from its first bytes.
//!
//! Invariant: a guess rests on the first line that is a row, and says so; what fits no format is refused, not
//! tried.

use std::io::Read;
use std::path::Path;

use super::text::parse_row;
use crate::blocklist::place::shown;
use crate::blocklist::unpack::{self, Unpacked};
use crate::config::OriginFormat;
use crate::failure::{ExitStatus, Failure};

/// How many bytes are looked at: more than any table has of comments before its first row.
const HEAD: u64 = 64 << 10;

/// A guess and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guess {
    /// The format.
    pub format: OriginFormat,
    /// Why, for the user.
    pub because: String,
}

/// Guesses the format of an origin table.
///
/// # Errors
///
/// 65 if it looks like none; 66 and 77 if it cannot be read.
pub fn sniff_origin(path: &Path) -> Result<Guess, Failure> {
    let mut head = Vec::new();
    let read = Unpacked::open(path)?.take(HEAD).read_to_end(&mut head);
    read.map_err(|error| unpack::failure(path, &error))?;
    guess(&head)
        .map_err(|why| Failure::new(ExitStatus::BadData, format!("{}: {why}", path.display())))
}

/// The formats in which every row stands on its own, the most particular ones first.
const BY_ROW: [(OriginFormat, &str); 7] = [
    (OriginFormat::Delegated, "fields between bars, as registries write them"),
    (OriginFormat::Iptoasn, "two ends of a range, an AS number, a country and a name between tabs"),
    (OriginFormat::Pfx2as, "an address, a length and AS numbers between tabs"),
    (OriginFormat::Bgptools, "a JSON object with CIDR and ASN"),
    (OriginFormat::Csv, "two ends of a range, an AS number and a name between commas"),
    (OriginFormat::Geolite2, "a prefix, an AS number and a name between commas"),
    (OriginFormat::PrefixAsn, "a prefix and an AS number between blanks"),
];

fn guess(head: &[u8]) -> Result<Guess, String> {
    let found = |format, because: &str| Ok(Guess { format, because: because.to_owned() });
    if head.contains(&0) {
        return found(OriginFormat::Mmdb, "it is not text");
    }
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let lines = (1u32..).zip(head.split(|b| *b == b'\n'));
    let mut rows = lines
        .map(|(number, line)| (number, line.trim_ascii_end()))
        .filter(|(_, line)| !line.trim_ascii().is_empty() && !line.starts_with(b"#"));
    let Some((number, line)) = rows.next() else {
        return Err("no rows: an empty origin table is refused".to_owned());
    };
    let on = |what: &str| format!("line {number} has {what}");
    if line.starts_with(b"network,autonomous_system_number") {
        return found(OriginFormat::Geolite2, &on("GeoLite2's header"));
    }
    let unquoted: Vec<u8> = line.iter().copied().filter(|b| *b != b'"').collect();
    if unquoted.starts_with(b"ASN,IP Prefix") || unquoted.starts_with(b"URI,ASN,IP Prefix") {
        return found(OriginFormat::VrpCsv, &on("Routinator's header"));
    }
    let fits = |format| parse_row(format, line).is_ok();
    if let Some((format, what)) = BY_ROW.iter().find(|(format, _)| fits(*format)) {
        return found(*format, &on(what));
    }
    if line.trim_ascii_start().starts_with(b"{") && holds(head, b"\"roas\"") {
        return found(OriginFormat::VrpJson, "a JSON document with \"roas\"");
    }
    let text = shown(&String::from_utf8_lossy(line));
    Err(format!("line {number} ({text}) fits no format of origin tables that is known: set format"))
}

fn holds(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_is_told_from_the_others_by_its_first_row() {
        for (text, format) in [
            ("# c\n\n1.0.0.0\t1.0.0.255\t13335\tUS\tX\n", OriginFormat::Iptoasn),
            ("16777216\t16777471\t13335\tUS\tX\n", OriginFormat::Iptoasn),
            ("1.0.0.0\t24\t13335\n", OriginFormat::Pfx2as),
            ("1.0.0.0\t24\t1_2,3\r\n", OriginFormat::Pfx2as),
            ("{\"CIDR\":\"1.1.1.0/24\",\"ASN\":13335,\"Hits\":1}\n", OriginFormat::Bgptools),
            ("1.0.0.0,1.0.0.255,13335,\"X, Y\"\n", OriginFormat::Csv),
            ("16777216,16777471,13335,X\n", OriginFormat::Csv),
            ("network,autonomous_system_number,x\n", OriginFormat::Geolite2),
            ("1.0.0.0/24,13335,\"X\"\n", OriginFormat::Geolite2),
            ("ASN,IP Prefix,Max Length,Trust Anchor\n", OriginFormat::VrpCsv),
            ("\"ASN\",\"IP Prefix\",\"Max Length\",\"Trust Anchor\"\n", OriginFormat::VrpCsv),
            ("URI,ASN,IP Prefix,Max Length,Not Before,Not After\n", OriginFormat::VrpCsv),
            ("\u{feff}{\n \"metadata\": {}, \"roas\": [", OriginFormat::VrpJson),
            ("1.0.0.0/24 13335\n", OriginFormat::PrefixAsn),
            ("2001:db8::/32\tAS64500\n", OriginFormat::PrefixAsn),
            ("2|ripencc|20261008|1|19830705|20261008|+0100\n", OriginFormat::Delegated),
            ("ripencc|RU|ipv4|2.56.88.0|1024|20190101|allocated\n", OriginFormat::Delegated),
            ("a\0b", OriginFormat::Mmdb),
        ] {
            let guess = guess(text.as_bytes()).unwrap();
            assert_eq!(guess.format, format, "{text}");
            assert!(!guess.because.is_empty());
        }
    }

    #[test]
    fn what_fits_no_format_is_refused_and_quoted() {
        let said = guess(b"# c\nhello \x1b[2J\n").unwrap_err();
        assert!(said.starts_with("line 2 (hello \\u{1b}[2J) fits no format"), "{said}");
        assert_eq!(guess(b"# c\n").unwrap_err(), "no rows: an empty origin table is refused");
        assert!(guess(b"{\"a\": 1}").is_err());
        assert!(guess(b"10.0.0.0/8\n").is_err());
    }
}
