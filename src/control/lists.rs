//! What a running daemon knows about its lists: the rule set in force, and what packets met because of it.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::counters::{ListCounters, Volume};
use crate::explain::{self, Hits, ListReports};
use crate::telemetry::Observed;

/// The lists in force.
pub(super) fn lists(observed: &Observed) -> ListReports {
    let rules = observed.rules.current();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
    let hits = |place: u16| {
        let read = |counter: fn(&ListCounters) -> u64| {
            observed.sum(|shard| shard.lists.get(usize::from(place)).map_or(0, counter))
        };
        Some(Hits {
            dropped: read(|list| packets(&list.dropped)),
            would_drop: read(|list| packets(&list.would_drop)),
            exempted: read(|list| list.exempted.get()),
        })
    };
    explain::lists(&rules, explain::RUNNING, now, hits)
}

fn packets(volumes: &[Volume]) -> u64 {
    volumes.iter().map(|volume| volume.packets.get()).sum()
}
