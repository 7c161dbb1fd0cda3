//! Everything that is known about each list: the answer behind `kordon lists`.
//!
//! Invariant: the same account of a rule set, whether it is in force in a daemon or was read from files by a
//! command; only a daemon knows hits.

use serde::{Deserialize, Serialize};

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
    /// The file.
    pub file: String,
    /// Lines that count: prefixes or AS numbers.
    pub lines: usize,
    /// Prefixes after AS numbers were resolved.
    pub prefixes: usize,
    /// Lines that repeat an earlier one.
    pub duplicates: usize,
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
    let one = |list: &crate::ruleset::ListInfo| {
        let age = ages.next();
        let hits = hits(list.counter);
        ListReport {
            name: list.name.clone(),
            action: list.action.label().to_owned(),
            kind: list.kind.label().to_owned(),
            file: list.path.display().to_string(),
            lines: list.lines,
            prefixes: list.prefixes,
            duplicates: list.duplicates,
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
        let hits = |place: u16| Some(Hits { dropped: place.into(), ..Hits::default() });
        let running = lists(&rules, super::super::RUNNING, 0, hits);
        assert_eq!(running.lists[0].hits.unwrap().dropped, 3, "by its place among the counters");
        assert!(running.lists[0].changed.is_some());
    }
}
