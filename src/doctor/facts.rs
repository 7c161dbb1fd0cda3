//! Facts about the gateway, as the system tells them. No judgement.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{Uid, User, getgrouplist};

use super::listing::fits;
use super::network::{self, Link, Route};
use crate::clock;
use crate::config::Config;
use crate::control::client;
use crate::control::message::{Answer, Request, Status};
use crate::failure::{ExitStatus, Failure};
use crate::netfilter::{self, Enslaved, Observed, Plan, Tool};
use crate::ruleset::Ruleset;
use crate::verdict::Family;

/// The user that the service runs as.
pub(super) const USER: &str = "kordon";
/// What the service of nftables loads.
const NFTABLES_CONF: &str = "/etc/nftables.conf";
/// Where a drop-in of its may lie.
const DROP_INS: [&str; 3] = [
    "/etc/systemd/system/nftables.service.d",
    "/usr/lib/systemd/system/nftables.service.d",
    "/lib/systemd/system/nftables.service.d",
];

/// What was found.
#[derive(Debug)]
pub struct Facts {
    /// The configuration, with the mode in force.
    pub config: Result<Config, Failure>,
    /// What its lists say.
    pub lists: Option<Result<Lists, Failure>>,
    /// The running daemon.
    pub status: Result<Status, Failure>,
    /// The kernel's release, `6.1.0-18-amd64`.
    pub release: String,
    /// The module for queues is there.
    pub queue_module: bool,
    /// The tool that would carry the rules.
    pub tool: Result<Tool, Failure>,
    /// How the rules stand.
    pub rules: Option<Result<Observed, Failure>>,
    /// Files and folders on the way to what the daemon reads, each target with its way.
    pub ways: Vec<Way>,
    /// Whom they shall be readable for.
    pub reader: Option<Reader>,
    /// The folder of what shall outlive the daemon, and the room there; `None` where it cannot be asked about.
    pub state: Option<(PathBuf, Option<Room>)>,
    /// Configured interfaces that there are.
    pub interfaces: Vec<String>,
    /// Configured interfaces that there are not.
    pub missing_interfaces: Vec<String>,
    /// Configured interfaces that belong to another one.
    pub enslaved: Vec<Enslaved>,
    /// Values under /proc/sys/net, by their path there.
    pub sysctls: BTreeMap<String, String>,
    /// The kernel's table of queues; `None` if it may not be read.
    pub queue_table: Option<String>,
    /// What iptables lists: family, table, and the lines of `-S`.
    pub iptables: Vec<(Family, &'static str, Vec<String>)>,
    /// What nft lists, as text; `None` if it does not.
    pub nft: Option<String>,
    /// What nft lists of flowtables, as JSON.
    pub flowtables: Result<String, Failure>,
    /// The devices below each interface, by /sys.
    pub lower: BTreeMap<String, Vec<String>>,
    /// The network devices; `None` where `ip` does not list them.
    pub links: Option<Vec<Link>>,
    /// The routes to other routers or anywhere; `None` where `ip` does not list them.
    pub routes: Option<Vec<Route>>,
    /// Camera devices, each with where tc's filters redirect what enters by it.
    pub redirected: Vec<(String, Vec<String>)>,
    /// `/etc/nftables.conf`, where there is one.
    pub nftables_conf: Option<String>,
    /// kordon's drop-in for nftables.service lies in its place.
    pub drop_in: bool,
    /// Rules of iptables-legacy: those of its tables that are in use; `None` if that may not be read.
    pub legacy: Option<Vec<String>>,
    /// Seconds since 1970.
    pub now: u64,
}

/// What the lists and origin tables hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lists {
    /// Prefixes, IPv4 and IPv6.
    pub prefixes: [usize; 2],
    /// Origin tables: name, date, and the date in seconds since 1970.
    pub origins: Vec<(String, String, u64)>,
}

/// The way to a file: the file last, and each folder above it first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// Its steps; `None` for one that cannot be looked at.
    pub steps: Vec<(PathBuf, Option<Step>)>,
}

/// Whom a file or folder belongs to, and who may what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// The low bits of its mode.
    pub mode: u32,
}

/// What a file system has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Nothing can be written.
    pub read_only: bool,
    /// Bytes that an ordinary user may still write.
    pub free: u64,
}

/// Somebody who reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// The name, for messages.
    pub name: String,
    /// The user.
    pub uid: u32,
    /// All groups.
    pub gids: Vec<u32>,
    /// What its process may do, where it runs: the effective capabilities.
    pub capabilities: Option<u64>,
}

