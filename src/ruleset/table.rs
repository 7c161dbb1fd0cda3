//! Prefixes compiled for longest-prefix match, and everything that is listed, to explain a match by.
//!
//! Each family has its own flat form ([`Flat`]); precedence was settled when it was compiled
//! ([`precedence`](super::precedence)). So the packet path makes one look-up and compares nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::entries::{self, Bits, Entry, bits_of, covering};
use super::flat::{Begun, Flat, Reached};
use super::{ListId, Match};
use crate::blocklist::{self, Sources};
use crate::config::Action;

/// What a listed destination meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    /// What the winning entry does.
    pub action: Action,
    /// The winning list.
    pub list: ListId,
}

/// Prefixes of both families, for look-ups alone.
pub(super) struct Lookup {
    v4: Flat<u32>,
    v6: Flat<u128>,
}

impl Lookup {
    fn compile(actions: &[Action], v4: &[Entry<u32>], v6: &[Entry<u128>]) -> Lookup {
        Lookup { v4: Flat::compile(actions, v4), v6: Flat::compile(actions, v6) }
    }

    /// The winning entry for an IPv4 destination.
    #[inline]
    pub(super) fn lookup4(&self, destination: Ipv4Addr) -> Option<Hit> {
        self.v4.lookup(destination.to_bits()).hit()
    }

    /// The winning entry for an IPv6 destination.
    #[inline]
    pub(super) fn lookup6(&self, destination: Ipv6Addr) -> Option<Hit> {
        self.v6.lookup(destination.to_bits()).hit()
    }

    /// The winning entry for a destination of either family.
    #[inline]
    pub(super) fn lookup(&self, destination: IpAddr) -> Option<Hit> {
        match destination {
            IpAddr::V4(address) => self.lookup4(address),
            IpAddr::V6(address) => self.lookup6(address),
        }
    }

    /// Begins to look a destination up.
    #[inline]
    pub(super) fn begin(&self, destination: IpAddr) -> Begun {
        match destination {
            IpAddr::V4(address) => self.v4.begin(address.to_bits()),
            IpAddr::V6(address) => self.v6.begin(address.to_bits()),
        }
    }

    /// Goes on with the same destination.
    #[inline]
    pub(super) fn reach(&self, begun: Begun, destination: IpAddr) -> Reached {
        match destination {
            IpAddr::V4(address) => self.v4.reach(begun, address.to_bits()),
            IpAddr::V6(address) => self.v6.reach(begun, address.to_bits()),
        }
    }

    /// The winning entry for the same destination.
    #[inline]
    pub(super) fn finish(&self, reached: Reached, destination: IpAddr) -> Option<Hit> {
        match destination {
            IpAddr::V4(address) => self.v4.finish(reached, address.to_bits()).hit(),
            IpAddr::V6(address) => self.v6.finish(reached, address.to_bits()).hit(),
        }
    }
}

/// A compiled table of both families.
pub struct Table {
    lookup: Lookup,
    entries4: Vec<Entry<u32>>,
    entries6: Vec<Entry<u128>>,
    prefixes: [usize; 2],
}

impl Table {
    /// Compiles entries in the order of [`Entry::key`], without two alike.
    pub(super) fn of_sorted(
        actions: &[Action],
        entries4: Vec<Entry<u32>>,
        entries6: Vec<Entry<u128>>,
    ) -> Table {
        let prefixes =
            [entries::by_prefix(&entries4).count(), entries::by_prefix(&entries6).count()];
        let lookup = Lookup::compile(actions, &entries4, &entries6);
        Table { lookup, entries4, entries6, prefixes }
    }

    /// The entries of some lists, for look-ups alone.
    pub(super) fn only(&self, actions: &[Action], counts: impl Fn(ListId) -> bool) -> Lookup {
        let v4 = self.entries4.iter().filter(|entry| counts(ListId(entry.list)));
        let v6 = self.entries6.iter().filter(|entry| counts(ListId(entry.list)));
        let (v4, v6): (Vec<_>, Vec<_>) = (v4.copied().collect(), v6.copied().collect());
        Lookup::compile(actions, &v4, &v6)
    }

