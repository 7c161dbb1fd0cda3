//! What a packet thread remembers of flows: which tunnel each was recognised as, and which ones may be one.
//!
//! Invariant: bounded, whatever the cameras send: nothing is allocated after creation. Deterministic in the seed and
//! the order of calls; without a clock of its own.

use std::fmt;

use crate::packet::{self, Addresses, Headers, Held, Sight};
use crate::verdict::Tunnel;

/// Seconds for which an idle flow is remembered; WireGuard's keepalives are 25 s apart, OpenVPN's 10 s, IKE's 20 s.
const IDLE: u32 = 300;
/// Buckets, and flows in each: 4,096 flows, about 160 KiB.
const BUCKETS: usize = 512;
const WAYS: usize = 8;
/// Buckets that one second of time frees of idle flows.
const SWEPT: usize = 32;
/// Packets in a row that have ESP's form, each with a higher sequence number, before a flow is taken for it.
const ESP_PACKETS: u8 = 4;
/// The highest sequence number that the first of them may have, and the widest step. Several workers of a sender
/// may reorder; an aggregate hides up to 64.
const ESP_FIRST: u32 = 1_024;
const ESP_STEP: u32 = 64;
/// The same for WireGuard's data, of a session that began before kordon did or that roamed to another address.
const WIREGUARD_PACKETS: u8 = 3;
const WIREGUARD_STEP: u64 = 1_024;

/// The memory of one packet thread.
pub struct FlowMemory {
    buckets: Box<[Bucket]>,
    seed: u64,
    /// Flows remembered, idle ones that were not swept yet among them.
    used: usize,
    now: u32,
    sweep: usize,
}

#[derive(Clone, Copy)]
struct Bucket {
    /// 0 where there is no flow.
    tags: [u64; WAYS],
    flows: [Flow; WAYS],
}

#[derive(Debug, Clone, Copy)]
struct Flow {
    /// When it last was what it is.
    seen: u32,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Known(Tunnel),
    MaybeEsp { spi: u32, sequence: u32, packets: u8 },
    MaybeOpenVpn { session: u64 },
    MaybeWireGuard { receiver: u32, counter: u64, packets: u8 },
}

impl State {
    /// What the flow was recognised as.
    fn tunnel(self) -> Option<Tunnel> {
        match self {
            State::Known(tunnel) => Some(tunnel),
            State::MaybeEsp { .. } | State::MaybeOpenVpn { .. } | State::MaybeWireGuard { .. } => {
                None
            }
        }
    }
}

impl FlowMemory {
    /// An empty memory. The seed keeps cameras from choosing which flows fall together; any number does for tests.
    pub fn new(seed: u64) -> Self {
        let nothing = Flow { seen: 0, state: State::Known(Tunnel::Ipip) };
        let empty = Bucket { tags: [0; WAYS], flows: [nothing; WAYS] };
        FlowMemory { buckets: vec![empty; BUCKETS].into(), seed, used: 0, now: 0, sweep: 0 }
    }

    /// A memory without a bucket, which keeps nothing.
    pub(super) fn without_room() -> Self {
        FlowMemory { buckets: Box::default(), seed: 0, used: 0, now: 0, sweep: 0 }
    }

    /// Flows remembered.
    pub fn len(&self) -> usize {
        self.used
    }

    /// No flow is remembered.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Takes note of the time, in whole seconds since any moment that stays the same; once per batch.
    #[inline]
    pub fn tick(&mut self, now: u32) {
        if now != self.now {
            self.now = now;
            if self.used > 0 {
                self.forget_idle();
            }
        }
    }

    /// The tunnel that this packet belongs to, by itself or by what its flow did before.
    #[inline]
    pub fn tunnel(&mut self, headers: &Headers, held: Held<'_>) -> Option<Tunnel> {
        let sight = packet::sight(headers, held);
        if self.used == 0 && matches!(sight, Sight::Nothing) {
            return None;
        }
        self.recall(sight, headers, held)
    }

