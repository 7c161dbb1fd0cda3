//! Judgements about the network around the gateway: ways out on which hold's hook does not lie.

use std::collections::BTreeSet;

use super::Finding;
use super::facts::Facts;
use super::listing::{fits, named};
use super::network::{Link, Route};
use crate::netfilter::{Plan, TUNNEL_PORTS};

/// Devices that unwrap packets which arrived at the gateway itself, and whether their wrapping is known by its IP protocol
/// or has one port: then the gate on the input hook drops it.
const TUNNELS: &[(&str, bool)] = &[
    ("amt", false),
    ("bareudp", false),
    ("erspan", true),
    ("geneve", false),
    ("gre", true),
    ("gretap", true),
    ("gtp", true),
    ("ip6erspan", true),
    ("ip6gre", true),
    ("ip6gretap", true),
    ("ip6tnl", true),
    ("ipip", true),
    ("l2tp", false),
    ("ovpn", false),
    ("ppp", false),
    ("sit", true),
    ("tun", false),
    ("vti", true),
    ("vti6", true),
    ("vxlan", false),
    ("wireguard", false),
    ("xfrm", true),
];

/// Whether the wrapping of a tunnel device of this kind is known; `None` for what is no tunnel.
fn is_known(link: &Link) -> Option<bool> {
    TUNNELS.iter().find(|(kind, _)| *kind == link.kind).map(|(_, known)| *known)
}

/// Whether `ip` could be asked; if not, that is said once.
pub(super) fn network(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some(links), Some(routes)) = (&facts.links, &facts.routes) else {
        let why = "`ip -j` does not list devices and routes (package iproute2)";
        return findings.push(Finding::skip("network", why));
    };
    bridges(facts, links, routes, findings);
    uplinks(facts, routes, findings);
    tunnels(facts, links, findings);
    redirects(facts, links, findings);
}

/// Ports of a bridge that carries cameras: frames between them are forwarded below the IP layer.
fn bridges(facts: &Facts, links: &[Link], routes: &[Route], findings: &mut Vec<Finding>) {
    const SUBJECT: &str = "bridges";
    let before = findings.len();
    for bridge in links.iter().filter(|link| link.kind == "bridge") {
        let ports: Vec<&Link> =
            links.iter().filter(|link| link.master.as_ref() == Some(&bridge.name)).collect();
        let carries = facts.carries_cameras(&bridge.name)
            || ports.iter().any(|p| facts.carries_cameras(&p.name));
        if !carries || ports.len() < 2 {
            continue;
        }
        let names: Vec<&str> = ports.iter().map(|port| port.name.as_str()).collect();
        let (names, name) = (names.join(", "), &bridge.name);
        let chips: Vec<&String> = ports.iter().filter_map(|port| port.switch.as_ref()).collect();
        let in_hardware = chips.len() > chips.iter().collect::<BTreeSet<_>>().len();
        let asked = |key: &str, own: bool| {
            own || facts.sysctls.get(&format!("bridge/{key}")).is_some_and(|value| value == "1")
        };
        let filtered = asked("bridge-nf-call-iptables", bridge.filtered[0])
            && asked("bridge-nf-call-ip6tables", bridge.filtered[1]);
        let uplink = routes.iter().find(|route| route.device == *name && route.gateway.is_some());
        let apart = format!(
            "take the way out of the bridge: ip link set PORT nomaster    # one of {names}"
        );
        if in_hardware {
            findings.push(Finding::warn(
                SUBJECT,
                format!(
                    "{name}: a switch chip forwards between its ports ({names}); no rule sees that"
                ),
                apart,
            ));
        } else if filtered {
        } else if let Some(route) = uplink {
            findings.push(Finding::fail(
                SUBJECT,
                format!(
                    "{name} carries cameras and the way out (by {}), and bridges between {names} past hold \
                     and gate",
                    route.gateway.as_deref().unwrap_or("?")
                ),
                "modprobe br_netfilter && sysctl -w net.bridge.bridge-nf-call-iptables=1 \
                 net.bridge.bridge-nf-call-ip6tables=1",
            ));
        } else {
            findings.push(Finding::warn(
                SUBJECT,
                format!(
                    "{name} carries cameras and bridges between {names} past hold and gate: right only if no \
                     other router is behind one of them"
                ),
                "modprobe br_netfilter && sysctl -w net.bridge.bridge-nf-call-iptables=1 \
                 net.bridge.bridge-nf-call-ip6tables=1",
            ));
        }
    }
    if findings.len() == before {
        findings.push(Finding::pass(SUBJECT, "none forwards past hold what cameras send"));
    }
}

