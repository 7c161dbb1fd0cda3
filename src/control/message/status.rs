//! What `kordon status` is told.

use serde::{Deserialize, Serialize};

use crate::control::changes::Change;

/// How a daemon is doing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Version of this shape.
    pub schema: u32,
    /// kordon's version.
    pub version: String,
    /// The process.
    pub pid: u32,
    /// `enforce` or `monitor`: the mode in force; a pause does not change it.
    pub mode: String,
    /// What the configuration says.
    pub mode_configured: String,
    /// The command that set the mode, where one did.
    pub mode_set: Option<ModeSet>,
    /// The mode goes back by itself unless somebody confirms it.
    pub mode_unconfirmed: Option<ModeUnconfirmed>,
    /// The mode before went back, because nobody confirmed it.
    #[serde(default)]
    pub mode_went_back: Option<ModeWentBack>,
    /// Nothing is dropped for the time being.
    pub paused: Option<Paused>,
    /// Everything passes while nobody judges.
    pub open: bool,
    /// Everything is in place.
    pub ready: bool,
    /// Seconds since the start.
    pub uptime_seconds: u64,
    /// Seconds since 1970.
    pub now: u64,
    /// The configuration's files.
    pub config: Vec<String>,
    /// The rule set's generation.
    pub generation: u64,
    /// Distinct prefixes, IPv4 and IPv6.
    pub prefixes: [usize; 2],
    /// When it was put in force, in seconds since 1970.
    pub loaded: u64,
    /// Why the last reload was refused; none if it was not.
    pub last_reload_refused: Option<String>,
    /// The daemon started with the last good rule set, because the lists were refused.
    #[serde(default)]
    pub last_good: bool,
    /// Who went back to the rule set before; the files say otherwise.
    #[serde(default)]
    pub undone_by: Option<String>,
    /// The last change of each kind that somebody asked for, the newest first.
    #[serde(default)]
    pub changes: Vec<Change>,
    /// What is different for some cameras, everybody's policy first.
    #[serde(default)]
    pub policies: Vec<PolicyStatus>,
    /// The rules in the kernel.
    pub rules: RulesStatus,
    /// The queues.
    pub queues: Vec<QueueStatus>,
    /// Traffic since the start.
    pub traffic: TrafficStatus,
    /// The lists.
    pub lists: Vec<ListStatus>,
    /// Declared cameras, the busiest in drops first, then `_other`.
    pub cameras: Vec<CameraStatus>,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyStatus {
    /// Its name; empty for everybody's.
    pub name: String,
    /// It only counts, whatever the mode.
    pub monitor: bool,
    /// What an unlisted destination meets: `accept` or `drop`.
    pub default: String,
    /// The lists that count; null: all.
    pub lists: Option<Vec<String>>,
    /// The tunnels that are not dropped, each with its answer: `gre: inspect`.
    pub tunnels: Vec<String>,
}

/// A mode set by command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModeSet {
    /// Who set it.
    pub by: String,
    /// When, in seconds since 1970.
    pub at: u64,
    /// Why; empty if nobody said.
    pub why: String,
}

/// A mode that waits to be confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModeUnconfirmed {
    /// When it goes back, in seconds since 1970.
    pub until: u64,
    /// To what.
    pub back_to: String,
}

/// A mode that nobody confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModeWentBack {
    /// When it went, in seconds since 1970.
    pub at: u64,
    /// The mode that was not confirmed.
    pub from: String,
}

/// A pause of the drops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// When it ends, in seconds since 1970.
    pub until: u64,
    /// Who asked for it.
    pub by: String,
    /// Why.
    pub why: String,
}

/// The rules in the kernel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RulesStatus {
    /// kordon applies them itself.
    pub managed: bool,
    /// The tool that carries them.
    pub tool: String,
    /// As planned, when last asked; none if not asked yet.
    pub present: Option<bool>,
    /// What is missing or altered.
    pub faults: Vec<String>,
    /// Packets dropped by the gate, both families.
    pub gate_dropped: u64,
    /// Why somebody removed them through the daemon.
    pub removed: Option<String>,
    /// How often they were put back.
    pub rearmed: u64,
    /// Where they are left to others: whether the planned ones stand; none if not looked at.
    pub planned: Option<bool>,
    /// Camera interfaces that belong to another one, in words: their packets are not held.
    pub enslaved: Vec<String>,
}

