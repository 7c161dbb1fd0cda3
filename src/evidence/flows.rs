//! Flows to listed destinations, aggregated by (camera, destination, port, list).
//!
//! Invariant: at most [`FLOWS`] flows are remembered, [`FLOWS_OF_ONE`] of one camera, and at most [`FIRST_BURST`] first sightings are passed
//! on at once, then [`FIRST_PER_SECOND`]; a summary shows at most [`SHOWN`] flows.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::config::Mac;
use crate::counters::Event;
use crate::packet::Addresses;
use crate::verdict::{Reason, Tunnel};

/// The most flows remembered.
const FLOWS: usize = 10_000;
/// The most flows remembered of one camera, so that none takes the others' room.
const FLOWS_OF_ONE: u32 = 1_000;
/// First sightings logged in a burst.
const FIRST_BURST: f64 = 50.0;
/// First sightings logged per second in the long run.
const FIRST_PER_SECOND: f64 = 5.0;
/// Flows shown in one summary.
const SHOWN: usize = 50;
/// A flow silent for this long is forgotten; its next packet is a first one again.
const FORGET: Duration = Duration::from_secs(600);

/// What makes two packets the same flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FlowKey {
    pub(super) addresses: Addresses,
    pub(super) protocol: u8,
    pub(super) port: Option<u16>,
    pub(super) list: u16,
    pub(super) reason: Reason,
    pub(super) tunnel: Option<Tunnel>,
    pub(super) hidden: Option<IpAddr>,
    pub(super) mac: Option<Mac>,
}

impl std::hash::Hash for FlowKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.addresses.source().hash(state);
        self.addresses.destination().hash(state);
        (self.protocol, self.port, self.list).hash(state);
    }
}

impl FlowKey {
    pub(super) fn of(event: &Event) -> Self {
        FlowKey {
            addresses: event.addresses,
            protocol: event.protocol,
            port: event.port,
            list: event.list,
            reason: event.reason,
            tunnel: event.tunnel,
            hidden: event.hidden,
            // Says something only where the sender is in doubt, and would tell apart the flows of one behind routers.
            mac: event.mac.filter(|_| matches!(event.reason, Reason::Forged(_))),
        }
    }
}

/// What a flow did since it was last written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flow {
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) dropped: bool,
    last: Instant,
}

/// What became of an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Noted {
    /// A new flow: to be logged at once.
    First(Flow),
    /// Part of a known flow: waits for its summary.
    Known,
    /// Not remembered, or not logged as a first sighting: to be counted as suppressed.
    NoRoom,
}

/// What a summary left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Hidden {
    pub(super) flows: usize,
    pub(super) packets: u64,
}

#[derive(Debug)]
pub(super) struct Flows {
    known: HashMap<FlowKey, Flow>,
    /// How many of them each camera has.
    of_camera: HashMap<IpAddr, u32>,
    tokens: f64,
    refilled: Instant,
}

impl Flows {
    pub(super) fn new(now: Instant) -> Self {
        Flows {
            known: HashMap::new(),
            of_camera: HashMap::new(),
            tokens: FIRST_BURST,
            refilled: now,
        }
    }

    pub(super) fn note(&mut self, event: &Event, now: Instant) -> Noted {
        let key = FlowKey::of(event);
        if let Some(flow) = self.known.get_mut(&key) {
            flow.packets += 1;
            flow.bytes += u64::from(event.bytes);
            flow.dropped = event.dropped;
            flow.last = now;
            return Noted::Known;
        }
        let first =
            Flow { packets: 1, bytes: u64::from(event.bytes), dropped: event.dropped, last: now };
        let own = self.of_camera.get(&key.addresses.source()).copied().unwrap_or(0);
        if self.known.len() >= FLOWS || own >= FLOWS_OF_ONE {
            return Noted::NoRoom;
        }
        self.of_camera.insert(key.addresses.source(), own + 1);
        if self.take_token(now) {
            self.known.insert(key, Flow { packets: 0, bytes: 0, ..first });
            Noted::First(first)
        } else {
            // Remembered all the same: the summary will name it or count it.
            self.known.insert(key, first);
            Noted::Known
        }
    }

