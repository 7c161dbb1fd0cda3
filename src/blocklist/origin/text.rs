//! Origin tables that are text with one row per line: a line of each format to its row.
//!
//! Sources of the formats: iptoasn.com (`ip2asn-*.tsv`), the ip-location-db project (CSV), CAIDA's RouteViews
//! prefix2as (`pfx2as`), bgp.tools (`table.jsonl`), MaxMind (GeoLite2 ASN CSV), Routinator (`csv`, `csvcompat`,
//! `csvext`), the regional registries' statistics exchange format (`delegated`).

use std::borrow::Cow;

use ipnet::IpNet;
use serde::Deserialize;

use super::row::{
    Asns, Field, Fields, Range, Row, asn_in, check_quotes, net, number, number_or_as, prefix,
    prefix_in, range, unquoted,
};
use crate::blocklist::country::Country;
use crate::blocklist::place::{Flaw, shown};
use crate::config::OriginFormat;

/// The most AS numbers that one row may name: more than any prefix was ever seen with.
const MAX_ASNS: usize = 64;

/// The row in a line that is neither blank nor a comment; `None` for a line that is no row: a header, a sum.
///
/// # Errors
///
/// A column is missing or not what it should be, or the range is none.
pub(super) fn parse_row(format: OriginFormat, line: &[u8]) -> Result<Option<Row<'_>>, Flaw> {
    match format {
        OriginFormat::Iptoasn => iptoasn(line).map(Some),
        OriginFormat::Csv => csv(line).map(Some),
        OriginFormat::Pfx2as => pfx2as(line).map(Some),
        OriginFormat::Bgptools => bgptools(line).map(Some),
        OriginFormat::Geolite2 => geolite2(line),
        OriginFormat::VrpCsv => vrp_csv(line),
        OriginFormat::PrefixAsn => prefix_asn(line).map(Some),
        OriginFormat::Delegated => delegated(line),
        OriginFormat::Auto | OriginFormat::Mmdb | OriginFormat::VrpJson => {
            Err(Flaw::new(0, format!("format {format} has no lines")))
        }
    }
}

/// `start<TAB>end<TAB>asn<TAB>country<TAB>name`; the ends are numbers in the `-u32` files.
fn iptoasn(line: &[u8]) -> Result<Row<'_>, Flaw> {
    let mut fields = Fields::new(line);
    let mut next = |nth| fields.up_to(b'\t', nth, 5);
    let (first, last, asn, country) = (next(1)?, next(2)?, next(3)?, next(4)?);
    Ok(Row {
        range: range(&first, &last)?,
        asns: Asns::One(number(&asn)?),
        country: Country::parse(country.text()?),
        name: fields.rest().bytes,
    })
}

/// `start,end,asn,organisation`; the ends are numbers in the `-num` files. The organisation is last and may
/// hold separators itself.
fn csv(line: &[u8]) -> Result<Row<'_>, Flaw> {
    let mut fields = Fields::new(line);
    let mut next = |nth| fields.up_to(b',', nth, 4);
    let (first, last, asn) = (next(1)?, next(2)?, next(3)?);
    let name = fields.rest();
    check_quotes(&name)?;
    let (range, asns) = (range(&first, &last)?, Asns::One(number(&asn)?));
    Ok(Row { range, asns, country: None, name: name.bytes })
}

/// `address<TAB>length<TAB>asns`: `_` between several origins, `,` between the members of an AS set.
fn pfx2as(line: &[u8]) -> Result<Row<'_>, Flaw> {
    let mut fields = Fields::new(line);
    let (address, length) = (fields.up_to(b'\t', 1, 3)?, fields.up_to(b'\t', 2, 3)?);
    let text = address.text()?;
    let Ok(parsed) = text.parse() else {
        return Err(address.flaw(format!("{} is not an address", shown(text))));
    };
    let Some(net) = net(parsed, length.text()?) else {
        let text = shown(length.text()?);
        return Err(length.flaw(format!("{text} is not a prefix length")));
    };
    let origins = fields.rest();
    let text = origins.text()?;
    let bad = || origins.flaw(format!("{} is not an AS number", shown(text)));
    let asns = match asn_in(text) {
        Some(asn) => Asns::One(asn),
        None => {
            let parts = text.split(['_', ',']).map(|part| part.trim_matches(['{', '}']));
            let asns: Vec<u32> =
                parts.map(asn_in).take(MAX_ASNS + 1).collect::<Option<_>>().ok_or_else(bad)?;
            if asns.len() > MAX_ASNS {
                return Err(origins.flaw(format!("more than {MAX_ASNS} AS numbers")));
            }
            Asns::Several(asns)
        }
    };
    Ok(Row { range: net.into(), asns, country: None, name: b"" })
}

/// `{"CIDR":"192.0.2.0/24","ASN":64500,"Hits":1}`, one per line.
fn bgptools(line: &[u8]) -> Result<Row<'_>, Flaw> {
    #[derive(Deserialize)]
    struct Line<'a> {
        #[serde(rename = "CIDR", borrow)]
        cidr: Cow<'a, str>,
        #[serde(rename = "ASN")]
        asn: u32,
    }
    let read: Line<'_> = serde_json::from_slice(line).map_err(|error| json_flaw(&error))?;
    let Some(net) = prefix_in(&read.cidr) else {
        return Err(Flaw::new(0, format!("{} is not a prefix", shown(&read.cidr))));
    };
    Ok(row(net, read.asn))
}

