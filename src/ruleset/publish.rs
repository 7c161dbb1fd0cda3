//! Publication of a rule set: whole, by one pointer, freed off the packet threads.
//!
//! A packet thread notices a new rule set by one atomic load per batch and takes the lock only then. The
//! publisher keeps what it replaced until nobody else does ([`Published::sweep`]), so that no packet
//! thread ever frees a table.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Ruleset;

/// The rule set in force, and those it replaced that somebody may still hold.
pub struct Published {
    generation: AtomicU64,
    /// What packet threads wait for. Whoever holds it may have the lowest priority, so it is held for a few
    /// instructions only.
    current: Mutex<Arc<Ruleset>>,
    /// Replaced ones. Whoever publishes holds it meanwhile, so that generations count up one by one.
    retired: Mutex<Vec<Arc<Ruleset>>>,
}

impl Published {
    /// Publishes the first rule set, as generation 1.
    pub fn new(mut first: Ruleset) -> Self {
        first.generation = 1;
        Published {
            generation: AtomicU64::new(1),
            current: Mutex::new(Arc::new(first)),
            retired: Mutex::default(),
        }
    }

    /// Puts `next` in force and returns its generation. Every batch received from now on is judged by it.
    pub fn publish(&self, mut next: Ruleset) -> u64 {
        let mut retired = lock(&self.retired);
        let generation = self.generation.load(Ordering::Acquire) + 1;
        next.generation = generation;
        let mut next = Arc::new(next);
        {
            let mut current = lock(&self.current);
            std::mem::swap(&mut *current, &mut next);
            self.generation.store(generation, Ordering::Release);
        }
        retired.push(next);
        generation
    }

    /// The rule set in force. Not for packet threads: see [`Follower`].
    pub fn current(&self) -> Arc<Ruleset> {
        Arc::clone(&lock(&self.current))
    }

    /// Frees the replaced rule sets that nobody holds any more; returns how many are still held.
    pub fn sweep(&self) -> usize {
        let retired = std::mem::take(&mut *lock(&self.retired));
        // Freed here, outside the lock: a full table takes milliseconds.
        let held: Vec<_> = retired.into_iter().filter(|old| Arc::strong_count(old) > 1).collect();
        let count = held.len();
        lock(&self.retired).extend(held);
        count
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic ends the process (crate::contain); the state is whole in any case.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A packet thread's view of the rule set in force.
pub struct Follower {
    published: Arc<Published>,
    held: Arc<Ruleset>,
}

impl Follower {
    /// Follows what is published.
    pub fn new(published: Arc<Published>) -> Self {
        let held = published.current();
        Follower { published, held }
    }

    /// The rule set in force now; to be asked once per batch, after the batch was received.
    #[inline]
    pub fn current(&mut self) -> &Ruleset {
        if self.published.generation.load(Ordering::Acquire) != self.held.generation {
            // The publisher keeps the old one, so this never frees it.
            self.held = self.published.current();
        }
        &self.held
    }
}

#[cfg(test)]
mod tests;
