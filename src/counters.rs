//! Counters and events of the packet threads: a thread writes its own shard, everybody else reads.
//!
//! Invariants: one writer per [`Shard`], so an addition is a plain load and store; places are resolved
//! before the loop (a list has its place from [`ListPlaces`] for as long as the process lives), so that
//! no packet costs a look-up by label. Packets are packets as the kernel held them, bytes are their
//! length before the copy was cut.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

mod places;
mod reports;
mod sightings;
mod times;

pub use places::{CameraPlaces, ListPlaces, PLACES};
pub use reports::{Reported, Reports};
pub use sightings::{Mark as SightingMark, SIGHTINGS, Service, Sighting, Sightings, sightings};
pub use times::{BUCKETS, DecisionTimes};

use crate::config::{Mac, Mode};
use crate::decide::Decision;
use crate::packet::{Addresses, Held};
use crate::ruleset::Ruleset;
use crate::stance::Heard;
use crate::verdict::{Family, Reason, Tunnel, Unparsable, Verdict};

/// Events of one packet thread that wait for the evidence thread; beyond it they are counted and dropped. As many as
/// the thread can judge while the other one sleeps (20 ms), and few enough to stay in the processor's own caches.
pub const EVENTS: usize = 8_192;

/// A counter with one writer and any number of readers.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`; only the owner of the shard may call it.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// The count so far.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    #[inline]
    fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// Packets and bytes.
#[derive(Debug, Default)]
pub struct Volume {
    /// Packets as the kernel held them.
    pub packets: Counter,
    /// Bytes, by the length before the copy was cut.
    pub bytes: Counter,
}

impl Volume {
    #[inline]
    fn add(&self, bytes: u32) {
        self.packets.add(1);
        self.bytes.add(u64::from(bytes));
    }
}

/// The reasons that stop a packet, or would in another mode, in the order of their places.
pub const STOPPING: [&str; 12] = [
    "blocked",
    "monitored",
    "unparsable",
    "embedded",
    "martian",
    "redirected",
    "tunnel",
    "tunnel_inside",
    "tunnel_unreadable",
    "payload_hidden",
    "forged",
    "not_allowed",
];

#[inline]
fn stopping_place(reason: Reason) -> Option<usize> {
    match reason {
        Reason::Blocked => Some(0),
        Reason::Monitored => Some(1),
        Reason::Unparsable(_) => Some(2),
        Reason::Embedded(_) => Some(3),
        Reason::Martian(_) => Some(4),
        Reason::Redirected(_) => Some(5),
        Reason::Tunnel(_) => Some(6),
        Reason::Inside(_) => Some(7),
        Reason::Unreadable(_) => Some(8),
        Reason::PayloadHidden => Some(9),
        Reason::Forged(_) => Some(10),
        Reason::NotAllowed => Some(11),
        Reason::NoMatch | Reason::Exempt | Reason::TunnelAccepted(_) => None,
    }
}

/// What one list did.
#[derive(Debug, Default)]
pub struct ListCounters {
    /// Dropped, by [`STOPPING`] reason.
    pub dropped: [Volume; STOPPING.len()],
    /// Would have been dropped in enforce mode or by a block list, by [`STOPPING`] reason.
    pub would_drop: [Volume; STOPPING.len()],
    /// Passed because an allow list names the destination.
    pub exempted: Counter,
}

/// What one family saw; the third place is for packets of neither.
#[derive(Debug, Default)]
pub struct FamilyCounters {
    /// All packets judged.
    pub judged: Volume,
    /// Those accepted.
    pub accepted: Volume,
}

/// Label values of [`Shard::families`].
pub const FAMILIES: [&str; 3] = ["ipv4", "ipv6", "unknown"];

/// What one camera sent.
#[derive(Debug, Default)]
pub struct CameraCounters {
    /// All packets judged.
    pub packets: Counter,
    /// Those dropped.
    pub dropped: Counter,
    /// Those that passed only because of monitor mode or because their list only monitors.
    pub would_drop: Counter,
}

