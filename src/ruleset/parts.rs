//! What a rule set is compiled from: lists that came from files, and those that have none.
//!
//! Invariants: lists from files come first, in the order of the configuration, then those that are made here; a
//! rule set that is made anew has the same lists from files, entry by entry, without a file being read.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::entries::by_prefix;
use super::own::protected;
use super::{Builder, Freshness, ListInfo, Resolution, Ruleset, Table};
use crate::blocklist::temporary::{self, TemporaryEntry};
use crate::blocklist::{Carved, LocalSpace};
use crate::config::{Action, Basis, Config, MADE_LISTS};
use crate::failure::{ExitStatus, Failure};
use crate::log::moment;

/// The lists without a file, by name.
const PROTECTED: &str = MADE_LISTS[0];
const ALLOWED: &str = MADE_LISTS[1];
const BLOCKED: &str = MADE_LISTS[2];

/// A rule set that is not compiled yet.
pub(super) struct Parts {
    /// When its files were read, in seconds since 1970.
    pub(super) compiled: u64,
    /// Lists from files.
    pub(super) lists: Vec<ListInfo>,
    /// Their entries.
    pub(super) builder: Builder,
    pub(super) origin_names: BTreeMap<u32, String>,
    pub(super) origin_dates: Vec<(String, String, u64)>,
    pub(super) freshness: Freshness,
    pub(super) resolution: Resolution,
}

impl Ruleset {
    /// The same lists from files, without reading them, with these temporary entries and with what this
    /// configuration and the kernel say now about recorders, local space and own addresses.
    ///
    /// # Errors
    /// 69 where the kernel does not say the gateway's own addresses, 1 where `place` has none left.
    pub fn rebuilt(
        &self,
        config: &Config,
        temporary: &[TemporaryEntry],
        place: impl Fn(&str) -> Option<u16>,
    ) -> Result<Ruleset, Failure> {
        Parts::of(self).complete(config, temporary, place)
    }
}

/// What no list can block under this rule set, and what it is.
pub fn covering_protected(rules: &Ruleset) -> Vec<(IpNet, String)> {
    let Some(place) = rules.lists.iter().position(|list| list.name == PROTECTED) else {
        return Vec::new();
    };
    let list = rules.lists.get(place);
    let of_it = rules.table().entries().filter(|entry| usize::from(entry.list.0) == place);
    of_it
        .map(|entry| {
            let what = list.and_then(|list| list.remarks.of(entry.line)).unwrap_or(PROTECTED);
            (entry.prefix, what.to_owned())
        })
        .collect()
}

/// Whether recorders and own addresses are those that a rule set made now would protect.
///
/// # Errors
/// 69 where the kernel does not say.
pub fn protects_all(rules: &Ruleset, config: &Config) -> Result<bool, Failure> {
    let mut wanted: Vec<(IpNet, String)> =
        protected(config)?.into_iter().map(|own| (own.prefix, own.what)).collect();
    let mut found = covering_protected(rules);
    wanted.sort();
    found.sort();
    Ok(wanted == found)
}

/// How many distinct prefixes of each family a list other than [`PROTECTED`] names.
pub(super) fn named_prefixes(lists: &[ListInfo], table: &Table) -> [usize; 2] {
    let Some(place) = lists.iter().position(|list| list.name == PROTECTED) else {
        return table.prefixes();
    };
    let named = |list: u16| usize::from(list) != place;
    let (v4, v6) = table.sorted();
    [
        by_prefix(v4).filter(|same| same.iter().any(|entry| named(entry.list))).count(),
        by_prefix(v6).filter(|same| same.iter().any(|entry| named(entry.list))).count(),
    ]
}

impl Parts {
    /// What this rule set was compiled from, without the lists that have no file.
    pub(super) fn of(rules: &Ruleset) -> Parts {
        let from_files = rules.lists.iter().filter(|list| list.is_from_a_file());
        let lists: Vec<ListInfo> = from_files.cloned().collect();
        let actions = lists.iter().map(|list| list.action).collect();
        let (entries4, entries6) = rules.table().sorted();
        let kept = |list: u16| usize::from(list) < lists.len();
        let entries4 = entries4.iter().filter(|entry| kept(entry.list)).copied().collect();
        let entries6 = entries6.iter().filter(|entry| kept(entry.list)).copied().collect();
        Parts {
            compiled: rules.compiled,
            builder: Builder::of(actions, entries4, entries6),
            lists,
            origin_names: rules.origin_names.clone(),
            origin_dates: rules.origin_dates.clone(),
            freshness: rules.freshness.clone(),
            resolution: rules.resolution.clone(),
        }
    }

