//! A rule set in a file, for a successor that is to judge before it has read the lists again.
//!
//! The file holds what the lists said, resolved and sorted; the table is compiled from it. It is used by the
//! version that wrote it and for the lists and origin tables that it was made from, as they are configured; a
//! file that differs from what was written in any byte is not used. It is written aside and renamed, and it is
//! taken away before a newer rule set is published: what is there is never older than what was in force.

mod bytes;
mod file;

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::entries::{Bits, Entry};
use super::{Age, Freshness, ListInfo, Ruleset, Table};
use crate::REVISION;
use crate::config::{Action, Basis, Config, ListConfig, ListKind, OriginConfig, OriginFormat};
use bytes::{Reader, Writer, digest};

pub use file::{Snapshots, restore};

/// The first bytes of the file; the last one counts up with the layout.
const MAGIC: [u8; 8] = *b"kordonr\x01";

/// Why a snapshot is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// It is not as it was written.
    Damaged,
    /// Another version of kordon wrote it.
    OtherVersion,
    /// The lists or origin tables are configured otherwise now.
    OtherConfiguration,
}

impl std::fmt::Display for Flaw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Flaw::Damaged => "damaged",
            Flaw::OtherVersion => "written by another version",
            Flaw::OtherConfiguration => "made for other lists or origin tables",
        })
    }
}

/// The rule set as bytes.
fn encode(rules: &Ruleset, config: &Config) -> Vec<u8> {
    let mut body = Writer::default();
    body.text(version().as_bytes());
    body.number(configured(config));
    body.number(rules.compiled);
    body.number(rules.lists.len() as u64);
    for list in &rules.lists {
        put_list(&mut body, list);
    }
    body.number(rules.origin_names.len() as u64);
    for (number, name) in &rules.origin_names {
        body.number((*number).into());
        body.text(name.as_bytes());
    }
    body.number(rules.origin_dates.len() as u64);
    for (name, date, seconds) in &rules.origin_dates {
        body.text(name.as_bytes());
        body.text(date.as_bytes());
        body.number(*seconds);
    }
    for age in rules.freshness.lists.iter().chain(&rules.freshness.origins) {
        body.perhaps(age.written);
    }
    let (entries4, entries6) = rules.table.sorted();
    put_entries(&mut body, entries4);
    put_entries(&mut body, entries6);
    let mut whole = Vec::with_capacity(body.0.len() + 16);
    whole.extend_from_slice(&MAGIC);
    whole.extend_from_slice(&digest(&body.0).to_le_bytes());
    whole.append(&mut body.0);
    whole
}

/// The rule set in these bytes, for this configuration. `place` gives a list name its place among the counters.
fn decode(
    bytes: &[u8],
    config: &Config,
    place: impl Fn(&str) -> Option<u16>,
) -> Result<Ruleset, Flaw> {
    let mut reader = Reader(bytes);
    match reader.take(MAGIC.len()) {
        Some(magic) if magic == MAGIC => {}
        Some(magic) if magic.starts_with(&MAGIC[..7]) => return Err(Flaw::OtherVersion),
        Some(_) | None => return Err(Flaw::Damaged),
    }
    if reader.number() != Some(digest(reader.0)) {
        return Err(Flaw::Damaged);
    }
    if reader.text().ok_or(Flaw::Damaged)? != version().as_bytes() {
        return Err(Flaw::OtherVersion);
    }
    if reader.number().ok_or(Flaw::Damaged)? != configured(config) {
        return Err(Flaw::OtherConfiguration);
    }
    body(&mut reader, config, place).ok_or(Flaw::Damaged)
}

fn body(
    reader: &mut Reader<'_>,
    config: &Config,
    place: impl Fn(&str) -> Option<u16>,
) -> Option<Ruleset> {
    let compiled = reader.number()?;
    let lists: Vec<ListInfo> =
        (0..reader.count()?).map(|_| list(reader, &place)).collect::<Option<_>>()?;
    let mut origin_names = std::collections::BTreeMap::new();
    for _ in 0..reader.count()? {
        origin_names.insert(u32::try_from(reader.number()?).ok()?, reader.string()?);
    }
    let mut origin_dates = Vec::new();
    for _ in 0..reader.count()? {
        origin_dates.push((reader.string()?, reader.string()?, reader.number()?));
    }
    let mut age = |name: &String, limit: Option<std::time::Duration>| {
        let written = reader.perhaps()?;
        Some(Age { name: name.clone(), written, limit: limit.map(|limit| limit.as_secs()) })
    };
    let freshness = Freshness {
        lists: config.lists.iter().map(|l| age(&l.name, l.max_age)).collect::<Option<_>>()?,
        origins: config.origins.iter().map(|o| age(&o.name, o.max_age)).collect::<Option<_>>()?,
    };
    let entries4 = entries(reader, lists.len())?;
    let entries6 = entries(reader, lists.len())?;
    if !reader.0.is_empty() || lists.len() != config.lists.len() {
        return None;
    }
    let actions: Vec<Action> = lists.iter().map(|list| list.action).collect();
    let table = Table::of_sorted(&actions, entries4, entries6);
    let mut rules = Ruleset::new(lists, table);
    rules.compiled = compiled;
    rules.origin_names = origin_names;
    rules.origin_dates = origin_dates;
    rules.freshness = freshness;
    Some(rules)
}

fn version() -> String {
    format!("{} {REVISION}", env!("CARGO_PKG_VERSION"))
}

