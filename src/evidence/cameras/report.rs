//! What is told about cameras: declared ones, seen or not, and everybody else who was seen.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Cameras, Contact, NoRoom, Outcome, Sender, Stopped, Talk, service};
use crate::config::{Mac, Mode};
use crate::explain::{self, Named};
use crate::failure::{ExitStatus, Failure};
use crate::ruleset::Ruleset;
use crate::verdict::Verdict;

/// The name of cameras that the configuration does not name.
pub const OTHER: &str = "_other";

/// Who was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CamerasReport {
    /// Version of this shape.
    pub schema: u32,
    /// Where this was read.
    pub source: String,
    /// The rule set's generation.
    pub generation: u64,
    /// Seconds since 1970.
    pub now: u64,
    /// When the record began.
    pub since: u64,
    /// Sightings for which the record had no room.
    pub no_room: NoRoom,
    /// Sightings that were lost on the way to the record, since the daemon started.
    pub lost: u64,
    /// One for each address.
    pub cameras: Vec<CameraReport>,
}

/// One address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CameraReport {
    /// Its name, `_other` without one.
    pub name: String,
    /// The configuration names it.
    pub declared: bool,
    /// Where it stands, if the configuration says so.
    pub site: Option<String>,
    /// The source address.
    pub address: IpAddr,
    /// The MAC address that the configuration gives it.
    pub mac: Option<Mac>,
    /// The MAC addresses that it came from, the last one first.
    pub macs: Vec<Mac>,
    /// The interface that it came by.
    pub interface: Option<String>,
    /// Its policy, if one names it.
    pub policy: Option<String>,
    /// What an unlisted destination meets: `accept` or `drop`.
    pub default: String,
    /// When it was first seen, in seconds since 1970; null: not at all.
    pub first: Option<u64>,
    /// When it was last seen.
    pub last: Option<u64>,
    /// Packets of the camera since the daemon started, all its addresses together; null for those without a name.
    pub packets: Option<u64>,
    /// Those of them that were dropped.
    pub packets_dropped: Option<u64>,
    /// Flow minutes that passed by right.
    pub passed: u64,
    /// Flow minutes that passed because nothing was to be dropped.
    pub would_drop: u64,
    /// Flow minutes that were dropped.
    pub dropped: u64,
    /// Destinations that it sent to.
    pub destinations: usize,
    /// Flow minutes to destinations that found no room.
    pub missed: u64,
    /// The last packet that was dropped or would have been.
    pub last_drop: Option<Stopped>,
    /// The last forged packet that bore its address.
    pub forged: Option<Stopped>,
    /// Flow minutes of forged packets.
    pub forged_minutes: u64,
    /// All that was seen of it was forged.
    pub only_forged: bool,
    /// What it sent to; empty unless it was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<ContactReport>,
}

/// What one address sent to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactReport {
    /// Destination, protocol and service.
    #[serde(flatten)]
    pub contact: Contact,
    /// Protocol and service in words.
    pub what: String,
    /// When it was first seen, in seconds since 1970.
    pub first: u64,
    /// When it was last seen.
    pub last: u64,
    /// What it met last.
    pub outcome: Outcome,
    /// Why.
    pub reason: String,
    /// Flow minutes that passed by right.
    pub passed: u64,
    /// Flow minutes that passed because nothing was to be dropped.
    pub would_drop: u64,
    /// Flow minutes that were dropped.
    pub dropped: u64,
    /// The entry of a block list that decided, as the rule set in force has it; null: no list decided, or none names
    /// the destination any more.
    #[serde(default)]
    pub listed: Option<Named>,
}

impl CamerasReport {
    /// Everybody, without what they sent to; `packets` tells what a declared camera sent, by its place.
    pub fn all(
        cameras: &Cameras,
        rules: &Ruleset,
        source: &str,
        now: u64,
        packets: impl Fn(usize) -> Option<[u64; 2]>,
    ) -> CamerasReport {
        let mut rows = Vec::new();
        for (place, camera) in rules.senders.cameras.iter().enumerate() {
            let counted = packets(place);
            for address in &camera.addresses {
                let row = CameraReport::of(rules, *address, cameras.sender(address));
                rows.push(CameraReport {
                    name: camera.name.clone(),
                    declared: true,
                    site: camera.site.clone(),
                    mac: camera.mac,
                    packets: counted.map(|[packets, _]| packets),
                    packets_dropped: counted.map(|[_, dropped]| dropped),
                    ..row
                });
            }
        }
        let declared = |address: &IpAddr| {
            rules.senders.cameras.iter().any(|camera| camera.addresses.contains(address))
        };
        let others = cameras.senders().filter(|(address, _)| !declared(address));
        rows.extend(
            others.map(|(address, sender)| CameraReport::of(rules, *address, Some(sender))),
        );
        CamerasReport {
            schema: 1,
            source: source.to_owned(),
            generation: rules.generation,
            now,
            since: cameras.since,
            no_room: cameras.no_room,
            lost: 0,
            cameras: rows,
        }
    }

