//! Configuration to a rule set: read the lists, resolve, check, compile. Aside, off the packet threads.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::digest::digest;
use super::parts::{Parts, counter};
use super::resolution::remembered;
use super::{Builder, Freshness, ListInfo, Resolution, Ruleset, names_prefixes};
use crate::blocklist::temporary::{self, TemporaryEntry};
use crate::blocklist::{self, Carved, Entry, Known, LoadedList, LocalSpace, Rejected};
use crate::clock;
use crate::config::{Action, Config, ListConfig};
use crate::failure::{ExitStatus, Failure};

impl Ruleset {
    /// Reads the files that the configuration names, and the temporary entries in its state folder where they can
    /// be read, and compiles them: what a daemon would begin with.
    ///
    /// # Errors
    /// As [`load_with`](Self::load_with).
    pub fn load(
        config: &Config,
        place: impl Fn(&str) -> Option<u16>,
        previous: Option<&Ruleset>,
    ) -> Result<Ruleset, Failure> {
        let given = temporary::read(&config.state_folder, clock::now()).unwrap_or_default();
        Ruleset::load_with(config, place, previous, &given)
    }

    /// Reads the files that the configuration names and compiles them, with these temporary entries.
    ///
    /// `place` gives a list name its place among the counters. `previous` is the rule set in force, if any:
    /// a list whose prefixes are still the same keeps its time of change.
    ///
    /// # Errors
    /// As [`blocklist::load_knowing`]; 65 where a list names nothing but local space; as [`Ruleset::rebuilt`].
    pub fn load_with(
        config: &Config,
        place: impl Fn(&str) -> Option<u16>,
        previous: Option<&Ruleset>,
        temporary: &[TemporaryEntry],
    ) -> Result<Ruleset, Failure> {
        let freshness = Freshness::of(config);
        let (memory, forgotten) = remembered(config);
        let known = Known { groups: &config.groups, memory, now: clock::now() };
        let mut loaded = blocklist::load_knowing(&config.lists, &config.origins, known)
            .map_err(|failure| with_cause(failure, forgotten.as_deref()))?;
        loaded.warnings.extend(forgotten);
        let mut resolution = Resolution::new(config, &loaded.origin_dates, loaded.warnings);
        resolution.memory = Some(loaded.memory).filter(|memory| !memory.is_empty());
        let local = LocalSpace::of(config);
        let mut builder = Builder::new();
        let mut lists = Vec::with_capacity(loaded.lists.len());
        for mut read in loaded.lists {
            let Some(declared) = config.lists.get(read.config) else { continue };
            let counter = counter(&declared.name, &place)?;
            let (digest, named) = (digest_of(&read.entries), read.entries.len());
            let carved = carve(declared, &local, &mut read.entries);
            if read.entries.is_empty() {
                return Err(nothing_left(declared, &carved));
            }
            let id = builder.list(declared.action);
            builder.add_all(id, &read.entries);
            resolution.add(id, &read);
            let mut list = info(declared, read, counter, previous, digest);
            list.carved = carved;
            if list.names_prefixes() {
                list.lines = named;
            }
            lists.push(list);
        }
        let dated = loaded.origin_dates.into_iter().filter_map(|date| {
            let unix = u64::try_from(date.unix_seconds?).ok()?;
            Some((date.source, date.date?, unix))
        });
        let origin_dates: Vec<_> = dated.collect();
        let parts = Parts {
            compiled: clock::now(),
            lists,
            builder,
            origin_names: loaded.origin_names,
            freshness: freshness.with_dates(&origin_dates),
            origin_dates,
            resolution,
        };
        parts.complete(config, temporary, place)
    }
}

/// A list may be refused only because it is not known what the tables said earlier.
fn with_cause(failure: Failure, forgotten: Option<&str>) -> Failure {
    match forgotten {
        None => failure,
        Some(why) => Failure::new(failure.status, format!("{failure}\n{why}")),
    }
}

/// Takes local space out of the entries of a list that drops or counts; says what it took, with the places.
fn carve(
    declared: &ListConfig,
    local: &LocalSpace,
    entries: &mut Vec<blocklist::Entry>,
) -> Rejected {
    let mut carved = Rejected::default();
    if declared.keep_local || declared.action == Action::Allow {
        return carved;
    }
    let mut parts = Vec::new();
    let place = |entry: &blocklist::Entry| {
        let through = entry.origin.map_or(String::new(), |asn| format!("AS{asn}, "));
        format!("{}:{}: {through}{}", declared.path.display(), entry.line, entry.prefix)
    };
    entries.retain(|entry| match local.carve(entry.prefix) {
        Carved::Whole => true,
        Carved::Nothing(network) => {
            carved.add(|| format!("{} is in local space and left out: {network}", place(entry)));
            false
        }
        Carved::Parts(left, networks) => {
            carved.add(|| format!("{} is used without local space: {networks}", place(entry)));
            parts.extend(left.into_iter().map(|prefix| blocklist::Entry { prefix, ..*entry }));
            false
        }
    });
    entries.append(&mut parts);
    carved
}

fn nothing_left(declared: &ListConfig, carved: &Rejected) -> Failure {
    let first = carved.first.first().map_or("", String::as_str);
    let message = format!(
        "list {}: names nothing but local space: set keep_local = true on this list if it is meant \
         ({first})",
        declared.name
    );
    Failure::new(ExitStatus::BadData, message)
}

