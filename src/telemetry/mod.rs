//! What the outside may see of a running daemon: metrics, health and readiness.

mod exporter;
pub mod families;
pub mod http;
pub mod standing;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::counters::{CameraPlaces, ListPlaces, Shard};
use crate::evidence::Evidence;
use crate::queue::{BufferGauge, BufferUse, QueueCounters, QueueLosses};
use crate::ruleset::Published;

pub use exporter::Exporter;
pub use standing::Standing;

/// A packet thread that has not finished a turn for this long is stalled: a turn takes at most the queue's
/// wait of about 250 ms when nothing comes, so silence alone is no stall. `/healthz` says so at once; the
/// watchdog, which allows for a pause of the whole process, ends the daemon some seconds later.
pub const STALLED: Duration = Duration::from_secs(3);

/// One queue, as telemetry sees it.
pub struct QueueView {
    /// The NFQUEUE number.
    pub number: u16,
    /// Its losses.
    pub counters: Arc<QueueCounters>,
    /// Its socket's buffer, where that can be read.
    pub gauge: Option<BufferGauge>,
    /// Its thread's counters.
    pub shard: Arc<Shard>,
    /// Milliseconds for which packets have waited in its socket without one being answered, as the watchdog saw it.
    pub unread: AtomicU64,
}

impl QueueView {
    /// Notes for how long packets have waited in its socket without one being answered.
    pub fn note_unread(&self, time: Duration) {
        self.unread.store(time.as_millis() as u64, Ordering::Relaxed);
    }

    /// Whether its thread has stalled: it has not finished a turn for [`STALLED`], or answered nothing of what waits.
    fn has_stalled(&self, now: Duration) -> bool {
        let unread = Duration::from_millis(self.unread.load(Ordering::Relaxed));
        now.saturating_sub(self.shard.last_alive()) > STALLED || unread >= STALLED
    }

    /// Its losses and its socket's buffer now.
    pub fn read(&self) -> (QueueLosses, Option<BufferUse>) {
        let buffer = self.gauge.as_ref().and_then(|gauge| gauge.read());
        (self.counters.read(buffer), buffer)
    }
}

/// What is known about the rules in the kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RulesState {
    /// Whether hold (and gate, unless open) stand as planned, in both families; `None` if not asked yet.
    pub present: Option<bool>,
    /// What is missing or altered, in words.
    pub faults: Vec<String>,
    /// Packets that the gate dropped, IPv4 and IPv6, over all gates that were seen.
    pub gate_dropped: [u64; 2],
    /// What the kernel's counters said when last asked.
    pub gate_counters: [u64; 2],
    /// Packets for the gateway itself that were dropped because they wrap others, IPv4 and IPv6; the same.
    pub tunnels_dropped: [u64; 2],
    /// What the kernel's counters said of them when last asked.
    pub tunnel_counters: [u64; 2],
    /// Packets that hold handed to the queues, over all rules that were seen.
    pub held: u64,
    /// What each of the kernel's counters said of them when last asked.
    pub held_counters: [u64; 4],
    /// The tool that carries the rules.
    pub tool: String,
    /// Why somebody removed the rules through the daemon, which then leaves them removed.
    pub removed: Option<String>,
    /// How often they were put back.
    pub rearmed: u64,
}

impl RulesState {
    /// Takes over what was counted before this look; a counter that went back belongs to new rules.
    pub fn continue_from(&mut self, before: &RulesState) {
        let new = |now: u64, then: u64| if now >= then { now - then } else { now };
        for family in 0..2 {
            self.gate_dropped[family] = before.gate_dropped[family]
                + new(self.gate_counters[family], before.gate_counters[family]);
            self.tunnels_dropped[family] = before.tunnels_dropped[family]
                + new(self.tunnel_counters[family], before.tunnel_counters[family]);
        }
        let counters = self.held_counters.into_iter().zip(before.held_counters);
        self.held = before.held + counters.map(|(now, then)| new(now, then)).sum::<u64>();
        self.rearmed = before.rearmed;
    }
}

/// What decides, besides the rules, whether packets come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Camera interfaces that belong to another one, in words: their packets are not held.
    pub enslaved: Vec<String>,
    /// Camera interfaces of which there is none of that name.
    pub missing: Vec<String>,
    /// Whether the planned rules stand although they are left to others (`rules.manage = false`); `None`
    /// where they are kordon's, or not looked at yet.
    pub planned: Option<bool>,
}

/// What became of reloads.
#[derive(Debug, Default)]
pub struct Reloads {
    /// Reloads that were put in force.
    pub done: AtomicU64,
    /// Reloads that were refused.
    pub rejected: AtomicU64,
    last: Mutex<LastReload>,
}

/// The last reload.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LastReload {
    /// When a rule set was last put in force, in seconds since 1970.
    pub success: u64,
    /// How long the last one took, put in force or not.
    pub took: Duration,
    /// Why the last one was refused; `None` if it was not.
    pub refused: Option<String>,
    /// The lists were refused at start, and the last good rule set is in force.
    pub last_good: bool,
    /// Who went back to the rule set before: the files say otherwise.
    pub undone_by: Option<String>,
}

impl Reloads {
    /// Notes a reload that was put in force at this time.
    pub fn note_done(&self, at: u64, took: Duration) {
        self.done.fetch_add(1, Ordering::Relaxed);
        *self.lock() = LastReload { success: at, took, ..LastReload::default() };
    }