    /// What look-ups of all lists ask.
    #[inline]
    pub(super) fn all(&self) -> &Lookup {
        &self.lookup
    }

    /// All entries, sorted.
    pub(super) fn sorted(&self) -> (&[Entry<u32>], &[Entry<u128>]) {
        (&self.entries4, &self.entries6)
    }

    /// The winning entry for an IPv4 destination.
    #[inline]
    pub fn lookup4(&self, destination: Ipv4Addr) -> Option<Hit> {
        self.lookup.lookup4(destination)
    }

    /// The winning entry for an IPv6 destination.
    #[inline]
    pub fn lookup6(&self, destination: Ipv6Addr) -> Option<Hit> {
        self.lookup.lookup6(destination)
    }

    /// The winning entry for a destination of either family.
    pub fn lookup(&self, destination: IpAddr) -> Option<Hit> {
        self.lookup.lookup(destination)
    }

    /// Where a hit of this table came from; `destination` is the address it was found for.
    pub fn origin_of(&self, destination: IpAddr, hit: Hit) -> Option<Match> {
        // The winner is the longest entry of its action, so the longest of its list as well.
        self.matches(destination).into_iter().find(|entry| entry.list == hit.list)
    }

    /// Every entry that covers `address`, longest first.
    pub(super) fn matches(&self, address: IpAddr) -> Vec<Match> {
        match bits_of(address) {
            Ok(bits) => covering(&self.entries4, bits, u32::LENGTH),
            Err(bits) => covering(&self.entries6, bits, u128::LENGTH),
        }
    }

    /// Memory that look-ups read, in bytes, IPv4 and IPv6.
    pub fn lookup_bytes(&self) -> [usize; 2] {
        [self.lookup.v4.bytes(), self.lookup.v6.bytes()]
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

    /// A builder with lists of these actions and their entries.
    pub(super) fn of(
        actions: Vec<Action>,
        entries4: Vec<Entry<u32>>,
        entries6: Vec<Entry<u128>>,
    ) -> Self {
        Builder { actions, entries4, entries6 }
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

    /// Adds the entries of a list, as they were read.
    pub fn add_all(&mut self, list: ListId, entries: &[blocklist::Entry]) {
        entries.iter().for_each(|entry| self.add_entry(list, entry));
    }

    /// Adds an entry without origin tables; host bits are masked away.
    pub fn add(&mut self, list: ListId, prefix: IpNet, line: u32, origin: Option<u32>) {
        let sources = Sources::NONE;
        self.add_entry(list, &blocklist::Entry { prefix: prefix.trunc(), line, origin, sources });
    }

    fn add_entry(&mut self, list: ListId, entry: &blocklist::Entry) {
        let blocklist::Entry { prefix, line, origin, sources } = *entry;
        let (length, origin, list) = (prefix.prefix_len(), origin.unwrap_or(0), list.0);
        let sources = sources.bits();
        match bits_of(prefix.network()) {
            Ok(bits) => self.entries4.push(Entry { bits, line, origin, list, length, sources }),
            Err(bits) => self.entries6.push(Entry { bits, line, origin, list, length, sources }),
        }
    }

    /// Compiles what was added.
    pub fn compile(self) -> Table {
        let Builder { actions, mut entries4, mut entries6 } = self;
        tidy(&mut entries4);
        tidy(&mut entries6);
        Table::of_sorted(&actions, entries4, entries6)
    }
}

/// Sorts entries and throws out repeated lines.
fn tidy<B: Bits>(entries: &mut Vec<Entry<B>>) {
    let ordered = entries.windows(2).take_while(|pair| pair[0].key() <= pair[1].key()).count() + 1;
    // A few new entries behind those of a whole table: one run and a short one, which this sort only joins. In all
    // other cases the other one is as fast and needs no second memory.
    if ordered > entries.len() / 8 * 7 {
        entries.sort_by_key(Entry::key);
    } else {
        entries.sort_unstable_by_key(Entry::key);
    }
    entries.dedup_by_key(|entry| entry.key());
    entries.shrink_to_fit();
}
