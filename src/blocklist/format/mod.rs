//! The formats of list files: lines to entries, each with its place and what the line says besides.
//!
//! One file per family. A parser keeps no more than a line and a few counters, whatever the file; nothing
//! that looks like an entry is passed over in silence: it comes out as an entry or as a fault.

pub(super) mod delegated;
mod dshield;
mod ipset;
mod meta;
mod nft;
mod p2p;
mod sniff;
mod spamhaus;
mod text;

use std::borrow::Cow;

use ipnet::IpNet;

use super::country::Country;
use super::place::Flaw;
use super::range::Range;
use crate::config::{ListFormat, ListKind};

pub use meta::{Declared, Metadata};
pub use sniff::{ListGuess, sniff_list};

/// What an entry names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject<'a> {
    Prefix(IpNet),
    Range(Range),
    Asn(u32),
    /// This many AS numbers from this one on.
    Asns(u32, u32),
    /// The name of a group of AS numbers.
    Group(&'a str),
    Country(Country),
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item<'a> {
    pub(super) subject: Subject<'a>,
    /// Its line, from 1. Some formats spread what belongs together over lines.
    pub(super) line: u32,
    /// Its column, from 1, in characters.
    pub(super) column: u32,
    /// What the file says about it: a comment, a label, a country.
    pub(super) remark: Cow<'a, str>,
    /// Host bits were cleared.
    pub(super) masked: bool,
}

/// What a parser finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found<'a> {
    Item(Item<'a>),
    /// Something that is no entry of the format, at this line. `max_rejected` may leave it out.
    Wrong(u32, Flaw),
    /// Something that would make the list say more or less than it means if it were left out.
    Guard(u32, Flaw),
}

/// Where a parser puts what it finds.
pub(super) type Out<'o> = &'o mut dyn FnMut(Found<'_>);

/// A format.
pub(super) trait Parser {
    /// Reads the next line, which has this number.
    fn line(&mut self, number: u32, line: &[u8], out: Out<'_>);

    /// After the last line: what is still open, and what the file says about itself.
    fn end(&mut self, out: Out<'_>) -> Metadata;
}

/// What a line yields that holds at most one entry.
fn give(number: u32, found: Result<Option<Item<'_>>, Flaw>, out: Out<'_>) {
    match found {
        Ok(None) => {}
        Ok(Some(item)) => out(Found::Item(item)),
        Err(flaw) => out(Found::Wrong(number, flaw)),
    }
}

/// The parser of a format. `Auto` has to be settled before; it reads as the plain text of the kind.
pub(super) fn parser(format: ListFormat, kind: ListKind) -> Box<dyn Parser> {
    match format {
        ListFormat::Auto => parser(plain(kind), kind),
        ListFormat::Cidr => Box::new(text::Text::cidr()),
        ListFormat::Asn => Box::new(text::Text::asn()),
        ListFormat::Country => Box::new(text::Text::country()),
        ListFormat::Netset => Box::new(text::Text::netset()),
        ListFormat::Spamhaus => Box::new(text::Text::spamhaus()),
        ListFormat::SpamhausJson => Box::new(spamhaus::Json::drop_list()),
        ListFormat::SpamhausAsn => Box::new(spamhaus::Json::asn_drop()),
        ListFormat::Dshield => Box::new(dshield::Dshield::default()),
        ListFormat::Ipset => Box::new(ipset::Ipset::default()),
        ListFormat::Nft => Box::new(nft::Nft::default()),
        ListFormat::P2p => Box::new(p2p::P2p::default()),
        ListFormat::Delegated => Box::new(delegated::Delegated::new(kind)),
    }
}

/// The plain text format of a kind.
pub(super) fn plain(kind: ListKind) -> ListFormat {
    match kind {
        ListKind::Prefix => ListFormat::Cidr,
        ListKind::Asn => ListFormat::Asn,
        ListKind::Country => ListFormat::Country,
    }
}

/// Whether a file of this format can be a list of this kind.
pub(super) fn serves(format: ListFormat, kind: ListKind) -> bool {
    match format {
        ListFormat::Auto | ListFormat::Delegated => true,
        ListFormat::Asn | ListFormat::SpamhausAsn => kind == ListKind::Asn,
        ListFormat::Country => kind == ListKind::Country,
        ListFormat::Cidr
        | ListFormat::Netset
        | ListFormat::Spamhaus
        | ListFormat::SpamhausJson
        | ListFormat::Dshield
        | ListFormat::Ipset
        | ListFormat::Nft
        | ListFormat::P2p => kind == ListKind::Prefix,
    }
}

/// What a format is, in words.
pub fn in_words(format: ListFormat) -> &'static str {
    match format {
        ListFormat::Auto => "not known",
        ListFormat::Cidr => "prefixes, addresses and ranges as text",
        ListFormat::Asn => "AS numbers as text",
        ListFormat::Country => "country codes as text",
        ListFormat::Netset => "FireHOL netset or ipset",
        ListFormat::Spamhaus => "Spamhaus DROP as text",
        ListFormat::SpamhausJson => "Spamhaus DROP as JSON lines",
        ListFormat::SpamhausAsn => "Spamhaus ASN-DROP",
        ListFormat::Dshield => "DShield's block list",
        ListFormat::Ipset => "output of ipset save",
        ListFormat::Nft => "nftables sets",
        ListFormat::P2p => "PeerGuardian p2p",
        ListFormat::Delegated => "a regional registry's delegated file",
    }
}