fn info(
    declared: &ListConfig,
    read: LoadedList,
    counter: u16,
    previous: Option<&Ruleset>,
    digest: u64,
) -> ListInfo {
    let before = previous.and_then(|rules| rules.lists.iter().find(|l| l.name == declared.name));
    let changed = match before {
        Some(before) if before.digest == digest => before.changed,
        Some(_) | None => clock::now(),
    };
    ListInfo {
        name: declared.name.clone(),
        action: declared.action,
        kind: declared.kind,
        path: declared.path.clone(),
        format: read.format,
        basis: declared.basis.clone(),
        review_by: declared.review_by,
        lines: match names_prefixes(declared.kind, read.format) {
            true => read.entries.len(),
            false => read.asns,
        },
        prefixes: read.entries.len(),
        duplicates: read.duplicates,
        masked: read.masked,
        unterminated: read.unterminated,
        remarks: read.remarks,
        rejected: read.rejected,
        carved: Rejected::default(),
        serial: read.serial,
        dated: read.dated,
        digest,
        changed,
        counter,
    }
}

/// The same for the same set of prefixes, in whatever order. It stands in snapshots.
fn digest_of(entries: &[Entry]) -> u64 {
    entries.iter().fold(entries.len() as u64, |sum, entry| {
        let mut bytes = [0; 24];
        let address = match entry.prefix.addr() {
            IpAddr::V4(address) => (4, u128::from(address.to_bits())),
            IpAddr::V6(address) => (6, address.to_bits()),
        };
        let (family, bits) = address;
        let parts: [&[u8]; 3] = [
            &bits.to_le_bytes(),
            // 0 is no AS number that announces anything.
            &entry.origin.unwrap_or(0).to_le_bytes(),
            &[family, entry.prefix.prefix_len()],
        ];
        bytes.iter_mut().zip(parts.into_iter().flatten()).for_each(|(to, from)| *to = *from);
        sum.wrapping_add(digest(&bytes))
    })
}

/// What a new rule set has that the old one had not, and the other way round.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Prefixes that came, over all lists.
    pub added: usize,
    /// Prefixes that went.
    pub removed: usize,
    /// The same by list name, for lists that changed.
    pub lists: BTreeMap<String, (usize, usize)>,
    /// Lists whose action changed: name, before, after.
    pub actions: Vec<(String, &'static str, &'static str)>,
}

impl Changes {
    /// Compares two rule sets, list by list name.
    pub fn between(old: &Ruleset, new: &Ruleset) -> Changes {
        let mut changes = Changes::default();
        let (before, after) = (by_list(old), by_list(new));
        let names: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
        for name in names {
            let none = Vec::new();
            let (old, new) = (before.get(name).unwrap_or(&none), after.get(name).unwrap_or(&none));
            let (added, removed) = differences(old, new);
            if added + removed > 0 {
                changes.added += added;
                changes.removed += removed;
                changes.lists.insert((*name).to_owned(), (added, removed));
            }
        }
        for list in &new.lists {
            if let Some(before) = old.lists.iter().find(|before| before.name == list.name)
                && before.action != list.action
            {
                let (before, after) = (before.action.label(), list.action.label());
                changes.actions.push((list.name.clone(), before, after));
            }
        }
        changes
    }
}

/// The prefixes of each list whose digest is not the same in the other rule set would do; all of them are
/// simple, and fast enough aside (a full routing table: well under a second).
fn by_list(rules: &Ruleset) -> BTreeMap<&str, Vec<ipnet::IpNet>> {
    let mut lists: BTreeMap<&str, Vec<ipnet::IpNet>> =
        rules.lists.iter().map(|list| (list.name.as_str(), Vec::new())).collect();
    for entry in rules.table().entries() {
        let name = rules.list(entry.list).map(|list| list.name.as_str());
        if let Some(prefixes) = name.and_then(|name| lists.get_mut(name))
            && prefixes.last() != Some(&entry.prefix)
        {
            prefixes.push(entry.prefix);
        }
    }
    lists
}

/// How many of two ascending sequences are only in the second, and only in the first.
fn differences(old: &[ipnet::IpNet], new: &[ipnet::IpNet]) -> (usize, usize) {
    let (mut added, mut removed) = (0, 0);
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        match (old.peek(), new.peek()) {
            (None, None) => return (added, removed),
            (Some(_), None) => {
                removed += 1;
                old.next();
            }
            (None, Some(_)) => {
                added += 1;
                new.next();
            }
            (Some(a), Some(b)) => match a.cmp(b) {
                std::cmp::Ordering::Equal => {
                    old.next();
                    new.next();
                }
                std::cmp::Ordering::Less => {
                    removed += 1;
                    old.next();
                }
                std::cmp::Ordering::Greater => {
                    added += 1;
                    new.next();
                }
            },
        }
    }
}

impl std::fmt::Display for Changes {
    /// `+ 12 prefixes, - 3`, then a line for each list that changed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = if self.added == 1 { "prefix" } else { "prefixes" };
        write!(f, "+ {} {word}, - {}", self.added, self.removed)?;
        for (name, (added, removed)) in &self.lists {
            write!(f, "\n  {name}: + {added}, - {removed}")?;
        }
        for (name, before, after) in &self.actions {
            write!(f, "\n  {name}: {before} -> {after}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
