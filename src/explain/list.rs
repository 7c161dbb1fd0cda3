//! Everything that is known about each list: the answer behind `kordon lists`.
//!
//! Invariant: the same account of a rule set, whether it is in force in a daemon or was read from files by a
//! command; only a daemon knows hits.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::blocklist::Sources;
use crate::config::ORIGIN_LIMIT;
use crate::ruleset::Ruleset;

/// All lists of a rule set, as `kordon lists -o json` prints them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListReports {
    /// Version of this shape.
    pub schema: u32,
    /// Where the rule set came from: `running`, or `files: not in force`.
    pub source: String,
    /// The running rule set's generation; 0 for files.
    pub generation: u64,
    /// When this was said, in seconds since 1970.
    pub now: u64,
    /// The lists, in the order of the configuration.
    pub lists: Vec<ListReport>,
}

/// One list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListReport {
    /// The name.
    pub name: String,
    /// `block`, `allow` or `monitor`.
    pub action: String,
    /// What its lines are.
    pub kind: String,
    /// The format that the file was read in.
    pub format: String,
    /// The file.
    pub file: String,
    /// Lines that count: prefixes or AS numbers.
    pub lines: usize,
    /// Prefixes after AS numbers were resolved.
    pub prefixes: usize,
    /// Lines that repeat an earlier one.
    pub duplicates: usize,
    /// Prefixes of somebody else's list of which host bits were cleared.
    #[serde(default)]
    pub masked: usize,
    /// Lines that are wrong and were left out.
    pub rejected: u64,
    /// The first of them, each with its place and what is wrong.
    pub rejected_first: Vec<String>,
    /// Entries from which local space was left out.
    pub carved: u64,
    /// The first of them, each with its place.
    pub carved_first: Vec<String>,
    /// Lines that say something besides their entry.
    pub remarks: usize,
    /// The number that the file counts its versions by, where it has one.
    pub serial: Option<u64>,
    /// The time of the data by the file's own words, in seconds since 1970, where it has one.
    pub dated: Option<u64>,
    /// The file's last line has no line end: it may be cut off.
    pub unterminated: bool,
    /// When the file was last written, in seconds since 1970, as far as it has been read.
    pub written: Option<u64>,
    /// The age of the file in seconds at which the list is stale.
    pub max_age: Option<u64>,
    /// It is older than that.
    pub stale: bool,
    /// When its prefixes last changed under the running daemon, in seconds since 1970; null for files.
    pub changed: Option<u64>,
    /// What packets met because of it; null for files.
    pub hits: Option<Hits>,
    /// On what it rests.
    pub basis: BasisReport,
    /// The day on which somebody shall look at it again.
    pub review_by: Option<String>,
    /// That day has come.
    pub review_due: bool,
    /// Where the prefixes of its AS numbers or countries come from; null for a list that names prefixes itself.
    pub origins: Option<OriginCount>,
}

/// Where the prefixes of a list's AS numbers or countries come from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginCount {
    /// AS numbers that have a prefix.
    pub asns: usize,
    /// Prefixes by origin table; what two tables say counts at both.
    pub tables: BTreeMap<String, usize>,
    /// Prefixes that no table names any more and that are kept.
    pub kept: usize,
}

/// Packets since the daemon started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hits {
    /// Dropped.
    pub dropped: u64,
    /// Passed only because of monitor mode, a pause, or because the list only monitors.
    pub would_drop: u64,
    /// Exempted.
    pub exempted: u64,
}

impl Hits {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.dropped + self.would_drop + self.exempted
    }
}

/// A basis, in parts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BasisReport {
    /// Issuer, number and date in one line; empty where none was declared.
    pub line: String,
    /// Who ordered it.
    pub issuer: String,
    /// The order's number.
    pub number: String,
    /// The order's date.
    pub date: Option<String>,
    /// Free text.
    pub note: Option<String>,
}