    /// Only this one, by its name or address, with what it sent to.
    ///
    /// # Errors
    /// 2 where nobody is called so and no such address was seen.
    pub fn only(
        mut self,
        cameras: &Cameras,
        rules: &Ruleset,
        name: &str,
    ) -> Result<CamerasReport, Failure> {
        let address = name.parse::<IpAddr>().ok();
        let wanted = |row: &CameraReport| match address {
            Some(address) => row.address == address,
            None => row.declared && row.name == name,
        };
        self.cameras.retain(wanted);
        if self.cameras.is_empty() {
            let message = match address {
                Some(address) => format!("nothing was seen of {address}"),
                None => format!("`{name}` is neither a camera of the configuration nor an address"),
            };
            return Err(Failure::new(ExitStatus::Usage, message));
        }
        for row in &mut self.cameras {
            row.add_contacts(cameras, rules, |_| true);
        }
        Ok(self)
    }

    /// Only those of whom something was stopped, with where it was to go; and those whose address was forged.
    pub fn stopped(mut self, cameras: &Cameras, rules: &Ruleset) -> CamerasReport {
        for row in &mut self.cameras {
            row.add_contacts(cameras, rules, Talk::was_stopped);
        }
        self.cameras.retain(|row| !row.contacts.is_empty() || row.forged_minutes > 0);
        self
    }
}

impl ContactReport {
    fn of(rules: &Ruleset, sender: IpAddr, contact: &Contact, talk: &Talk) -> ContactReport {
        ContactReport {
            contact: *contact,
            what: service(contact.protocol, contact.service),
            first: talk.first,
            last: talk.last,
            outcome: talk.outcome,
            reason: talk.reason.to_string(),
            passed: talk.passed,
            would_drop: talk.would_drop,
            dropped: talk.dropped,
            listed: match talk.was_listed() {
                true => blocks(rules, sender, contact.destination),
                false => None,
            },
        }
    }
}

/// What blocks this destination for this sender.
fn blocks(rules: &Ruleset, sender: IpAddr, destination: IpAddr) -> Option<Named> {
    let sender = sender.to_string();
    let answer =
        explain::explain(rules, Mode::Enforce, explain::RUNNING, destination, Some(&sender));
    answer.ok().filter(|answer| answer.verdict == Verdict::Drop.to_string())?.winner
}

impl CameraReport {
    /// An address that nobody declared.
    fn of(rules: &Ruleset, address: IpAddr, sender: Option<&Sender>) -> CameraReport {
        let policy = rules.policies.get(rules.policies.of(address));
        let nobody = Sender::default();
        let seen = sender.unwrap_or(&nobody);
        let mut macs = seen.macs.clone();
        macs.sort_by_key(|(mac, last)| (std::cmp::Reverse(*last), *mac));
        CameraReport {
            name: OTHER.to_owned(),
            declared: false,
            site: None,
            address,
            mac: None,
            macs: macs.into_iter().map(|(mac, _)| mac).collect(),
            interface: seen.interface.clone(),
            policy: policy.map(|policy| policy.name.clone()).filter(|name| !name.is_empty()),
            default: policy.map_or("drop", |policy| policy.unlisted.label()).to_owned(),
            first: sender.map(|sender| sender.first),
            last: sender.map(|sender| sender.last),
            packets: None,
            packets_dropped: None,
            passed: seen.passed,
            would_drop: seen.would_drop,
            dropped: seen.dropped,
            destinations: seen.destinations(),
            missed: seen.missed,
            last_drop: seen.last_drop.clone(),
            forged: seen.forged.as_ref().map(|(last, _)| last.clone()),
            forged_minutes: seen.forged.as_ref().map_or(0, |(_, minutes)| *minutes),
            only_forged: sender.is_some_and(|sender| !sender.genuine),
            contacts: Vec::new(),
        }
    }

