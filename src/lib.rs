//! kordon: an egress firewall for camera networks.

pub mod blocklist;
pub mod config;
pub mod counters;
pub mod decide;
pub mod failure;
pub mod netfilter;
pub mod packet;
pub mod queue;
pub mod ruleset;
pub mod verdict;
pub mod worker;
