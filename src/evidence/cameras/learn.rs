//! From what was seen to pass to an allow list: what a policy with `default = "drop"` needs to let through.
//!
//! Invariant: what a block list names is never proposed, nor what embeds such an address, for an allow list would
//! open it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Cameras, Contact, Outcome, Sender, Talk, service};
use crate::config::{Action, CAMERA_LIMIT, Mac};
use crate::explain;
use crate::failure::{ExitStatus, Failure};
use crate::packet::embedded;
use crate::ruleset::{ListId, Ruleset};
use crate::verdict::{Embedding, Reason};

/// What is proposed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// Version of this shape.
    pub schema: u32,
    /// Where this was read.
    pub source: String,
    /// The rule set's generation.
    pub generation: u64,
    /// Seconds since 1970.
    pub now: u64,
    /// From when on what was seen counts, in seconds since 1970.
    pub since: u64,
    /// For whom.
    pub cameras: Vec<ProposedCamera>,
    /// Cameras that were asked for and of which nothing passed, by name or address: not in the policy.
    pub silent: Vec<String>,
    /// Where they may go.
    pub allow: Vec<Allowed>,
    /// Destinations that packets reached and that are not proposed.
    pub left_out: Vec<LeftOut>,
    /// The lists that count for these cameras now.
    pub lists: Vec<String>,
    /// The policies that there are.
    pub policies: Vec<String>,
    /// Flow minutes for which the record had no room: there may be more destinations.
    pub missed: u64,
}

/// A camera of the proposed policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposedCamera {
    /// Its name; a made-up one where the configuration has none.
    pub name: String,
    /// The configuration names it.
    pub declared: bool,
    /// It is to be declared: it is not, and there is room for another name.
    pub declare: bool,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Its MAC address, of one that is not declared and has it for itself.
    pub mac: Option<Mac>,
    /// The policy that names it now.
    pub policy: Option<String>,
    /// What is to be known about it.
    pub note: Option<String>,
}

/// A destination that the list lets through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowed {
    /// The destination.
    pub destination: IpAddr,
    /// Who uses it, and what for.
    pub uses: Vec<Use>,
}

/// What one camera uses a destination for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// The camera.
    pub camera: String,
    /// Protocol and service.
    #[serde(flatten)]
    pub contact: Contact,
    /// The same in words.
    pub what: String,
    /// When it was first seen, in seconds since 1970.
    pub first: u64,
    /// When it was last seen.
    pub last: u64,
    /// Flow minutes that passed.
    pub minutes: u64,
    /// What is to be known about it.
    pub note: Option<String>,
}

/// A destination that is not proposed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The destination.
    pub destination: IpAddr,
    /// The cameras that reached it.
    pub cameras: Vec<String>,
    /// Why it is not proposed.
    pub why: String,
}

/// What these cameras (by name or address; without any, all that were seen) need by what passed since then.
///
/// # Errors
/// 2 where one is neither a camera of the configuration nor an address, 1 where nothing passed.
pub fn propose(
    cameras: &Cameras,
    rules: &Ruleset,
    asked: &[String],
    (since, now): (u64, u64),
    source: &str,
) -> Result<Proposal, Failure> {
    let (mut chosen, mut silent) = choose(cameras, rules, asked)?;
    let (mut allow, mut left_out) = (BTreeMap::new(), BTreeMap::new());
    let mut missed = 0;
    chosen.retain(|camera| {
        let mut any = false;
        for sender in camera.addresses.iter().filter_map(|address| cameras.sender(address)) {
            missed += sender.missed;
            any |= add(rules, camera, sender, since, (&mut allow, &mut left_out));
        }
        if !any {
            silent.push(camera.name.clone());
        }
        any
    });
    let names = CAMERA_LIMIT.saturating_sub(rules.senders.cameras.len());
    chosen.iter_mut().filter(|one| !one.declared).take(names).for_each(|one| one.declare = true);
    // One of its services may be used by right.
    left_out.retain(|destination, _| !allow.contains_key(destination));
    if allow.is_empty() {
        let message = "nothing was seen to pass that could be allowed; see: kordon cameras";
        return Err(Failure::new(ExitStatus::Failed, message));
    }
    let counts = |place: usize| {
        chosen.iter().flat_map(|camera| &camera.addresses).any(|address| {
            let policy = rules.policies.get(rules.policies.of(*address));
            policy.is_some_and(|policy| policy.has(ListId(place as u16)))
        })
    };
    let lists = rules.lists.iter().enumerate();
    let lists = lists.filter(|(place, list)| list.is_from_a_file() && counts(*place));
    Ok(Proposal {
        schema: 1,
        source: source.to_owned(),
        generation: rules.generation,
        now,
        since: since.max(cameras.since),
        silent,
        allow: allow.into_iter().map(|(destination, uses)| Allowed { destination, uses }).collect(),
        left_out: left_out.into_values().collect(),
        lists: lists.map(|(_, list)| list.name.clone()).collect(),
        policies: rules.policies.all().iter().skip(1).map(|policy| policy.name.clone()).collect(),
        cameras: chosen,
        missed,
    })
}