impl Facts {
    /// Whether packets of cameras enter by this device: a camera interface, or what one stands on.
    pub(super) fn carries_cameras(&self, device: &str) -> bool {
        fits(&self.interfaces, device) || self.lower.values().flatten().any(|below| below == device)
    }
}

/// Looks at everything. `config` is the configuration's file, `socket` the daemon's.
pub fn gather(config: &Path, socket: &Path) -> Facts {
    let config = Config::load_in_force(config);
    let status = match client::ask(socket, &Request::Status {}) {
        Ok(Answer::Status(status)) => Ok(*status),
        Ok(_) => Err(Failure::new(ExitStatus::Failed, "the daemon answered something else")),
        Err(failure) => Err(failure),
    };
    let of_config = config.as_ref().ok();
    let backend = of_config.map_or(crate::config::RulesBackend::Auto, |c| c.rules.backend);
    let tool = netfilter::choose(backend);
    let rules = of_config
        .zip(tool.as_ref().ok())
        .map(|(config, tool)| netfilter::observe(&Plan::of(config), *tool));
    let (missing_interfaces, interfaces): (Vec<_>, Vec<_>) = of_config
        .map_or(&[][..], |config| &config.cameras.interfaces)
        .iter()
        .cloned()
        .partition(|name| netfilter::is_missing(name));
    let lower: BTreeMap<String, Vec<String>> =
        interfaces.iter().map(|name| (name.clone(), lower(name))).collect();
    let devices = lower.iter().flat_map(|(name, below)| below.iter().chain([name]));
    let redirected = devices.filter(|name| !name.ends_with('+')).map(|device| {
        let listed = netfilter::ask(&["tc", "-j", "filter", "show", "dev", device, "ingress"]);
        (device.clone(), network::redirected(&listed.unwrap_or_default()))
    });
    Facts {
        redirected: redirected.collect(),
        links: netfilter::ask(&["ip", "-d", "-j", "link", "show"])
            .ok()
            .and_then(|text| network::links(&text)),
        routes: netfilter::ask(&["ip", "-j", "route", "show", "table", "all"])
            .ok()
            .and_then(|text| network::routes(&text)),
        lists: of_config.map(|config| {
            Ruleset::load(config, |_| Some(0), None).map(|rules| Lists {
                prefixes: rules.prefixes(),
                origins: rules.origin_dates.clone(),
            })
        }),
        release: nix::sys::utsname::uname()
            .map_or(String::new(), |names| names.release().to_string_lossy().into_owned()),
        queue_module: Path::new("/proc/self/net/netfilter/nfnetlink_queue").exists(),
        tool,
        rules,
        ways: of_config
            .map_or(Vec::new(), |config| config.inputs().map(|file| way(file)).collect()),
        reader: reader(status.as_ref().ok()),
        state: of_config.map(|config| (config.state_folder.clone(), room(&config.state_folder))),
        enslaved: netfilter::enslaved(&interfaces).unwrap_or_default(),
        sysctls: sysctls(&interfaces),
        queue_table: fs::read_to_string("/proc/self/net/netfilter/nfnetlink_queue").ok(),
        iptables: iptables(),
        nft: netfilter::ask(&["nft", "list", "ruleset"]).ok(),
        flowtables: netfilter::ask(&["nft", "-j", "list", "flowtables"]),
        lower,
        interfaces,
        missing_interfaces,
        nftables_conf: fs::read_to_string(NFTABLES_CONF).ok(),
        drop_in: DROP_INS.iter().any(|folder| {
            fs::read_dir(folder).is_ok_and(|entries| {
                entries.flatten().any(|entry| {
                    fs::read_to_string(entry.path()).is_ok_and(|text| text.contains("kordon rules"))
                })
            })
        }),
        legacy: legacy(),
        now: clock::now(),
        status,
        config,
    }
}

fn room(folder: &Path) -> Option<Room> {
    let asked = statvfs(folder).ok()?;
    Some(Room {
        read_only: asked.flags().contains(FsFlags::ST_RDONLY),
        free: asked.blocks_available().saturating_mul(asked.fragment_size()),
    })
}

/// Each folder above a file, and the file, links followed.
fn way(file: &Path) -> Way {
    let whole = fs::canonicalize(file)
        .or_else(|_| std::path::absolute(file))
        .unwrap_or_else(|_| file.to_path_buf());
    let mut steps: Vec<(PathBuf, Option<Step>)> = whole
        .ancestors()
        .map(|path| {
            let step = fs::metadata(path).ok().map(|meta| Step {
                uid: meta.uid(),
                gid: meta.gid(),
                mode: meta.mode() & 0o7777,
            });
            (path.to_path_buf(), step)
        })
        .collect();
    steps.reverse();
    Way { steps }
}