    /// Adds what it sent to, as far as it is wanted.
    fn add_contacts(&mut self, cameras: &Cameras, rules: &Ruleset, wanted: impl Fn(&Talk) -> bool) {
        let contacts = cameras.sender(&self.address).into_iter().flat_map(Sender::contacts);
        self.contacts = contacts
            .filter(|(_, talk)| wanted(talk))
            .map(|(contact, talk)| ContactReport::of(rules, self.address, contact, talk))
            .collect();
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::config::samples::Folder;
    use crate::counters::{Service, Sighting};
    use crate::packet::Addresses;
    use crate::verdict::{Forgery, Reason};

    /// To an address of 203.0.113.0/24, from 192.0.2.3.
    fn to(last: u8, reason: Reason, dropped: bool) -> Sighting {
        let (source, destination) = (Ipv4Addr::new(192, 0, 2, 3), Ipv4Addr::new(203, 0, 113, last));
        Sighting {
            addresses: Addresses::V4 { source, destination },
            protocol: 17,
            service: Service::At(123),
            mac: None,
            interface: 0,
            reason,
            dropped,
        }
    }

    #[test]
    fn what_was_stopped_is_told_with_camera_destination_list_and_basis() {
        let folder = Folder::new();
        folder.write("blocked.txt", "203.0.113.0/25\n");
        folder.write("exempt.txt", "203.0.113.20\n");
        let list = |name: &str, action: &str| {
            format!(
                "[[list]]\nname = \"{name}\"\npath = \"{name}.txt\"\nkind = \"prefix\"\naction = \"{action}\"\n\
                 basis = {{ issuer = \"City\", number = \"7\", date = 2026-06-17 }}\n"
            )
        };
        let text = format!(
            "[cameras]\ninterfaces = [\"cam0\"]\n[[camera]]\nname = \"gate-3\"\naddress = \"192.0.2.3\"\n{}{}",
            list("blocked", "block"),
            list("exempt", "allow")
        );
        let rules = Ruleset::load(&folder.load(&text).unwrap(), |_| Some(0), None).unwrap();
        let mut cameras = Cameras::new(1);
        for (at, sighting) in [
            to(1, Reason::Blocked, true),
            to(2, Reason::Blocked, false),
            // The control: what passed is in `show` and not here.
            to(3, Reason::NoMatch, false),
            // Blocked then; a list exempts it now.
            to(20, Reason::Blocked, true),
            // No list names it now, or did.
            to(200, Reason::Blocked, true),
            to(201, Reason::NotAllowed, true),
            to(9, Reason::Forged(Forgery::Mac), true),
        ]
        .iter()
        .enumerate()
        {
            cameras.note(sighting, true, None, 10 + at as u64);
        }
        let all = || CamerasReport::all(&cameras, &rules, explain::RUNNING, 60, |_| None);
        let stopped = all().stopped(&cameras, &rules);
        let [camera] = &stopped.cameras[..] else { panic!("{stopped:?}") };
        assert_eq!((camera.name.as_str(), camera.forged_minutes), ("gate-3", 1));
        let told: Vec<(String, Outcome, String)> = camera
            .contacts
            .iter()
            .map(|one| {
                let listed = one.listed.as_ref();
                let listed = listed.map(|entry| format!("{}: {}", entry.list, entry.basis));
                let listed = listed.unwrap_or_default();
                (one.contact.destination.to_string(), one.outcome, listed)
            })
            .collect();
        let by = "blocked: City 7, 2026-06-17".to_owned();
        assert_eq!(
            told,
            [
                ("203.0.113.1".to_owned(), Outcome::Dropped, by.clone()),
                ("203.0.113.2".to_owned(), Outcome::WouldDrop, by),
                ("203.0.113.20".to_owned(), Outcome::Dropped, String::new()),
                ("203.0.113.200".to_owned(), Outcome::Dropped, String::new()),
                ("203.0.113.201".to_owned(), Outcome::Dropped, String::new()),
            ]
        );
        let shown = all().only(&cameras, &rules, "gate-3").unwrap();
        assert_eq!(shown.cameras[0].contacts.len(), 6);
    }
}
