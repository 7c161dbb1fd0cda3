//! What is different for some cameras, compiled: which policy a source has, and which lists count for it.
//!
//! Invariant: the first policy is everybody's; a source has exactly one, that of the longest network that a policy
//! names.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv6Net};
use iptrie::map::{LCTrieMap, RTrieMap};
use iptrie::{Ipv4Prefix, Ipv6Prefix};

use super::flat::{Begun, Reached};
use super::table::Lookup;
use super::{Hit, ListId, ListInfo, Table};
use crate::config::{Config, Mode, Tunnels, Unlisted};

/// Which policy, by its place in [`Policies::all`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct PolicyId(pub u8);

/// One policy.
pub struct Policy {
    /// Its name; empty for everybody's.
    pub name: String,
    /// It only counts, whatever the mode.
    pub monitor: bool,
    /// What an unlisted destination meets.
    pub unlisted: Unlisted,
    /// What tunnels meet.
    pub tunnels: Tunnels,
    /// The lists that count, where not all do.
    lists: Option<Vec<ListId>>,
    /// The prefixes of these lists.
    own: Option<Lookup>,
}

impl Policy {
    /// Whether this list counts.
    pub fn has(&self, list: ListId) -> bool {
        self.lists.as_ref().is_none_or(|lists| lists.contains(&list))
    }

    /// The mode for its cameras in a daemon of this mode.
    #[inline]
    pub fn mode(&self, daemon: Mode) -> Mode {
        if self.monitor { Mode::Monitor } else { daemon }
    }

    /// The lists that count, where not all do.
    pub fn lists(&self) -> Option<&[ListId]> {
        self.lists.as_deref()
    }

    /// What a destination meets, `table` being that of all lists.
    #[inline]
    pub fn lookup(&self, table: &Table, destination: IpAddr) -> Option<Hit> {
        self.prefixes(table).lookup(destination)
    }

    /// Begins to look a destination up. In a batch each part is done for all packets before the next one for any, so
    /// that all of them wait for memory together.
    #[inline]
    pub fn begin(&self, table: &Table, destination: IpAddr) -> Begun {
        self.prefixes(table).begin(destination)
    }

    /// Goes on with the same destination in the same table.
    #[inline]
    pub fn reach(&self, table: &Table, begun: Begun, destination: IpAddr) -> Reached {
        self.prefixes(table).reach(begun, destination)
    }

    /// What the same destination meets in the same table.
    #[inline]
    pub fn finish(&self, table: &Table, reached: Reached, destination: IpAddr) -> Option<Hit> {
        self.prefixes(table).finish(reached, destination)
    }

    #[inline]
    fn prefixes<'a>(&'a self, table: &'a Table) -> &'a Lookup {
        self.own.as_ref().unwrap_or(table.all())
    }
}

/// All policies of a rule set.
pub struct Policies {
    all: Vec<Policy>,
    v4: LCTrieMap<Ipv4Prefix, PolicyId>,
    v6: LCTrieMap<Ipv6Prefix, PolicyId>,
    /// Routing headers of type 2 pass.
    pub accept_mobile_ipv6: bool,
    /// NAT64 prefixes besides the well-known one.
    pub nat64: Vec<Ipv6Net>,
}

impl Default for Policies {
    fn default() -> Self {
        let everybody = Policy {
            name: String::new(),
            monitor: false,
            unlisted: Unlisted::Accept,
            tunnels: Tunnels::default(),
            lists: None,
            own: None,
        };
        Policies {
            all: vec![everybody],
            v4: RTrieMap::with_root(PolicyId(0)).compress(),
            v6: RTrieMap::with_root(PolicyId(0)).compress(),
            accept_mobile_ipv6: false,
            nat64: Vec::new(),
        }
    }
}

impl Policies {
    /// The policies of a configuration, over these lists and their table. Lists that have no file count for everybody.
    pub(super) fn compile(config: &Config, lists: &[ListInfo], table: &Table) -> Policies {
        let mut policies = Policies::default();
        let (mut v4, mut v6) = (RTrieMap::with_root(PolicyId(0)), RTrieMap::with_root(PolicyId(0)));
        if let Some(everybody) = policies.all.first_mut() {
            everybody.unlisted = config.unlisted;
            everybody.tunnels = config.tunnels;
        }
        let actions: Vec<_> = lists.iter().map(|list| list.action).collect();
        for declared in &config.policies {
            let id = PolicyId(policies.all.len() as u8);
            let counts = |list: &ListInfo, names: &[String]| {
                !list.is_from_a_file() || names.contains(&list.name)
            };
            let chosen = declared.lists.as_ref().map(|names| {
                let places = (0..).zip(lists).filter(|(_, list)| counts(list, names));
                places.map(|(place, _)| ListId(place)).collect::<Vec<_>>()
            });
            // All of them is what the table of all lists says.
            let chosen = chosen.filter(|chosen| chosen.len() < lists.len());
            let own =
                chosen.as_ref().map(|chosen| table.only(&actions, |list| chosen.contains(&list)));
            policies.all.push(Policy {
                name: declared.name.clone(),
                monitor: declared.mode == Some(Mode::Monitor),
                unlisted: declared.unlisted,
                tunnels: declared.tunnels,
                lists: chosen,
                own,
            });
            for network in &declared.cameras {
                match network {
                    IpNet::V4(net) => {
                        if let Ok(prefix) = Ipv4Prefix::new(net.network(), net.prefix_len()) {
                            v4.insert(prefix, id);
                        }
                    }
                    IpNet::V6(net) => {
                        if let Ok(prefix) = Ipv6Prefix::new(net.network(), net.prefix_len()) {
                            v6.insert(prefix, id);
                        }
                    }
                }
            }
        }
        policies.v4 = v4.compress();
        policies.v6 = v6.compress();
        policies.accept_mobile_ipv6 = config.packets.accept_mobile_ipv6;
        policies.nat64 = config.packets.nat64.clone();
        policies
    }

    /// All of them, everybody's first.
    pub fn all(&self) -> &[Policy] {
        &self.all
    }

    /// The policy of a packet from this source.
    #[inline]
    pub fn of(&self, source: IpAddr) -> PolicyId {
        if self.all.len() == 1 {
            return PolicyId(0);
        }
        match source {
            IpAddr::V4(address) => *self.v4.lookup(&address).1,
            IpAddr::V6(address) => *self.v6.lookup(&address).1,
        }
    }

    /// The policy with this id; everybody's where there is none.
    #[inline]
    pub fn get(&self, id: PolicyId) -> Option<&Policy> {
        self.all.get(usize::from(id.0))
    }
}