    /// Notes the rule set that the daemon started with.
    pub fn note_start(&self, at: u64, took: Duration) {
        *self.lock() = LastReload { success: at, took, ..LastReload::default() };
    }

    /// Notes that it started with the last good one, and why the lists were refused.
    pub fn note_last_good(&self, why: &str, took: Duration) {
        self.note_rejected(why, took);
        self.lock().last_good = true;
    }

    /// Notes that somebody went back to the rule set before, which was read at this time.
    pub fn note_undone(&self, at: u64, took: Duration, by: &str) {
        self.note_done(at, took);
        self.lock().undone_by = Some(by.to_owned());
    }

    /// Notes a refused reload and why.
    pub fn note_rejected(&self, why: &str, took: Duration) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
        let mut last = self.lock();
        last.took = took;
        last.refused = Some(why.to_owned());
    }

    /// The last reload.
    pub fn last(&self) -> LastReload {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LastReload> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything that telemetry and the control socket read from.
pub struct Observed {
    /// When the process began.
    pub began: Instant,
    /// The same in seconds since 1970.
    pub began_unix: u64,
    /// The mode as it stands.
    pub standing: Mutex<Standing>,
    /// The queues, in the order of their numbers.
    pub queues: Vec<QueueView>,
    /// Places of lists among the counters.
    pub lists: Arc<ListPlaces>,
    /// Places of cameras among the counters.
    pub cameras: Arc<CameraPlaces>,
    /// The rule set in force.
    pub rules: Arc<Published>,
    /// The evidence thread.
    pub evidence: Arc<Evidence>,
    /// Reloads so far.
    pub reloads: Reloads,
    /// The rules in the kernel.
    pub kernel_rules: Mutex<RulesState>,
    /// What decides, besides them, whether packets come.
    pub surroundings: Mutex<Surroundings>,
    /// Everything is in place.
    pub ready: AtomicBool,
    /// Milliseconds since the process began at which the control thread last came round.
    pub control_alive: AtomicU64,
}

impl Observed {
    /// Queues whose thread has stalled.
    pub fn stalled(&self) -> Vec<u16> {
        let now = self.began.elapsed();
        let stalled = self.queues.iter().filter(|queue| queue.has_stalled(now));
        stalled.map(|queue| queue.number).collect()
    }

    /// Notes that the control thread comes round; it does at least once a second.
    pub fn mark_control_alive(&self) {
        self.control_alive.store(self.began.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// Whether the control thread has stalled: nobody then watches over packet threads and rules.
    pub fn control_stalled(&self) -> bool {
        let last = Duration::from_millis(self.control_alive.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(last) > STALLED
    }

    /// The mode as it stands.
    pub fn standing(&self) -> Standing {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes a change of the mode.
    pub fn change_standing(&self, change: impl FnOnce(&mut Standing)) {
        change(&mut self.standing.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The state of the rules, as last asked.
    pub fn kernel_rules(&self) -> RulesState {
        self.kernel_rules.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes the state of the rules.
    pub fn set_kernel_rules(&self, state: RulesState) {
        *self.kernel_rules.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// What decides, besides the rules, whether packets come, as last seen.
    pub fn surroundings(&self) -> Surroundings {
        self.surroundings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes what decides, besides the rules, whether packets come.
    pub fn set_surroundings(&self, found: Surroundings) {
        *self.surroundings.lock().unwrap_or_else(PoisonError::into_inner) = found;
    }

    /// Time since the process began at which any queue last had a packet; `None` if none ever had.
    pub fn last_held(&self) -> Option<Duration> {
        self.queues.iter().filter_map(|queue| queue.shard.last_held()).max()
    }

    /// Notes that the rules were put back.
    pub fn count_rearmed(&self) {
        self.kernel_rules.lock().unwrap_or_else(PoisonError::into_inner).rearmed += 1;
    }

    /// Sum of a counter over all packet threads.
    pub fn sum(&self, counter: impl Fn(&Shard) -> u64) -> u64 {
        self.queues.iter().map(|queue| counter(&queue.shard)).sum()
    }

    /// Events that were counted but not logged.
    pub fn suppressed(&self) -> u64 {
        self.sum(|shard| shard.suppressed.get()) + self.evidence.suppressed()
    }
}

#[cfg(test)]
mod tests {
    use super::RulesState;

    #[test]
    fn a_gate_that_was_put_back_does_not_take_its_drops_away() {
        let mut total = RulesState::default();
        for (counters, expected) in
            [([5, 0], [5, 0]), ([7, 1], [7, 1]), ([2, 1], [9, 1]), ([2, 0], [9, 1])]
        {
            let mut next = RulesState { gate_counters: counters, ..RulesState::default() };
            next.continue_from(&total);
            assert_eq!(next.gate_dropped, expected);
            total = next;
        }
    }

    #[test]
    fn rules_of_hold_that_were_put_back_do_not_take_their_counts_away_nor_add_anothers_again() {
        let mut total = RulesState::default();
        for (counters, expected) in [
            ([100, 50, 0, 0], 150),
            ([110, 50, 3, 0], 163),
            // One family's rule is new.
            ([4, 50, 3, 0], 167),
            ([4, 50, 3, 0], 167),
            ([0, 0, 0, 0], 167),
        ] {
            let mut next = RulesState { held_counters: counters, ..RulesState::default() };
            next.continue_from(&total);
            assert_eq!(next.held, expected);
            total = next;
        }
    }
}