/// What one tunnel's packets met.
#[derive(Debug, Default)]
pub struct TunnelCounters {
    /// Recognised and dropped, by whatever the policy says of the tunnel or of what it carries.
    pub dropped: Counter,
    /// Recognised and passed.
    pub passed: Counter,
}

/// One packet thread's counters.
#[derive(Debug)]
#[repr(align(128))]
pub struct Shard {
    /// By family, in the order of [`FAMILIES`].
    pub families: [FamilyCounters; 3],
    /// By cause, in the order of [`Unparsable::ALL`].
    pub unparsable: [Counter; Unparsable::ALL.len()],
    /// By list, at the list's place.
    pub lists: Box<[ListCounters]>,
    /// By declared camera; the last one is everybody else.
    pub cameras: Box<[CameraCounters]>,
    /// By tunnel, in the order of [`Tunnel::ALL`].
    pub tunnels: [TunnelCounters; Tunnel::ALL.len()],
    /// Sampled decision times.
    pub times: DecisionTimes,
    /// Events that found no room.
    pub suppressed: Counter,
    /// Sightings that found no room.
    pub unsighted: Counter,
    /// Milliseconds since the process began at which the thread last finished a turn.
    alive: Counter,
    /// The same, plus one, at which it last received a packet; 0: never.
    held: Counter,
    /// The terms on which the thread answers.
    pub heard: Heard,
}

impl Shard {
    /// A shard for this many declared cameras.
    pub fn new(cameras: usize) -> Self {
        Shard {
            families: Default::default(),
            unparsable: Default::default(),
            lists: (0..PLACES).map(|_| ListCounters::default()).collect(),
            cameras: (0..=cameras).map(|_| CameraCounters::default()).collect(),
            tunnels: Default::default(),
            times: DecisionTimes::default(),
            suppressed: Counter::default(),
            unsighted: Counter::default(),
            alive: Counter::default(),
            held: Counter::default(),
            heard: Heard::default(),
        }
    }

    /// Notes that the thread finished a turn, at this time since the process began.
    #[inline]
    pub fn mark_alive(&self, since_start: Duration) {
        self.alive.set(since_start.as_millis() as u64);
    }

    /// Notes that the thread received packets, at this time since the process began.
    #[inline]
    pub fn mark_held(&self, since_start: Duration) {
        self.held.set(since_start.as_millis() as u64 + 1);
    }

    /// Time since the process began at which the thread last received a packet; `None` if it never did.
    pub fn last_held(&self) -> Option<Duration> {
        self.held.get().checked_sub(1).map(Duration::from_millis)
    }

    /// Time since the process began at which the thread last finished a turn.
    pub fn last_alive(&self) -> Duration {
        Duration::from_millis(self.alive.get())
    }
}

/// What a packet thread writes to.
pub struct Account {
    shard: Arc<Shard>,
    cameras: Arc<CameraPlaces>,
    events: Reports<Event>,
    mode: Mode,
}

impl Account {
    /// The account of one thread.
    pub fn new(
        shard: Arc<Shard>,
        cameras: Arc<CameraPlaces>,
        events: Reports<Event>,
        mode: Mode,
    ) -> Self {
        Account { shard, cameras, events, mode }
    }

    /// The shard this account writes to.
    pub fn shard(&self) -> &Shard {
        &self.shard
    }