    /// Adds the lists that have no file, and compiles.
    pub(super) fn complete(
        mut self,
        config: &Config,
        temporary: &[TemporaryEntry],
        place: impl Fn(&str) -> Option<u16>,
    ) -> Result<Ruleset, Failure> {
        let basis = |issuer: &str| Basis { issuer: issuer.to_owned(), ..Basis::default() };
        let own = protected(config)?.into_iter().map(|own| (own.prefix, own.what)).collect();
        let mut list = ListInfo::named(PROTECTED, Action::Allow, 0);
        list.basis = basis("built in");
        self.add(list, own, &place)?;
        for (name, action) in [(ALLOWED, Action::Allow), (BLOCKED, Action::Block)] {
            let given: Vec<&TemporaryEntry> =
                temporary.iter().filter(|entry| entry.action == action).collect();
            let mut list = ListInfo::named(name, action, 0);
            list.basis = basis("by command");
            list.path = temporary::path(&config.state_folder);
            list.changed = given.iter().map(|entry| entry.at).max().unwrap_or(0);
            let entries = match action {
                Action::Block => without_local_space(config, &given),
                Action::Allow | Action::Monitor => {
                    given.iter().map(|entry| (entry.prefix, said_of(entry))).collect()
                }
            };
            self.add(list, entries, &place)?;
        }
        let mut rules = Ruleset::new(self.lists, self.builder.compile());
        rules.compiled = self.compiled;
        rules.origin_names = self.origin_names;
        rules.origin_dates = self.origin_dates;
        rules.freshness = self.freshness;
        rules.resolution = self.resolution;
        Ok(rules.governed(config))
    }

    /// Adds a list without a file, unless it is empty: prefixes, each with what is to be said of it.
    fn add(
        &mut self,
        mut list: ListInfo,
        entries: Vec<(IpNet, String)>,
        place: impl Fn(&str) -> Option<u16>,
    ) -> Result<(), Failure> {
        if entries.is_empty() {
            return Ok(());
        }
        list.counter = counter(&list.name, place)?;
        let id = self.builder.list(list.action);
        for (line, (prefix, said)) in (1..).zip(&entries) {
            list.remarks.add(line, said);
            self.builder.add(id, *prefix, line, None);
        }
        (list.lines, list.prefixes) = (entries.len(), entries.len());
        if list.changed == 0 {
            list.changed = self.compiled;
        }
        self.lists.push(list);
        Ok(())
    }
}

/// The place of a list among the counters.
///
/// # Errors
/// 1 where there is none left.
pub(super) fn counter(name: &str, place: impl Fn(&str) -> Option<u16>) -> Result<u16, Failure> {
    place(name).ok_or_else(|| {
        Failure::new(
            ExitStatus::Failed,
            format!("list {name}: too many list names since the daemon started; restart it"),
        )
    })
}

fn without_local_space(config: &Config, given: &[&TemporaryEntry]) -> Vec<(IpNet, String)> {
    let local = LocalSpace::of(config);
    let parts = |entry: &&TemporaryEntry| match local.carve(entry.prefix) {
        Carved::Whole => vec![entry.prefix],
        Carved::Nothing(_) => Vec::new(),
        Carved::Parts(parts, _) => parts,
    };
    let one = |entry| {
        let said = said_of(entry);
        parts(&entry).into_iter().map(move |part| (part, said.clone()))
    };
    given.iter().flat_map(|entry| one(*entry)).collect()
}

/// Until when, by whom and why.
fn said_of(entry: &TemporaryEntry) -> String {
    format!("until {}, by {}: {}", moment(entry.until), entry.by, entry.why)
}

impl ListInfo {
    /// It has a file; the others are made here.
    pub fn is_from_a_file(&self) -> bool {
        !MADE_LISTS.contains(&self.name.as_str())
    }

    /// That local space took something from its entries, if it did: how many, and the first.
    pub fn carved_in_words(&self) -> Option<String> {
        let first = self.carved.first.first()?;
        let more = match self.carved.total {
            1 => String::new(),
            count => format!(" (and {} more: `kordon check` names them)", count - 1),
        };
        Some(format!("note: {first}{more}"))
    }
}

#[cfg(test)]
mod tests;
