//! A rule set in a file, for a daemon that cannot read the lists, or not yet, and for the way back.
//!
//! The file holds what the lists said, resolved and sorted; the table is compiled from it. It can be used by every
//! version with the same layout ([`MAGIC`]). What it is made for (lists, origin tables and local space, as they are
//! configured) stands in it, and a daemon begins with it only where the configuration still says so. A file that
//! differs from what was written in any byte is not used. It is written aside and renamed, and it is taken away
//! before a newer rule set is published: what is there is never older than what was in force. Lists that have no
//! file are not in it: they are made anew.

mod bytes;
mod file;
mod rows;

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::digest::digest;
use super::entries::Entry;
use super::guards::Side;
use super::parts::{Parts, counter};
use super::{Builder, Freshness, ListInfo, Resolution, Ruleset};
use crate::REVISION;
use crate::blocklist::temporary::TemporaryEntry;
use crate::config::Config;
use crate::failure::{ExitStatus, Failure};
use bytes::{Reader, Writer};

pub use file::{Outdated, Snapshots, last_in_force, previous, restore};

/// The first bytes of the file; the last one counts up with each change of the layout or of what a field means.
const MAGIC: [u8; 8] = *b"kordonr\x06";

/// Why a snapshot is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// It is not as it was written.
    Damaged,
    /// It has another layout.
    OtherLayout,
    /// The lists or origin tables are configured otherwise now.
    OtherConfiguration,
}

impl std::fmt::Display for Flaw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Flaw::Damaged => "damaged",
            Flaw::OtherLayout => "written by another version",
            Flaw::OtherConfiguration => "made for other lists or origin tables",
        })
    }
}

/// What a rule set holds besides its entries. JSON in the file, for it is small and its fields change.
#[derive(serde::Serialize, serde::Deserialize)]
struct Head<'a> {
    /// Who wrote it, for whoever looks into it.
    version: Cow<'a, str>,
    configured: u64,
    compiled: u64,
    lists: Cow<'a, [ListInfo]>,
    origin_names: Cow<'a, BTreeMap<u32, String>>,
    origin_dates: Cow<'a, [(String, String, u64)]>,
    freshness: Cow<'a, Freshness>,
    resolution: Cow<'a, Resolution>,
}

/// A rule set as a snapshot holds it.
pub struct Stored {
    head: Head<'static>,
    entries4: Vec<Entry<u32>>,
    entries6: Vec<Entry<u128>>,
}

impl Stored {
    /// Whether it was made for the lists, origin tables and local space of this configuration.
    pub fn is_for(&self, config: &Config) -> bool {
        configured(config).is_ok_and(|digest| digest == self.head.configured)
    }

    /// When the files were read that it was made from, in seconds since 1970.
    pub fn loaded(&self) -> u64 {
        self.head.compiled
    }

    /// What the guards look at.
    pub fn side(&self) -> Side<'_> {
        Side { lists: &self.head.lists, v4: &self.entries4, v6: &self.entries6 }
    }

    /// Compiles it, with what this configuration, the kernel and these temporary entries add.
    ///
    /// # Errors
    /// As [`Ruleset::rebuilt`].
    pub fn complete(
        self,
        config: &Config,
        temporary: &[TemporaryEntry],
        place: impl Fn(&str) -> Option<u16>,
    ) -> Result<Ruleset, Failure> {
        let Stored { head, entries4, entries6 } = self;
        let mut lists = head.lists.into_owned();
        for list in &mut lists {
            list.counter = counter(&list.name, &place)?;
        }
        let actions = lists.iter().map(|list| list.action).collect();
        let parts = Parts {
            compiled: head.compiled,
            builder: Builder::of(actions, entries4, entries6),
            lists,
            origin_names: head.origin_names.into_owned(),
            origin_dates: head.origin_dates.into_owned(),
            freshness: head.freshness.into_owned().with_limits(config),
            resolution: head.resolution.into_owned(),
        };
        parts.complete(config, temporary, place)
    }
}

/// The rule set as bytes, without the lists that have no file.
///
/// # Errors
/// 1 where a path is not UTF-8.
fn encode(rules: &Ruleset, config: &Config) -> Result<Vec<u8>, Failure> {
    // They come last.
    let from_files = rules.lists.iter().take_while(|list| list.is_from_a_file()).count();
    let head = Head {
        version: version().into(),
        configured: configured(config)?,
        compiled: rules.compiled,
        lists: Cow::Borrowed(rules.lists.get(..from_files).unwrap_or_default()),
        origin_names: Cow::Borrowed(&rules.origin_names),
        origin_dates: Cow::Borrowed(&rules.origin_dates),
        freshness: Cow::Borrowed(&rules.freshness),
        resolution: Cow::Borrowed(&rules.resolution),
    };
    let mut body = Writer(Vec::from(MAGIC));
    // Room for the digest of what follows.
    body.number(0);
    body.text(&json(&head)?);
    let (entries4, entries6) = rules.table.sorted();
    let kept = |list: u16| usize::from(list) < from_files;
    rows::put(&mut body, entries4.iter().filter(|entry| kept(entry.list)));
    rows::put(&mut body, entries6.iter().filter(|entry| kept(entry.list)));
    let mut whole = body.0;
    if let Some((before, after)) = whole.split_at_mut_checked(MAGIC.len() + 8) {
        before[MAGIC.len()..].copy_from_slice(&digest(after).to_le_bytes());
    }
    Ok(whole)
}

/// The rule set in these bytes.
fn decode(bytes: &[u8]) -> Result<Stored, Flaw> {
    let mut reader = Reader(bytes);
    match reader.take(MAGIC.len()) {
        Some(magic) if magic == MAGIC => {}
        Some(magic) if magic.starts_with(&MAGIC[..7]) => return Err(Flaw::OtherLayout),
        Some(_) | None => return Err(Flaw::Damaged),
    }
    if reader.number() != Some(digest(reader.0)) {
        return Err(Flaw::Damaged);
    }
    body(&mut reader).ok_or(Flaw::Damaged)
}

fn body(reader: &mut Reader<'_>) -> Option<Stored> {
    let head: Head<'static> = serde_json::from_slice(reader.text()?).ok()?;
    let entries4 = rows::take(reader, head.lists.len())?;
    let entries6 = rows::take(reader, head.lists.len())?;
    let ours = head.lists.iter().all(ListInfo::is_from_a_file);
    (reader.0.is_empty() && ours).then_some(Stored { head, entries4, entries6 })
}

fn version() -> String {
    format!("{} {REVISION}", env!("CARGO_PKG_VERSION"))
}

/// A digest of what the configuration says about what is blocked. Keys that are not serialized have no part in how
/// lists and origin tables are read.
fn configured(config: &Config) -> Result<u64, Failure> {
    Ok(digest(&made_for(config)?))
}

fn made_for(config: &Config) -> Result<Vec<u8>, Failure> {
    let Config { lists, origins, groups, recorders, local, .. } = config;
    let networks = &config.cameras.networks;
    json(&(lists, origins, groups, recorders, local, networks))
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, Failure> {
    // Only a path can be of bytes that JSON has no words for.
    serde_json::to_vec(value).map_err(|error| Failure::new(ExitStatus::Failed, error.to_string()))
}

#[cfg(test)]
mod tests;
