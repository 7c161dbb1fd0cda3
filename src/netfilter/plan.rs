//! What the rules shall say, independent of the tool that says it.
//!
//! Invariants: no interface and no network is named twice, networks are merged where they touch or
//! overlap, and the order depends on the configuration alone, so that the same configuration always gives
//! the same rules.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::config::Config;
use crate::verdict::{Family, Mark};

/// What hold and gate shall do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Interfaces that cameras are behind; a trailing `+` stands for any ending.
    pub interfaces: Vec<String>,
    /// Source networks of cameras, IPv4 before IPv6, ascending.
    pub networks: Vec<IpNet>,
    /// If not empty: whatever does not enter by one of these comes from a camera.
    pub trusted_interfaces: Vec<String>,
    /// Number of the first queue.
    pub first_queue: u16,
    /// How many queues, from `first_queue` up; at least 1.
    pub queues: u16,
    /// The mark of an accepted packet.
    pub mark: Mark,
    /// `bypass` on hold: what finds no listener passes it unjudged. Everything passes then where no gate
    /// stands.
    pub open: bool,
    /// The gate stands. With `open`, too, while the mode changes: nothing passes unjudged, whatever the
    /// order in which the rest changes.
    pub gate: bool,
    /// Packets of cameras for the gateway itself are held, too.
    pub hold_input: bool,
    /// Packets of cameras for the gateway itself that wrap others are dropped where a gate stands.
    pub drop_tunnels: bool,
}

/// One rule of the list that tells camera packets from others. The first rule that fits decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Criterion<'a> {
    /// Enters by this interface: a camera's.
    Interface(&'a str),
    /// Carries a source in this network: a camera's.
    Source(IpNet),
    /// Enters by this interface: not a camera's.
    Trusted(&'a str),
    /// Whatever is left: a camera's.
    Rest,
}

impl Plan {
    /// The plan that follows from the configuration.
    pub fn of(config: &Config) -> Self {
        let cameras = &config.cameras;
        Plan {
            interfaces: distinct(&cameras.interfaces),
            networks: merged(&cameras.networks),
            trusted_interfaces: distinct(&cameras.trusted_interfaces),
            first_queue: config.queue.first,
            queues: config.queue.count,
            mark: config.rules.mark,
            open: config.is_open(),
            gate: !config.is_open(),
            hold_input: config.rules.hold_input,
            drop_tunnels: config.rules.drop_tunnels_to_gateway,
        }
    }

    /// Number of the last queue.
    pub const fn last_queue(&self) -> u16 {
        self.first_queue.saturating_add(self.queues.saturating_sub(1))
    }

    /// The bits of a packet mark that are not kordon's.
    pub(super) const fn foreign_bits(&self) -> u32 {
        !self.mark.mask
    }

    /// The list of criteria, in order, for these families.
    ///
    /// Interfaces and networks come before trusted interfaces: a camera's source address is a camera's
    /// even where it enters by a trusted interface.
    pub(super) fn criteria(&self, families: &[Family]) -> Vec<Criterion<'_>> {
        let mut list: Vec<Criterion<'_>> = Vec::new();
        list.extend(self.interfaces.iter().map(|name| Criterion::Interface(name)));
        for &family in families {
            let of_family = self.networks.iter().filter(|net| family_of(net) == family);
            list.extend(of_family.map(|&net| Criterion::Source(net)));
        }
        if !self.trusted_interfaces.is_empty() {
            list.extend(self.trusted_interfaces.iter().map(|name| Criterion::Trusted(name)));
            list.push(Criterion::Rest);
        }
        list
    }
}

fn family_of(net: &IpNet) -> Family {
    match net {
        IpNet::V4(_) => Family::V4,
        IpNet::V6(_) => Family::V6,
    }
}

fn distinct(names: &[String]) -> Vec<String> {
    let mut kept: Vec<String> = Vec::with_capacity(names.len());
    for name in names {
        if !kept.contains(name) {
            kept.push(name.clone());
        }
    }
    kept
}

fn merged(networks: &[IpNet]) -> Vec<IpNet> {
    let mut v4: Vec<Ipv4Net> = Vec::new();
    let mut v6: Vec<Ipv6Net> = Vec::new();
    for net in networks {
        match net {
            IpNet::V4(net) => v4.push(*net),
            IpNet::V6(net) => v6.push(*net),
        }
    }
    let v4 = Ipv4Net::aggregate(&v4).into_iter().map(IpNet::V4);
    let v6 = Ipv6Net::aggregate(&v6).into_iter().map(IpNet::V6);
    v4.chain(v6).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netfilter::samples;

    #[test]
    fn names_and_networks_appear_once() {
        assert_eq!(distinct(&["a".into(), "b".into(), "a".into()]), ["a", "b"]);
        let nets: Vec<IpNet> =
            ["2001:db8::/33", "192.0.2.0/24", "192.0.2.128/25", "2001:db8:8000::/33"]
                .iter()
                .map(|text| text.parse().unwrap())
                .collect();
        let merged: Vec<String> = merged(&nets).iter().map(IpNet::to_string).collect();
        assert_eq!(merged, ["192.0.2.0/24", "2001:db8::/32"]);
    }

    #[test]
    fn a_family_sees_only_its_own_networks() {
        let plan = samples::networks();
        let v4 = plan.criteria(&[Family::V4]);
        assert!(v4.iter().all(|c| !matches!(c, Criterion::Source(IpNet::V6(_)))));
        assert_eq!(v4.len(), 2);
        assert_eq!(plan.criteria(&[Family::V6]).len(), 1);
        assert_eq!(plan.criteria(&Family::ALL).len(), 3);
    }

    #[test]
    fn a_camera_source_is_judged_even_behind_a_trusted_interface() {
        let mut plan = samples::trusted();
        plan.networks = samples::networks().networks;
        let list = plan.criteria(&Family::ALL);
        let trusted = list.iter().position(|c| matches!(c, Criterion::Trusted(_))).unwrap();
        let source = list.iter().rposition(|c| matches!(c, Criterion::Source(_))).unwrap();
        assert!(source < trusted);
        assert_eq!(list.last(), Some(&Criterion::Rest));
    }

    #[test]
    fn the_last_queue_does_not_run_over() {
        let mut plan = samples::interfaces();
        plan.first_queue = 65_535;
        plan.queues = 4;
        assert_eq!(plan.last_queue(), 65_535);
    }
}
