//! One packet thread: receive a batch, decide, count, answer.
//!
//! Invariant: every packet of a batch is judged by one rule set, the one in force after the batch was
//! received, and the batch is answered before the next one is received or the thread ends.
//!
//! The whole batch is decided before its first packet is counted: reporting an event is a locked
//! instruction, behind which the processor begins no load, so look-ups on both sides of it could not wait
//! for memory together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::counters::Account;
use crate::decide::{Decisions, decide_all};
use crate::failure::Failure;
use crate::queue::{BATCH, PacketQueue};
use crate::ruleset::Follower;

/// A packet thread's state.
pub struct Worker<Q> {
    queue: Q,
    rules: Follower,
    account: Account,
    began: Instant,
    decisions: Decisions,
}

impl<Q: PacketQueue> Worker<Q> {
    /// A worker over an open queue; `began` is when the process did.
    pub fn new(queue: Q, rules: Follower, account: Account, began: Instant) -> Self {
        account.shard().mark_alive(began.elapsed());
        Worker { queue, rules, account, began, decisions: Decisions::for_batches_of(BATCH) }
    }

    /// Judges packets until told to stop.
    ///
    /// # Errors
    /// The queue can no longer be read or answered; the caller ends the process.
    pub fn run(mut self, stop: &Arc<AtomicBool>) -> Result<(), Failure> {
        while !stop.load(Ordering::Relaxed) {
            self.turn()?;
        }
        Ok(())
    }

    /// One batch; returns how many packets it held.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    #[inline]
    pub fn turn(&mut self) -> Result<usize, Failure> {
        let count = self.queue.receive()?;
        let rules = self.rules.current();
        let received = Instant::now();
        let batch = (0..count).map(|index| self.queue.held(index));
        decide_all(rules, batch, &mut self.decisions);
        if count > 0 {
            // The mean: the clock costs as much as half a decision.
            self.account.shard().times.note(received.elapsed() / count as u32);
        }
        for (index, decision) in self.decisions.iter().enumerate() {
            let answer = self.account.count(rules, self.queue.held(index), &decision);
            self.queue.judge(index, answer);
        }
        let since_start = received.duration_since(self.began);
        if count > 0 {
            self.queue.answer()?;
            self.account.shard().mark_held(since_start);
        }
        self.account.shard().mark_alive(since_start);
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
