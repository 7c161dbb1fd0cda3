//! kordon: an egress firewall for camera networks.

pub mod blocklist;
pub mod cli;
pub mod config;
pub mod control;
pub mod counters;
pub mod daemon;
pub mod decide;
pub mod evidence;
pub mod explain;
pub mod failure;
pub mod netfilter;
pub mod packet;
pub mod queue;
pub mod ruleset;
pub mod telemetry;
pub mod verdict;
pub mod worker;

/// The revision this was built from; `unknown` where the build did not say.
pub const REVISION: &str = match option_env!("KORDON_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};