/// `network,asn,organisation` below a header.
fn geolite2(line: &[u8]) -> Result<Option<Row<'_>>, Flaw> {
    let mut fields = Fields::new(line);
    let network = fields.up_to(b',', 1, 3)?;
    if network.bytes == b"network" {
        return Ok(None);
    }
    let asn = fields.up_to(b',', 2, 3)?;
    let name = fields.rest();
    check_quotes(&name)?;
    let (net, asn) = (prefix(&network)?, number(&asn)?);
    Ok(Some(Row { name: name.bytes, ..row(net, asn) }))
}

/// `ASN,IP Prefix,Max Length,Trust Anchor` below that header; `csvcompat` puts all in quotes, `csvext` has a URI
/// first.
fn vrp_csv(line: &[u8]) -> Result<Option<Row<'_>>, Flaw> {
    let mut fields = Fields::new(line);
    let first = fields.next(b',');
    let asn = match first.text()? {
        "ASN" | "URI" => return Ok(None),
        uri if uri.contains("://") => fields.next(b','),
        _ => first,
    };
    let network = fields.next(b',');
    if network.bytes.is_empty() {
        return Err(first.flaw("the row has no prefix"));
    }
    let asn = number_or_as(&asn)?;
    Ok(Some(row(prefix(&network)?, asn)))
}

/// `prefix asn` between blanks.
fn prefix_asn(line: &[u8]) -> Result<Row<'_>, Flaw> {
    let mut fields = Fields::new(line);
    let (network, asn, more) = (fields.word(), fields.word(), fields.word());
    if asn.bytes.is_empty() {
        return Err(network.flaw("the row has no AS number after its prefix"));
    }
    if !more.bytes.is_empty() && !more.bytes.starts_with(b"#") {
        return Err(more.flaw("a row is a prefix and an AS number"));
    }
    Ok(row(prefix(&network)?, number_or_as(&asn)?))
}

/// `registry|cc|type|start|value|date|status`: an IPv4 value is a count of addresses, an IPv6 value a length.
/// Lines about AS numbers, sums, and what nobody has are no rows.
fn delegated(line: &[u8]) -> Result<Option<Row<'_>>, Flaw> {
    let mut fields = Fields::new(line);
    let mut next = |nth| fields.up_to(b'|', nth, 7);
    let (registry, country, kind) = (next(1)?, next(2)?, next(3)?);
    let is_header = registry.bytes.first().is_some_and(u8::is_ascii_digit);
    if is_header || country.bytes == b"*" || kind.bytes == b"asn" {
        return Ok(None);
    }
    let (start, value, _date) = (next(4)?, next(5)?, next(6)?);
    let status = fields.next(b'|');
    match status.text()? {
        "allocated" | "assigned" => {}
        "available" | "reserved" => return Ok(None),
        other => return Err(status.flaw(format!("{} is not a status", shown(other)))),
    }
    let Some(place) = Country::parse(country.text()?) else { return Ok(None) };
    let range = match kind.text()? {
        "ipv4" => counted(&start, &value)?,
        "ipv6" => match start.text()?.parse().ok().and_then(|a| net(a, value.text().ok()?)) {
            Some(net @ IpNet::V6(_)) => net.into(),
            Some(IpNet::V4(_)) | None => return Err(start.flaw("not an IPv6 prefix")),
        },
        other => return Err(kind.flaw(format!("{} is no kind of resource", shown(other)))),
    };
    Ok(Some(Row { range, asns: Asns::One(0), country: Some(place), name: b"" }))
}

/// The range of so many IPv4 addresses; the count need not be a power of two.
fn counted(start: &Field<'_>, value: &Field<'_>) -> Result<Range, Flaw> {
    let first: std::net::Ipv4Addr =
        start.text()?.parse().map_err(|_| start.flaw("not an IPv4 address"))?;
    let count = value.text()?.parse::<u32>().ok().and_then(|count| count.checked_sub(1));
    match count.and_then(|rest| first.to_bits().checked_add(rest)) {
        Some(last) => Ok(Range::V4(first, last.into())),
        None => Err(value.flaw("not a number of addresses that there are from here on")),
    }
}

/// The day in the header line of a delegated file, as it stands there:
/// `version|registry|serial|records|startdate|enddate|UTCoffset`.
pub(super) fn delegated_date(line: &[u8]) -> Option<&str> {
    let mut fields = line.split(|b| *b == b'|');
    fields.next()?.first().filter(|b| b.is_ascii_digit())?;
    std::str::from_utf8(fields.nth(4)?).ok().map(unquoted_or_same)
}

fn unquoted_or_same(text: &str) -> &str {
    unquoted(text).unwrap_or(text)
}

fn row<'a>(net: IpNet, asn: u32) -> Row<'a> {
    Row { range: net.into(), asns: Asns::One(asn), country: None, name: b"" }
}

/// What is wrong with a line of JSON, without the line number, which is always 1.
fn json_flaw(error: &serde_json::Error) -> Flaw {
    let column = u32::try_from(error.column()).unwrap_or(u32::MAX).saturating_sub(1);
    Flaw::new(column, json_cause(error))
}

/// What a JSON error says, without the place, which is said before it.
pub(super) fn json_cause(error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "the JSON ends too early: the file may be cut off".to_owned();
    }
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((cause, _)) => shown(cause),
        None => shown(&text),
    }
}
