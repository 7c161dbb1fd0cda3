//! Spamhaus DROP and ASN-DROP as JSON lines: one object per line, the last one about the file.
//!
//! Source: `drop_v4.json`, `drop_v6.json` and `asndrop.json` as published. Invariant: a file whose last object
//! is not the one about the file is cut off, and refused.

use std::borrow::Cow;

use serde::Deserialize;

use super::meta::{Declared, Metadata};
use super::text::loose;
use super::{Found, Item, Out, Parser, Subject, give};
use crate::blocklist::asn::parse_asn;
use crate::blocklist::place::Flaw;

/// Either of the two.
pub(super) struct Json {
    asns: bool,
    meta: Metadata,
    last: u32,
    ended: bool,
}

/// Any line of either file.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Line<'a> {
    #[serde(borrow)]
    cidr: Option<Cow<'a, str>>,
    #[serde(borrow)]
    sblid: Option<Cow<'a, str>>,
    asn: Option<u32>,
    #[serde(borrow)]
    rir: Option<Cow<'a, str>>,
    #[serde(borrow)]
    domain: Option<Cow<'a, str>>,
    #[serde(borrow)]
    cc: Option<Cow<'a, str>>,
    #[serde(borrow)]
    asname: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    timestamp: Option<u64>,
    records: Option<u64>,
    #[serde(borrow)]
    copyright: Option<Cow<'a, str>>,
}

impl Json {
    pub(super) fn drop_list() -> Self {
        Json { asns: false, meta: Metadata::default(), last: 0, ended: false }
    }

    pub(super) fn asn_drop() -> Self {
        Json { asns: true, ..Self::drop_list() }
    }

    fn read<'a>(&mut self, number: u32, line: &'a [u8]) -> Result<Option<Item<'a>>, Flaw> {
        let read: Line<'a> = serde_json::from_slice(line).map_err(|error| not_json(&error))?;
        if read.kind.as_deref() == Some("metadata") {
            self.about(number, &read);
            return Ok(None);
        }
        if self.ended {
            return Err(Flaw::new(0, "an entry behind the line about the file"));
        }
        let (subject, masked) = if self.asns {
            let asn = read.asn.ok_or_else(|| Flaw::new(0, "the object has no \"asn\""))?;
            (Subject::Asn(parse_asn(&asn.to_string())?), false)
        } else {
            let cidr = read.cidr.as_deref();
            let cidr = cidr.ok_or_else(|| Flaw::new(0, "the object has no \"cidr\""))?;
            // Where in the line the text stands is not known.
            loose(cidr).map_err(|flaw| Flaw::new(0, flaw.message))?
        };
        let said = [read.sblid, read.asname, read.domain, read.cc, read.rir];
        let said: Vec<&str> = said.iter().flatten().map(|text| &**text).collect();
        let remark = Cow::Owned(said.join(", "));
        Ok(Some(Item { subject, line: number, column: 1, remark, masked }))
    }

    fn about(&mut self, number: u32, read: &Line<'_>) {
        self.ended = true;
        self.meta.date(read.timestamp);
        self.meta.serial = self.meta.serial.or(read.timestamp);
        if let Some(records) = read.records {
            self.meta.declared = Some(Declared { number: records, line: number, word: "records" });
        }
        if let Some(copyright) = &read.copyright {
            self.meta.credit(copyright);
        }
    }
}

impl Parser for Json {
    fn line(&mut self, number: u32, line: &[u8], out: Out<'_>) {
        if line.trim_ascii().is_empty() {
            return;
        }
        self.last = number;
        let found = self.read(number, line);
        give(number, found, out);
    }

    fn end(&mut self, out: Out<'_>) -> Metadata {
        if !self.ended {
            let message = "the line about the file (\"type\":\"metadata\") is missing at its end: \
                           it may be cut off";
            out(Found::Guard(self.last.max(1), Flaw::new(0, message)));
        }
        std::mem::take(&mut self.meta)
    }
}

fn not_json(error: &serde_json::Error) -> Flaw {
    let offset = u32::try_from(error.column()).unwrap_or(u32::MAX).saturating_sub(1);
    let text = error.to_string();
    // The line that it names is always the first: each is read by itself.
    let cause = text.rsplit_once(" at line ").map_or(text.as_str(), |(cause, _)| cause);
    Flaw::new(offset, format!("not an object of this format: {cause}"))
}
