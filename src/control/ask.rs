//! What a running daemon answers about the rule set in force that takes a walk through it: on the blocking pool.

use ipnet::IpNet;

use crate::clock;
use crate::counters::{ListCounters, Volume};
use crate::explain::{self, Hits, ListReports, OriginExplanation, PrefixExplanation, Standing};
use crate::telemetry::Observed;

/// The lists in force.
pub(super) fn lists(observed: &Observed) -> ListReports {
    let rules = observed.rules.current();
    let now = clock::now();
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

/// What is listed about prefixes.
pub(super) fn prefixes(observed: &Observed, prefixes: &[IpNet]) -> Vec<PrefixExplanation> {
    let (rules, standing) = (observed.rules.current(), standing(observed));
    let one = |prefix: &IpNet| {
        explain::explain_prefix(&rules, standing, explain::RUNNING, prefix.trunc())
    };
    prefixes.iter().map(one).collect()
}

/// What is listed through AS numbers.
pub(super) fn origins(observed: &Observed, origins: &[u32]) -> Vec<OriginExplanation> {
    let (rules, standing) = (observed.rules.current(), standing(observed));
    let one = |asn: &u32| explain::explain_origin(&rules, standing, explain::RUNNING, *asn);
    origins.iter().map(one).collect()
}

fn standing(observed: &Observed) -> Standing {
    let standing = observed.standing();
    Standing { mode: standing.mode, paused: standing.paused.is_some() }
}

fn packets(volumes: &[Volume]) -> u64 {
    volumes.iter().map(|volume| volume.packets.get()).sum()
}