/// The lists of this rule set; `hits` says what a list met, by its place among the counters.
pub fn lists(
    rules: &Ruleset,
    source: &str,
    now: u64,
    hits: impl Fn(u16) -> Option<Hits>,
) -> ListReports {
    let mut ages = rules.freshness.lists.iter();
    let mut origins = origins(rules).into_iter();
    let one = |list: &crate::ruleset::ListInfo| {
        let age = ages.next();
        let hits = hits(list.counter);
        ListReport {
            name: list.name.clone(),
            action: list.action.label().to_owned(),
            kind: list.kind.label().to_owned(),
            format: list.format.label().to_owned(),
            file: list.path.display().to_string(),
            lines: list.lines,
            prefixes: list.prefixes,
            duplicates: list.duplicates,
            masked: list.masked,
            rejected: list.rejected.total,
            rejected_first: list.rejected.first.clone(),
            carved: list.carved.total,
            carved_first: list.carved.first.clone(),
            remarks: list.remarks.len(),
            serial: list.serial,
            dated: list.dated,
            unterminated: list.unterminated,
            written: age.and_then(|age| age.written),
            max_age: age.and_then(|age| age.limit),
            stale: age.is_some_and(|age| age.stale(now).is_some()),
            changed: hits.map(|_| list.changed),
            hits,
            basis: BasisReport {
                line: list.basis.line(),
                issuer: list.basis.issuer.clone(),
                number: list.basis.number.clone(),
                date: list.basis.date.clone(),
                note: list.basis.note.clone(),
            },
            review_by: list.review_by.map(|day| day.to_string()),
            review_due: super::review_due(list, now),
            origins: origins.next().flatten(),
        }
    };
    ListReports {
        schema: 1,
        source: source.to_owned(),
        generation: rules.generation,
        now,
        lists: rules.lists.iter().map(one).collect(),
    }
}

/// For each list, where the prefixes of its AS numbers or countries come from.
fn origins(rules: &Ruleset) -> Vec<Option<OriginCount>> {
    let mut asns = vec![BTreeSet::new(); rules.lists.len()];
    let mut counts = vec![(0_usize, 0_usize, [0_usize; ORIGIN_LIMIT]); rules.lists.len()];
    for entry in rules.table().entries() {
        let place = usize::from(entry.list.0);
        let (Some(asns), Some((all, kept, tables))) = (asns.get_mut(place), counts.get_mut(place))
        else {
            continue;
        };
        if entry.origin.is_none() && entry.sources == Sources::NONE {
            continue;
        }
        *all += 1;
        asns.extend(entry.origin);
        if entry.sources == Sources::NONE {
            *kept += 1;
        }
        for place in entry.sources.places() {
            tables[place] += 1;
        }
    }
    let named =
        |(asns, (all, kept, tables)): (BTreeSet<u32>, (usize, usize, [usize; ORIGIN_LIMIT]))| {
            let names = rules.freshness.origins.iter().map(|age| age.name.clone());
            let tables = names.zip(tables).filter(|(_, count)| *count > 0).collect();
            (all > 0).then_some(OriginCount { asns: asns.len(), tables, kept })
        };
    asns.into_iter().zip(counts).map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn files_know_no_hits_and_a_daemon_does() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let config = Config::load(&root.join("config/kordon.toml")).unwrap();
        let rules = Ruleset::load(&config, |_| Some(3), None).unwrap();
        let by_files = lists(&rules, super::super::FILES, 0, |_| None);
        assert_eq!((by_files.lists[0].hits, by_files.lists[0].changed), (None, None));
        assert_eq!((by_files.lists[0].lines, by_files.lists[0].prefixes), (14, 276));
        assert_eq!(by_files.lists[0].basis.line, "NCU 01-140/101, 2022-02-27");
        let tables = &by_files.lists[0].origins.as_ref().unwrap().tables;
        assert_eq!(tables["vk-digital-network"], 276);
        let hits = |place: u16| Some(Hits { dropped: place.into(), ..Hits::default() });
        let running = lists(&rules, super::super::RUNNING, 0, hits);
        assert_eq!(running.lists[0].hits.unwrap().dropped, 3, "by its place among the counters");
        assert!(running.lists[0].changed.is_some());
    }
}
