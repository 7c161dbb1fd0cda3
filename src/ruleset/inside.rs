//! What a rule set holds for a whole prefix or for an AS number, not for one address.
//!
//! Invariants: entries are named up to a limit and all are counted; space is told apart as a packet thread
//! would: exempt beats block, and a block beats a monitor entry.

use ipnet::IpNet;

use super::entries::{self, Bits, Entry, bits_of};
use super::ranges::{Range, joined, only_in_first};
use super::{Match, Ruleset, Space};
use crate::config::Action;

/// What the addresses of a stretch meet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Shares {
    /// On an allow list.
    pub exempt: Space,
    /// On a block list and no allow list.
    pub blocked: Space,
    /// On a monitor list only.
    pub monitored: Space,
    /// On no list.
    pub unlisted: Space,
}

/// What a rule set holds for a prefix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inside {
    /// Entries that cover all of it, longest first.
    pub covering: Vec<Match>,
    /// The first entries that lie inside and are smaller, in the order of their prefixes.
    pub covered: Vec<Match>,
    /// How many there are.
    pub covered_total: usize,
    /// What its addresses meet.
    pub shares: Shares,
}

/// What a rule set holds for an AS number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ByOrigin {
    /// The first entry of each line that names it, with how many entries the line has and how many of them no
    /// origin table names any more.
    pub lines: Vec<(Match, usize, usize)>,
    /// The first entries, in the order of their prefixes.
    pub entries: Vec<Match>,
    /// How many there are.
    pub total: usize,
    /// What the addresses of its prefixes meet.
    pub shares: Shares,
}

impl Ruleset {
    /// What is listed about a prefix; at most `limit` of the entries inside are named.
    pub fn inside(&self, prefix: IpNet, limit: usize) -> Inside {
        let actions = self.actions();
        let (sorted4, sorted6) = self.table.sorted();
        match bits_of(prefix.network()) {
            Ok(bits) => look(&actions, sorted4, bits, prefix.prefix_len(), limit),
            Err(bits) => look(&actions, sorted6, bits, prefix.prefix_len(), limit),
        }
    }

    /// What lists name through an AS number; at most `limit` entries and lines are named.
    pub fn by_origin(&self, asn: u32, limit: usize) -> ByOrigin {
        let mut found = ByOrigin::default();
        for entry in self.table.entries().filter(|entry| entry.origin == Some(asn)) {
            found.total += 1;
            if found.entries.len() < limit {
                found.entries.push(entry);
            }
            let kept = usize::from(entry.sources.count() == 0);
            let line = (entry.list, entry.line);
            let room = found.lines.len() < limit;
            match found.lines.iter_mut().find(|(first, _, _)| (first.list, first.line) == line) {
                Some((_, entries, of_them_kept)) => {
                    *entries += 1;
                    *of_them_kept += kept;
                }
                None if room => found.lines.push((entry, 1, kept)),
                None => {}
            }
        }
        found.lines.sort_by_key(|(first, _, _)| (first.list, first.line));
        let actions = self.actions();
        let (sorted4, sorted6) = self.table.sorted();
        let four = shares(&actions, sorted4, &of_origin(sorted4, asn));
        let six = shares(&actions, sorted6, &of_origin(sorted6, asn));
        found.shares = together(four, six);
        found
    }

    fn actions(&self) -> Vec<Action> {
        self.lists.iter().map(|list| list.action).collect()
    }
}

fn of_origin<B: Bits>(sorted: &[Entry<B>], asn: u32) -> Vec<Range<B>> {
    joined(sorted.iter().filter(|entry| entry.origin == asn))
}

fn look<B: Bits>(
    actions: &[Action],
    sorted: &[Entry<B>],
    bits: B,
    length: u8,
    limit: usize,
) -> Inside {
    let covering = entries::covering(sorted, bits, length);
    let last = bits.last(length);
    // Entries that begin inside, and among those of the same first address the longer ones.
    let from = sorted.partition_point(|entry| (entry.bits, entry.length) <= (bits, length));
    let to = sorted.partition_point(|entry| entry.bits <= last);
    let inside = sorted.get(from..to).unwrap_or_default();
    Inside {
        shares: shares_inside(actions, &covering, inside, (bits, last)),
        covering,
        covered: inside.iter().take(limit).filter_map(Entry::as_match).collect(),
        covered_total: inside.len(),
    }
}

/// What a stretch meets that these entries cover whole, and these in part.
fn shares_inside<B: Bits>(
    actions: &[Action],
    covering: &[Match],
    inside: &[Entry<B>],
    stretch: Range<B>,
) -> Shares {
    let of = |action: Action| {
        let whole = |entry: &&Match| actions.get(usize::from(entry.list.0)) == Some(&action);
        match covering.iter().any(|entry| whole(&entry)) {
            true => vec![stretch],
            false => joined(with_action(actions, inside, action)),
        }
    };
    split(&[stretch], &of(Action::Allow), &of(Action::Block), &of(Action::Monitor))
}

/// What these stretches meet in the whole table.
fn shares<B: Bits>(actions: &[Action], sorted: &[Entry<B>], stretches: &[Range<B>]) -> Shares {
    if stretches.is_empty() {
        return Shares::default();
    }
    let of = |action| joined(with_action(actions, sorted, action));
    split(stretches, &of(Action::Allow), &of(Action::Block), &of(Action::Monitor))
}

fn with_action<'e, B: Bits>(
    actions: &'e [Action],
    sorted: &'e [Entry<B>],
    action: Action,
) -> impl Iterator<Item = &'e Entry<B>> {
    sorted.iter().filter(move |e| actions.get(usize::from(e.list)) == Some(&action))
}

