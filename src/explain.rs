//! Why an address passes or does not: the answer behind `kordon why`.
//!
//! Invariant: the verdict comes from the same [`decide`](crate::decide::decide) that judges held packets, over a made-up packet,
//! and mode is applied to it as a packet thread applies it. What is added here only names the entries.

mod comparison;
mod list;
mod network;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::blocklist::{Country, Sources};
use crate::clock;
use crate::config::{Day, ListKind, Mode};
use crate::decide::decide_under;
use crate::failure::{ExitStatus, Failure};
use crate::packet::synthetic;
use crate::ruleset::{ListInfo, Match, Ruleset};
use crate::verdict::Verdict;

pub use comparison::{Comparison, ListChange, OriginChange, Refused, compare};
pub use list::{BasisReport, Hits, ListReport, ListReports, lists};
pub use network::{
    NAMED, OriginExplanation, OriginLine, PrefixExplanation, Standing, explain_origin,
    explain_prefix,
};

/// The answer for one address, as `-o json` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Version of this shape.
    pub schema: u32,
    /// The address asked about.
    pub address: IpAddr,
    /// `accept` or `drop`: what follows from the reason, whatever the mode.
    pub verdict: String,
    /// Why, as in metrics.
    pub reason: String,
    /// The same in words.
    #[serde(default)]
    pub said: String,
    /// The address that it embeds and that decided.
    #[serde(default)]
    pub hidden: Option<IpAddr>,
    /// The camera asked about, as it was named.
    #[serde(default)]
    pub camera: Option<String>,
    /// The policy by which it was judged; null: everybody's.
    #[serde(default)]
    pub policy: Option<String>,
    /// `enforce` or `monitor`; `enforce, paused` in a pause.
    pub mode: String,
    /// What a packet meets: `passes`, `dropped`, or `would be dropped` in monitor mode and in a pause.
    pub outcome: String,
    /// Where the rule set came from: `running`, or `files: not in force`.
    pub source: String,
    /// The running rule set's generation; 0 for files.
    pub generation: u64,
    /// The entry that decided.
    pub winner: Option<Named>,
    /// Every other entry that names the address.
    pub also: Vec<Named>,
}

/// An entry with everything that is known about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// The list.
    pub list: String,
    /// `block`, `allow` or `monitor`.
    pub action: String,
    /// The prefix.
    pub prefix: String,
    /// The origin AS through which it came in, for a list of AS numbers.
    pub origin_as: Option<u32>,
    /// The origin AS's name in the origin tables.
    pub origin_name: Option<String>,
    /// The origin tables that say so; empty beside an origin AS: none does any more, the prefix is kept. Null
    /// where the list names the prefix itself.
    #[serde(default)]
    pub origin_sources: Option<Vec<String>>,
    /// Those of these tables that say who may announce a prefix, not who does.
    #[serde(default)]
    pub may_announce: Vec<String>,
    /// Where no table says so any more: the day on which one last did.
    #[serde(default)]
    pub last_seen: Option<String>,
    /// The group that the AS number belongs to, with its organisation.
    #[serde(default)]
    pub group: Option<String>,
    /// The country that a registry has the prefix registered in, for a list of countries. That is not where it is.
    #[serde(default)]
    pub registered_in: Option<String>,
    /// The list's file; empty for a list that has none.
    pub file: String,
    /// The line in it; of a list that has none, the number of the entry.
    pub line: u32,
    /// What the line says besides.
    #[serde(default)]
    pub remark: Option<String>,
    /// Issuer, number and date in one line.
    pub basis: String,
    /// The basis's note.
    pub note: Option<String>,
    /// The day on which somebody shall look at the list again.
    #[serde(default)]
    pub review_by: Option<String>,
    /// That day has come.
    #[serde(default)]
    pub review_due: bool,
}

/// The rule set that is in force in a running daemon.
pub const RUNNING: &str = "running";
/// A rule set read from files by a command.
pub const FILES: &str = "files: not in force";

/// Who is asked about besides an address: the addresses of a camera that the configuration names, or one address.
///
/// # Errors
/// 2 where it is neither.
pub fn camera(rules: &Ruleset, name: &str) -> Result<Vec<IpAddr>, Failure> {
    if let Some(camera) = rules.senders.cameras.iter().find(|camera| camera.name == name) {
        return Ok(camera.addresses.clone());
    }
    name.parse().map(|address| vec![address]).map_err(|_| {
        let message = format!("`{name}` is neither a camera of the configuration nor an address");
        Failure::new(ExitStatus::Usage, message)
    })
}