/// One queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueueStatus {
    /// Its number.
    pub number: u16,
    /// Bytes in use in the socket's buffer.
    pub buffer_used: Option<u64>,
    /// The buffer's size, as granted.
    pub buffer_size: Option<u64>,
    /// The size asked for; 0 from a daemon that does not say.
    #[serde(default)]
    pub buffer_asked: u64,
    /// Packets lost, by cause: buffer, late verdict, orphan.
    pub lost: [u64; 3],
    /// Its thread makes no progress.
    pub stalled: bool,
    /// Seconds since its last packet; none if there was none since the start.
    pub last_packet_seconds_ago: Option<u64>,
}

impl QueueStatus {
    /// The size asked for, where the kernel granted less. It rounds what it doubles.
    pub fn too_small(&self) -> Option<u64> {
        let granted = self.buffer_size?;
        (granted + 1 < self.buffer_asked).then_some(self.buffer_asked)
    }
}

/// Packets since the start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrafficStatus {
    /// Judged.
    pub packets: u64,
    /// Answered with accept.
    pub accepted: u64,
    /// Answered with drop.
    pub dropped: u64,
    /// Passed by mode or by a monitor list only.
    pub would_drop: u64,
    /// Of those dropped or passed so: unparsable.
    pub unparsable: u64,
    /// Those dropped or passed so, by reason; without reasons that never came up.
    #[serde(default)]
    pub by_reason: Vec<(String, u64)>,
    /// Events counted but not logged.
    pub events_suppressed: u64,
}

/// One list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListStatus {
    /// Its name.
    pub name: String,
    /// `block`, `allow` or `monitor`.
    pub action: String,
    /// Prefixes or AS numbers that it names.
    pub lines: usize,
    /// Prefixes after resolution.
    pub prefixes: usize,
    /// Packets dropped.
    pub dropped: u64,
    /// Packets that would have been dropped.
    pub would_drop: u64,
    /// Packets exempted.
    pub exempted: u64,
    /// On what it rests, in one line.
    pub basis: String,
}

/// One camera.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CameraStatus {
    /// Its name.
    pub name: String,
    /// Packets judged.
    pub packets: u64,
    /// Packets dropped.
    pub dropped: u64,
}

#[cfg(test)]
impl Status {
    /// A daemon that is well.
    pub(crate) fn sample() -> Self {
        serde_json::from_str(
        r#"{"schema":1,"version":"0","pid":7,"mode":"enforce","mode_configured":"enforce",
        "mode_set":null,"mode_unconfirmed":null,"paused":null,"open":false,"ready":true,
        "uptime_seconds":1,"now":1,"config":[],"generation":1,"prefixes":[1,1],"loaded":1,
        "last_reload_refused":null,"changes":[],
        "rules":{"managed":true,"tool":"iptables","present":true,"faults":[],"gate_dropped":0,
        "removed":null,"rearmed":0,"planned":true,"enslaved":[]},
        "queues":[{"number":40,"buffer_used":0,"buffer_size":1000000,"buffer_asked":1000000,"lost":[0,0,0],
        "stalled":false,"last_packet_seconds_ago":0}],
        "traffic":{"packets":0,"accepted":0,"dropped":0,"would_drop":0,"unparsable":0,
        "events_suppressed":0},"lists":[],"cameras":[]}"#,
    )
    .unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffer_is_too_small_where_less_was_granted_than_asked() {
        let mut queue = Status::sample().queues.remove(0);
        let mut with = |granted: Option<u64>, asked: u64| {
            (queue.buffer_size, queue.buffer_asked) = (granted, asked);
            queue.too_small()
        };
        assert_eq!(with(Some(425_984), 1_000_000), Some(1_000_000));
        assert_eq!(with(Some(1_000_000), 1_000_000), None);
        assert_eq!(with(Some(1_000_000), 1_000_001), None, "rounded");
        assert_eq!(with(Some(1_000_000), 0), None, "a daemon that does not say");
        assert_eq!(with(None, 1_000_000), None);
    }
}
