//! The watchdog: the service manager is told that all is well only while every packet thread goes on, and a
//! thread that does not ends the daemon.
//!
//! A packet thread finishes a turn at least every 250 ms, packets or not. What counts is whether it moved
//! between our own ticks, not the time that went by: after a pause of the whole process, or of the machine,
//! nobody is to blame.

use std::time::Duration;

use crate::control::notify::notify;
use crate::failure::{ExitStatus, Failure};
use crate::telemetry::Observed;

/// Time between two ticks; shorter where the service manager wants to hear from us more often.
const TICK: Duration = Duration::from_secs(1);
/// Ticks without a finished turn after which a packet thread has stalled.
const PATIENCE: u32 = 5;

/// Follows the packet threads' progress.
pub(super) struct Watchdog {
    tick: Duration,
    /// Ticks that make [`PATIENCE`] seconds.
    patience: u32,
    threads: Vec<Progress>,
}

/// One packet thread's progress.
#[derive(Clone, Copy, Default)]
struct Progress {
    /// When it last finished a turn.
    last: Duration,
    /// Ticks since then.
    still: u32,
}

impl Watchdog {
    /// A watchdog over so many packet threads.
    pub(super) fn new(threads: usize) -> Self {
        let wanted = std::env::var("WATCHDOG_USEC").ok().and_then(|text| text.parse().ok());
        let tick = match wanted {
            // Half of what it allows, as sd_watchdog_enabled(3) advises.
            Some(micros @ 1..) => TICK.min(Duration::from_micros(micros) / 2),
            Some(0) | None => TICK,
        };
        let tick = tick.max(Duration::from_millis(10));
        let patience = PATIENCE * (TICK.as_millis() / tick.as_millis()).max(1) as u32;
        Watchdog { tick, patience, threads: vec![Progress::default(); threads] }
    }

    /// Returns when a packet thread has stalled, with what to say about it.
    pub(super) async fn watch(&mut self, observed: &Observed) -> Failure {
        loop {
            tokio::time::sleep(self.tick).await;
            observed.mark_control_alive();
            let turns = observed.queues.iter().map(|queue| queue.shard.last_alive());
            match self.note(turns) {
                Some(place) => {
                    let queue = observed.queues.get(place).map_or(0, |queue| queue.number);
                    return Failure::new(
                        ExitStatus::Failed,
                        format!(
                            "queue {queue}: its packet thread has stalled; ending, so that a successor judges"
                        ),
                    );
                }
                None => notify("WATCHDOG=1"),
            }
        }
    }

    /// Notes when each thread last finished a turn; the place of one that has stalled.
    fn note(&mut self, turns: impl Iterator<Item = Duration>) -> Option<usize> {
        for (thread, turn) in self.threads.iter_mut().zip(turns) {
            thread.still = if turn == thread.last { thread.still + 1 } else { 0 };
            thread.last = turn;
        }
        self.threads.iter().position(|thread| thread.still >= self.patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(turns: [u64; 2]) -> impl Iterator<Item = Duration> {
        turns.into_iter().map(Duration::from_millis)
    }

    #[test]
    fn a_thread_that_does_not_move_has_stalled_and_one_that_moves_has_not() {
        let mut watchdog =
            Watchdog { tick: TICK, patience: 5, threads: vec![Progress::default(); 2] };
        for round in 1..=5 {
            assert_eq!(watchdog.note(ms([round, 7])), None, "round {round}");
        }
        assert_eq!(watchdog.note(ms([6, 7])), Some(1));
    }

    #[test]
    fn a_long_pause_of_everybody_is_nobodys_fault() {
        let mut watchdog =
            Watchdog { tick: TICK, patience: 5, threads: vec![Progress::default(); 2] };
        for round in 1..=20 {
            assert_eq!(watchdog.note(ms([round * 1_000_000, round * 1_000_000])), None);
        }
    }
}
