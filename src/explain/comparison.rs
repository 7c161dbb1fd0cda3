//! What a reload would change: the answer behind `kordon check --against-running`.

use serde::{Deserialize, Serialize};

use super::{Named, name};
use crate::ruleset::{Change, Difference, Extent, Match, Ruleset, Space};

/// The most origin AS's that are told one by one, those with the most prefixes first.
const ORIGINS: usize = 100;

/// The answer, as `-o json` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// Version of this shape.
    pub schema: u32,
    /// The running rule set's generation.
    pub generation: u64,
    /// The configuration's files that a reload would read.
    pub config: Vec<String>,
    /// Why a reload would be refused all the same; null if it would not be.
    pub refused: Option<Refused>,
    /// Lists that would change, come or go.
    pub lists: Vec<ListChange>,
    /// Origin AS's whose prefixes would change, over all lists; those with the most first.
    pub origins: Vec<OriginChange>,
    /// Origin AS's beyond those.
    pub origins_more: usize,
    /// The first entries that would come.
    pub added: Vec<Named>,
    /// How many would.
    pub added_total: usize,
    /// The first entries that would go.
    pub removed: Vec<Named>,
    /// How many would.
    pub removed_total: usize,
    /// What would be blocked and is not, exemptions counted in.
    pub newly_blocked: Space,
    /// What is blocked and would not be.
    pub no_longer_blocked: Space,
}

/// Why a reload would be refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The exit status that the reload would end with.
    pub status: u8,
    /// What is wrong, where.
    pub message: String,
}

/// One list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListChange {
    /// Its name.
    pub name: String,
    /// Its action now; null if it is not in force.
    pub action_before: Option<String>,
    /// Its action then; null if it would be gone.
    pub action_after: Option<String>,
    /// What would come.
    pub added: Extent,
    /// What would go.
    pub removed: Extent,
}

/// One origin AS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginChange {
    /// Its number.
    pub origin_as: u32,
    /// Its name in the origin tables.
    pub origin_name: Option<String>,
    /// What would come.
    pub added: Extent,
    /// What would go.
    pub removed: Extent,
}

impl Comparison {
    /// Nothing would change.
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty() && self.origins.is_empty()
    }
}

/// What it takes to go from the rule set in force to the next one.
pub fn compare(old: &Ruleset, new: &Ruleset, config: Vec<String>) -> Comparison {
    let difference = Difference::between(old, new);
    let named = |rules: &Ruleset, entries: &[Match]| -> Vec<Named> {
        entries.iter().filter_map(|entry| name(rules, *entry)).collect()
    };
    let mut origins: Vec<OriginChange> = difference
        .origins
        .iter()
        .map(|(asn, change)| OriginChange {
            origin_as: *asn,
            origin_name: new.origin_names.get(asn).or(old.origin_names.get(asn)).cloned(),
            added: change.added,
            removed: change.removed,
        })
        .collect();
    origins.sort_by_key(|o| std::cmp::Reverse(o.added.prefixes + o.removed.prefixes));
    let origins_more = origins.len().saturating_sub(ORIGINS);
    origins.truncate(ORIGINS);
    Comparison {
        schema: 1,
        generation: old.generation,
        config,
        refused: None,
        lists: lists(old, new, &difference),
        origins,
        origins_more,
        added: named(new, &difference.added),
        added_total: difference.added_total,
        removed: named(old, &difference.removed),
        removed_total: difference.removed_total,
        newly_blocked: difference.newly_blocked,
        no_longer_blocked: difference.no_longer_blocked,
    }
}

/// Lists with another content or action, in the order of the new configuration, then those that would be gone.
fn lists(old: &Ruleset, new: &Ruleset, difference: &Difference) -> Vec<ListChange> {
    let action = |rules: &Ruleset, name: &str| {
        let list = rules.lists.iter().find(|list| list.name == name);
        list.map(|list| list.action.label().to_owned())
    };
    let gone = old.lists.iter().filter(|was| new.lists.iter().all(|is| is.name != was.name));
    let mut changes = Vec::new();
    for list in new.lists.iter().chain(gone) {
        let (before, after) = (action(old, &list.name), action(new, &list.name));
        let change = difference.lists.get(&list.name).copied();
        if change.is_none() && before == after {
            continue;
        }
        let Change { added, removed } = change.unwrap_or_default();
        changes.push(ListChange {
            name: list.name.clone(),
            action_before: before,
            action_after: after,
            added,
            removed,
        });
    }
    changes
}
