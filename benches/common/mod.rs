//! Data that benches and tests share: a real BGP table, the shipped lists, random addresses.
//!
//! The table is `benches/bgpas.lpm` in the source of the `iptrie` crate, 1.25 million lines of
//! `prefix origin-ASN`. Nothing is left out unless a caller says so: it holds `0.0.0.0/0`, `::/0`, two /4
//! and one /7, and host bits, which are masked. Lists with such prefixes are refused by the daemon's
//! guards; here they go straight into a [`Builder`], which has none.

#![allow(dead_code)] // Each bench and test uses a part of it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use ipnet::IpNet;
use kordon::config::Action;
use kordon::ruleset::{Builder, ListInfo, Published, Ruleset, Table};

/// How many different addresses a bench with spread destinations walks through.
pub(crate) const SPREAD: usize = 65_536;

/// How many a bench with hot destinations takes in turn.
pub(crate) const HOT: usize = 8;

/// The seed of all random choices, unless a caller has its own.
pub(crate) const SEED: u64 = 0x6b6f_7264_6f6e_0001;

/// Origin ASNs of the shipped lists: VK and Digital Network.
pub(crate) const SHIPPED: [u32; 14] = [
    47764, 47541, 28709, 47542, 49797, 49988, 57973, 60863, 62243, 207581, 207970, 213235, 12695,
    201186,
];

/// Begins the program anew with the environment that the service unit gives the daemon, unless it has it.
pub(crate) fn take_the_units_environment() {
    let unit = include_str!("../../systemd/kordon.service").lines();
    let settings = unit.filter_map(|line| line.strip_prefix("Environment=")?.split_once('='));
    let missing: Vec<_> =
        settings.filter(|(name, value)| std::env::var(name).as_deref() != Ok(value)).collect();
    if !missing.is_empty() {
        let program = std::env::current_exe().expect("this program has a name");
        let error = Command::new(program).args(std::env::args_os().skip(1)).envs(missing).exec();
        panic!("cannot begin anew: {error}");
    }
}

/// KiB as MiB.
pub(crate) fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// A figure of /proc/self/status (proc(5)), in KiB.
pub(crate) fn figure(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("proc is mounted");
    status
        .lines()
        .find_map(|line| line.strip_prefix(key))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|figure| figure.parse().ok())
        .expect("the kernel reports memory")
}

/// Where cargo keeps the table, by `cargo metadata`.
pub(crate) fn bgp_path() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let ask = |more: &[&str]| {
        Command::new(&cargo)
            .args(["metadata", "--format-version", "1"])
            .args(more)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo metadata runs")
    };
    // Offline where that is enough: packages of other systems need not be here.
    let mut output = ask(&["--offline"]);
    if !output.status.success() {
        output = ask(&[]);
    }
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let manifest = metadata["packages"]
        .as_array()
        .expect("cargo metadata lists packages")
        .iter()
        .find(|package| package["name"] == "iptrie")
        .and_then(|package| package["manifest_path"].as_str())
        .expect("iptrie is a dependency");
    Path::new(manifest).with_file_name("benches").join("bgpas.lpm")
}