    /// Carries judgements out from now on, or only counts them.
    pub fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
    }

    /// The answer for the kernel: the verdict, or accept in monitor mode.
    #[inline]
    pub fn answer(&self, rules: &Ruleset, decision: &Decision) -> Verdict {
        let policy = rules.policies.get(decision.policy);
        match policy.map_or(self.mode, |policy| policy.mode(self.mode)) {
            Mode::Enforce => decision.verdict(),
            Mode::Monitor => Verdict::Accept,
        }
    }

    /// Counts one decision and returns its answer.
    #[inline]
    pub fn count(&mut self, rules: &Ruleset, held: Held<'_>, decision: &Decision) -> Verdict {
        let answer = self.answer(rules, decision);
        let family = held.family().map_or(2, Family::index);
        if let Some(counters) = self.shard.families.get(family) {
            counters.judged.add(held.length);
            if answer == Verdict::Accept {
                counters.accepted.add(held.length);
            }
        }
        self.count_camera(decision, answer);
        if decision.reason != Reason::NoMatch {
            self.count_reason(rules, held, decision, answer);
        }
        answer
    }

    #[inline]
    fn count_camera(&self, decision: &Decision, answer: Verdict) {
        let place = match &decision.headers {
            Some(headers) => self.cameras.place(&headers.addresses),
            None => self.cameras.other(),
        };
        if let Some(camera) = self.shard.cameras.get(place) {
            camera.packets.add(1);
            if answer == Verdict::Drop {
                camera.dropped.add(1);
            } else if stopping_place(decision.reason).is_some() {
                camera.would_drop.add(1);
            }
        }
    }

    fn count_reason(
        &mut self,
        rules: &Ruleset,
        held: Held<'_>,
        decision: &Decision,
        answer: Verdict,
    ) {
        let list = decision.hit.and_then(|hit| rules.list(hit.list));
        let place = list.map_or(0, |list| list.counter);
        let Some(counters) = self.shard.lists.get(usize::from(place)) else { return };
        if let Reason::Unparsable(cause) = decision.reason
            && let Some(counter) = self.shard.unparsable.get(cause.index())
        {
            counter.add(1);
        }
        if let Some(tunnel) = decision.tunnel
            && let Some(tunnel) = self.shard.tunnels.get(tunnel.index())
        {
            match answer {
                Verdict::Drop => tunnel.dropped.add(1),
                Verdict::Accept => tunnel.passed.add(1),
            }
        }
        if decision.reason == Reason::Exempt {
            counters.exempted.add(1);
            // Where it leads is known, what it carries is not.
            if decision.tunnel.is_none() {
                return;
            }
        }
        if let Some(stopping) = stopping_place(decision.reason) {
            let volumes = match answer {
                Verdict::Drop => &counters.dropped,
                Verdict::Accept => &counters.would_drop,
            };
            if let Some(volume) = volumes.get(stopping) {
                volume.add(held.length);
            }
        }
        let Some(headers) = &decision.headers else { return };
        let event = Event {
            addresses: headers.addresses,
            protocol: headers.protocol,
            port: headers.ports.map(|(_, destination)| destination),
            list: place,
            reason: decision.reason,
            tunnel: decision.tunnel,
            hidden: decision.hidden,
            mac: held.mac,
            dropped: answer == Verdict::Drop,
            bytes: held.length,
        };
        if !self.events.send(event) {
            self.shard.suppressed.add(1);
        }
    }
}

/// A packet to a listed destination, as a packet thread reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Camera and destination.
    pub addresses: Addresses,
    /// IANA protocol number.
    pub protocol: u8,
    /// Destination port, where there is one.
    pub port: Option<u16>,
    /// The list's place among the counters.
    pub list: u16,
    /// Why.
    pub reason: Reason,
    /// The tunnel that it belongs to.
    pub tunnel: Option<Tunnel>,
    /// The address that it hides and that decided.
    pub hidden: Option<IpAddr>,
    /// The MAC address that it came from.
    pub mac: Option<Mac>,
    /// Dropped, or only counted.
    pub dropped: bool,
    /// Length in bytes.
    pub bytes: u32,
}

/// Where the events of the packet threads come together.
pub fn events() -> Reported<Event> {
    Reported::with_room_for(EVENTS)
}

#[cfg(test)]
mod tests;
