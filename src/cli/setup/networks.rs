//! The interfaces of this machine and the networks of their addresses.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use nix::ifaddrs::getifaddrs;

use crate::failure::{ExitStatus, Failure};

/// An interface, and the networks of its addresses, local ones left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) name: String,
    pub(super) networks: Vec<IpNet>,
}

/// All interfaces, by name.
///
/// # Errors
/// 1 where the kernel does not list them.
pub(super) fn links() -> Result<Vec<Link>, Failure> {
    let refuse = |error: nix::Error| {
        Failure::new(ExitStatus::Failed, format!("setup: interfaces: {}", error.desc()))
    };
    let mut found: BTreeMap<String, Vec<IpNet>> = BTreeMap::new();
    for one in getifaddrs().map_err(refuse)? {
        let networks = found.entry(one.interface_name).or_default();
        let address = one.address.as_ref().and_then(address);
        let mask = one.netmask.as_ref().and_then(address_of_mask);
        if let Some(net) = address.zip(mask).and_then(|(address, mask)| network(address, mask))
            && !networks.contains(&net)
        {
            networks.push(net);
        }
    }
    Ok(found.into_iter().map(|(name, networks)| Link { name, networks }).collect())
}

fn address(address: &nix::sys::socket::SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}

fn address_of_mask(mask: &nix::sys::socket::SockaddrStorage) -> Option<IpAddr> {
    address(mask)
}

/// The network of an address; none for what never leaves a link or the machine.
fn network(address: IpAddr, mask: IpAddr) -> Option<IpNet> {
    let net = IpNet::with_netmask(address, mask).ok()?.trunc();
    let local = match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_link_local(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unicast_link_local(),
    };
    (!local && net.prefix_len() > 0).then_some(net)
}

/// The networks of this interface, but not those that another interface has as well, or overlaps: there a
/// source address does not tell a camera.
pub(super) fn of_cameras(name: &str, links: &[Link]) -> Vec<IpNet> {
    let others = || links.iter().filter(|link| link.name != name).flat_map(|link| &link.networks);
    let own = links.iter().filter(|link| link.name == name).flat_map(|link| &link.networks);
    own.filter(|net| !others().any(|other| other.contains(*net) || net.contains(other)))
        .copied()
        .collect()
}

/// The networks of this interface from which nothing would be a camera's.
pub(super) fn left_out(name: &str, links: &[Link], cameras: &[IpNet]) -> Vec<IpNet> {
    let own = links.iter().filter(|link| link.name == name).flat_map(|link| &link.networks);
    let among = |net: &IpNet| cameras.iter().any(|one| one.contains(net) || net.contains(one));
    own.filter(|net| !among(net)).copied().collect()
}

/// Whether the default route of either family leaves by this interface.
pub(super) fn has_default_route(name: &str) -> bool {
    let v4 = std::fs::read_to_string("/proc/self/net/route").unwrap_or_default();
    let v6 = std::fs::read_to_string("/proc/self/net/ipv6_route").unwrap_or_default();
    leaves_by(name, &v4, &v6)
}

/// The same over the kernel's tables: IPv4 `NAME DESTINATION GATEWAY ...`, IPv6 `DESTINATION LENGTH ... NAME`.
fn leaves_by(name: &str, v4: &str, v6: &str) -> bool {
    let zero4 = format!("{:08x}", Ipv4Addr::UNSPECIFIED.to_bits());
    let zero6 = format!("{:032x}", Ipv6Addr::UNSPECIFIED.to_bits());
    let by_v4 = v4.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).any(|words| {
        matches!(words.as_slice(), [of, to, _, _, _, _, _, mask, ..]
            if *of == name && *to == zero4 && *mask == zero4)
    });
    let by_v6 = v6
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .any(|words| matches!(words.as_slice(), [to, "00", .., of] if *of == name && *to == zero6));
    by_v4 || by_v6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(name: &str, networks: &[&str]) -> Link {
        let networks = networks.iter().map(|net| net.parse().unwrap()).collect();
        Link { name: name.to_owned(), networks }
    }

    #[test]
    fn a_camera_network_is_the_interfaces_own_and_nobody_elses() {
        let links = [
            link("eth0", &["198.51.100.0/24", "203.0.113.0/24"]),
            link("vlan20", &["192.0.2.0/25", "203.0.113.64/26", "2001:db8:1::/64"]),
        ];
        let cameras: Vec<String> =
            of_cameras("vlan20", &links).iter().map(IpNet::to_string).collect();
        assert_eq!(cameras, ["192.0.2.0/25", "2001:db8:1::/64"]);
        assert_eq!(of_cameras("vlan30", &links), Vec::<IpNet>::new());
    }

    #[test]
    fn a_network_of_the_interface_that_is_no_cameras_is_named() {
        let links = [
            link("eth0", &["198.51.100.0/24"]),
            link("vlan20", &["192.0.2.0/25", "2001:db8:1::/64"]),
        ];
        let left = |cameras: &[&str]| {
            let cameras: Vec<IpNet> = cameras.iter().map(|net| net.parse().unwrap()).collect();
            let left = left_out("vlan20", &links, &cameras);
            left.iter().map(IpNet::to_string).collect::<Vec<_>>()
        };
        assert_eq!(left(&["192.0.2.0/25"]), ["2001:db8:1::/64"]);
        assert_eq!(left(&["192.0.2.0/26", "2001:db8::/32"]), Vec::<String>::new());
    }

    #[test]
    fn local_addresses_are_no_networks() {
        let net = |address: &str, mask: &str| {
            network(address.parse().unwrap(), mask.parse().unwrap()).map(|net| net.to_string())
        };
        assert_eq!(net("192.0.2.1", "255.255.255.128").as_deref(), Some("192.0.2.0/25"));
        assert_eq!(net("2001:db8::1", "ffff:ffff:ffff:ffff::").as_deref(), Some("2001:db8::/64"));
        assert_eq!(net("127.0.0.1", "255.0.0.0"), None);
        assert_eq!(net("169.254.3.4", "255.255.0.0"), None);
        assert_eq!(net("fe80::1", "ffff:ffff:ffff:ffff::"), None);
    }

    #[test]
    fn the_default_route_is_found_in_the_kernels_tables() {
        let v4 = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n\
                  eth0\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000000\t0\n\
                  vlan20\t000200C0\t00000000\t0001\t0\t0\t0\t80FFFFFF\t0\n";
        let zero = "0".repeat(32);
        let v6 = format!("{zero} 00 {zero} 00 {zero} 00000400 1 0 00000003     wan\n");
        assert!(leaves_by("eth0", v4, &v6));
        assert!(leaves_by("wan", v4, &v6));
        assert!(!leaves_by("vlan20", v4, &v6));
    }

    #[test]
    fn this_machine_has_a_loopback_interface_without_networks() {
        let links = links().unwrap();
        let lo = links.iter().find(|link| link.name == "lo").unwrap();
        assert!(lo.networks.is_empty(), "{lo:?}");
    }
}