/// Whom the daemon runs as, or, where it does not run, the user that the service is to run as.
pub fn reader(status: Option<&Status>) -> Option<Reader> {
    let process = status.and_then(|status| {
        let text = fs::read_to_string(format!("/proc/{}/status", status.pid)).ok()?;
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        let number = |name: &str, place: usize| -> Option<u32> {
            field(name)?.split_whitespace().nth(place)?.parse().ok()
        };
        let (uid, gid) = (number("Uid:", 1)?, number("Gid:", 1)?);
        let more = field("Groups:")?.split_whitespace().filter_map(|gid| gid.parse().ok());
        let capabilities = u64::from_str_radix(field("CapEff:")?.trim(), 16).ok();
        let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
        let name = user.map_or_else(|| format!("uid {uid}"), |user| user.name);
        Some(Reader { name, uid, gids: more.chain([gid]).collect(), capabilities })
    });
    process.or_else(|| {
        let user = User::from_name(USER).ok().flatten()?;
        let name = std::ffi::CString::new(USER).ok()?;
        let groups = getgrouplist(&name, user.gid).unwrap_or_else(|_| vec![user.gid]);
        let gids = groups.into_iter().map(|gid| gid.as_raw()).collect();
        Some(Reader { name: USER.to_owned(), uid: user.uid.as_raw(), gids, capabilities: None })
    })
}

fn sysctls(interfaces: &[String]) -> BTreeMap<String, String> {
    let mut names: Vec<String> = [
        "ipv4/ip_forward",
        "ipv6/conf/all/forwarding",
        "ipv4/conf/all/rp_filter",
        "ipv4/conf/all/accept_source_route",
        "ipv4/conf/all/send_redirects",
        "ipv4/conf/all/accept_redirects",
        "ipv6/conf/all/seg6_enabled",
        "bridge/bridge-nf-call-iptables",
        "bridge/bridge-nf-call-ip6tables",
        "core/rmem_max",
    ]
    .map(str::to_owned)
    .to_vec();
    for name in interfaces.iter().filter(|name| !name.ends_with('+')) {
        for key in ["rp_filter", "accept_source_route", "send_redirects", "accept_redirects"] {
            names.push(format!("ipv4/conf/{name}/{key}"));
        }
        for key in ["forwarding", "accept_source_route", "seg6_enabled", "rpl_seg_enabled"] {
            names.push(format!("ipv6/conf/{name}/{key}"));
        }
    }
    let read = |name: String| {
        let value = fs::read_to_string(format!("/proc/sys/net/{name}")).ok()?;
        Some((name, value.trim().to_owned()))
    };
    names.into_iter().filter_map(read).collect()
}

fn iptables() -> Vec<(Family, &'static str, Vec<String>)> {
    let mut found = Vec::new();
    for (family, program) in [(Family::V4, "iptables-nft"), (Family::V6, "ip6tables-nft")] {
        for table in ["raw", "mangle", "nat", "filter", "security"] {
            if let Ok(text) = netfilter::ask(&[program, "-w", "-t", table, "-S"]) {
                found.push((family, table, text.lines().map(str::to_owned).collect()));
            }
        }
    }
    found
}

/// The devices that an interface stands on, a VLAN's for example.
fn lower(interface: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(format!("/sys/class/net/{interface}")) else {
        return Vec::new();
    };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| name.strip_prefix("lower_").map(str::to_owned)).collect()
}

/// Rules in tables of iptables-legacy; asking must not load a table, so only those in use are asked.
fn legacy() -> Option<Vec<String>> {
    let mut rules = Vec::new();
    for (names, program) in [
        ("/proc/self/net/ip_tables_names", "iptables-legacy"),
        ("/proc/self/net/ip6_tables_names", "ip6tables-legacy"),
    ] {
        let text = match fs::read_to_string(names) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(_) => return None,
        };
        for table in text.lines() {
            let listed = netfilter::ask(&[program, "-w", "-t", table, "-S"]).unwrap_or_default();
            let own = listed.lines().filter(|line| line.starts_with("-A"));
            rules.extend(own.map(|line| format!("{program} -t {table} {line}")));
        }
    }
    Some(rules)
}
