//! The configuration: TOML to checked settings, or which key is wrong.
//!
//! Invariant: a [`Config`] in hand is valid. Everything that a later room could stumble over (ranges,
//! interface names, clashing list names, marks) was refused here, with file, line and column.

mod changes;
mod commanded;
mod day;
mod formats;
mod load;
mod policy;
mod raw;
#[cfg(test)]
pub(crate) mod samples;
mod socket;
mod source;
mod values;

pub use changes::needs_restart;
pub use commanded::{Commanded, Found};
pub use day::Day;
pub use formats::{ListFormat, OriginFormat};
pub use load::{CAMERA_LIMIT, COPIED_TO_INSPECT, LIST_LIMIT, MADE_LISTS, ORIGIN_LIMIT};
pub use policy::{Mac, PacketsConfig, PolicyConfig, TunnelAnswer, Tunnels, Unlisted};
pub use socket::{control_socket, state_folder};
pub use values::{interface as interface_name, label as label_name};

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::verdict::Mark;

/// Whether a judgement is carried out or only counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Count what would be dropped; everything passes (always open).
    Monitor,
    /// Drop it.
    Enforce,
}

/// What leaves the gateway while nobody judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// Nothing: no bypass, no fail-open flag, gate present.
    Closed,
    /// Everything: bypass, fail-open flag, no gate.
    Open,
}

/// Who counts as a camera.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cameras {
    /// Interfaces that cameras are behind.
    pub interfaces: Vec<String>,
    /// Source networks of cameras, whatever interface they enter by.
    pub networks: Vec<IpNet>,
    /// If not empty: every interface but these is a camera interface.
    pub trusted_interfaces: Vec<String>,
    /// What may come from behind an interface, for some: a packet with another source is forged. For the others
    /// `networks` says so, where it says anything.
    pub sources: Vec<(String, Vec<IpNet>)>,
    /// Cameras with a name, for metrics and messages.
    pub named: Vec<NamedCamera>,
}

/// A camera that the configuration gives a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedCamera {
    /// The label in metrics.
    pub name: String,
    /// Its addresses, at least one.
    pub addresses: Vec<IpAddr>,
    /// Its MAC address: a packet that has one of the two and not the other is forged.
    pub mac: Option<Mac>,
    /// Where it stands.
    pub site: Option<String>,
}

/// Which code talks to the kernel's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QueueBackend {
    /// kordon's own netlink socket.
    Native,
    /// The `nfq` crate.
    Nfq,
}

/// The `[queue]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueConfig {
    /// Number of the first queue.
    pub first: u16,
    /// How many queues (and packet threads), from `first` up.
    pub count: u16,
    /// `count` was left out and follows from the machine.
    pub count_follows_machine: bool,
    /// Which code talks to the kernel's queue.
    pub backend: QueueBackend,
    /// Bytes of each packet that the kernel copies to us.
    pub copy_range: u16,
    /// The most packets that the kernel holds in one queue: `queue.max_held_bytes` shared out among the
    /// queues, each packet counted as a full 64 KiB aggregate.
    pub max_length: u32,
    /// Receive buffer of each queue's socket, in bytes as the kernel counts them.
    pub buffer_bytes: usize,
}

/// The tool that carries the rules into the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RulesBackend {
    /// nftables where the kernel has its `queue` statement, otherwise iptables.
    Auto,
    /// `nft`, table `inet kordon`.
    Nftables,
    /// `iptables-nft` and `ip6tables-nft`, own chains.
    Iptables,
}

/// The `[rules]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulesConfig {
    /// Which tool.
    pub backend: RulesBackend,
    /// kordon installs the rules itself at start.
    pub manage: bool,
    /// The mark of an accepted packet.
    pub mark: Mark,
    /// What cameras send to the gateway itself is held, too.
    pub hold_input: bool,
    /// What cameras send to the gateway itself and wraps other packets is dropped.
    pub drop_tunnels_to_gateway: bool,
}

/// What a list's entries do to a packet.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Drop.
    Block,
    /// Accept, whatever blocks it.
    Allow,
    /// Accept and count.
    Monitor,
}

/// What a list's lines are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ListKind {
    /// Prefixes and addresses.
    Prefix,
    /// Origin AS numbers, resolved through the origin tables.
    Asn,
    /// Countries of registration, resolved through the origin tables.
    Country,
}

/// On what a list rests.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Basis {
    /// Who ordered it.
    pub issuer: String,
    /// The order's number.
    pub number: String,
    /// The order's date, `YYYY-MM-DD`.
    pub date: Option<String>,
    /// Free text.
    pub note: Option<String>,
}

/// One `[[list]]`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ListConfig {
    /// The name, unique; a metric label.
    pub name: String,
    /// The file, absolute or relative to the working directory.
    pub path: PathBuf,
    /// What its lines are.
    pub kind: ListKind,
    /// How they are written.
    pub format: ListFormat,
    /// What its entries do.
    pub action: Action,
    /// On what it rests.
    pub basis: Basis,
    /// The day on which somebody shall look at it again.
    pub review_by: Option<Day>,
    /// Accept prefixes shorter than /8 (IPv4) or /16 (IPv6).
    pub allow_wide: bool,
    /// Leave in what lies in local space.
    pub keep_local: bool,
    /// How many origin tables must give a prefix to an AS number.
    pub at_least: u8,
    /// How long a prefix that its AS number no longer announces stays; zero: not at all.
    pub hold_down: Duration,
    /// The most by which a reload may shrink it, in percent of its prefixes.
    pub max_shrink: u32,
    /// The most by which a reload may grow it, in percent of its prefixes.
    pub max_growth: u32,
    /// How many lines may be wrong; they are left out.
    pub max_rejected: u32,
    /// The age of its file at which it is stale; `None`: never.
    #[serde(skip)]
    pub max_age: Option<Duration>,
}