/// Ways out beside the one that hold lies on.
fn uplinks(facts: &Facts, routes: &[Route], findings: &mut Vec<Finding>) {
    const SUBJECT: &str = "uplinks";
    let said = |route: &Route| {
        let via = route.gateway.as_ref().map_or(String::new(), |gateway| format!(" via {gateway}"));
        format!("{}{via} dev {}", route.to, route.device)
    };
    let before = findings.len();
    let among: Vec<String> =
        routes.iter().filter(|route| facts.carries_cameras(&route.device)).map(said).collect();
    if !among.is_empty() {
        findings.push(Finding::fail(
            SUBJECT,
            format!(
                "another router stands among the cameras, who may use it without this gateway: {}",
                named(&among)
            ),
            "give that router a network without cameras, or bar the cameras' ports from it on the switch",
        ));
    }
    let out: BTreeSet<&str> = routes
        .iter()
        .filter(|route| route.is_default() && !facts.carries_cameras(&route.device))
        .map(|route| route.device.as_str())
        .collect();
    let out: Vec<&str> = out.into_iter().collect();
    match out.as_slice() {
        [] | [_] => {}
        several => findings.push(Finding::warn(
            SUBJECT,
            format!(
                "{} ways out: {}. What cameras send is held whichever it takes; see that they reach none of \
                 them but through this gateway, and that no rule carries kordon's mark between them",
                several.len(),
                several.join(", ")
            ),
            "ip route show table all default    # delete what should not be",
        )),
    }
    if findings.len() == before {
        let by = out.first().map_or("no default route".to_owned(), |one| format!("by {one} alone"));
        findings.push(Finding::pass(SUBJECT, by));
    }
}

/// Tunnel devices: what they unwrap enters by them, and hold does not know it as a camera's.
fn tunnels(facts: &Facts, links: &[Link], findings: &mut Vec<Finding>) {
    const SUBJECT: &str = "tunnels";
    let Ok(config) = &facts.config else { return };
    let cameras = &config.cameras;
    let held = |name: &str| {
        fits(&cameras.interfaces, name)
            || (!cameras.trusted_interfaces.is_empty() && !fits(&cameras.trusted_interfaces, name))
    };
    let dropping = match &facts.rules {
        Some(Ok(rules)) => rules.drops_tunnels(&Plan::of(config)),
        Some(Err(_)) | None => false,
    };
    let dropped = |link: &Link| {
        let by_port = link.port.is_some_and(|port| TUNNEL_PORTS.contains(&port));
        dropping && (is_known(link) == Some(true) || by_port)
    };
    let open: Vec<&Link> = links
        .iter()
        .filter(|link| link.up && is_known(link).is_some())
        .filter(|link| !held(&link.name) && !dropped(link))
        .collect();
    let names: Vec<String> =
        open.iter().map(|link| format!("{} ({})", link.name, described(link))).collect();
    findings.push(match open.first() {
        None => Finding::pass(SUBJECT, "no device unwraps packets that hold would not know"),
        Some(first) => Finding::warn(
            SUBJECT,
            format!(
                "what a camera wraps and sends to the gateway leaves {} unwrapped, not by a camera \
                 interface, and unheld: {}",
                if open.len() == 1 { "this device" } else { "these devices" },
                names.join(", ")
            ),
            format!(
                "ip link delete {0}; or, where it is needed and cameras' own, add \"{0}\" to cameras.interfaces",
                first.name
            ),
        ),
    });
}

/// Its kind, and its port, by which it is dropped or not.
fn described(link: &Link) -> String {
    match link.port {
        Some(port) => format!("{}, port {port}", link.kind),
        None if is_known(link) == Some(true) => link.kind.clone(),
        None => format!("{}, on whatever port", link.kind),
    }
}

/// Programs below netfilter on the devices that cameras' packets enter by.
fn redirects(facts: &Facts, links: &[Link], findings: &mut Vec<Finding>) {
    const SUBJECT: &str = "redirects";
    let before = findings.len();
    for link in links.iter().filter(|link| link.xdp && facts.carries_cameras(&link.name)) {
        findings.push(Finding::warn(
            SUBJECT,
            format!("an XDP program is attached to {}: what it forwards, no rule sees", link.name),
            format!("ip link set {} xdp off, unless you know that it forwards nothing", link.name),
        ));
    }
    for (device, to) in facts.redirected.iter().filter(|(_, to)| !to.is_empty()) {
        findings.push(Finding::fail(
            SUBJECT,
            format!("tc sends what enters by {device} on before any rule sees it: {}", named(to)),
            format!(
                "tc filter show dev {device} ingress, then: tc filter del dev {device} ingress"
            ),
        ));
    }
    if findings.len() == before {
        findings.push(Finding::pass(SUBJECT, "neither XDP nor tc forwards what cameras send"));
    }
}
