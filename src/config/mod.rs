//! The configuration: TOML to checked settings, or which key is wrong.
//!
//! Invariant: a [`Config`] in hand is valid. Everything that a later room could stumble over (ranges,
//! interface names, clashing list names, marks) was refused here, with file, line and column.

mod changes;
mod commanded;
mod load;
mod raw;
mod socket;
mod source;
mod values;

pub use changes::needs_restart;
pub use commanded::{Commanded, Found};
pub use load::LIST_LIMIT;
pub use socket::{control_socket, state_folder};
pub use values::interface as interface_name;

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
    /// Cameras with a name, for metrics and messages.
    pub named: Vec<NamedCamera>,
}

/// A camera that the configuration gives a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedCamera {
    /// The label in metrics.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
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
}

/// What a list's entries do to a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ListKind {
    /// Prefixes and addresses.
    Prefix,
    /// Origin AS numbers, resolved through the origin tables.
    Asn,
}

/// On what a list rests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListConfig {
    /// The name, unique; a metric label.
    pub name: String,
    /// The file, absolute or relative to the working directory.
    pub path: PathBuf,
    /// What its lines are.
    pub kind: ListKind,
    /// What its entries do.
    pub action: Action,
    /// On what it rests.
    pub basis: Basis,
    /// Accept prefixes shorter than /8 (IPv4) or /16 (IPv6).
    pub allow_wide: bool,
    /// The age of its file at which it is stale; `None`: never.
    pub max_age: Option<Duration>,
}

/// The format of an origin table file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
pub enum OriginFormat {
    /// `start<TAB>end<TAB>asn<TAB>country<TAB>name`.
    #[serde(rename = "iptoasn")]
    Iptoasn,
    /// `start,end,asn,org`.
    #[serde(rename = "csv")]
    Csv,
}

/// One `[[origin]]`: a table of prefix to origin AS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginConfig {
    /// The name, unique; a metric label.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Its format.
    pub format: OriginFormat,
    /// The age of its data at which it is stale; `None`: never.
    pub max_age: Option<Duration>,
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
    /// The files this configuration was read from, in order.
    pub files: Vec<PathBuf>,
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
}
