//! Who may send what: networks by interface, and which MAC address belongs to which camera.
//!
//! Addresses that a host uses before it has another one, or only on its own link, are nobody's forgery: `0.0.0.0`,
//! `::` and `fe80::/10`. They are not forwarded.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::{Cameras, Mac, NamedCamera};
use crate::verdict::Forgery;

/// An interface as far as senders differ by it: its place in `cameras.sources`, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone(u16);

impl Zone {
    /// An interface of which nothing special is said.
    pub const OTHER: Zone = Zone(u16::MAX);
    /// An interface of which nothing is known: it has left since.
    pub const UNKNOWN: Zone = Zone(u16::MAX - 1);
}

/// What is known of senders.
#[derive(Debug, Default)]
pub struct Senders {
    /// By interface; a name may end with `+`.
    zones: Vec<(String, Vec<IpNet>)>,
    /// Behind any other interface; empty: anything.
    others: Vec<IpNet>,
    /// Sorted.
    macs_of: Vec<(IpAddr, Mac)>,
    /// Sorted.
    addresses_of: Vec<(Mac, IpAddr)>,
    /// The declared cameras.
    pub cameras: Vec<NamedCamera>,
}

impl Senders {
    /// What the configuration says.
    pub(super) fn of(cameras: &Cameras) -> Senders {
        let declared = cameras.named.iter().filter_map(|camera| Some((camera, camera.mac?)));
        let mut macs_of = Vec::new();
        for (camera, mac) in declared {
            macs_of.extend(camera.addresses.iter().map(|address| (*address, mac)));
        }
        let mut addresses_of: Vec<_> =
            macs_of.iter().map(|(address, mac)| (*mac, *address)).collect();
        macs_of.sort_unstable();
        addresses_of.sort_unstable();
        Senders {
            zones: cameras.sources.clone(),
            others: cameras.networks.clone(),
            macs_of,
            addresses_of,
            cameras: cameras.named.clone(),
        }
    }

    /// It matters by which interface a packet came.
    #[inline]
    pub fn differ_by_interface(&self) -> bool {
        !self.zones.is_empty()
    }

    /// The zone of the interface with this name.
    pub fn zone(&self, name: &str) -> Zone {
        let fits = |pattern: &str| match pattern.strip_suffix('+') {
            Some(stem) => name.starts_with(stem),
            None => name == pattern,
        };
        let place = self.zones.iter().position(|(pattern, _)| fits(pattern));
        place.map_or(Zone::OTHER, |place| Zone(place as u16))
    }

    /// What is wrong with a sender, if anything.
    #[inline]
    pub fn forged(&self, source: IpAddr, zone: Zone, mac: Option<Mac>) -> Option<Forgery> {
        if self.zones.is_empty() && self.others.is_empty() && self.macs_of.is_empty() {
            return None;
        }
        self.examine(source, zone, mac)
    }

    fn examine(&self, source: IpAddr, zone: Zone, mac: Option<Mac>) -> Option<Forgery> {
        if is_local(source) {
            return None;
        }
        let inside = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&source));
        let allowed = match self.zones.get(usize::from(zone.0)) {
            Some((_, networks)) => inside(networks),
            None if zone == Zone::UNKNOWN => {
                inside(&self.others) || self.zones.iter().any(|(_, networks)| inside(networks))
            }
            None => self.others.is_empty() || inside(&self.others),
        };
        if !allowed {
            return Some(Forgery::Network);
        }
        let mac = mac.filter(|_| !self.macs_of.is_empty())?;
        if let Ok(place) = self.macs_of.binary_search_by_key(&source, |(address, _)| *address) {
            let own = self.macs_of.get(place).is_some_and(|(_, own)| *own == mac);
            return (!own).then_some(Forgery::Mac);
        }
        // An address that was not declared, from a camera that has declared ones of this family.
        let from = self.addresses_of.partition_point(|(known, _)| *known < mac);
        let own = self.addresses_of.get(from..).unwrap_or_default().iter();
        let mut own = own.take_while(|(known, _)| *known == mac);
        own.any(|(_, address)| address.is_ipv4() == source.is_ipv4()).then_some(Forgery::Address)
    }
}

