//! Everything a decision needs, compiled and immutable, with a generation number.
//!
//! Invariant: nothing in a [`Ruleset`] changes after it is built. A reload builds another one aside and
//! publishes it whole ([`publish`]). Precedence is settled when the table is compiled: one longest-prefix
//! match gives the answer, and [`Ruleset::matches`] can still name every other entry.

mod compare;
mod digest;
mod entries;
mod flat;
mod freshness;
mod guards;
mod inside;
mod load;
mod own;
mod parts;
mod policies;
mod precedence;
mod publish;
mod ranges;
mod resolution;
mod senders;
mod snapshot;
mod table;

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

pub use compare::{Change, Difference, Extent, Space};
pub use flat::{Begun, Reached};
pub use freshness::{Age, Freshness};
pub use guards::{Alarm, Side, alarms, refuse};
pub use inside::{ByOrigin, Inside, Shares};
pub use load::Changes;
pub use parts::{covering_protected, protects_all};
pub use policies::{Policies, Policy, PolicyId};
pub use publish::{Follower, Published};
pub use resolution::Resolution;
pub use senders::{Senders, Zone};
pub use snapshot::{Outdated, Snapshots, Stored, last_in_force, previous, restore};
pub use table::{Builder, Hit, Table};

use crate::blocklist::{Rejected, Remarks, Sources};
use crate::clock;
use crate::config::{Action, Basis, Config, Day, ListFormat, ListKind};

/// Which list, by its place in [`Ruleset::lists`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListId(pub u16);

/// A list as a rule set knows it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ListInfo {
    /// The name in the configuration.
    pub name: String,
    /// What its entries do.
    pub action: Action,
    /// What its lines are.
    pub kind: ListKind,
    /// The file it was read from.
    pub path: PathBuf,
    /// The format that it was read in.
    pub format: ListFormat,
    /// On what it rests.
    pub basis: Basis,
    /// The day on which somebody shall look at it again.
    pub review_by: Option<Day>,
    /// Lines that count (prefixes or AS numbers).
    pub lines: usize,
    /// Prefixes after AS numbers were resolved.
    pub prefixes: usize,
    /// Lines that repeat an earlier one.
    pub duplicates: usize,
    /// Prefixes of somebody else's list of which host bits were cleared.
    #[serde(default)]
    pub masked: usize,
    /// The file's last line has no line end: it may be cut off.
    pub unterminated: bool,
    /// What its lines say besides their entries.
    pub remarks: Remarks,
    /// Lines that are wrong and were left out.
    pub rejected: Rejected,
    /// Entries that local space took something from, or all.
    pub carved: Rejected,
    /// The number that the file counts its versions by, where it has one.
    pub serial: Option<u64>,
    /// The time of the data by the file's own words, in seconds since 1970.
    pub dated: Option<u64>,
    /// A digest of its prefixes, to tell whether a reload changed it; 0 where it has no file.
    pub digest: u64,
    /// When its content last changed, in seconds since 1970.
    pub changed: u64,
    /// Its place among the counters; the same for the same name as long as the process lives.
    #[serde(skip)]
    pub counter: u16,
}

impl ListInfo {
    /// Its file says prefixes, so that nothing has to be resolved: a registry's own file does that even as a list
    /// of countries.
    pub fn names_prefixes(&self) -> bool {
        names_prefixes(self.kind, self.format)
    }

    /// A list of prefixes with this name, about which nothing else is known.
    pub fn named(name: &str, action: Action, counter: u16) -> ListInfo {
        ListInfo {
            name: name.to_owned(),
            action,
            kind: ListKind::Prefix,
            path: PathBuf::new(),
            format: ListFormat::Cidr,
            basis: Basis::default(),
            review_by: None,
            lines: 0,
            prefixes: 0,
            duplicates: 0,
            masked: 0,
            unterminated: false,
            remarks: Remarks::default(),
            rejected: Rejected::default(),
            carved: Rejected::default(),
            serial: None,
            dated: None,
            digest: 0,
            changed: 0,
            counter,
        }
    }
}

/// Whether a list of this kind and format says prefixes by itself.
fn names_prefixes(kind: ListKind, format: ListFormat) -> bool {
    match kind {
        ListKind::Prefix => true,
        ListKind::Asn => false,
        ListKind::Country => format == ListFormat::Delegated,
    }
}

/// One entry of one list, as a decision can name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    /// The list.
    pub list: ListId,
    /// The line in the list's file, from 1.
    pub line: u32,
    /// The prefix.
    pub prefix: IpNet,
    /// The origin AS through which the prefix came in, if the list is one of AS numbers.
    pub origin: Option<u32>,
    /// The origin tables that say so, by their places in the configuration. None beside an origin AS: it is
    /// kept although no table names it any more.
    pub sources: Sources,
}

/// A compiled, immutable rule set.
pub struct Ruleset {
    /// Counts up by one with each published rule set, from 1.
    pub generation: u64,
    /// When it was compiled, in seconds since 1970.
    pub compiled: u64,
    /// The lists, in the order of the configuration.
    pub lists: Vec<ListInfo>,
    /// Names of origin AS's, from the origin tables.
    pub origin_names: std::collections::BTreeMap<u32, String>,
    /// The date in each origin table's data: name, date as written, seconds since 1970.
    pub origin_dates: Vec<(String, String, u64)>,
    /// How old the files were when they were read, and how old they may become.
    pub freshness: Freshness,
    /// How AS numbers and countries became prefixes.
    pub resolution: Resolution,
    /// What is different for some cameras.
    pub policies: Policies,
    /// Who may send what.
    pub senders: Senders,
    table: Table,
    prefixes: [usize; 2],
}

impl Ruleset {
    /// A rule set of these lists and this table; generation 0 until it is published.
    pub fn new(lists: Vec<ListInfo>, table: Table) -> Self {
        Ruleset {
            prefixes: parts::named_prefixes(&lists, &table),
            generation: 0,
            compiled: clock::now(),
            lists,
            origin_names: Default::default(),
            origin_dates: Vec::new(),
            freshness: Freshness::default(),
            resolution: Resolution::default(),
            policies: Policies::default(),
            senders: Senders::default(),
            table,
        }
    }

    /// The same lists, under the policies of this configuration and with what it says of senders and packets.
    pub fn governed(mut self, config: &Config) -> Self {
        self.policies = Policies::compile(config, &self.lists, &self.table);
        self.senders = Senders::of(&config.cameras);
        self
    }

    /// How many distinct prefixes its lists name, IPv4 and IPv6: without those that are only protected, which differ
    /// with the machine.
    pub fn prefixes(&self) -> [usize; 2] {
        self.prefixes
    }

    /// The table, for the packet path.
    #[inline]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The list with this id.
    pub fn list(&self, id: ListId) -> Option<&ListInfo> {
        self.lists.get(usize::from(id.0))
    }

    /// Every entry that covers `address`, longest prefix first, then in the order of the lists.
    pub fn matches(&self, address: IpAddr) -> Vec<Match> {
        self.table.matches(address)
    }
}