    fn recall(&mut self, sight: Sight, headers: &Headers, held: Held<'_>) -> Option<Tunnel> {
        if let Sight::Tunnel(tunnel) = sight {
            return Some(tunnel);
        }
        let tag = self.tag(headers)?;
        let known = self.find(tag);
        let new = match (sight, known.map(|flow| flow.state)) {
            (Sight::Flow { now, later }, _) => {
                self.keep(tag, State::Known(later));
                return Some(now);
            }
            (_, Some(State::Known(_))) if opens_connection(headers, held) => None,
            (_, Some(State::Known(tunnel))) => {
                if packet::resembles(tunnel, headers, held) {
                    self.keep(tag, State::Known(tunnel));
                }
                return Some(tunnel);
            }
            (Sight::MaybeEsp { spi, sequence }, state) => after_esp(spi, sequence, state),
            (Sight::MaybeOpenVpn { session, opens }, state) => after_openvpn(session, opens, state),
            (Sight::MaybeWireGuard { receiver, counter }, state) => {
                Some(after_wireguard(receiver, counter, state))
            }
            // TCP's own segments stand between the messages.
            (Sight::Nothing | Sight::Tunnel(_), Some(State::MaybeOpenVpn { .. })) => return None,
            (Sight::Nothing | Sight::Tunnel(_), _) => None,
        };
        match new {
            Some(state) => {
                self.keep(tag, state);
                state.tunnel()
            }
            None => {
                if known.is_some() {
                    self.forget(tag);
                }
                None
            }
        }
    }

    /// Names the flow; `None` where the packet has no ports. Never 0.
    #[inline]
    fn tag(&self, headers: &Headers) -> Option<u64> {
        let (source, destination) = headers.ports?;
        let ports = u64::from(source) << 32 | u64::from(destination) << 16;
        let last = ports | u64::from(headers.protocol);
        let addresses = match headers.addresses {
            Addresses::V4 { source, destination } => {
                u64::from(source.to_bits()) << 32 | u64::from(destination.to_bits())
            }
            Addresses::V6 { source, destination } => {
                let (source, destination) = (source.to_bits(), destination.to_bits());
                let first = self.mix((source >> 64) as u64, source as u64);
                let second = self.mix((destination >> 64) as u64, destination as u64);
                self.mix(first, second)
            }
        };
        Some(self.mix(self.mix(addresses, last), !last) | 1)
    }

    /// The two halves of a product, folded.
    #[inline]
    fn mix(&self, a: u64, b: u64) -> u64 {
        // Odd constants without a pattern: the fractions of the square roots of 2 and 3.
        const TWO: u64 = 0x6a09_e667_f3bc_c909;
        const THREE: u64 = 0xbb67_ae85_84ca_a73b;
        let a = u128::from(a ^ TWO ^ self.seed);
        let b = u128::from(b ^ THREE ^ self.seed.rotate_left(32));
        let product = a * b;
        (product >> 64) as u64 ^ product as u64
    }

    fn bucket(&mut self, tag: u64) -> Option<&mut Bucket> {
        self.buckets.get_mut((tag >> 32) as usize % BUCKETS)
    }

    fn find(&mut self, tag: u64) -> Option<Flow> {
        let now = self.now;
        let bucket = self.bucket(tag)?;
        let (_, flow) = bucket.tags.iter().zip(&bucket.flows).find(|(known, _)| **known == tag)?;
        (now.wrapping_sub(flow.seen) < IDLE).then_some(*flow)
    }