fn split<B: Bits>(
    stretches: &[Range<B>],
    allow: &[Range<B>],
    block: &[Range<B>],
    monitor: &[Range<B>],
) -> Shares {
    let not_exempt = only_in_first(stretches, allow);
    let not_blocked = only_in_first(&not_exempt, block);
    let unlisted = only_in_first(&not_blocked, monitor);
    Shares {
        exempt: B::space(&only_in_first(stretches, &not_exempt)),
        blocked: B::space(&only_in_first(&not_exempt, &not_blocked)),
        monitored: B::space(&only_in_first(&not_blocked, &unlisted)),
        unlisted: B::space(&unlisted),
    }
}

fn together(four: Shares, six: Shares) -> Shares {
    let both = |four: Space, six: Space| Space {
        ipv4_addresses: four.ipv4_addresses,
        ipv6_networks: six.ipv6_networks,
    };
    Shares {
        exempt: both(four.exempt, six.exempt),
        blocked: both(four.blocked, six.blocked),
        monitored: both(four.monitored, six.monitored),
        unlisted: both(four.unlisted, six.unlisted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ruleset::{Builder, ListInfo};

    fn rules() -> Ruleset {
        let lists = [
            ("block", Action::Block),
            ("allow", Action::Allow),
            ("watch", Action::Monitor),
            ("asn", Action::Block),
        ];
        let mut builder = Builder::new();
        let ids: Vec<_> = lists.iter().map(|(_, action)| builder.list(*action)).collect();
        let mut add = |list: usize, prefix: &str, line, origin| {
            builder.add(ids[list], prefix.parse().unwrap(), line, origin);
        };
        add(0, "203.0.113.0/25", 1, None);
        add(0, "203.0.113.0/26", 2, None);
        add(1, "203.0.113.64/28", 1, None);
        add(2, "203.0.113.128/26", 1, None);
        add(2, "198.51.100.0/24", 2, None);
        add(3, "198.51.100.0/25", 7, Some(64500));
        add(3, "198.51.100.128/25", 8, Some(64501));
        add(3, "2001:db8::/47", 7, Some(64500));
        let infos = lists.iter().map(|(name, action)| ListInfo::named(name, *action, 1)).collect();
        Ruleset::new(infos, builder.compile())
    }

    fn v4(shares: &Shares) -> [u64; 4] {
        [shares.exempt, shares.blocked, shares.monitored, shares.unlisted].map(|s| s.ipv4_addresses)
    }

    #[test]
    fn a_prefix_is_split_as_its_addresses_are_judged() {
        let rules = rules();
        let whole = rules.inside("203.0.113.0/24".parse().unwrap(), 2);
        assert_eq!(v4(&whole.shares), [16, 112, 64, 64]);
        assert!(whole.covering.is_empty());
        assert_eq!((whole.covered.len(), whole.covered_total), (2, 4));
        let half = rules.inside("203.0.113.0/25".parse().unwrap(), 9);
        let covering: Vec<String> = half.covering.iter().map(|m| m.prefix.to_string()).collect();
        assert_eq!(covering, ["203.0.113.0/25"]);
        let covered: Vec<String> = half.covered.iter().map(|m| m.prefix.to_string()).collect();
        assert_eq!(covered, ["203.0.113.0/26", "203.0.113.64/28"]);
        assert_eq!(v4(&half.shares), [16, 112, 0, 0]);
        let exempt = rules.inside("203.0.113.72/29".parse().unwrap(), 9);
        assert_eq!((v4(&exempt.shares), exempt.covered_total), ([8, 0, 0, 0], 0));
        assert_eq!(exempt.covering.len(), 2, "the exemption and the block around it");
        let none = rules.inside("192.0.2.0/24".parse().unwrap(), 9);
        assert_eq!(v4(&none.shares), [0, 0, 0, 256]);
    }

    /// The slow and obviously right way: each address is looked up.
    #[test]
    fn shares_are_what_each_address_meets() {
        let rules = rules();
        for prefix in ["203.0.113.0/24", "203.0.113.0/26", "203.0.113.64/27", "198.51.100.0/23"] {
            let prefix: IpNet = prefix.parse().unwrap();
            let IpNet::V4(net) = prefix else { panic!("IPv4 only") };
            let first = net.network().to_bits();
            let mut met = [0; 4];
            for bits in first..=net.broadcast().to_bits() {
                let hit = rules.table().lookup(std::net::Ipv4Addr::from_bits(bits).into());
                met[match hit.map(|hit| hit.action) {
                    Some(Action::Allow) => 0,
                    Some(Action::Block) => 1,
                    Some(Action::Monitor) => 2,
                    None => 3,
                }] += 1;
            }
            assert_eq!(v4(&rules.inside(prefix, 0).shares), met, "{prefix}");
        }
    }

    #[test]
    fn an_as_number_has_its_lines_and_its_entries() {
        let found = rules().by_origin(64500, 1);
        assert_eq!((found.total, found.entries.len(), found.lines.len()), (2, 1, 1));
        let (first, entries, kept) = found.lines[0];
        assert_eq!((first.line, entries, kept), (7, 2, 2), "these were made without a table");
        assert_eq!(v4(&found.shares), [0, 128, 0, 0]);
        assert_eq!(found.shares.blocked.ipv6_networks, 2 << 16);
        assert_eq!(rules().by_origin(64999, 9), ByOrigin::default());
    }
}
