//! kordon: an egress firewall for camera networks.

pub mod blocklist;
pub mod config;
pub mod failure;
pub mod packet;
pub mod queue;
pub mod verdict;
