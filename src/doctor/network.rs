//! Interfaces, routes and redirections, as `ip -j` and `tc -j` list them. No judgement.

use serde_json::Value;

/// A network device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// What it is, as the kernel calls it: `vlan`, `bridge`, `wireguard`; empty for hardware.
    pub kind: String,
    /// It is up.
    pub up: bool,
    /// The device that it belongs to, a bridge for example.
    pub master: Option<String>,
    /// The switch chip that it is a port of.
    pub switch: Option<String>,
    /// An XDP program is attached.
    pub xdp: bool,
    /// The UDP port that it listens on, as far as `ip` says.
    pub port: Option<u16>,
    /// A bridge that hands its frames to the rules of IPv4 and of IPv6.
    pub filtered: [bool; 2],
}

/// A route by which packets go to other routers, or anywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where to, `default` for example.
    pub to: String,
    /// By which device.
    pub device: String,
    /// The next router, if there is one.
    pub gateway: Option<String>,
}

impl Route {
    /// It leads anywhere: the default route, or one of the halves that VPNs set beside it.
    pub fn is_default(&self) -> bool {
        const ANYWHERE: [&str; 6] =
            ["default", "0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1", "2000::/3"];
        ANYWHERE.contains(&self.to.as_str())
    }
}

/// The devices in the answer of `ip -d -j link show`; `None` if it is none.
pub(super) fn links(text: &str) -> Option<Vec<Link>> {
    let listed: Value = serde_json::from_str(text).ok()?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let some = |value: &Value| value.as_str().map(str::to_owned);
    let link = |one: &Value| {
        let info = &one["linkinfo"];
        let data = &info["info_data"];
        let on = |key: &str| data[key].as_u64().is_some_and(|value| value != 0);
        // A tap is a plug for a virtual machine; what enters by it was sent by that.
        let kind = match data["type"].as_str() {
            Some("tap") => "tap".to_owned(),
            _ => text(&info["info_kind"]),
        };
        Link {
            name: text(&one["ifname"]),
            kind,
            up: one["flags"].as_array().is_some_and(|flags| flags.iter().any(|flag| flag == "UP")),
            master: some(&one["master"]),
            switch: some(&one["phys_switch_id"]),
            xdp: one.get("xdp").is_some_and(|xdp| !xdp.is_null()),
            port: data["port"].as_u64().and_then(|port| port.try_into().ok()),
            filtered: [on("nf_call_iptables"), on("nf_call_ip6tables")],
        }
    };
    Some(listed.as_array()?.iter().filter(|one| one["ifname"].is_string()).map(link).collect())
}

/// The routes in the answer of `ip -j route show table all` that lead to other routers or anywhere; `None` if it
/// is none.
pub(super) fn routes(text: &str) -> Option<Vec<Route>> {
    // Nothing at all is what `ip` prints of an empty table.
    let listed: Value = match text.trim() {
        "" => Value::Array(Vec::new()),
        text => serde_json::from_str(text).ok()?,
    };
    let mut found = Vec::new();
    for route in listed.as_array()? {
        let to = route["dst"].as_str().unwrap_or_default();
        let plain = route["type"].as_str().is_none_or(|kind| kind == "unicast");
        let hops: Vec<&Value> = match route["nexthops"].as_array() {
            Some(hops) => hops.iter().collect(),
            None => vec![route],
        };
        for hop in hops.into_iter().filter(|_| plain) {
            let via = &hop["via"]["host"];
            let gateway = hop["gateway"].as_str().or_else(|| via.as_str()).map(str::to_owned);
            let one = Route {
                to: to.to_owned(),
                device: hop["dev"].as_str().unwrap_or_default().to_owned(),
                gateway,
            };
            if one.gateway.is_some() || one.is_default() {
                found.push(one);
            }
        }
    }
    Some(found)
}

/// The devices that filters redirect packets to, in the answer of `tc -j filter show dev DEVICE ingress`.
pub(super) fn redirected(text: &str) -> Vec<String> {
    let Ok(listed) = serde_json::from_str::<Value>(text) else { return Vec::new() };
    let mut found = Vec::new();
    let filters = listed.as_array().map_or(&[][..], Vec::as_slice);
    for options in filters.iter().map(|filter| &filter["options"]) {
        let actions = options["actions"].as_array().map_or(&[][..], Vec::as_slice);
        for action in actions {
            if action["kind"] == "mirred" {
                found.push(action["to_dev"].as_str().unwrap_or("another device").to_owned());
            }
        }
        // A program of BPF's may redirect, and does not say so.
        if let Some(name) = options["bpf_name"].as_str() {
            found.push(format!("where the program {name} says"));
        }
    }
    found
}
