//! What is special about packets for the gateway itself: which wrap others, and which are never held.
//!
//! Tunnels are known by IP protocol and by the port of the common ones; what a program wraps on another port, the
//! queue sees where the input hook is held. Never held is what a camera and the gateway need to find each other: without
//! neighbour discovery and an address lease nobody could mend anything, and neither leaves the link.

use super::render::words;
use crate::verdict::Family;

/// IP protocols that carry packets (IANA, Protocol Numbers): IPIP, IPv6, GRE, ESP, AH, EtherIP, IPComp, L2TP, MPLS,
/// each with the names under which the tools list it.
pub(super) const PROTOCOLS: [(u8, &[&str]); 9] = [
    (4, &["ipencap", "ipip", "ipv4"]),
    (41, &["ipv6"]),
    (47, &["gre"]),
    (50, &["esp", "ipv6-crypt"]),
    (AH, &["ah", "ipv6-auth"]),
    (97, &["etherip"]),
    (108, &["ipcomp"]),
    (115, &["l2tp"]),
    (137, &["mpls-in-ip"]),
];
const AH: u8 = 51;
/// UDP ports that tunnels have by default (IANA, or their documents): IKE, L2TP, GTP-U, Teredo, ESP in UDP, VXLAN,
/// Geneve, VXLAN as Linux first had it, WireGuard.
pub const PORTS: [u16; 9] = [500, 1701, 2152, 3544, 4500, 4789, 6081, 8472, 51820];
/// ICMPv6 types of neighbour and router discovery and of multicast listeners (RFC 4861, 2710, 3810), with nftables'
/// names.
const DISCOVERY: [(u8, &str); 8] = [
    (130, "mld-listener-query"),
    (131, "mld-listener-report"),
    (132, "mld-listener-done"),
    (133, "nd-router-solicit"),
    (134, "nd-router-advert"),
    (135, "nd-neighbor-solicit"),
    (136, "nd-neighbor-advert"),
    (143, "mld2-listener-report"),
];
/// Where DHCP and DHCPv6 servers listen.
const LEASES: [(Family, u16); 2] = [(Family::V4, 67), (Family::V6, 547)];

/// The number of an IP protocol or ICMPv6 type that a tool listed by name.
pub(super) fn number_of(name: &str) -> Option<u8> {
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    let protocols = PROTOCOLS.iter().find(|(_, names)| names.contains(&name));
    let types = DISCOVERY.iter().find(|(_, known)| *known == name);
    protocols.map(|(number, _)| *number).or_else(|| types.map(|(number, _)| *number))
}

/// A set in nftables' words.
pub(super) fn nft_set(numbers: impl IntoIterator<Item = u16>) -> String {
    let numbers: Vec<String> = numbers.into_iter().map(|number| number.to_string()).collect();
    format!("{{ {} }}", numbers.join(", "))
}

/// The counter of the wrapped packets in nftables' table.
pub(super) const fn nft_counter(family: Family) -> &'static str {
    match family {
        Family::V4 => "tunnels_ipv4",
        Family::V6 => "tunnels_ipv6",
    }
}

/// nftables' rules that drop what wraps other packets.
pub(super) fn nft_tunnels() -> Vec<String> {
    let mut rules = Vec::new();
    for family in Family::ALL {
        let (name, counter) = (family.label(), nft_counter(family));
        let protocols = nft_set(PROTOCOLS.map(|(number, _)| u16::from(number)));
        let drop = format!("counter name \"{counter}\" drop");
        rules.push(format!("meta nfproto {name} meta l4proto {protocols} {drop}"));
        rules.push(format!("meta nfproto {name} udp dport {} {drop}", nft_set(PORTS)));
        if family == Family::V6 {
            // An extension header there, which the protocol above is looked for behind.
            rules.push(format!("ip6 nexthdr {AH} {drop}"));
        }
    }
    rules
}

/// nftables' rules for what is never held.
pub(super) fn nft_spared() -> Vec<String> {
    let types = nft_set(DISCOVERY.map(|(number, _)| u16::from(number)));
    let ports = nft_set(LEASES.map(|(_, port)| port));
    vec![format!("icmpv6 type {types} return"), format!("udp dport {ports} return")]
}

/// iptables' rules of a family that drop what wraps other packets.
pub(super) fn iptables_tunnels(family: Family) -> Vec<Vec<String>> {
    let protocol = |number: u8| match (family, number) {
        // An extension header there, which `-p` passes over.
        (Family::V6, AH) => words(&["-m", "ah", "-j", "DROP"]),
        (Family::V4 | Family::V6, number) => words(&["-p", &number.to_string(), "-j", "DROP"]),
    };
    let mut rules: Vec<Vec<String>> =
        PROTOCOLS.iter().map(|(number, _)| protocol(*number)).collect();
    let ports: Vec<String> = PORTS.iter().map(u16::to_string).collect();
    rules.push(words(&[
        "-p",
        "udp",
        "-m",
        "multiport",
        "--dports",
        &ports.join(","),
        "-j",
        "DROP",
    ]));
    rules
}

/// iptables' rules of a family for what is never held.
pub(super) fn iptables_spared(family: Family) -> Vec<Vec<String>> {
    let mut rules = Vec::new();
    if family == Family::V6 {
        for (number, _) in DISCOVERY {
            let number = number.to_string();
            let words = words(&["-p", "ipv6-icmp", "-m", "icmp6", "--icmpv6-type", &number, "-j"]);
            rules.push([words, vec!["RETURN".to_owned()]].concat());
        }
    }
    for (_, port) in LEASES.iter().filter(|(of, _)| *of == family) {
        let port = port.to_string();
        rules.push(words(&["-p", "udp", "-m", "udp", "--dport", &port, "-j", "RETURN"]));
    }
    rules
}
