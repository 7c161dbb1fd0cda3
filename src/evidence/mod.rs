//! What was blocked: flows to listed destinations, logged once at first and then in summaries; and who sends what.
//!
//! Invariants: memory and log lines are bounded whatever the cameras send; what finds no room is counted
//! ([`Evidence::suppressed`], [`cameras::NoRoom`]), never lost in silence. Runs on a thread of its own and never holds up a
//! packet thread.

pub mod cameras;
mod flows;
mod keeper;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::counters::{CameraPlaces, Event, ListPlaces, Reported, Sighting};
use crate::explain;
use crate::ruleset::Published;
use crate::verdict::Reason;

use cameras::Cameras;
use flows::{Flow, FlowKey, Flows};
use keeper::Keeper;

/// How long the thread sleeps when no event waits; a first event is logged within this time.
const NAP: Duration = Duration::from_millis(20);
/// Time between two summaries of a flow.
const SUMMARY: Duration = Duration::from_secs(60);

/// What other rooms may ask of the evidence thread.
#[derive(Debug, Default)]
pub struct Evidence {
    suppressed: AtomicU64,
    cameras: Mutex<Cameras>,
}

impl Evidence {
    /// Who sends what; the evidence thread waits while this is held.
    pub fn cameras(&self) -> MutexGuard<'_, Cameras> {
        self.cameras.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Events that were counted but not logged, for want of room.
    pub fn suppressed(&self) -> u64 {
        self.suppressed.load(Ordering::Relaxed)
    }
}

/// The evidence thread's state.
pub struct Recorder {
    evidence: Arc<Evidence>,
    events: Reported<Event>,
    lists: Arc<ListPlaces>,
    cameras: Arc<CameraPlaces>,
    rules: Arc<Published>,
    flows: Flows,
    keeper: Keeper,
}

impl Recorder {
    /// A recorder of what the packet threads send, which keeps its record of cameras in this folder.
    pub fn new(
        evidence: Arc<Evidence>,
        (events, sightings): (Reported<Event>, Reported<Sighting>),
        lists: Arc<ListPlaces>,
        cameras: Arc<CameraPlaces>,
        rules: Arc<Published>,
        folder: &Path,
    ) -> Self {
        let keeper =
            Keeper::new(Arc::clone(&evidence), sightings, Arc::clone(&cameras), folder.to_owned());
        let flows = Flows::new(Instant::now());
        Recorder { evidence, events, lists, cameras, rules, flows, keeper }
    }

    /// Records until told to stop, then writes the last summaries.
    pub fn run(mut self, stop: &AtomicBool) {
        let mut summary_due = Instant::now() + SUMMARY;
        self.keeper.begin();
        while !stop.load(Ordering::Relaxed) {
            let idle = self.drain() & self.keeper.drain();
            self.keeper.save_if_due();
            if Instant::now() >= summary_due {
                self.summarise();
                summary_due = Instant::now() + SUMMARY;
            }
            if idle {
                std::thread::sleep(NAP);
            }
        }
        self.drain();
        self.summarise();
        self.keeper.drain();
        self.keeper.end();
    }

    /// Takes what waits; returns whether nothing did.
    fn drain(&mut self) -> bool {
        // No more than waits now: what else is due (summaries, the end) comes after it.
        let (now, waiting) = (Instant::now(), self.events.waiting());
        for _ in 0..waiting {
            if let Some(event) = self.events.next() {
                self.note(&event, now);
            }
        }
        waiting == 0
    }

    fn note(&mut self, event: &Event, now: Instant) {
        match self.flows.note(event, now) {
            flows::Noted::First(flow) => {
                let key = FlowKey::of(event);
                self.log(&key, &flow, "first");
            }
            flows::Noted::Known => {}
            flows::Noted::NoRoom => {
                self.evidence.suppressed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn summarise(&mut self) {
        let (shown, hidden) = self.flows.summary(Instant::now());
        for (key, flow) in &shown {
            self.log(key, flow, "summary");
        }
        if hidden.flows > 0 {
            self.evidence.suppressed.fetch_add(hidden.packets, Ordering::Relaxed);
            tracing::warn!(
                flows = hidden.flows,
                packets = hidden.packets,
                "more flows to listed destinations, not shown one by one"
            );
        }
    }

    fn log(&self, key: &FlowKey, flow: &Flow, kind: &'static str) {
        let rules = self.rules.current();
        let source = key.addresses.source();
        let destination = key.addresses.destination();
        let lists = self.lists.names();
        let list = lists.get(usize::from(key.list)).map_or("", String::as_str);
        // The entry as the present rule set has it; a reload may have taken it out since.
        let entry = rules
            .matches(key.hidden.unwrap_or(destination))
            .into_iter()
            .filter_map(|entry| explain::name(&rules, entry))
            .find(|entry| entry.list == list);
        let (event, what) = match (key.reason, flow.dropped) {
            (Reason::Forged(_), true) => ("forged", "dropped, not from whom it says"),
            (Reason::Forged(_), false) => ("forged", "would drop, not from whom it says"),
            (Reason::TunnelAccepted(_) | Reason::Exempt, _) => {
                ("tunnel", "passed, a tunnel that may")
            }
            (Reason::Monitored, false) => ("monitored", "passed, on a monitor list"),
            (_, true) => ("drop", "dropped"),
            (_, false) => ("would-drop", "would drop"),
        };
        let policies = &rules.policies;
        let policy = policies.get(policies.of(source)).map_or("", |policy| policy.name.as_str());
        tracing::warn!(
            event,
            camera = self.cameras.name(&source).unwrap_or("_other"),
            %source,
            %destination,
            port = key.port,
            protocol = %protocol(key.protocol),
            reason = key.reason.label(),
            why = %key.reason,
            tunnel = key.tunnel.map(tracing::field::display),
            hidden = key.hidden.map(tracing::field::display),
            mac = key.mac.map(tracing::field::display),
            policy = (!policy.is_empty()).then_some(policy),
            list,
            prefix = entry.as_ref().map(|entry| entry.prefix.as_str()),
            origin_as = entry.as_ref().and_then(|entry| entry.origin_as),
            basis = entry.as_ref().map(|entry| entry.basis.as_str()),
            packets = flow.packets,
            bytes = flow.bytes,
            kind,
            "{what}"
        );
    }
}

/// The usual name of a protocol number, or the number.
fn protocol(number: u8) -> String {
    match number {
        1 => "icmp".into(),
        6 => "tcp".into(),
        17 => "udp".into(),
        58 => "icmpv6".into(),
        132 => "sctp".into(),
        other => other.to_string(),
    }
}
