//! kordon: an egress firewall for camera networks.
//!
//! The kernel holds every packet that a camera sends outward and hands the first bytes of it to [`queue`].
//! One thread per queue ([`worker`]) takes a batch, lets [`decide`] judge each packet by the rule set in
//! force ([`packet`] reads the headers, [`ruleset`] finds the longest listed prefix), notes the outcome in
//! counters of its own ([`counters`]) and answers the batch. Nothing on this way locks, allocates, logs or
//! asks for the time of day.
//!
//! A rule set is compiled aside from the files that [`config`] names and [`blocklist`] reads, and published
//! whole; a file that is wrong in one place changes nothing. [`control`] is where that is asked for, by a
//! command, a signal or the file watch. [`netfilter`] keeps the rules that feed the queues, and the gate
//! behind them that lets no camera packet pass without an accept of ours.
//!
//! [`telemetry`] shows the counters, [`evidence`] writes down who tried to reach whom, [`explain`] says why
//! an address passes or not, by the same `decide`. [`daemon`] is the one place that knows everybody; [`cli`]
//! is what people type; [`log`] keeps what is said away from whoever reads it slowly. A room uses only those below it: `tests/house.rs` knows the order.

pub mod blocklist;
pub mod cli;
pub mod clock;
pub mod config;
pub mod contain;
pub mod control;
pub mod counters;
pub mod daemon;
pub mod decide;
pub mod doctor;
pub mod evidence;
pub mod explain;
pub mod failure;
pub mod log;
pub mod netfilter;
pub mod packet;
pub mod queue;
pub mod regular;
pub mod ruleset;
pub mod stance;
pub mod telemetry;
pub mod verdict;
pub mod whole;
pub mod worker;

/// The revision this was built from; `unknown` where the build did not say.
pub const REVISION: &str = match option_env!("KORDON_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};