/// Explains what a packet to `address` meets under `rules`, from a camera or, without one, from anybody whom no policy
/// names.
///
/// # Errors
/// As [`camera`].
pub fn explain(
    rules: &Ruleset,
    mode: Mode,
    source: &str,
    address: IpAddr,
    from: Option<&str>,
) -> Result<Explanation, Failure> {
    let addresses = from.map_or(Ok(Vec::new()), |name| camera(rules, name))?;
    let sender = addresses.iter().find(|sender| sender.is_ipv4() == address.is_ipv4());
    let bytes = synthetic::packet(sender.copied(), address);
    // Where a camera has no address of this family, its policy judges all the same.
    let judged = sender.or(addresses.first()).copied().unwrap_or(synthetic::nobody(address));
    let decision = decide_under(rules, rules.policies.of(judged), bytes.as_slice());
    let policy = rules.policies.get(decision.policy);
    let listed = decision.hidden.unwrap_or(address);
    let winner = decision.hit.and_then(|hit| rules.table().origin_of(listed, hit));
    let counts = |entry: &Match| policy.is_none_or(|policy| policy.has(entry.list));
    let also = rules.matches(address).into_iter();
    let also = also.filter(|entry| Some(*entry) != winner && counts(entry));
    let mode = policy.map_or(mode, |policy| policy.mode(mode));
    let outcome = match (decision.verdict(), mode) {
        (Verdict::Accept, _) => "passes",
        (Verdict::Drop, Mode::Enforce) => "dropped",
        (Verdict::Drop, Mode::Monitor) => "would be dropped",
    };
    Ok(Explanation {
        schema: 1,
        address,
        verdict: decision.verdict().to_string(),
        reason: decision.reason.label().to_owned(),
        said: decision.reason.to_string(),
        hidden: decision.hidden,
        camera: from.map(str::to_owned),
        policy: policy.map(|policy| policy.name.clone()).filter(|name| !name.is_empty()),
        mode: mode.label().to_owned(),
        outcome: outcome.to_owned(),
        source: source.to_owned(),
        generation: rules.generation,
        winner: winner.and_then(|entry| name(rules, entry)),
        also: also.filter_map(|entry| name(rules, entry)).collect(),
    })
}

/// Changes an answer to what is so while drops are paused.
pub fn in_a_pause(answer: &mut Explanation) {
    if answer.outcome == "dropped" {
        answer.outcome = "would be dropped".to_owned();
    }
    answer.mode.push_str(", paused");
}

/// Everything that is known about an entry of this rule set.
pub fn name(rules: &Ruleset, entry: Match) -> Option<Named> {
    let list = rules.list(entry.list)?;
    let resolution = &rules.resolution;
    let country = resolution.country_of(&entry);
    let resolved = entry.origin.is_some() || country.is_some();
    let country = country.or_else(|| registered_by_its_line(list, &entry));
    let may = entry.sources.places().filter(|place| resolution.only_may(*place));
    let seen = resolution.last_seen(&entry).filter(|_| entry.sources == Sources::NONE);
    let group = entry.origin.and_then(|asn| resolution.group_of(asn));
    Some(Named {
        list: list.name.clone(),
        action: list.action.label().to_owned(),
        prefix: entry.prefix.to_string(),
        origin_as: entry.origin,
        origin_name: entry.origin.and_then(|asn| rules.origin_names.get(&asn).cloned()),
        origin_sources: resolved.then(|| source_names(rules, entry.sources)),
        may_announce: may.map(|place| table_name(rules, place)).collect(),
        last_seen: seen.and_then(Day::of_unix).map(|day| day.to_string()),
        group: group.map(|group| format!("{}: {}", group.name, group.title)),
        registered_in: country.map(|country| country.to_string()),
        file: match list.is_from_a_file() {
            true => list.path.display().to_string(),
            false => String::new(),
        },
        line: entry.line,
        remark: list.remarks.of(entry.line).map(str::to_owned),
        basis: list.basis.line(),
        note: list.basis.note.clone(),
        review_by: list.review_by.map(|day| day.to_string()),
        review_due: review_due(list, clock::now()),
    })
}

/// The country in which a line of a registry's own file says that its addresses are registered.
fn registered_by_its_line(list: &ListInfo, entry: &Match) -> Option<Country> {
    let remark = list.remarks.of(entry.line).filter(|_| list.kind == ListKind::Country)?;
    Country::parse(remark.split(',').next()?)
}

/// The names of these origin tables.
fn source_names(rules: &Ruleset, sources: Sources) -> Vec<String> {
    sources.places().map(|place| table_name(rules, place)).collect()
}

fn table_name(rules: &Ruleset, place: usize) -> String {
    rules.freshness.origins.get(place).map_or(String::new(), |age| age.name.clone())
}

/// Whether the day has come on which somebody shall look at this list again.
fn review_due(list: &ListInfo, now: u64) -> bool {
    list.review_by.is_some_and(|day| day.unix() <= now)
}
