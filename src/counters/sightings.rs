//! Who sends what: each sender, destination and service once a minute at most, from each packet thread.
//!
//! Invariants: a packet whose like was reported within the minute costs one look into a table of tags; nothing here
//! allocates, blocks or asks for the time. What finds no room on the way is counted ([`Shard::unsighted`]).

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use super::{Reported, Reports, Shard};
use crate::config::Mac;
use crate::decide::Decision;
use crate::packet::{Addresses, Headers, Held};
use crate::verdict::{Reason, Verdict};

/// Sightings of one packet thread that wait for the evidence thread; beyond it they are counted and dropped: a hundred
/// thousand new flows a second.
pub const SIGHTINGS: usize = 2_048;
/// Sets of tags that one packet thread remembers: 32 KiB, of which as many lines are touched as there are flows. More
/// of them would seldom be in the processor's own caches when their packet comes: the kernel uses these meanwhile.
const SETS: usize = 1 << SET_BITS;
const SET_BITS: u32 = 9;
/// Tags in a set: one line of the cache. With 3,000 flows a minute, one set in 7,000 has more, which are reported more than
/// once; with 5,000, one in 50.
const WAYS: usize = 16;
/// Seconds for which a tag is the same.
const SPAN: u32 = 60;
/// Ports from here on are given to whoever asks for any (Linux: `ip_local_port_range`; RFC 6335 begins later).
const EPHEMERAL: u16 = 32_768;

/// What a packet's ports are about.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// No ports, or they were not to be seen.
    None,
    /// The destination's port.
    At(u16),
    /// The sender's own port: it answers a port that was given to whoever asked.
    Own(u16),
}

impl Service {
    /// What source and destination port are about. Each question comes from another high port: the answers to a
    /// recorder would otherwise be a new service with each connection.
    #[inline]
    pub fn of(ports: Option<(u16, u16)>) -> Service {
        match ports {
            None => Service::None,
            Some((own, other)) if own < EPHEMERAL && other >= EPHEMERAL => Service::Own(own),
            Some((_, other)) => Service::At(other),
        }
    }

    fn bits(self) -> u64 {
        match self {
            Service::None => 0,
            Service::At(port) => 1 << 16 | u64::from(port),
            Service::Own(port) => 2 << 16 | u64::from(port),
        }
    }
}

/// A packet, as a packet thread reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// Sender and destination.
    pub addresses: Addresses,
    /// IANA protocol number.
    pub protocol: u8,
    /// What its ports are about.
    pub service: Service,
    /// The MAC address that it came from.
    pub mac: Option<Mac>,
    /// The number of the interface that it came by; 0 where the kernel does not say.
    pub interface: u32,
    /// Why it met what it met.
    pub reason: Reason,
    /// Dropped, whatever the reason's verdict.
    pub dropped: bool,
}

/// The newest tag first; 0: none.
#[derive(Clone, Default)]
#[repr(align(64))]
struct Set([u32; WAYS]);

/// What a packet is looked for by; the default is that of a packet that is nobody's, and is never to be reported.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mark {
    set: usize,
    /// 0 for nobody's.
    tag: u32,
    /// The set's newest tag when this was made.
    newest: u32,
}

/// What one packet thread has reported within the minute, and the way to the evidence thread.
pub struct Sightings {
    /// By the first bits of their tags.
    sets: Box<[Set]>,
    /// So that nobody can choose addresses whose tags meet.
    seed: [u64; 4],
    minute: u64,
    reports: Reports<Sighting>,
}

impl Sightings {
    /// Nothing reported yet.
    pub fn new(reports: Reports<Sighting>) -> Self {
        let random = RandomState::new();
        let seed = [0_u64, 1, 2, 3].map(|place| random.hash_one(place));
        let sets = vec![Set::default(); SETS].into_boxed_slice();
        Sightings { sets, seed, minute: 0, reports }
    }

    /// Takes note of the time, in whole seconds since any moment that stays the same; once per batch.
    #[inline]
    pub fn tick(&mut self, now: u32) {
        self.minute = u64::from(now / SPAN);
    }

    /// Where a packet that got this answer is to be looked for; for all packets of a batch before the first is, so that
    /// what they wait for is on its way together.
    #[inline]
    pub fn mark(&self, held: Held<'_>, decision: &Decision, answer: Verdict) -> Mark {
        let Some(headers) = &decision.headers else { return Mark::default() };
        let service = Service::of(headers.ports);
        let outcome =
            u64::from(decision.reason.passes()) << 1 | u64::from(answer == Verdict::Accept);
        let hash = self.hash(headers, service, held, outcome);
        let set = (hash >> (64 - SET_BITS)) as usize;
        let newest = self.sets.get(set).and_then(|Set(tags)| tags.first().copied());
        // One of two thousand million is taken for another flow's, which nobody can choose.
        Mark { set, tag: hash as u32 | 1, newest: newest.unwrap_or(0) }
    }

    /// Notes a packet; whether it is to be reported: its like was not noted within the minute.
    #[inline]
    pub fn note(&mut self, mark: Mark) -> bool {
        let Mark { set, tag, newest } = mark;
        if tag == newest {
            return false;
        }
        let Some(Set(tags)) = self.sets.get_mut(set) else { return false };
        if tags.contains(&tag) {
            return false;
        }
        // Tags of a minute that is over are the oldest, and go first.
        tags.rotate_right(1);
        if let Some(newest) = tags.first_mut() {
            *newest = tag;
        }
        true
    }

    #[inline]
    fn hash(&self, headers: &Headers, service: Service, held: Held<'_>, outcome: u64) -> u64 {
        let [a, b, c, d] = self.seed;
        let addresses = match headers.addresses {
            Addresses::V4 { source, destination } => {
                u64::from(source.to_bits()) << 32 | u64::from(destination.to_bits())
            }
            Addresses::V6 { source, destination } => {
                let (source, destination) = (source.to_bits(), destination.to_bits());
                let half = folded((source >> 64) as u64 ^ c, source as u64 ^ d);
                half ^ folded((destination >> 64) as u64 ^ d, destination as u64 ^ a)
                    .rotate_left(32)
            }
        };
        let what =
            self.minute << 32 | outcome << 28 | u64::from(headers.protocol) << 20 | service.bits();
        let mac = held.mac.map_or(0, |mac| {
            let [m, n, o, p, q, r] = mac.0;
            u64::from_be_bytes([0, 1, m, n, o, p, q, r])
        });
        folded(folded(addresses ^ a, what ^ b) ^ mac, c)
    }

    /// Reports a packet that is to be reported.
    #[cold]
    pub fn report(&mut self, shard: &Shard, held: Held<'_>, decision: &Decision, answer: Verdict) {
        let Some(headers) = &decision.headers else { return };
        let sighting = Sighting {
            addresses: headers.addresses,
            protocol: headers.protocol,
            service: Service::of(headers.ports),
            mac: held.mac,
            interface: held.interface,
            reason: decision.reason,
            dropped: answer == Verdict::Drop,
        };
        if !self.reports.send(sighting) {
            shard.unsighted.add(1);
        }
    }
}

/// Both halves of a product of 128 bits, as one: every bit of either factor tells on most bits.
#[inline]
fn folded(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

/// Where the sightings of the packet threads come together.
pub fn sightings() -> Reported<Sighting> {
    Reported::with_room_for(SIGHTINGS)
}

#[cfg(test)]
mod tests;
