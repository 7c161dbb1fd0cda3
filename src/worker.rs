//! One packet thread: receive a batch, decide, count, answer.
//!
//! Invariant: every packet of a batch is judged by one rule set and answered on the same terms, those in
//! force after the batch was received, and the batch is answered before the next one is received or the
//! thread ends.
//!
//! Each step is done for the whole batch before the next one is for any packet of it, so that what the packets wait for
//! is on its way together; in one loop, counting, noting senders and reporting them takes longer (docs/performance.md).

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::config::Mode;
use crate::counters::{Account, SightingMark, Sightings};
use crate::decide::{Decisions, Memory, decide_all};
use crate::failure::Failure;
use crate::queue::{BATCH, PacketQueue};
use crate::ruleset::Follower;
use crate::stance::{Posted, Stance, Terms};
use crate::verdict::Mark;

/// A packet thread's state.
pub struct Worker<Q> {
    queue: Q,
    rules: Follower,
    account: Account,
    sightings: Sightings,
    began: Instant,
    memory: Memory,
    decisions: Decisions,
    /// What the packets of the present batch are looked for by, to see which are to be reported.
    marks: Vec<SightingMark>,
    /// Those that are.
    fresh: Vec<usize>,
    stance: Arc<Stance>,
    /// The terms on which the present batch is answered.
    posted: Posted,
    /// The mark of an accepted packet, where the terms ask for one.
    mark: Mark,
    /// The thread is not yet known to answer by these terms.
    unsettled: bool,
}

impl<Q: PacketQueue> Worker<Q> {
    /// A worker over an open queue that answers on the terms that are posted there; `began` is when the
    /// process did. The queue was opened on those terms; accepted packets get `mark` where they ask for one.
    pub fn new(
        queue: Q,
        rules: Follower,
        account: Account,
        sightings: Sightings,
        began: Instant,
        stance: Arc<Stance>,
        mark: Mark,
    ) -> Self {
        account.shard().mark_alive(began.elapsed());
        let posted = stance.read();
        let decisions = Decisions::for_batches_of(BATCH);
        let memory = Memory::new(RandomState::new().hash_one(0));
        let unsettled = true;
        Worker {
            queue,
            rules,
            account,
            sightings,
            began,
            memory,
            decisions,
            marks: Vec::with_capacity(BATCH),
            fresh: Vec::with_capacity(BATCH),
            stance,
            posted,
            mark,
            unsettled,
        }
    }

    /// Judges packets until told to stop.
    ///
    /// # Errors
    /// The queue can no longer be read or answered; the caller ends the process.
    pub fn run(mut self, stop: &Arc<AtomicBool>) -> Result<(), Failure> {
        while !stop.load(Ordering::Relaxed) {
            self.turn()?;
        }
        self.queue.leave();
        Ok(())
    }

    /// One batch; returns how many packets it held.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    #[inline]
    pub fn turn(&mut self) -> Result<usize, Failure> {
        let count = self.queue.receive()?;
        let posted = self.stance.read();
        if posted != self.posted {
            self.change(posted);
        }
        let rules = self.rules.current();
        let received = Instant::now();
        let batch = (0..count).map(|index| self.queue.held(index));
        let now = received.duration_since(self.began).as_secs() as u32;
        self.memory.tick(now);
        self.sightings.tick(now);
        self.memory.interfaces.learn(
            rules,
            batch.clone().map(|held| held.interface),
            interface_name,
        );
        decide_all(rules, &mut self.memory, batch, &mut self.decisions);
        if count > 0 {
            // The mean: the clock costs as much as half a decision.
            self.account.shard().times.note(received.elapsed() / count as u32);
        }
        for (index, decision) in self.decisions.iter().enumerate() {
            let answer = self.account.answer(rules, decision);
            self.marks.push(self.sightings.mark(self.queue.held(index), decision, answer));
            self.queue.judge(index, answer);
        }
        let noted = self.marks.drain(..).enumerate();
        self.fresh
            .extend(noted.filter_map(|(index, mark)| self.sightings.note(mark).then_some(index)));
        for (index, decision) in self.decisions.iter().enumerate() {
            self.account.count(rules, self.queue.held(index), decision);
        }
        for index in self.fresh.drain(..) {
            if let Some(decision) = self.decisions.get(index) {
                let (held, answer) = (self.queue.held(index), self.account.answer(rules, decision));
                self.sightings.report(self.account.shard(), held, decision, answer);
            }
        }
        let since_start = received.duration_since(self.began);
        if count > 0 {
            self.queue.answer()?;
            self.account.shard().mark_held(since_start);
        }
        if self.unsettled {
            self.settle();
        }
        self.account.shard().mark_alive(since_start);
        Ok(count)
    }

    /// Takes over terms that were posted since the last batch.
    #[cold]
    fn change(&mut self, posted: Posted) {
        let terms = posted.terms();
        self.account.set_mode(if terms.enforce { Mode::Enforce } else { Mode::Monitor });
        self.queue.change(marking(terms, self.mark), terms.fail_open);
        self.posted = posted;
        self.unsettled = true;
    }

    /// Says that the batch was answered by the present terms, once the kernel has taken its part of them.
    #[cold]
    fn settle(&mut self) {
        match self.queue.changed() {
            Ok(false) => return,
            Ok(true) => self.account.shard().heard.note(self.posted, None),
            Err(failure) => self.account.shard().heard.note(self.posted, Some(failure)),
        }
        self.unsettled = false;
    }
}

/// The name of the interface with this number, if it is still there.
pub fn interface_name(number: u32) -> Option<String> {
    nix::net::if_::if_indextoname(number).ok()?.into_string().ok()
}

/// The mark of accepted packets on these terms; where they ask for none, kordon's bits are cleared.
pub fn marking(terms: Terms, mark: Mark) -> Mark {
    if terms.mark { mark } else { Mark { value: 0, ..mark } }
}

#[cfg(test)]
mod tests;