/// A digest of what the configuration says about lists and origin tables. What is not named here has no part in
/// how they are read.
fn configured(config: &Config) -> u64 {
    let mut writer = Writer::default();
    for list in &config.lists {
        let ListConfig { name, path, kind, action, basis, allow_wide, max_age: _ } = list;
        writer.text(name.as_bytes());
        writer.text(path.as_os_str().as_bytes());
        writer.number(kind_number(*kind));
        writer.number(action_number(*action));
        put_basis(&mut writer, basis);
        writer.number((*allow_wide).into());
    }
    writer.number(config.lists.len() as u64);
    for origin in &config.origins {
        let OriginConfig { name, path, format, max_age: _ } = origin;
        writer.text(name.as_bytes());
        writer.text(path.as_os_str().as_bytes());
        writer.number(match format {
            OriginFormat::Iptoasn => 0,
            OriginFormat::Csv => 1,
        });
    }
    digest(&writer.0)
}

fn put_list(body: &mut Writer, list: &ListInfo) {
    let ListInfo {
        name,
        action,
        kind,
        path,
        basis,
        lines,
        prefixes,
        duplicates,
        unterminated,
        digest,
        changed,
        counter: _,
    } = list;
    body.text(name.as_bytes());
    body.number(action_number(*action));
    body.number(kind_number(*kind));
    body.text(path.as_os_str().as_bytes());
    put_basis(body, basis);
    for count in [lines, prefixes, duplicates] {
        body.number(*count as u64);
    }
    body.number((*unterminated).into());
    body.number(*digest);
    body.number(*changed);
}

fn list(reader: &mut Reader<'_>, place: impl Fn(&str) -> Option<u16>) -> Option<ListInfo> {
    let name = reader.string()?;
    let counter = place(&name)?;
    let action = match reader.number()? {
        0 => Action::Block,
        1 => Action::Allow,
        2 => Action::Monitor,
        _ => return None,
    };
    let kind = match reader.number()? {
        0 => ListKind::Prefix,
        1 => ListKind::Asn,
        _ => return None,
    };
    let path = OsString::from_vec(reader.text()?.to_vec()).into();
    let basis = basis(reader)?;
    let mut count = || usize::try_from(reader.number()?).ok();
    let (lines, prefixes, duplicates) = (count()?, count()?, count()?);
    let unterminated = reader.flag()?;
    let (digest, changed) = (reader.number()?, reader.number()?);
    Some(ListInfo {
        name,
        action,
        kind,
        path,
        basis,
        lines,
        prefixes,
        duplicates,
        unterminated,
        digest,
        changed,
        counter,
    })
}

fn put_basis(body: &mut Writer, basis: &Basis) {
    let Basis { issuer, number, date, note } = basis;
    body.text(issuer.as_bytes());
    body.text(number.as_bytes());
    for text in [date, note] {
        body.number(text.is_some().into());
        body.text(text.as_deref().unwrap_or_default().as_bytes());
    }
}

fn basis(reader: &mut Reader<'_>) -> Option<Basis> {
    let (issuer, number) = (reader.string()?, reader.string()?);
    let mut perhaps = || {
        let (there, text) = (reader.flag()?, reader.string()?);
        Some(there.then_some(text))
    };
    Some(Basis { issuer, number, date: perhaps()?, note: perhaps()? })
}

fn action_number(action: Action) -> u64 {
    match action {
        Action::Block => 0,
        Action::Allow => 1,
        Action::Monitor => 2,
    }
}

fn kind_number(kind: ListKind) -> u64 {
    match kind {
        ListKind::Prefix => 0,
        ListKind::Asn => 1,
    }
}

fn put_entries<B: Bits>(body: &mut Writer, sorted: &[Entry<B>]) {
    body.number(sorted.len() as u64);
    body.0.reserve(sorted.len() * (B::BYTES + 12));
    for entry in sorted {
        let Entry { bits, line, origin, list, length } = entry;
        bits.put(&mut body.0);
        body.0.extend_from_slice(&line.to_le_bytes());
        body.0.extend_from_slice(&origin.to_le_bytes());
        body.0.extend_from_slice(&list.to_le_bytes());
        body.0.extend_from_slice(&[*length, 0]);
    }
}

/// Entries of lists below `lists`, canonical and in order; `None` if they are not.
fn entries<B: Bits>(reader: &mut Reader<'_>, lists: usize) -> Option<Vec<Entry<B>>> {
    let count = reader.count()?;
    let bytes = reader.take(count.checked_mul(B::BYTES + 12)?)?;
    let read = |bytes: &[u8]| {
        let (bits, rest) = bytes.split_at_checked(B::BYTES)?;
        let (line, rest) = rest.split_first_chunk()?;
        let (origin, rest) = rest.split_first_chunk()?;
        let (list, rest) = rest.split_first_chunk()?;
        Some(Entry {
            bits: B::get(bits)?,
            line: u32::from_le_bytes(*line),
            origin: u32::from_le_bytes(*origin),
            list: u16::from_le_bytes(*list),
            length: *rest.first()?,
        })
    };
    let entries: Vec<Entry<B>> =
        bytes.chunks_exact(B::BYTES + 12).map(read).collect::<Option<_>>()?;
    let canonical = |entry: &Entry<B>| {
        entry.length <= B::LENGTH
            && entry.bits.masked(entry.length) == entry.bits
            && usize::from(entry.list) < lists
    };
    let ordered = entries.is_sorted_by(|one, next| one.key() < next.key());
    (ordered && entries.iter().all(canonical)).then_some(entries)
}

#[cfg(test)]
mod tests;
