//! What is listed about a whole prefix, or through an AS number: `kordon why PREFIX` and `kordon why AS64500`.
//!
//! Invariant: what the addresses meet is split as a packet thread would judge them; entries are named up to
//! [`NAMED`], and all are counted.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Named, name};
use crate::config::Mode;
use crate::ruleset::{Match, Ruleset, Shares};

/// The most entries that are named one by one.
pub const NAMED: usize = 50;

/// The mode as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Monitor or enforce.
    pub mode: Mode,
    /// Drops are paused.
    pub paused: bool,
}

impl Standing {
    fn label(self) -> String {
        format!("{}{}", self.mode.label(), if self.paused { ", paused" } else { "" })
    }

    /// What the addresses of a stretch meet, in words.
    fn outcome(self, shares: &Shares) -> String {
        let nothing = Default::default();
        let passing = [shares.exempt, shares.monitored, shares.unlisted];
        let all = passing.iter().all(|share| *share == nothing);
        let dropped = match (self.mode, self.paused) {
            (Mode::Enforce, false) => "dropped",
            (Mode::Enforce, true) | (Mode::Monitor, _) => "would be dropped",
        };
        match (shares.blocked == nothing, all) {
            (true, _) => "passes".to_owned(),
            (false, true) => dropped.to_owned(),
            (false, false) => format!("partly {dropped}"),
        }
    }
}

/// The answer for one prefix, as `-o json` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefixExplanation {
    /// Version of this shape.
    pub schema: u32,
    /// The prefix asked about.
    pub prefix: IpNet,
    /// `enforce` or `monitor`; `enforce, paused` in a pause.
    pub mode: String,
    /// `passes`, `dropped`, `would be dropped`; `partly` before the last two where some of it is not.
    pub outcome: String,
    /// Where the rule set came from: `running`, or `files: not in force`.
    pub source: String,
    /// The running rule set's generation; 0 for files.
    pub generation: u64,
    /// What its addresses meet.
    pub shares: Shares,
    /// The first entries that cover all of it, the longest first.
    pub covering: Vec<Named>,
    /// How many there are.
    pub covering_total: usize,
    /// The first entries inside of it, in the order of their prefixes.
    pub covered: Vec<Named>,
    /// How many there are.
    pub covered_total: usize,
}

/// The answer for one AS number, as `-o json` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginExplanation {
    /// Version of this shape.
    pub schema: u32,
    /// The AS number asked about.
    pub origin_as: u32,
    /// Its name in the origin tables.
    pub origin_name: Option<String>,
    /// `enforce` or `monitor`; `enforce, paused` in a pause.
    pub mode: String,
    /// As for a prefix, over all prefixes that lists name through it.
    pub outcome: String,
    /// Where the rule set came from: `running`, or `files: not in force`.
    pub source: String,
    /// The running rule set's generation; 0 for files.
    pub generation: u64,
    /// What the addresses of its prefixes meet.
    pub shares: Shares,
    /// The lines that name it.
    pub lines: Vec<OriginLine>,
    /// The first prefixes that lists name through it.
    pub prefixes: Vec<Named>,
    /// How many there are; one that two lines name counts twice.
    pub prefixes_total: usize,
}

/// A line that names an AS number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginLine {
    /// Its first prefix, with all that is known about list and line.
    pub first: Named,
    /// How many prefixes it has through this AS number.
    pub prefixes: usize,
    /// How many of them no origin table names any more.
    pub kept: usize,
}

/// What is listed about this prefix.
pub fn explain_prefix(
    rules: &Ruleset,
    standing: Standing,
    source: &str,
    prefix: IpNet,
) -> PrefixExplanation {
    let found = rules.inside(prefix, NAMED);
    PrefixExplanation {
        schema: 1,
        prefix,
        mode: standing.label(),
        outcome: standing.outcome(&found.shares),
        source: source.to_owned(),
        generation: rules.generation,
        shares: found.shares,
        covering: named(rules, &found.covering),
        covering_total: found.covering.len(),
        covered: named(rules, &found.covered),
        covered_total: found.covered_total,
    }
}

/// What is listed through this AS number.
pub fn explain_origin(
    rules: &Ruleset,
    standing: Standing,
    source: &str,
    asn: u32,
) -> OriginExplanation {
    let found = rules.by_origin(asn, NAMED);
    let line = |(first, prefixes, kept): &(Match, usize, usize)| {
        let first = name(rules, *first)?;
        Some(OriginLine { first, prefixes: *prefixes, kept: *kept })
    };
    OriginExplanation {
        schema: 1,
        origin_as: asn,
        origin_name: rules.origin_names.get(&asn).cloned(),
        mode: standing.label(),
        outcome: standing.outcome(&found.shares),
        source: source.to_owned(),
        generation: rules.generation,
        shares: found.shares,
        lines: found.lines.iter().filter_map(line).collect(),
        prefixes: named(rules, &found.entries),
        prefixes_total: found.total,
    }
}

fn named(rules: &Ruleset, entries: &[Match]) -> Vec<Named> {
    entries.iter().take(NAMED).filter_map(|entry| name(rules, *entry)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn shipped() -> Ruleset {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let config = Config::load(&root.join("config/kordon.toml")).unwrap();
        Ruleset::load(&config, |_| Some(1), None).unwrap()
    }

    #[test]
    fn a_prefix_around_a_listed_one_is_dropped_in_part() {
        let (rules, enforce) = (shipped(), Standing { mode: Mode::Enforce, paused: false });
        let ask = |prefix: &str, standing| {
            explain_prefix(&rules, standing, super::super::FILES, prefix.parse().unwrap())
        };
        let whole = ask("45.84.128.0/23", enforce);
        assert_eq!((whole.outcome.as_str(), whole.covering.len()), ("dropped", 1));
        assert_eq!(whole.shares.blocked.ipv4_addresses, 512);
        let around = ask("45.84.0.0/16", enforce);
        assert_eq!((around.outcome.as_str(), around.covered_total > 0), ("partly dropped", true));
        let paused = Standing { mode: Mode::Enforce, paused: true };
        assert_eq!(ask("45.84.128.0/23", paused).outcome, "would be dropped");
        assert_eq!(ask("192.0.2.0/24", enforce).outcome, "passes");
    }

    #[test]
    fn an_as_number_is_told_by_line_and_prefix() {
        let (rules, enforce) = (shipped(), Standing { mode: Mode::Enforce, paused: false });
        let ask = |asn| explain_origin(&rules, enforce, super::super::FILES, asn);
        let vk = ask(47764);
        assert_eq!((vk.outcome.as_str(), vk.origin_name.as_deref()), ("dropped", Some("LLC VK")));
        assert_eq!((vk.lines.len(), vk.lines[0].first.line), (1, 11));
        assert_eq!(vk.lines[0].prefixes, vk.prefixes_total);
        assert_eq!(vk.prefixes.len(), vk.prefixes_total.min(NAMED));
        let none = ask(64500);
        assert_eq!((none.outcome.as_str(), none.prefixes_total), ("passes", 0));
    }
}
