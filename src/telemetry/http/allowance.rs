//! How much processor time a thread may use: a share of one core in the long run, and a little at once.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

/// The share of one core that may be used in the long run.
const SHARE: f64 = 0.04;
/// Processor time that may be used at once, in seconds: some hundred scrapes.
const AT_ONCE: f64 = 0.03;
/// After it is used up, work goes on when this much is there again: not for a single request at a time.
const SLICE: f64 = 0.000_5;
/// The longest pause at once, so that a stop is noticed.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// The allowance of the thread that made it.
pub(super) struct Allowance {
    left: f64,
    /// Time and the thread's processor time when last looked at.
    seen: (Instant, Duration),
}

impl Allowance {
    pub(super) fn new() -> Self {
        Allowance { left: AT_ONCE, seen: (Instant::now(), own_time()) }
    }

    /// How long to rest now: nothing while there is some left.
    pub(super) fn pause(&mut self) -> Option<Duration> {
        let now = (Instant::now(), own_time());
        let (elapsed, used) = (now.0 - self.seen.0, now.1.saturating_sub(self.seen.1));
        self.seen = now;
        self.note(elapsed, used)
    }

    fn note(&mut self, elapsed: Duration, used: Duration) -> Option<Duration> {
        let gained = elapsed.as_secs_f64() * SHARE;
        self.left = (self.left + gained).min(AT_ONCE) - used.as_secs_f64();
        if self.left > 0.0 {
            return None;
        }
        let rest = Duration::from_secs_f64((SLICE - self.left) / SHARE);
        Some(rest.min(LONGEST_PAUSE))
    }
}

/// Processor time of the calling thread so far; 0 where it cannot be read (then nothing is limited).
fn own_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_always_wants_more_gets_its_share() {
        let mut allowance = Allowance::new();
        let (mut worked, mut total) = (0.0, 0.0);
        // Ten seconds: works a millisecond whenever it may.
        while total < 10.0 {
            let step = Duration::from_millis(1);
            worked += step.as_secs_f64();
            total += step.as_secs_f64();
            while let Some(pause) = allowance.note(Duration::ZERO, Duration::ZERO) {
                total += pause.as_secs_f64();
                allowance.note(pause, Duration::ZERO);
            }
            allowance.note(step, step);
        }
        assert!((0.4..=0.44).contains(&worked), "{worked} s of {total} s");
    }

    #[test]
    fn who_rests_may_do_a_little_at_once_and_not_more() {
        let mut allowance = Allowance::new();
        allowance.note(Duration::from_secs(3_600), Duration::ZERO);
        assert_eq!(allowance.note(Duration::ZERO, Duration::from_millis(29)), None);
        assert!(allowance.note(Duration::ZERO, Duration::from_millis(2)).is_some());
    }

    #[test]
    fn the_clock_counts_this_threads_work() {
        let (before, began) = (own_time(), Instant::now());
        while began.elapsed() < Duration::from_millis(20) {}
        let used = own_time() - before;
        assert!(used > Duration::ZERO && used <= began.elapsed(), "{used:?}");
    }
}
