//! DShield's `block.txt`: columns between tabs, below a header row that is no comment.
//!
//! Source: the comments at the head of the file: start, end, netmask, attacks, name, country, contact. Invariant:
//! start, end and netmask agree, so an entry is one prefix.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::meta::{Dialect, Metadata};
use super::{Item, Out, Parser, Subject, give};
use crate::blocklist::place::{Flaw, characters, shown};
use crate::blocklist::prefix::parse_address;
use crate::blocklist::range::Range;

/// DShield's list.
#[derive(Default)]
pub(super) struct Dshield {
    meta: Metadata,
}

impl Parser for Dshield {
    fn line(&mut self, number: u32, line: &[u8], out: Out<'_>) {
        if line.starts_with(b"#") {
            self.meta.comment(Dialect::Dshield, number, line);
        } else if !line.trim_ascii().is_empty() && !is_header(line) {
            give(number, row(number, line).map(Some), out);
        }
    }

    fn end(&mut self, _: Out<'_>) -> Metadata {
        std::mem::take(&mut self.meta)
    }
}

/// Whether this is the row `Start`, `End`, `Netmask` and so on.
pub(super) fn is_header(line: &[u8]) -> bool {
    let mut columns = line.split(|b| *b == b'\t').map(<[u8]>::trim_ascii);
    let mut is = |name: &[u8]| columns.next().is_some_and(|c| c.eq_ignore_ascii_case(name));
    is(b"start") && is(b"end")
}

/// Whether this is a row whose start, end and netmask agree.
pub(super) fn is_row(line: &[u8]) -> bool {
    line.contains(&b'\t') && row(0, line).is_ok()
}

fn row(number: u32, line: &[u8]) -> Result<Item<'_>, Flaw> {
    let text = String::from_utf8_lossy(line);
    let mut at = 0u32;
    let mut columns = text.split('\t').map(|column| {
        let offset = at;
        at = at.saturating_add(characters(column.as_bytes())).saturating_add(1);
        (column.trim(), offset)
    });
    let mut next = |name: &str| match columns.next() {
        Some((text, offset)) if !text.is_empty() => Ok((text, offset)),
        Some((_, offset)) => Err(Flaw::new(offset, format!("the {name} is missing"))),
        None => Err(Flaw::new(0, format!("the row ends before its {name}"))),
    };
    let ((first, at_first), (last, at_last)) = (next("start")?, next("end")?);
    let (mask, at_mask) = next("netmask")?;
    let (a, b) = (
        parse_address(first).map_err(|flaw| flaw.behind(at_first))?,
        parse_address(last).map_err(|flaw| flaw.behind(at_last))?,
    );
    let no_length =
        || Flaw::new(at_mask, format!("{} is not the length of a netmask", shown(mask)));
    let length = length(mask).ok_or_else(no_length)?;
    let range = Range::between(a, b).map_err(|message| Flaw::new(at_last, message))?;
    let net = IpNet::new(a, length).map_err(|_| no_length())?;
    if Range::from(net) != range || net.addr() != net.network() {
        let message = format!("{range} is not {first} with a netmask of {length} bits");
        return Err(Flaw::new(at_first, message));
    }
    let said: Vec<&str> = columns.map(|(text, _)| text).skip(1).filter(|t| !t.is_empty()).collect();
    let remark = Cow::Owned(said.join(", "));
    let column = at_first.saturating_add(1);
    Ok(Item { subject: Subject::Prefix(net), line: number, column, remark, masked: false })
}

/// `24`, or `255.255.255.0` as in copies.
fn length(mask: &str) -> Option<u8> {
    if let Ok(mask) = mask.parse::<Ipv4Addr>() {
        return ipnet::ip_mask_to_prefix(IpAddr::V4(mask)).ok();
    }
    let digits = mask.bytes().all(|b| b.is_ascii_digit());
    mask.parse().ok().filter(|_| digits)
}