    /// In its own place, a free one, an idle one's, or else the place of the flow that was seen longest ago, of those
    /// that only may be a tunnel if there is one.
    fn keep(&mut self, tag: u64, state: State) {
        let now = self.now;
        let Some(bucket) = self.bucket(tag) else { return };
        let places = bucket.tags.iter_mut().zip(&mut bucket.flows);
        let worth = |known: u64, flow: &Flow| match known {
            _ if known == tag => (0, 0),
            0 => (1, 0),
            _ => {
                let idle = now.wrapping_sub(flow.seen);
                let rank =
                    if idle >= IDLE { 2 } else { 3 + u32::from(flow.state.tunnel().is_some()) };
                (rank, u32::MAX - idle)
            }
        };
        let Some((place, flow)) = places.min_by_key(|(known, flow)| worth(**known, flow)) else {
            return;
        };
        let grows = *place == 0;
        *place = tag;
        *flow = Flow { seen: now, state };
        self.used += usize::from(grows);
    }

    fn forget(&mut self, tag: u64) {
        let Some(bucket) = self.bucket(tag) else { return };
        if let Some(place) = bucket.tags.iter_mut().find(|known| **known == tag) {
            *place = 0;
            self.used -= 1;
        }
    }

    /// Some buckets at a time, so that no batch waits long; all of them within [`BUCKETS`] / [`SWEPT`] seconds.
    #[cold]
    fn forget_idle(&mut self) {
        for _ in 0..SWEPT {
            self.sweep = (self.sweep + 1) % BUCKETS;
            let Some(bucket) = self.buckets.get_mut(self.sweep) else { return };
            for (place, flow) in bucket.tags.iter_mut().zip(&bucket.flows) {
                if *place != 0 && self.now.wrapping_sub(flow.seen) >= IDLE {
                    *place = 0;
                    self.used -= 1;
                }
            }
        }
    }
}

impl Default for FlowMemory {
    /// With a seed that everybody knows: for tests.
    fn default() -> Self {
        FlowMemory::new(0)
    }
}

impl fmt::Debug for FlowMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlowMemory").field("used", &self.used).field("now", &self.now).finish()
    }
}

/// The same index, and a higher number than the packet before. `None` where a first one's number is too high.
fn after_esp(spi: u32, sequence: u32, state: Option<State>) -> Option<State> {
    match state {
        Some(State::MaybeEsp { spi: same, sequence: before, packets })
            if same == spi && sequence > before && sequence - before <= ESP_STEP =>
        {
            Some(match packets + 1 {
                ESP_PACKETS.. => State::Known(Tunnel::Esp),
                packets => State::MaybeEsp { spi, sequence, packets },
            })
        }
        Some(_) | None => {
            (sequence <= ESP_FIRST).then_some(State::MaybeEsp { spi, sequence, packets: 1 })
        }
    }
}

/// What opens a session, and then another message of the same.
fn after_openvpn(session: u64, opens: bool, state: Option<State>) -> Option<State> {
    match (opens, state) {
        (true, _) => Some(State::MaybeOpenVpn { session }),
        (false, Some(State::MaybeOpenVpn { session: same })) if same == session => {
            Some(State::Known(Tunnel::OpenVpn))
        }
        (false, _) => None,
    }
}

/// The same receiver, and a higher counter than the packet before.
fn after_wireguard(receiver: u32, counter: u64, state: Option<State>) -> State {
    match state {
        Some(State::MaybeWireGuard { receiver: same, counter: before, packets })
            if same == receiver && counter > before && counter - before <= WIREGUARD_STEP =>
        {
            match packets + 1 {
                WIREGUARD_PACKETS.. => State::Known(Tunnel::WireGuard),
                packets => State::MaybeWireGuard { receiver, counter, packets },
            }
        }
        Some(_) | None => State::MaybeWireGuard { receiver, counter, packets: 1 },
    }
}

/// SYN: the ports begin another connection.
fn opens_connection(headers: &Headers, held: Held<'_>) -> bool {
    const SYN: u8 = 0x02;
    let flags = held.bytes.get(usize::from(headers.transport) + 13);
    headers.protocol == 6 && flags.is_some_and(|flags| flags & SYN != 0)
}

#[cfg(test)]
mod tests;