/// One `[[origin]]`: a table of prefix to origin AS.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct OriginConfig {
    /// The name, unique; a metric label.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Its format.
    pub format: OriginFormat,
    /// The age of its data at which it is stale; `None`: never.
    #[serde(skip)]
    pub max_age: Option<Duration>,
}

/// AS numbers of one organisation, under a name that a list can use.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Group {
    /// The name, as in `group:vk`; unique.
    pub name: String,
    /// The organisation, for people.
    pub title: String,
    /// Its AS numbers.
    pub asns: Vec<u32>,
}

/// A recorder, which no list can block.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Recorder {
    /// Its name, for messages.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
}

/// Everything that the configuration says, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Monitor or enforce.
    pub mode: Mode,
    /// Closed or open while nobody judges.
    pub on_failure: OnFailure,
    /// Who counts as a camera.
    pub cameras: Cameras,
    /// The queues.
    pub queue: QueueConfig,
    /// The rules.
    pub rules: RulesConfig,
    /// Address of the HTTP endpoint, `None` if switched off.
    pub metrics_listen: Option<SocketAddr>,
    /// Path of the control socket.
    pub control_socket: PathBuf,
    /// The folder in which the daemon keeps what shall outlive it. It need not exist.
    pub state_folder: PathBuf,
    /// Watch the lists' folders and reload by itself.
    pub watch: bool,
    /// How long the files must have been still before a watched reload.
    pub watch_debounce: Duration,
    /// The lists.
    pub lists: Vec<ListConfig>,
    /// The origin tables.
    pub origins: Vec<OriginConfig>,
    /// Groups of AS numbers.
    pub groups: Vec<Group>,
    /// Recorders, which no list can block.
    pub recorders: Vec<Recorder>,
    /// What an unlisted destination meets, of a camera that no policy names.
    pub unlisted: Unlisted,
    /// What tunnels meet, of such a camera.
    pub tunnels: Tunnels,
    /// What is different for some cameras.
    pub policies: Vec<PolicyConfig>,
    /// How packets are read.
    pub packets: PacketsConfig,
    /// Local space beyond what is local anywhere.
    pub local: Vec<IpNet>,
    /// The files this configuration was read from, in order.
    pub files: Vec<PathBuf>,
}

impl ListConfig {
    /// How long withdrawn prefixes stay if nothing is said: routes flap for hours, and a network that moves to
    /// another AS is back within days.
    const HOLD_DOWN: Duration = Duration::from_secs(14 * 86_400);

    /// A list about which nothing else is said.
    pub fn new(name: String, path: PathBuf, kind: ListKind, action: Action) -> Self {
        ListConfig {
            name,
            path,
            kind,
            format: ListFormat::Auto,
            action,
            basis: Basis::default(),
            review_by: None,
            allow_wide: false,
            keep_local: false,
            at_least: 1,
            hold_down: Self::HOLD_DOWN,
            max_shrink: 50,
            max_growth: 300,
            max_rejected: 0,
            max_age: None,
        }
    }
}

impl Basis {
    /// The basis in one line, as in messages: `NCU 01-140/101, 2022-02-27`; empty if nothing was declared.
    pub fn line(&self) -> String {
        let mut line = format!("{} {}", self.issuer, self.number).trim().to_owned();
        if let Some(date) = &self.date {
            if !line.is_empty() {
                line.push_str(", ");
            }
            line.push_str(date);
        }
        line
    }
}

impl Action {
    /// The word in the configuration: `block`, `allow`, `monitor`.
    pub const fn label(self) -> &'static str {
        match self {
            Action::Block => "block",
            Action::Allow => "allow",
            Action::Monitor => "monitor",
        }
    }
}

impl ListKind {
    /// The word in the configuration: `prefix`, `asn`.
    pub const fn label(self) -> &'static str {
        match self {
            ListKind::Prefix => "prefix",
            ListKind::Asn => "asn",
            ListKind::Country => "country",
        }
    }
}

impl Mode {
    /// The word in the configuration: `monitor`, `enforce`.
    pub const fn label(self) -> &'static str {
        match self {
            Mode::Monitor => "monitor",
            Mode::Enforce => "enforce",
        }
    }
}

impl Config {
    /// Open in every state: by configuration, or because monitor mode is always open.
    pub fn is_open(&self) -> bool {
        self.on_failure == OnFailure::Open || self.mode == Mode::Monitor
    }

    /// Every file that it was read from or that it names to be read: its own, lists and origin tables.
    pub fn inputs(&self) -> impl Iterator<Item = &PathBuf> {
        let lists = self.lists.iter().map(|list| &list.path);
        self.files.iter().chain(lists).chain(self.origins.iter().map(|origin| &origin.path))
    }
}
