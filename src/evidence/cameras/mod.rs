//! Who sends what: each source address that was seen, and each destination that it sent to.
//!
//! Counts are flow minutes: the minutes of the clock in which a flow was seen, however many packets it had.
//!
//! Invariants: memory is bounded in both directions ([`SENDERS`], [`FORGED`], [`CONTACTS`], [`CONTACTS_OF_ONE`],
//! [`SERVICES`]); a declared camera always has room; what never passed takes at most half of a sender's room. What
//! finds none is counted ([`NoRoom`]). A forged packet says nothing about the camera whose address it bears: it is
//! noted apart.

mod contact;
mod file;
mod learn;
mod report;
mod services;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::config::Mac;
use crate::counters::{Service, Sighting};
use crate::verdict::Reason;

use contact::{minute, pairs};

pub use contact::{Contact, Outcome, Talk};
pub use file::read;
pub(super) use file::{text, write};
pub use learn::{Allowed, LeftOut, Proposal, ProposedCamera, Use, propose};
pub use report::{CameraReport, CamerasReport, ContactReport, OTHER};
pub use services::service;

/// The most source addresses, declared ones not counted.
pub const SENDERS: usize = 2_048;
/// The most source addresses of which only forged packets were seen.
pub const FORGED: usize = 256;
/// The most contacts of all senders.
pub const CONTACTS: usize = 20_000;
/// The most contacts of one sender.
pub const CONTACTS_OF_ONE: usize = 256;
/// The most services of one destination that are told apart; beyond it they are one without a port.
pub const SERVICES: usize = 8;
/// The most MAC addresses kept of one sender; beyond it the one that was silent for longest makes room.
pub const MACS: usize = 4;
/// What has been silent for so many seconds is forgotten: 90 days, a visit in each quarter of a year.
pub const FORGET: u64 = 90 * 86_400;

/// Everybody who was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cameras {
    /// When this record began, in seconds since 1970.
    pub since: u64,
    /// Sightings for which there was no room.
    pub no_room: NoRoom,
    senders: BTreeMap<IpAddr, Sender>,
    /// Contacts of all senders.
    #[serde(skip)]
    contacts: usize,
    /// Senders of whom only forged packets were seen.
    #[serde(skip)]
    forged: usize,
}

/// Sightings for which there was no room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoRoom {
    /// Of senders who are not in the record.
    pub senders: u64,
    /// Of destinations that are not in the record of their sender.
    pub contacts: u64,
}

/// One source address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sender {
    /// When it was first seen, in seconds since 1970.
    pub first: u64,
    /// When it was last seen.
    pub last: u64,
    /// Something of it was not forged.
    pub genuine: bool,
    /// The MAC addresses that it came from, and when each was last seen.
    pub macs: Vec<(Mac, u64)>,
    /// The interface that it last came by.
    pub interface: Option<String>,
    /// Flow minutes that passed by right.
    pub passed: u64,
    /// Flow minutes that passed because nothing was to be dropped.
    pub would_drop: u64,
    /// Flow minutes that were dropped.
    pub dropped: u64,
    /// The last packet that was dropped or would have been, forged ones not counted.
    pub last_drop: Option<Stopped>,
    /// The last forged packet with this source, and how many flow minutes there were of them.
    pub forged: Option<(Stopped, u64)>,
    /// Flow minutes to destinations that found no room.
    pub missed: u64,
    #[serde(with = "pairs")]
    contacts: BTreeMap<Contact, Talk>,
}

/// A packet that was dropped or would have been.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// When, in seconds since 1970.
    pub at: u64,
    /// Where to.
    pub destination: IpAddr,
    /// Why, in words.
    pub why: String,
    /// The MAC address that it came from.
    pub mac: Option<Mac>,
}

impl Cameras {
    /// A record that begins now (seconds since 1970).
    pub fn new(now: u64) -> Self {
        Cameras { since: now, ..Cameras::default() }
    }

    /// Those who were seen, in the order of their addresses.
    pub fn senders(&self) -> impl Iterator<Item = (&IpAddr, &Sender)> {
        self.senders.iter()
    }

    /// The sender with this address.
    pub fn sender(&self, address: &IpAddr) -> Option<&Sender> {
        self.senders.get(address)
    }

    /// How many senders are declared, and how many are not; those who were only forged do not count.
    pub fn seen(&self, declared: impl Fn(&IpAddr) -> bool) -> [usize; 2] {
        let genuine = || self.senders.iter().filter(|(_, sender)| sender.genuine);
        let known = genuine().filter(|(address, _)| declared(address)).count();
        [known, genuine().count() - known]
    }