/// The cameras that are asked about, and those among them of which nothing was seen.
fn choose(
    cameras: &Cameras,
    rules: &Ruleset,
    asked: &[String],
) -> Result<(Vec<ProposedCamera>, Vec<String>), Failure> {
    let genuine = |address: &IpAddr| cameras.sender(address).is_some_and(|sender| sender.genuine);
    let mut wanted: Vec<IpAddr> = Vec::new();
    let mut silent = Vec::new();
    for name in asked {
        let addresses = explain::camera(rules, name)?;
        if !addresses.iter().any(genuine) {
            silent.push(name.clone());
        }
        wanted.extend(addresses);
    }
    if asked.is_empty() {
        wanted = cameras.senders().map(|(address, _)| *address).collect();
    }
    let policy = |address: &IpAddr| {
        let policy = rules.policies.get(rules.policies.of(*address));
        policy.map(|policy| policy.name.clone()).filter(|name| !name.is_empty())
    };
    let mut chosen: Vec<ProposedCamera> = Vec::new();
    for address in wanted.into_iter().filter(genuine) {
        if chosen.iter().any(|camera| camera.addresses.contains(&address)) {
            continue;
        }
        let named = rules.senders.cameras.iter().find(|one| one.addresses.contains(&address));
        chosen.push(match named {
            Some(camera) => ProposedCamera {
                name: camera.name.clone(),
                declared: true,
                declare: false,
                addresses: camera.addresses.clone(),
                mac: None,
                policy: policy(&address),
                note: None,
            },
            None => stranger(cameras, rules, address, policy(&address)),
        });
    }
    Ok((chosen, silent))
}

/// A camera that nobody declared, with the MAC address and the other address that are its own.
fn stranger(
    cameras: &Cameras,
    rules: &Ruleset,
    address: IpAddr,
    policy: Option<String>,
) -> ProposedCamera {
    let macs = cameras.sender(&address).map_or(&[][..], |sender| &sender.macs);
    let mut camera = ProposedCamera {
        name: format!("camera-{}", address.to_string().replace(':', "-")),
        declared: false,
        declare: false,
        addresses: vec![address],
        mac: None,
        policy,
        note: None,
    };
    let [(mac, _)] = macs else {
        if !macs.is_empty() {
            let named: Vec<String> = macs.iter().map(|(mac, _)| mac.to_string()).collect();
            camera.note = Some(format!("it came from several MAC addresses: {}", named.join(", ")));
        }
        return camera;
    };
    let bears = |sender: &Sender| sender.genuine && sender.macs.iter().any(|(own, _)| own == mac);
    let alike: Vec<IpAddr> = cameras
        .senders()
        .filter(|(_, sender)| bears(sender))
        .map(|(address, _)| *address)
        .collect();
    let declared = |address: &IpAddr| {
        rules.senders.cameras.iter().any(|camera| camera.addresses.contains(address))
    };
    let v4 = alike.iter().filter(|address| address.is_ipv4()).count();
    let own = v4 <= 1 && alike.len() - v4 <= 1 && !alike.iter().any(declared);
    if own {
        // IPv4 comes first.
        let first = alike.first().copied().unwrap_or(address);
        camera.name = format!("camera-{}", first.to_string().replace(':', "-"));
        camera.addresses = alike;
        camera.mac = Some(*mac);
    } else {
        camera.note = Some(format!(
            "MAC address {mac} has {} addresses: a router, or a device with several; not declared with it",
            alike.len()
        ));
    }
    camera
}