fn is_local(source: IpAddr) -> bool {
    match source {
        IpAddr::V4(address) => address.is_unspecified(),
        IpAddr::V6(address) => address.is_unspecified() || address.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camera(name: &str, addresses: &[&str], mac: Option<[u8; 6]>) -> NamedCamera {
        NamedCamera {
            name: name.to_owned(),
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            mac: mac.map(Mac),
            site: None,
        }
    }

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_source_belongs_to_the_networks_of_its_interface() {
        let senders = Senders::of(&Cameras {
            networks: nets(&["192.0.2.0/24"]),
            sources: vec![
                ("cam0".to_owned(), nets(&["198.51.100.0/25"])),
                ("vlan+".to_owned(), nets(&["2001:db8::/48"])),
            ],
            ..Cameras::default()
        });
        let (cam, vlan, other) =
            (senders.zone("cam0"), senders.zone("vlan7"), senders.zone("eth0"));
        assert_eq!(other, Zone::OTHER);
        let forged = |text, zone| senders.forged(ip(text), zone, None);
        assert_eq!(forged("198.51.100.1", cam), None);
        assert_eq!(forged("198.51.100.129", cam), Some(Forgery::Network));
        assert_eq!(forged("192.0.2.1", cam), Some(Forgery::Network), "another interface's");
        assert_eq!(forged("2001:db8::1", vlan), None);
        assert_eq!(forged("2001:db8:1::1", vlan), Some(Forgery::Network));
        assert_eq!(forged("192.0.2.1", other), None);
        assert_eq!(forged("203.0.113.1", other), Some(Forgery::Network));
        assert_eq!(forged("198.51.100.1", Zone::UNKNOWN), None, "may be anybody's");
        assert_eq!(forged("203.0.113.1", Zone::UNKNOWN), Some(Forgery::Network));
        for own in ["0.0.0.0", "::", "fe80::1"] {
            assert_eq!(forged(own, cam), None, "{own}");
        }
    }

    #[test]
    fn without_networks_every_source_is_taken() {
        let senders = Senders::of(&Cameras::default());
        assert_eq!(senders.forged(ip("203.0.113.1"), Zone::OTHER, Some(Mac([1; 6]))), None);
    }

    #[test]
    fn mac_and_address_of_a_declared_camera_go_together() {
        let senders = Senders::of(&Cameras {
            named: vec![
                camera("a", &["192.0.2.10", "192.0.2.11"], Some([2, 0, 0, 0, 0, 1])),
                camera("b", &["192.0.2.20"], Some([2, 0, 0, 0, 0, 2])),
                camera("c", &["192.0.2.30"], None),
            ],
            ..Cameras::default()
        });
        let forged =
            |text, mac: u8| senders.forged(ip(text), Zone::OTHER, Some(Mac([2, 0, 0, 0, 0, mac])));
        assert_eq!(forged("192.0.2.10", 1), None);
        assert_eq!(forged("192.0.2.11", 1), None);
        assert_eq!(forged("192.0.2.10", 2), Some(Forgery::Mac));
        assert_eq!(forged("192.0.2.10", 9), Some(Forgery::Mac));
        assert_eq!(forged("192.0.2.99", 1), Some(Forgery::Address));
        assert_eq!(
            forged("192.0.2.30", 1),
            Some(Forgery::Address),
            "a camera without a MAC address"
        );
        assert_eq!(forged("192.0.2.30", 9), None, "nothing is known of either");
        assert_eq!(forged("2001:db8::1", 1), None, "no address of this family was declared");
        assert_eq!(
            senders.forged(ip("192.0.2.10"), Zone::OTHER, None),
            None,
            "no link-layer header"
        );
    }
}