    /// Takes note of a packet, at this time in seconds since 1970.
    pub fn note(&mut self, sighting: &Sighting, declared: bool, interface: Option<&str>, now: u64) {
        let source = sighting.addresses.source();
        let forged = matches!(sighting.reason, Reason::Forged(_));
        let new = !self.senders.contains_key(&source);
        let crowded = self.senders.len() >= SENDERS || (forged && self.forged >= FORGED);
        if new && crowded && !declared {
            self.no_room.senders += 1;
            return;
        }
        let sender = self.senders.entry(source).or_insert_with(|| Sender::at(now));
        self.forged += usize::from(new);
        sender.last = now;
        if forged {
            sender.was_forged(sighting, now);
            return;
        }
        if !sender.genuine {
            sender.genuine = true;
            self.forged -= 1;
        }
        if let Some(mac) = sighting.mac {
            sender.came_from(mac, now);
        }
        if interface != sender.interface.as_deref() && interface.is_some() {
            sender.interface = interface.map(str::to_owned);
        }
        if Outcome::of(sighting) != Outcome::Passed {
            sender.last_drop = Some(Stopped::of(sighting, now));
        }
        match sender.talks_to(sighting, self.contacts < CONTACTS, now) {
            Noted::New => self.contacts += 1,
            Noted::Known => {}
            Noted::NoRoom => self.no_room.contacts += 1,
        }
    }

    /// Forgets what has been silent for [`FORGET`].
    pub fn forget(&mut self, now: u64) {
        let fresh = |last: u64| now.saturating_sub(last) < FORGET;
        for sender in self.senders.values_mut() {
            sender.contacts.retain(|_, talk| fresh(talk.last));
            sender.macs.retain(|(_, last)| fresh(*last));
        }
        self.senders.retain(|_, sender| fresh(sender.last));
        self.count();
    }

    /// Counts anew what is not kept in the file.
    fn count(&mut self) {
        self.contacts = self.senders.values().map(|sender| sender.contacts.len()).sum();
        self.forged = self.senders.values().filter(|sender| !sender.genuine).count();
    }
}

impl Sender {
    fn at(now: u64) -> Sender {
        Sender { first: now, ..Sender::default() }
    }

    /// What it sent to, and what became of that.
    pub fn contacts(&self) -> impl Iterator<Item = (&Contact, &Talk)> {
        self.contacts.iter()
    }

    /// How many destinations it sent to.
    pub fn destinations(&self) -> usize {
        self.contacts.keys().map(|contact| contact.destination).collect::<BTreeSet<_>>().len()
    }

    fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::WouldDrop => self.would_drop += 1,
            Outcome::Dropped => self.dropped += 1,
        }
    }

    fn was_forged(&mut self, sighting: &Sighting, now: u64) {
        let before = self.forged.as_ref();
        let again = before.is_some_and(|(last, _)| minute(last.at) == minute(now));
        let minutes = before.map_or(0, |(_, minutes)| *minutes) + u64::from(!again);
        self.forged = Some((Stopped::of(sighting, now), minutes));
        if !again {
            self.count(Outcome::of(sighting));
        }
    }

    fn came_from(&mut self, mac: Mac, now: u64) {
        if let Some((_, last)) = self.macs.iter_mut().find(|(known, _)| *known == mac) {
            *last = now;
            return;
        }
        if self.macs.len() >= MACS {
            let oldest = (0..).zip(&self.macs).min_by_key(|(_, (_, last))| *last);
            if let Some(place) = oldest.map(|(place, _)| place) {
                self.macs.swap_remove(place);
            }
        }
        self.macs.push((mac, now));
    }

    /// Notes the destination.
    fn talks_to(&mut self, sighting: &Sighting, room: bool, now: u64) -> Noted {
        let outcome = Outcome::of(sighting);
        let destination = sighting.addresses.destination();
        let (protocol, service) = (sighting.protocol, sighting.service);
        let mut contact = Contact { destination, protocol, service };
        if !self.contacts.contains_key(&contact) {
            let of = |service| Contact { destination, protocol, service };
            let alike = self.contacts.range(of(Service::None)..=of(Service::Own(u16::MAX)));
            if alike.count() >= SERVICES {
                contact.service = Service::None;
            }
        }
        if let Some(talk) = self.contacts.get_mut(&contact) {
            if talk.note(sighting, outcome, now) {
                self.count(outcome);
            }
            return Noted::Known;
        }
        self.count(outcome);
        let idle = || self.contacts.values().filter(|talk| talk.passed == 0).count();
        let full = !room
            || self.contacts.len() >= CONTACTS_OF_ONE
            || (outcome != Outcome::Passed && idle() >= CONTACTS_OF_ONE / 2);
        if full {
            self.missed += 1;
            return Noted::NoRoom;
        }
        self.contacts.insert(contact, Talk::first(sighting, outcome, now));
        Noted::New
    }
}

/// What became of a sighting.
enum Noted {
    New,
    Known,
    NoRoom,
}

impl Stopped {
    fn of(sighting: &Sighting, now: u64) -> Stopped {
        Stopped {
            at: now,
            destination: sighting.addresses.destination(),
            why: sighting.reason.to_string(),
            mac: sighting.mac,
        }
    }
}

#[cfg(test)]
mod tests;