type Uses = BTreeMap<IpAddr, Vec<Use>>;
type Others = BTreeMap<IpAddr, LeftOut>;

/// Adds what one address of a camera sent to; says whether any of it is proposed.
fn add(
    rules: &Ruleset,
    camera: &ProposedCamera,
    sender: &Sender,
    since: u64,
    (allow, left_out): (&mut Uses, &mut Others),
) -> bool {
    let mut any = false;
    for (contact, talk) in sender.contacts() {
        let Some((minutes, note)) = reached(talk, since) else { continue };
        let destination = contact.destination;
        let why = refused(rules, destination).or_else(|| match talk.outcome {
            Outcome::Dropped => Some(format!("dropped since: {}", talk.reason)),
            Outcome::WouldDrop if !is_unlisted(talk) => {
                Some(format!("would be dropped since: {}", talk.reason))
            }
            Outcome::Passed | Outcome::WouldDrop => None,
        });
        let name = camera.name.clone();
        if let Some(why) = why {
            let out = left_out.entry(destination).or_insert_with(|| LeftOut {
                destination,
                cameras: Vec::new(),
                why,
            });
            if !out.cameras.contains(&name) {
                out.cameras.push(name);
            }
            continue;
        }
        any = true;
        allow.entry(destination).or_default().push(Use {
            camera: name,
            contact: *contact,
            what: service(contact.protocol, contact.service),
            first: talk.first,
            last: talk.last,
            minutes,
            note,
        });
    }
    any
}

/// For how many flow minutes a destination was reached; `None` if it was not, or not since then.
fn reached(talk: &Talk, since: u64) -> Option<(u64, Option<String>)> {
    if talk.outcome == Outcome::WouldDrop && is_unlisted(talk) && talk.last >= since {
        let note = "its policy would drop it".to_owned();
        return Some((talk.passed + talk.would_drop, Some(note)));
    }
    let tunnel = talk.reason.starts_with("tunnel");
    let note = tunnel.then(|| "a tunnel that may pass".to_owned());
    talk.last_passed.filter(|last| *last >= since).map(|_| (talk.passed, note))
}

/// Only the policy of the camera had something against it, and it only counts.
fn is_unlisted(talk: &Talk) -> bool {
    talk.reason == Reason::NotAllowed.label()
}

/// Why a destination may not be proposed, whoever reached it.
fn refused(rules: &Ruleset, destination: IpAddr) -> Option<String> {
    if let Some(why) = listed(rules, destination) {
        return Some(why);
    }
    let IpAddr::V6(address) = destination else { return None };
    let embedded = embedded(address, &rules.policies.nat64);
    embedded.iter().find_map(|(how, inner): (Embedding, _)| {
        if how.is_martian() {
            return Some(format!("{} address, which is for no wire", how.label()));
        }
        let why = listed(rules, IpAddr::V4(inner))?;
        Some(format!("it embeds {inner}: {why}"))
    })
}

/// What a list has against an address.
fn listed(rules: &Ruleset, address: IpAddr) -> Option<String> {
    let matches = rules.matches(address);
    let by = |action: Action| {
        let mut lists = matches.iter().filter_map(|entry| rules.list(entry.list));
        lists.find(|list| list.action == action).map(|list| list.name.as_str())
    };
    match (by(Action::Block), by(Action::Allow), by(Action::Monitor)) {
        (Some(block), Some(allow), _) => {
            Some(format!("list {block} blocks it; list {allow} lets it pass, and goes on doing so"))
        }
        (Some(block), None, _) => Some(format!("list {block} blocks it")),
        (None, _, Some(monitor)) => Some(format!("list {monitor} watches it: decide yourself")),
        (None, _, None) => None,
    }
}

#[cfg(test)]
mod tests;
