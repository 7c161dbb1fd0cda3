//! Prefixes compiled for longest-prefix match, in `iptrie`'s level-compressed trie.
//!
//! Precedence is settled here, once per prefix: exempt beats block whatever the lengths, a block beats a
//! monitor entry, and among equals the longest prefix is named. So the packet path makes one look-up and
//! walks nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use iptrie::map::{LCTrieMap, RTrieMap};
use iptrie::{IpPrefix, Ipv4Prefix, Ipv6Prefix};

use super::entries::{Bits, Entry, bits_of, covering};
use super::{ListId, Match};
use crate::config::Action;

/// What one look-up found: eight bytes beside each prefix of the trie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Slot {
    /// 0 for nothing, else the action's code << 16 | list.
    found: u32,
    /// Place of the entry among the family's entries.
    entry: u32,
}

const BLOCK: u32 = 1 << 16;
const ALLOW: u32 = 2 << 16;
const MONITOR: u32 = 3 << 16;

/// What a listed destination meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    /// What the winning entry does.
    pub action: Action,
    /// The winning list.
    pub list: ListId,
    entry: u32,
}

impl Slot {
    #[inline]
    fn hit(self) -> Option<Hit> {
        let action = match self.found & 0xffff_0000 {
            BLOCK => Action::Block,
            ALLOW => Action::Allow,
            MONITOR => Action::Monitor,
            _ => return None,
        };
        Some(Hit { action, list: ListId(self.found as u16), entry: self.entry })
    }
}

/// A compiled table of both families.
pub struct Table {
    v4: LCTrieMap<Ipv4Prefix, Slot>,
    v6: LCTrieMap<Ipv6Prefix, Slot>,
    entries4: Vec<Entry<u32>>,
    entries6: Vec<Entry<u128>>,
    prefixes: [usize; 2],
}

impl Table {
    /// The winning entry for an IPv4 destination.
    #[inline]
    pub fn lookup4(&self, destination: Ipv4Addr) -> Option<Hit> {
        self.v4.lookup(&destination).1.hit()
    }

    /// The winning entry for an IPv6 destination.
    #[inline]
    pub fn lookup6(&self, destination: Ipv6Addr) -> Option<Hit> {
        self.v6.lookup(&destination).1.hit()
    }

    /// The winning entry for a destination of either family.
    pub fn lookup(&self, destination: IpAddr) -> Option<Hit> {
        match destination {
            IpAddr::V4(address) => self.lookup4(address),
            IpAddr::V6(address) => self.lookup6(address),
        }
    }

    /// Where a hit of this table came from; `destination` is the address it was found for.
    pub fn origin_of(&self, destination: IpAddr, hit: Hit) -> Option<Match> {
        let entry = hit.entry as usize;
        match destination {
            IpAddr::V4(_) => self.entries4.get(entry)?.as_match(),
            IpAddr::V6(_) => self.entries6.get(entry)?.as_match(),
        }
    }

    /// Every entry that covers `address`, longest first.
    pub(super) fn matches(&self, address: IpAddr) -> Vec<Match> {
        match bits_of(address) {
            Ok(bits) => covering(&self.entries4, bits),
            Err(bits) => covering(&self.entries6, bits),
        }
    }

    /// How many distinct prefixes it holds, IPv4 and IPv6.
    pub fn prefixes(&self) -> [usize; 2] {
        self.prefixes
    }

    /// Every entry, IPv4 then IPv6, in the order of their prefixes.
    pub fn entries(&self) -> impl Iterator<Item = Match> + '_ {
        let v4 = self.entries4.iter().filter_map(Entry::as_match);
        v4.chain(self.entries6.iter().filter_map(Entry::as_match))
    }
}

/// Collects entries and compiles them.
#[derive(Default)]
pub struct Builder {
    actions: Vec<Action>,
    entries4: Vec<Entry<u32>>,
    entries6: Vec<Entry<u128>>,
}

impl Builder {
    /// A builder without lists.
    pub fn new() -> Self {
        Builder::default()
    }

    /// Adds a list; its entries follow by [`add`](Self::add).
    pub fn list(&mut self, action: Action) -> ListId {
        self.actions.push(action);
        ListId((self.actions.len() - 1) as u16)
    }

