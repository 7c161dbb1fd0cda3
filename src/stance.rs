//! The terms on which packets are answered now: what changes with the mode while packets flow.
//!
//! Invariants: a packet thread reads them once per batch, by one atomic load; each posting has a number of
//! its own, so that whoever posted terms can tell when a thread answers by them and not by older ones.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::failure::Failure;

/// The terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Judgements are carried out; otherwise everything is accepted and counted.
    pub enforce: bool,
    /// Accepted packets get the mark that the gate asks for. Where no gate stands, nobody would clear it.
    pub mark: bool,
    /// The kernel accepts what finds no room in the queue.
    pub fail_open: bool,
}

impl Terms {
    /// Judgements are carried out and nothing passes without one.
    pub const CLOSED: Terms = Terms { enforce: true, mark: true, fail_open: false };
}

/// Terms, and the number of their posting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posted(u32);

/// Where the terms are posted: one writer at a time, any number of readers.
#[derive(Debug)]
pub struct Stance(AtomicU32);

/// Bits of [`Posted`] below its number.
const BITS: u32 = 3;

impl Posted {
    /// The first posting of these terms.
    pub const fn first(terms: Terms) -> Self {
        Posted((terms.enforce as u32) | (terms.mark as u32) << 1 | (terms.fail_open as u32) << 2)
    }

    /// The terms.
    #[inline]
    pub const fn terms(self) -> Terms {
        Terms { enforce: self.0 & 1 != 0, mark: self.0 & 2 != 0, fail_open: self.0 & 4 != 0 }
    }
}

impl Stance {
    /// A place where these terms are posted.
    pub fn new(terms: Terms) -> Self {
        Stance(AtomicU32::new(Posted::first(terms).0))
    }

    /// The terms posted last.
    #[inline]
    pub fn read(&self) -> Posted {
        Posted(self.0.load(Ordering::Acquire))
    }

    /// Posts terms, also where they are the same as before, and returns the posting.
    pub fn post(&self, terms: Terms) -> Posted {
        let number = (self.0.load(Ordering::Acquire) >> BITS).wrapping_add(1);
        let posted = Posted(number << BITS | Posted::first(terms).0);
        self.0.store(posted.0, Ordering::Release);
        posted
    }
}

/// What one packet thread says about the terms: on which it answers, and on no older ones.
#[derive(Debug)]
pub struct Heard {
    word: AtomicU32,
    refused: Mutex<Option<Failure>>,
}

impl Default for Heard {
    fn default() -> Self {
        // A word that nobody posts before 2^29 changes.
        Heard { word: AtomicU32::new(u32::MAX), refused: Mutex::default() }
    }
}

impl Heard {
    /// Notes that the thread answers on these terms, and what the kernel refused of them.
    pub fn note(&self, posted: Posted, refused: Option<Failure>) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = refused;
        self.word.store(posted.0, Ordering::Release);
    }

    /// Whether the thread answers on these terms.
    ///
    /// # Errors
    /// It does, but the kernel refused its part: what becomes of packets that find no room.
    pub fn answers(&self, posted: Posted) -> Result<bool, Failure> {
        if self.word.load(Ordering::Acquire) != posted.0 {
            return Ok(false);
        }
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.clone().map_or(Ok(true), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_read_as_posted_and_each_posting_differs() {
        let all = [false, true];
        let stance = Stance::new(Terms { enforce: true, mark: true, fail_open: false });
        let mut seen = vec![stance.read()];
        for enforce in all {
            for mark in all {
                for fail_open in all {
                    let terms = Terms { enforce, mark, fail_open };
                    for _ in 0..2 {
                        let posted = stance.post(terms);
                        assert_eq!((stance.read(), posted.terms()), (posted, terms));
                        assert!(!seen.contains(&posted));
                        seen.push(posted);
                    }
                }
            }
        }
    }
}
