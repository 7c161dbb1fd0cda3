//! kordon: an egress firewall for camera networks.

pub mod config;
pub mod failure;
pub mod netfilter;
pub mod packet;
pub mod queue;
pub mod verdict;
