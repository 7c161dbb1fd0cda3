//! The watchdog: the service manager is told that all is well only while every packet thread goes on, and a
//! thread that does not ends the daemon.
//!
//! A packet thread finishes a turn at least every 250 ms, packets or not, and a turn empties the socket or answers a
//! batch. So one has stalled that finishes none, and one that answers nothing while bytes wait in its socket, whatever
//! it does meanwhile. What counts is whether it moved between our own ticks, not the time that went by: after a pause of
//! the whole process, or of the machine, nobody is to blame.

use std::time::Duration;

use crate::control::notify::notify;
use crate::failure::{ExitStatus, Failure};
use crate::telemetry::{Observed, QueueView};

/// Time between two ticks; shorter where the service manager wants to hear from us more often.
const TICK: Duration = Duration::from_secs(1);
/// Ticks without progress after which a packet thread has stalled.
const PATIENCE: u32 = 5;

/// Follows the packet threads' progress.
pub(super) struct Watchdog {
    tick: Duration,
    /// Ticks that make [`PATIENCE`] seconds.
    patience: u32,
    threads: Vec<Progress>,
}

/// What is seen of a packet thread at a tick.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sight {
    /// When it last finished a turn.
    turn: Duration,
    /// When it last answered a batch.
    answered: Option<Duration>,
    /// Bytes wait in its socket.
    waiting: bool,
}

/// One packet thread's progress.
#[derive(Clone, Copy, Default)]
struct Progress {
    last: Sight,
    /// Ticks since it last moved.
    still: u32,
    /// The last of these ticks, at which it finished turns and answered nothing of what waited.
    deaf: u32,
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
            let stalled = self.note(observed.queues.iter().map(Sight::of));
            for (queue, thread) in observed.queues.iter().zip(&self.threads) {
                queue.note_unread(self.tick * thread.deaf);
            }
            match stalled {
                Some(place) => {
                    let queue = observed.queues.get(place).map_or(0, |queue| queue.number);
                    let deaf = self.threads.get(place).is_some_and(|thread| thread.deaf > 0);
                    let how = match deaf {
                        true => " (packets wait in its socket, and it answers none)",
                        false => "",
                    };
                    return Failure::new(
                        ExitStatus::Failed,
                        format!(
                            "queue {queue}: its packet thread has stalled{how}; ending, so that a successor judges"
                        ),
                    );
                }
                None => notify("WATCHDOG=1"),
            }
        }
    }

    /// Notes what is seen of each thread; the place of one that has stalled.
    fn note(&mut self, seen: impl Iterator<Item = Sight>) -> Option<usize> {
        for (thread, now) in self.threads.iter_mut().zip(seen) {
            let hung = now.turn == thread.last.turn;
            let deaf = !hung && now.waiting && now.answered == thread.last.answered;
            let still = hung || deaf;
            thread.deaf = if deaf { thread.deaf + 1 } else { 0 };
            thread.still = if still { thread.still + 1 } else { 0 };
            thread.last = now;
        }
        self.threads.iter().position(|thread| thread.still >= self.patience)
    }
}

impl Sight {
    fn of(queue: &QueueView) -> Self {
        Sight {
            turn: queue.shard.last_alive(),
            answered: queue.shard.last_held(),
            waiting: queue.read().1.is_some_and(|buffer| buffer.used > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn watchdog() -> Watchdog {
        Watchdog { tick: TICK, patience: 5, threads: vec![Progress::default(); 2] }
    }

    fn turns(turns: [u64; 2]) -> impl Iterator<Item = Sight> {
        turns.into_iter().map(|turn| Sight { turn: MS(turn), ..Sight::default() })
    }

    #[test]
    fn a_thread_that_does_not_move_has_stalled_and_one_that_moves_has_not() {
        let mut watchdog = watchdog();
        for round in 1..=5 {
            assert_eq!(watchdog.note(turns([round, 7])), None, "round {round}");
        }
        assert_eq!(watchdog.note(turns([6, 7])), Some(1));
    }

    #[test]
    fn a_long_pause_of_everybody_is_nobodys_fault() {
        let mut watchdog = watchdog();
        for round in 1..=20 {
            assert_eq!(watchdog.note(turns([round * 1_000_000, round * 1_000_000])), None);
        }
    }

    /// The second thread turns, answers when told to, and bytes wait in its socket when told so.
    fn busy(round: u64, answered: u64, waiting: bool) -> impl Iterator<Item = Sight> {
        let first = Sight { turn: MS(round), ..Sight::default() };
        let second = Sight { turn: MS(round), answered: Some(MS(answered)), waiting };
        [first, second].into_iter()
    }

    #[test]
    fn a_thread_that_turns_and_answers_nothing_of_what_waits_has_stalled() {
        let mut watchdog = watchdog();
        for round in 1..=5 {
            assert_eq!(watchdog.note(busy(round, 1, true)), None, "round {round}");
        }
        assert_eq!(watchdog.note(busy(6, 1, true)), Some(1));
    }

    #[test]
    fn a_thread_that_is_behind_and_answers_or_has_nothing_to_answer_has_not_stalled() {
        let (mut behind, mut idle, mut late) = (watchdog(), watchdog(), watchdog());
        for round in 1..=50 {
            assert_eq!(behind.note(busy(round, round, true)), None, "round {round}");
            assert_eq!(idle.note(busy(round, 1, false)), None, "round {round}");
            // Each look hits a packet that has just come.
            assert_eq!(late.note(busy(round, round / 4, true)), None, "round {round}");
        }
    }
}
