//! Guards: a new rule set against the one before, list by list, for what a broken feed looks like.
//!
//! Invariants: a guard looks only at what changed; what it finds is refused unless somebody accepted that list, once.
//! A small list may change as it likes: between a hand that edits and a feed that breaks, nothing but the number
//! of lines tells the difference.

mod cover;

use std::collections::BTreeSet;

use super::entries::Entry;
use super::{ListInfo, Ruleset};
use crate::config::{Action, Config, ListKind};
use crate::failure::{ExitStatus, Failure};
use crate::log::moment;
use cover::{meet, size, union};

/// A list that loses at most so many prefixes is never said to shrink.
const SMALL_LOSS: usize = 10;
/// A list that gains at most so many prefixes is never said to grow.
const SMALL_GAIN: usize = 100;
/// So much of the blocked space an allow list may newly cover.
const NEWLY_EXEMPT: f64 = 0.01;
/// So many addresses may always be exempted.
const FEW_ADDRESSES: f64 = 16.0;

/// Something about a list that is refused unless it is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// The list.
    pub list: String,
    /// Before, after and the limit, in words.
    pub text: String,
}

impl std::fmt::Display for Alarm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "list {}: {}", self.list, self.text)
    }
}

/// What the guards look at: lists and sorted entries, compiled or not.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    pub(super) lists: &'a [ListInfo],
    pub(super) v4: &'a [Entry<u32>],
    pub(super) v6: &'a [Entry<u128>],
}

impl Ruleset {
    /// What the guards look at.
    pub fn side(&self) -> Side<'_> {
        let (v4, v6) = self.table().sorted();
        Side { lists: &self.lists, v4, v6 }
    }
}

impl Side<'_> {
    /// Whether both have the same lists from files, with the same prefixes and actions.
    pub fn same_lists(self, other: Side<'_>) -> bool {
        let of = |list: &ListInfo| (list.name.clone(), list.digest, list.action);
        let from_files = |list: &&ListInfo| list.is_from_a_file();
        let mine = self.lists.iter().filter(from_files).map(of);
        mine.eq(other.lists.iter().filter(from_files).map(of))
    }
}

/// What the guards have to say about `new` after `old`, with the limits of this configuration.
pub fn alarms(old: Side<'_>, new: Side<'_>, config: &Config) -> Vec<Alarm> {
    let mut found = Vec::new();
    for list in new.lists.iter().filter(|list| list.is_from_a_file()) {
        let before = old.lists.iter().find(|before| before.name == list.name);
        let mut texts = Vec::new();
        if let Some(before) = before {
            texts.extend(size_alarm(before, list, config));
            texts.extend(serial_alarm(before, list));
        }
        let same = before.is_some_and(|b| b.digest == list.digest && b.action == list.action);
        if list.action == Action::Allow && !same {
            texts.extend(exemption_alarm(old, new, list));
        }
        found.extend(texts.into_iter().map(|text| Alarm { list: list.name.clone(), text }));
    }
    found
}

/// Nothing, unless a list that is not among the accepted ones gives alarm.
///
/// # Errors
/// 65, with every alarm and the command that puts it in force nevertheless.
pub fn refuse(alarms: &[Alarm], accepted: &BTreeSet<String>) -> Result<(), Failure> {
    let open: Vec<&Alarm> = alarms.iter().filter(|a| !accepted.contains(&a.list)).collect();
    if open.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = open.iter().map(ToString::to_string).collect();
    let names: BTreeSet<&str> = open.iter().map(|alarm| alarm.list.as_str()).collect();
    let accept: String = names.iter().map(|name| format!(" --accept {name}")).collect();
    let message = format!("{}\nif that is meant, once: kordon reload{accept}", lines.join("\n"));
    Err(Failure::new(ExitStatus::BadData, message))
}

fn size_alarm(before: &ListInfo, after: &ListInfo, config: &Config) -> Option<String> {
    let declared = config.lists.iter().find(|list| list.name == after.name)?;
    let (old, new) = (before.prefixes, after.prefixes);
    if old == 0 {
        return None;
    }
    let percent = |part: usize| part as f64 * 100.0 / old as f64;
    let (lost, gained) = (old.saturating_sub(new), new.saturating_sub(old));
    if lost > SMALL_LOSS && percent(lost) > f64::from(declared.max_shrink) {
        return Some(format!(
            "shrinks from {old} to {new} prefixes, by {:.0} % (max_shrink = {})",
            percent(lost),
            declared.max_shrink
        ));
    }
    (gained > SMALL_GAIN && percent(gained) > f64::from(declared.max_growth)).then(|| {
        format!(
            "grows from {old} to {new} prefixes, by {:.0} % (max_growth = {})",
            percent(gained),
            declared.max_growth
        )
    })
}

fn serial_alarm(before: &ListInfo, after: &ListInfo) -> Option<String> {
    if let (Some(old), Some(new)) = (before.serial, after.serial) {
        if new < old {
            return Some(format!("serial {new} is older than {old}, which was in force"));
        }
        // What AS numbers and countries resolve to changes without the list.
        let fixed = after.kind == ListKind::Prefix && before.kind == ListKind::Prefix;
        if new == old && fixed && before.digest != after.digest {
            return Some(format!("serial {new} was in force with other prefixes"));
        }
    }
    match (before.dated, after.dated) {
        (Some(old), Some(new)) if new < old => Some(format!(
            "data of {} are older than those in force, of {}",
            moment(new),
            moment(old)
        )),
        (_, _) => None,
    }
}

/// What this allow list, and no allow list before, takes out of the blocked space.
fn exemption_alarm(old: Side<'_>, new: Side<'_>, list: &ListInfo) -> Option<String> {
    let is = |side: Side<'_>, id: u16, action| {
        side.lists.get(usize::from(id)).is_some_and(|list| list.action == action)
    };
    let mine = |id: u16| new.lists.get(usize::from(id)).is_some_and(|l| l.name == list.name);
    let blocked = |id: u16| is(new, id, Action::Block);
    let exempt = |id: u16| is(old, id, Action::Allow);
    // One family after the other: the entries are of different types.
    let taken4 = || meet(union(new.v4, mine), union(new.v4, blocked));
    let taken6 = || meet(union(new.v6, mine), union(new.v6, blocked));
    let newly4 = size(taken4()) - size(meet(union(old.v4, exempt), taken4()));
    let newly6 = size(taken6()) - size(meet(union(old.v6, exempt), taken6()));
    let all = [size(union(new.v4, blocked)), size(union(new.v6, blocked))];
    let share = |newly: f64, all: f64| {
        (newly > FEW_ADDRESSES && newly > all * NEWLY_EXEMPT).then(|| newly * 100.0 / all)
    };
    let families = [("IPv4", newly4, all[0]), ("IPv6", newly6, all[1])];
    let said: Vec<String> = families
        .into_iter()
        .filter_map(|(family, newly, all)| Some((family, share(newly, all)?)))
        .map(|(family, share)| format!("{share:.1} % of the blocked {family} addresses"))
        .collect();
    (!said.is_empty()).then(|| {
        format!(
            "newly exempts {} (an allow list may take {:.0} %)",
            said.join(" and "),
            NEWLY_EXEMPT * 100.0
        )
    })
}

#[cfg(test)]
mod tests;
