//! How AS numbers and countries became prefixes, as far as a decision has to name it.
//!
//! It is kept beside the table: the entries themselves only say which origin tables speak for them.

use std::path::Path;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{ListId, Match};
use crate::blocklist::{Country, LoadedList, Memory, OriginDate};
use crate::config::{Config, Group, ListKind, OriginFormat};

/// What a rule set knows of the resolution of its lists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// The groups of AS numbers that have a name.
    groups: Vec<Group>,
    /// The format of each origin table, as read.
    formats: Vec<OriginFormat>,
    /// Entries that stay though no table says so: list, line, prefix, and when one last did.
    withdrawn: Vec<(u16, u32, IpNet, u64)>,
    /// The country that a line of a list names.
    countries: Vec<(u16, u32, Country)>,
    /// What somebody should look at, though everything was loaded.
    pub warnings: Vec<String>,
    /// What the origin tables said, to be left in the state folder once the rule set is in force.
    #[serde(skip)]
    pub memory: Option<Memory>,
}

/// Reads what the tables said at earlier loads, where a list needs it; says what is wrong with it.
pub(super) fn remembered(config: &Config) -> (Memory, Option<String>) {
    if config.lists.iter().all(|list| list.kind == ListKind::Prefix) {
        return (Memory::default(), None);
    }
    match Memory::read(&config.state_folder) {
        Ok(memory) => (memory, None),
        Err(why) => {
            let said =
                format!("{why}: what origin tables said earlier is not known, nothing is held");
            (Memory::default(), Some(said))
        }
    }
}

impl Resolution {
    pub(super) fn new(config: &Config, dates: &[OriginDate], warnings: Vec<String>) -> Resolution {
        Resolution {
            groups: config.groups.clone(),
            formats: dates.iter().map(|date| date.format).collect(),
            warnings,
            ..Resolution::default()
        }
    }

    /// Takes what is to be said about the entries of a list.
    pub(super) fn add(&mut self, list: ListId, read: &LoadedList) {
        let withdrawn =
            read.withdrawn.iter().map(|kept| (list.0, kept.line, kept.prefix, kept.seen));
        self.withdrawn.extend(withdrawn);
        self.countries
            .extend(read.countries.iter().map(|(line, country)| (list.0, *line, *country)));
    }

    /// Leaves in the state folder what the origin tables said. Where that cannot be done, the next load begins
    /// with what was left before; it is said in the log.
    pub fn remember(memory: Option<Memory>, folder: &Path) {
        if let Some(Err(failure)) = memory.map(|memory| memory.write(folder)) {
            tracing::warn!(
                "what the origin tables said cannot be kept: prefixes that they withdraw will not be held: {failure}"
            );
        }
    }

    /// The group that this AS number belongs to, if it has one.
    pub fn group_of(&self, asn: u32) -> Option<&Group> {
        self.groups.iter().find(|group| group.asns.contains(&asn))
    }

    /// The country through which an entry came in.
    pub fn country_of(&self, entry: &Match) -> Option<Country> {
        let named =
            |(list, line, _): &&(u16, u32, Country)| (*list, *line) == (entry.list.0, entry.line);
        self.countries.iter().find(named).map(|(_, _, country)| *country)
    }

    /// When an origin table last spoke for an entry that is kept, in seconds since 1970.
    pub fn last_seen(&self, entry: &Match) -> Option<u64> {
        // Of what was kept, parts may have been taken away.
        let held = |(list, line, prefix, _): &&(u16, u32, IpNet, u64)| {
            (*list, *line) == (entry.list.0, entry.line) && prefix.contains(&entry.prefix)
        };
        self.withdrawn.iter().filter(held).map(|(_, _, _, seen)| *seen).max()
    }

    /// How many entries of a list stay though no table says so.
    pub fn kept(&self, list: ListId) -> usize {
        self.withdrawn.iter().filter(|(of, ..)| *of == list.0).count()
    }

    /// Whether the origin table at this place says who may announce a prefix, not who does.
    pub fn only_may(&self, place: usize) -> bool {
        match self.formats.get(place) {
            Some(OriginFormat::VrpJson | OriginFormat::VrpCsv) => true,
            Some(_) | None => false,
        }
    }
}
