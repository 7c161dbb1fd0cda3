//! What one rule set holds that another does not: by list, by origin AS, and in addresses that end up blocked.
//!
//! Invariants: one pass over both tables, prefix by prefix, without a copy of either; what is kept is a sum
//! for each list and each origin AS that changed, and two runs of address ranges. Lists are told apart by name.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::entries::{Bits, Entry, by_prefix};
use super::ranges::{blocked, only_in_first};
use super::{Match, Ruleset};

/// The most entries that are named one by one, in each direction.
const NAMED: usize = 20;

/// How much address space.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// Prefixes.
    pub prefixes: usize,
    /// IPv4 addresses; an address of two prefixes counts twice.
    pub ipv4_addresses: u64,
    /// IPv6 networks of length 64; a longer prefix counts as one.
    pub ipv6_networks: u64,
}

impl Extent {
    /// Nothing at all.
    pub fn is_empty(&self) -> bool {
        *self == Extent::default()
    }

    /// Adds a prefix.
    pub fn add(&mut self, prefix: IpNet) {
        self.prefixes += 1;
        match prefix {
            IpNet::V4(net) => {
                let size = 1_u64 << 32_u8.saturating_sub(net.prefix_len());
                self.ipv4_addresses = self.ipv4_addresses.saturating_add(size);
            }
            IpNet::V6(net) => {
                let size = 1_u64.checked_shl(64_u32.saturating_sub(net.prefix_len().into()));
                self.ipv6_networks = self.ipv6_networks.saturating_add(size.unwrap_or(u64::MAX));
            }
        }
    }
}

/// Address space, each address once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// IPv4 addresses.
    pub ipv4_addresses: u64,
    /// IPv6 networks of length 64; a stretch counts each that it touches.
    pub ipv6_networks: u64,
}

/// What came and what went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// In the second rule set only.
    pub added: Extent,
    /// In the first rule set only.
    pub removed: Extent,
}

/// The differences between two rule sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// By list name; lists without a difference are left out.
    pub lists: BTreeMap<String, Change>,
    /// By origin AS, over all lists; a prefix that moves between two is removed at one and added at the other.
    pub origins: BTreeMap<u32, Change>,
    /// The first entries that only the second has, in the order of their prefixes.
    pub added: Vec<Match>,
    /// The first entries that only the first has.
    pub removed: Vec<Match>,
    /// Entries that only the second has.
    pub added_total: usize,
    /// Entries that only the first has.
    pub removed_total: usize,
    /// What the second blocks and the first does not, exemptions counted in.
    pub newly_blocked: Space,
    /// What the first blocks and the second does not.
    pub no_longer_blocked: Space,
}

impl Difference {
    /// From one rule set to the other.
    pub fn between(old: &Ruleset, new: &Ruleset) -> Difference {
        let mut difference = Difference::default();
        let ((old4, old6), (new4, new6)) = (old.table.sorted(), new.table.sorted());
        difference.compare(old, old4, new, new4);
        difference.compare(old, old6, new, new6);
        let actions = |rules: &Ruleset| rules.lists.iter().map(|l| l.action).collect::<Vec<_>>();
        let (before, after) = (actions(old), actions(new));
        let four = blocked_space(blocked(&before, old4), blocked(&after, new4));
        let six = blocked_space(blocked(&before, old6), blocked(&after, new6));
        difference.newly_blocked = Space { ipv6_networks: six.0.ipv6_networks, ..four.0 };
        difference.no_longer_blocked = Space { ipv6_networks: six.1.ipv6_networks, ..four.1 };
        difference
    }

    fn compare<B: Bits>(
        &mut self,
        old: &Ruleset,
        before: &[Entry<B>],
        new: &Ruleset,
        after: &[Entry<B>],
    ) {
        let (mut before, mut after) = (by_prefix(before).peekable(), by_prefix(after).peekable());
        let key = |entries: &&[Entry<B>]| entries.first().map(|e| (e.bits, e.length));
        loop {
            let order = match (before.peek(), after.peek()) {
                (None, None) => return,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(a), Some(b)) => key(a).cmp(&key(b)),
            };
            let here = if order.is_le() { before.next() } else { None }.unwrap_or_default();
            let there = if order.is_ge() { after.next() } else { None }.unwrap_or_default();
            let (had, has) = (Holders::of(old, here), Holders::of(new, there));
            self.note(&had, &has);
        }
    }

    /// Who named a prefix before, and who does now.
    fn note(&mut self, had: &Holders<'_>, has: &Holders<'_>) {
        for (name, entry) in has.lists.iter().filter(|(name, _)| !had.lists.contains_key(*name)) {
            self.lists.entry((*name).to_owned()).or_default().added.add(entry.prefix);
            self.added_total += 1;
            if self.added.len() < NAMED {
                self.added.push(*entry);
            }
        }
        for (name, entry) in had.lists.iter().filter(|(name, _)| !has.lists.contains_key(*name)) {
            self.lists.entry((*name).to_owned()).or_default().removed.add(entry.prefix);
            self.removed_total += 1;
            if self.removed.len() < NAMED {
                self.removed.push(*entry);
            }
        }
        if let Some(prefix) = has.prefix {
            for asn in has.origins.difference(&had.origins) {
                self.origins.entry(*asn).or_default().added.add(prefix);
            }
        }
        if let Some(prefix) = had.prefix {
            for asn in had.origins.difference(&has.origins) {
                self.origins.entry(*asn).or_default().removed.add(prefix);
            }
        }
    }
}

/// What is only in the second, and what is only in the first.
fn blocked_space<B: Bits>(old: Vec<(B, B)>, new: Vec<(B, B)>) -> (Space, Space) {
    (B::space(&only_in_first(&new, &old)), B::space(&only_in_first(&old, &new)))
}

/// The lists and origin AS's behind one prefix.
struct Holders<'a> {
    prefix: Option<IpNet>,
    lists: BTreeMap<&'a str, Match>,
    origins: BTreeSet<u32>,
}

impl<'a> Holders<'a> {
    fn of<B: Bits>(rules: &'a Ruleset, entries: &[Entry<B>]) -> Holders<'a> {
        let mut holders =
            Holders { prefix: None, lists: BTreeMap::new(), origins: BTreeSet::new() };
        for entry in entries.iter().filter_map(Entry::as_match) {
            holders.prefix = Some(entry.prefix);
            holders.origins.extend(entry.origin);
            if let Some(list) = rules.list(entry.list) {
                holders.lists.entry(&list.name).or_insert(entry);
            }
        }
        holders
    }
}

#[cfg(test)]
mod tests;