    /// Makes room for this many more entries of each family.
    pub fn reserve(&mut self, v4: usize, v6: usize) {
        self.entries4.reserve_exact(v4);
        self.entries6.reserve_exact(v6);
    }

    /// Adds the entries of a list: prefix, line, origin AS.
    pub fn add_all(
        &mut self,
        list: ListId,
        entries: impl Iterator<Item = (IpNet, u32, Option<u32>)>,
    ) {
        entries.for_each(|(prefix, line, origin)| self.add(list, prefix, line, origin));
    }

    /// Adds an entry; host bits are masked away.
    pub fn add(&mut self, list: ListId, prefix: IpNet, line: u32, origin: Option<u32>) {
        let (length, origin, list) = (prefix.prefix_len(), origin.unwrap_or(0), list.0);
        match bits_of(prefix.network()) {
            Ok(bits) => self.entries4.push(Entry { bits, line, origin, list, length }),
            Err(bits) => self.entries6.push(Entry { bits, line, origin, list, length }),
        }
    }

    /// Compiles what was added.
    pub fn compile(self) -> Table {
        let Builder { actions, mut entries4, mut entries6 } = self;
        let (v4, count4) = compile(&actions, &mut entries4, |bits, length| {
            Ipv4Prefix::new(Ipv4Addr::from_bits(bits), length).ok()
        });
        let (v6, count6) = compile(&actions, &mut entries6, |bits, length| {
            Ipv6Prefix::new(Ipv6Addr::from_bits(bits), length).ok()
        });
        Table { v4, v6, entries4, entries6, prefixes: [count4, count6] }
    }
}

/// The best entry of each action among the prefixes that cover the present one.
#[derive(Clone, Copy, Default)]
struct Winners {
    allow: Option<u32>,
    block: Option<u32>,
    monitor: Option<u32>,
}

impl Winners {
    fn slot<B>(self, entries: &[Entry<B>]) -> Slot {
        let (code, entry) = match (self.allow, self.block, self.monitor) {
            (Some(entry), _, _) => (ALLOW, entry),
            (None, Some(entry), _) => (BLOCK, entry),
            (None, None, Some(entry)) => (MONITOR, entry),
            (None, None, None) => return Slot::default(),
        };
        let list = entries.get(entry as usize).map_or(0, |entry| entry.list);
        Slot { found: code | u32::from(list), entry }
    }
}

fn compile<B: Bits, P: iptrie::IpRootPrefix + IpPrefix>(
    actions: &[Action],
    entries: &mut Vec<Entry<B>>,
    prefix: impl Fn(B, u8) -> Option<P>,
) -> (LCTrieMap<P, Slot>, usize) {
    entries.sort_unstable_by_key(Entry::key);
    entries.dedup_by_key(|entry| entry.key());
    entries.shrink_to_fit();
    let distinct = entries.chunk_by(same_prefix).count();
    let mut trie = RTrieMap::<P, Slot>::with_root_and_capacity(Slot::default(), distinct + 1);
    // The prefixes that cover the present one, outermost first, each with the winners so far.
    let mut covering: Vec<(B, u8, Winners)> = Vec::with_capacity(usize::from(B::LENGTH) + 1);
    let mut place = 0_u32;
    for group in entries.chunk_by(same_prefix) {
        let Some(first) = group.first() else { continue };
        while covering.last().is_some_and(|(bits, length, _)| first.bits.masked(*length) != *bits) {
            covering.pop();
        }
        let mut winners = covering.last().map(|(_, _, winners)| *winners).unwrap_or_default();
        let mut here = Winners::default();
        for entry in group {
            let winner = match actions.get(usize::from(entry.list)) {
                Some(Action::Allow) => &mut here.allow,
                Some(Action::Monitor) => &mut here.monitor,
                Some(Action::Block) | None => &mut here.block,
            };
            winner.get_or_insert(place);
            place += 1;
        }
        winners.allow = here.allow.or(winners.allow);
        winners.block = here.block.or(winners.block);
        winners.monitor = here.monitor.or(winners.monitor);
        covering.push((first.bits, first.length, winners));
        if let Some(prefix) = prefix(first.bits, first.length) {
            trie.insert(prefix, winners.slot(entries));
        }
    }
    (trie.compress(), distinct)
}

fn same_prefix<B: Bits>(a: &Entry<B>, b: &Entry<B>) -> bool {
    a.bits == b.bits && a.length == b.length
}
