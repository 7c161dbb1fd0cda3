//! A rule set in a file, for a successor that is to judge before it has read the lists again.
//!
//! The file holds what the lists said, resolved and sorted; the table is compiled from it. It is used by the
//! version that wrote it and for the lists and origin tables that it was made from, as they are configured; a
//! file that differs from what was written in any byte is not used. It is written aside and renamed, and it is
//! taken away before a newer rule set is published: what is there is never older than what was in force.

mod bytes;
mod file;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use super::entries::{Bits, Entry};
use super::{Age, Freshness, ListInfo, Ruleset, Table};
use crate::REVISION;
use crate::config::{Action, Config};
use crate::failure::{ExitStatus, Failure};
use bytes::{Reader, Writer, digest};

pub use file::{Snapshots, restore};

/// The first bytes of the file; the last one counts up with the layout.
const MAGIC: [u8; 8] = *b"kordonr\x02";

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

/// What a rule set holds besides its entries. JSON in the file, for it is small and its fields change.
#[derive(serde::Serialize, serde::Deserialize)]
struct Head<'a> {
    version: Cow<'a, str>,
    configured: u64,
    compiled: u64,
    lists: Cow<'a, [ListInfo]>,
    origin_names: Cow<'a, BTreeMap<u32, String>>,
    origin_dates: Cow<'a, [(String, String, u64)]>,
    /// When the files of the lists and of the origin tables were last written.
    written: [Vec<Option<u64>>; 2],
}

/// The rule set as bytes.
///
/// # Errors
/// 1 where a path is not UTF-8.
fn encode(rules: &Ruleset, config: &Config) -> Result<Vec<u8>, Failure> {
    let written = |ages: &[Age]| ages.iter().map(|age| age.written).collect();
    let head = Head {
        version: version().into(),
        configured: configured(config)?,
        compiled: rules.compiled,
        lists: Cow::Borrowed(&rules.lists),
        origin_names: Cow::Borrowed(&rules.origin_names),
        origin_dates: Cow::Borrowed(&rules.origin_dates),
        written: [written(&rules.freshness.lists), written(&rules.freshness.origins)],
    };
    let mut body = Writer::default();
    body.text(&json(&head)?);
    let (entries4, entries6) = rules.table.sorted();
    put_entries(&mut body, entries4);
    put_entries(&mut body, entries6);
    let mut whole = Vec::with_capacity(body.0.len() + 16);
    whole.extend_from_slice(&MAGIC);
    whole.extend_from_slice(&digest(&body.0).to_le_bytes());
    whole.append(&mut body.0);
    Ok(whole)
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
    let text = reader.text().ok_or(Flaw::Damaged)?;
    // Another version may have other fields.
    let Version { version: wrote } = serde_json::from_slice(text).map_err(|_| Flaw::Damaged)?;
    if wrote != version() {
        return Err(Flaw::OtherVersion);
    }
    let head: Head<'_> = serde_json::from_slice(text).map_err(|_| Flaw::Damaged)?;
    if Ok(head.configured) != configured(config).map_err(drop) {
        return Err(Flaw::OtherConfiguration);
    }
    body(&mut reader, head, config, place).ok_or(Flaw::Damaged)
}

#[derive(serde::Deserialize)]
struct Version {
    version: String,
}

fn body(
    reader: &mut Reader<'_>,
    head: Head<'_>,
    config: &Config,
    place: impl Fn(&str) -> Option<u16>,
) -> Option<Ruleset> {
    let mut lists = head.lists.into_owned();
    for list in &mut lists {
        list.counter = place(&list.name)?;
    }
    let [of_lists, of_origins] = head.written;
    if of_lists.len() != config.lists.len() || of_origins.len() != config.origins.len() {
        return None;
    }
    let age = |name: &String, written, limit: Option<Duration>| {
        let limit = limit.map(|limit| limit.as_secs());
        Age { name: name.clone(), written, limit }
    };
    let with_lists = config.lists.iter().zip(of_lists);
    let with_origins = config.origins.iter().zip(of_origins);
    let freshness = Freshness {
        lists: with_lists.map(|(l, written)| age(&l.name, written, l.max_age)).collect(),
        origins: with_origins.map(|(o, written)| age(&o.name, written, o.max_age)).collect(),
    };
    let entries4 = entries(reader, lists.len())?;
    let entries6 = entries(reader, lists.len())?;
    if !reader.0.is_empty() || lists.len() < config.lists.len() {
        return None;
    }
    let actions: Vec<Action> = lists.iter().map(|list| list.action).collect();
    let table = Table::of_sorted(&actions, entries4, entries6);
    let mut rules = Ruleset::new(lists, table);
    rules.compiled = head.compiled;
    rules.origin_names = head.origin_names.into_owned();
    rules.origin_dates = head.origin_dates.into_owned();
    rules.freshness = freshness;
    Some(rules)
}

fn version() -> String {
    format!("{} {REVISION}", env!("CARGO_PKG_VERSION"))
}

/// A digest of what the configuration says about what is blocked. Keys that are not serialized have no part in how
/// lists and origin tables are read.
fn configured(config: &Config) -> Result<u64, Failure> {
    let Config { lists, origins, groups, recorders, local, .. } = config;
    let networks = &config.cameras.networks;
    Ok(digest(&json(&(lists, origins, groups, recorders, local, networks))?))
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, Failure> {
    // Only a path can be of bytes that JSON has no words for.
    serde_json::to_vec(value).map_err(|error| Failure::new(ExitStatus::Failed, error.to_string()))
}

fn put_entries<B: Bits>(body: &mut Writer, sorted: &[Entry<B>]) {
    body.number(sorted.len() as u64);
    body.0.reserve(sorted.len() * (B::BYTES + 12));
    for entry in sorted {
        let Entry { bits, line, origin, list, length, sources } = entry;
        bits.put(&mut body.0);
        body.0.extend_from_slice(&line.to_le_bytes());
        body.0.extend_from_slice(&origin.to_le_bytes());
        body.0.extend_from_slice(&list.to_le_bytes());
        body.0.extend_from_slice(&[*length, *sources]);
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
            sources: *rest.get(1)?,
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