    fn take_token(&mut self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.refilled).as_secs_f64();
        self.tokens = (self.tokens + elapsed * FIRST_PER_SECOND).min(FIRST_BURST);
        self.refilled = now;
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }

    /// The flows with news, busiest first, their counts reset; and what was left out.
    pub(super) fn summary(&mut self, now: Instant) -> (Vec<(FlowKey, Flow)>, Hidden) {
        let mut news: Vec<(FlowKey, Flow)> = self
            .known
            .iter()
            .filter(|(_, flow)| flow.packets > 0)
            .map(|(key, flow)| (*key, *flow))
            .collect();
        news.sort_unstable_by_key(|(_, flow)| std::cmp::Reverse(flow.packets));
        let hidden = news.split_off(SHOWN.min(news.len()));
        let hidden = Hidden {
            flows: hidden.len(),
            packets: hidden.iter().map(|(_, flow)| flow.packets).sum(),
        };
        for flow in self.known.values_mut() {
            flow.packets = 0;
            flow.bytes = 0;
        }
        self.known.retain(|_, flow| now.saturating_duration_since(flow.last) < FORGET);
        self.of_camera.clear();
        for key in self.known.keys() {
            *self.of_camera.entry(key.addresses.source()).or_default() += 1;
        }
        (news, hidden)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn event(destination: u32, list: u16) -> Event {
        of(10, destination, list)
    }

    fn of(camera: u32, destination: u32, list: u16) -> Event {
        Event {
            addresses: Addresses::V4 {
                source: Ipv4Addr::from_bits(0xc000_0200 + camera),
                destination: Ipv4Addr::from_bits(0xcb00_7100 + destination),
            },
            protocol: 17,
            port: Some(443),
            list,
            reason: Reason::Blocked,
            tunnel: None,
            hidden: None,
            mac: None,
            dropped: true,
            bytes: 100,
        }
    }

    #[test]
    fn a_flow_is_told_at_once_and_then_in_a_summary() {
        let now = Instant::now();
        let mut flows = Flows::new(now);
        assert!(matches!(flows.note(&event(1, 1), now), Noted::First(flow) if flow.packets == 1));
        assert_eq!(flows.note(&event(1, 1), now), Noted::Known);
        assert_eq!(flows.note(&event(1, 1), now), Noted::Known);
        let (shown, hidden) = flows.summary(now);
        assert_eq!(shown.len(), 1);
        assert_eq!((shown[0].1.packets, shown[0].1.bytes), (2, 200));
        assert_eq!(hidden, Hidden::default());
        let (shown, _) = flows.summary(now);
        assert!(shown.is_empty(), "nothing new, nothing said");
    }

    #[test]
    fn another_list_or_destination_is_another_flow() {
        let now = Instant::now();
        let mut flows = Flows::new(now);
        assert!(matches!(flows.note(&event(1, 1), now), Noted::First(_)));
        assert!(matches!(flows.note(&event(2, 1), now), Noted::First(_)));
        assert!(matches!(flows.note(&event(1, 2), now), Noted::First(_)));
    }

    #[test]
    fn a_flood_of_destinations_is_bounded_in_lines_and_memory_and_nothing_is_uncounted() {
        let now = Instant::now();
        let mut flows = Flows::new(now);
        let (mut first, mut no_room) = (0, 0);
        for destination in 0..20_000 {
            match flows.note(&of(destination % 100, destination, 1), now) {
                Noted::First(_) => first += 1,
                Noted::Known => {}
                Noted::NoRoom => no_room += 1,
            }
        }
        assert_eq!((first, no_room), (50, 10_000));
        let (shown, hidden) = flows.summary(now);
        assert_eq!(shown.len(), SHOWN);
        let told = first + shown.iter().map(|(_, flow)| flow.packets).sum::<u64>();
        assert_eq!(told + hidden.packets + no_room, 20_000);
    }

    #[test]
    fn one_camera_does_not_take_the_room_of_another() {
        let now = Instant::now();
        let mut flows = Flows::new(now);
        let refused = (0..5_000).filter(|n| flows.note(&event(*n, 1), now) == Noted::NoRoom);
        assert_eq!(refused.count(), 4_000);
        assert_eq!(flows.note(&of(11, 1, 1), now), Noted::Known, "remembered, told in the summary");
        flows.summary(now + FORGET);
        assert!(matches!(flows.note(&event(1, 1), now + FORGET), Noted::First(_)));
    }

    #[test]
    fn a_silent_flow_is_forgotten_and_told_again() {
        let now = Instant::now();
        let mut flows = Flows::new(now);
        assert!(matches!(flows.note(&event(1, 1), now), Noted::First(_)));
        flows.summary(now + FORGET);
        assert!(matches!(flows.note(&event(1, 1), now + FORGET), Noted::First(_)));
    }
}