/// Reads the table line by line: prefix with host bits masked, origin AS, line.
pub(crate) fn for_each_route(path: &Path, mut route: impl FnMut(IpNet, u32, u32)) {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut reader = BufReader::new(file);
    let mut line = String::new();
    for number in 1.. {
        line.clear();
        if reader.read_line(&mut line).expect("the table is readable") == 0 {
            break;
        }
        let (prefix, origin) = line.trim_end().split_once(' ').expect("prefix and origin");
        let prefix: IpNet = prefix.parse().expect("a prefix");
        route(prefix.trunc(), origin.parse().expect("an AS number"), number);
    }
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route {
    pub(crate) prefix: IpNet,
    pub(crate) origin: u32,
    pub(crate) line: u32,
}

/// The whole table, as it is.
pub(crate) fn full() -> Vec<Route> {
    let mut routes = Vec::with_capacity(1_250_000);
    for_each_route(&bgp_path(), |prefix, origin, line| routes.push(Route { prefix, origin, line }));
    routes
}

/// The table without `0.0.0.0/0` and `::/0`: with a default route nothing can miss.
pub(crate) fn without_default(routes: &[Route]) -> Vec<Route> {
    routes.iter().filter(|route| route.prefix.prefix_len() > 0).copied().collect()
}

/// What the shipped AS numbers announce in the table.
pub(crate) fn shipped(routes: &[Route]) -> Vec<Route> {
    routes.iter().filter(|route| SHIPPED.contains(&route.origin)).copied().collect()
}

/// Lists that routes are dealt out to. With one alone a default route in it would be all there is to look up, for
/// neighbours with one answer are one interval; nearly the most that a configuration can have leaves hardly any.
pub(crate) const LISTS: u32 = 250;

/// A builder that holds these routes, dealt out to [`LISTS`] lists by their origins.
pub(crate) fn builder(routes: &[Route], action: Action) -> Builder {
    let mut builder = Builder::new();
    let lists: Vec<_> = (0..LISTS).map(|_| builder.list(action)).collect();
    let v4 = routes.iter().filter(|route| matches!(route.prefix, IpNet::V4(_))).count();
    builder.reserve(v4, routes.len() - v4);
    for route in routes {
        let list = lists[(route.origin % LISTS) as usize];
        builder.add(list, route.prefix, route.line, Some(route.origin));
    }
    builder
}

/// These routes as compiled block lists.
pub(crate) fn table(routes: &[Route]) -> Table {
    builder(routes, Action::Block).compile()
}

/// These routes as the lists of a rule set in force.
pub(crate) fn published(routes: &[Route], action: Action) -> Arc<Published> {
    let list = |number: u32| ListInfo {
        path: "bgpas.lpm".into(),
        ..ListInfo::named(&format!("bench-{number}"), action, number as u16 + 1)
    };
    let lists = (0..LISTS).map(list).collect();
    Arc::new(Published::new(Ruleset::new(lists, builder(routes, action).compile())))
}

/// Random numbers, the same for the same seed (splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }

    /// A random address within a prefix.
    pub(crate) fn within(&mut self, prefix: IpNet) -> IpAddr {
        match prefix {
            IpNet::V4(net) => {
                let host = self.bits() as u32 & net.hostmask().to_bits();
                IpAddr::V4(Ipv4Addr::from_bits(net.network().to_bits() | host))
            }
            IpNet::V6(net) => {
                let random = u128::from(self.bits()) << 64 | u128::from(self.bits());
                let host = random & net.hostmask().to_bits();
                IpAddr::V6(Ipv6Addr::from_bits(net.network().to_bits() | host))
            }
        }
    }

    /// A random address beside a prefix: one of the prefix's last eight bits is the other way.
    pub(crate) fn beside(&mut self, prefix: IpNet) -> IpAddr {
        let length = usize::from(prefix.prefix_len());
        let flipped = length.saturating_sub(self.below(length.clamp(1, 8)) + 1);
        match self.within(prefix) {
            IpAddr::V4(address) => {
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() ^ (1 << (31 - flipped))))
            }
            IpAddr::V6(address) => {
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() ^ (1 << (127 - flipped))))
            }
        }
    }
}

/// An address family, as bench ids write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ip {
    V4,
    V6,
}

impl Ip {
    pub(crate) const BOTH: [Ip; 2] = [Ip::V4, Ip::V6];

    pub(crate) fn id(self) -> &'static str {
        match self {
            Ip::V4 => "v4",
            Ip::V6 => "v6",
        }
    }

    pub(crate) fn of(self, routes: &[Route]) -> Vec<Route> {
        let mine = |route: &&Route| matches!(route.prefix, IpNet::V4(_)) == (self == Ip::V4);
        routes.iter().filter(mine).copied().collect()
    }
}

/// `count` listed addresses of one family: a random host of a random prefix, each prefix alike.
pub(crate) fn hits(ip: Ip, routes: &[Route], count: usize) -> Vec<IpAddr> {
    let (routes, mut random) = (ip.of(routes), Random(SEED));
    let mut any = || {
        let place = random.below(routes.len());
        random.within(routes[place].prefix)
    };
    (0..count).map(|_| any()).collect()
}

/// `count` unlisted addresses of one family, each beside a random prefix of the table, so that the search
/// goes as deep as it does for a hit.
pub(crate) fn misses(ip: Ip, routes: &[Route], table: &Table, count: usize) -> Vec<IpAddr> {
    let (routes, mut random) = (ip.of(routes), Random(SEED));
    let any = || {
        let place = random.below(routes.len());
        random.beside(routes[place].prefix)
    };
    std::iter::repeat_with(any)
        .filter(|address| table.lookup(*address).is_none())
        .take(count)
        .collect()
}
