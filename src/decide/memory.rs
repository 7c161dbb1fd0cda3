//! What a packet thread remembers of flows: which tunnel each was recognised as.
//!
//! Invariant: bounded, whatever the cameras send; without a clock of its own.

use crate::packet::{Headers, Held};
use crate::verdict::Tunnel;

/// The memory of one packet thread.
#[derive(Debug, Default)]
pub struct FlowMemory {}

impl FlowMemory {
    /// Takes note of the time, in whole seconds since any moment that stays the same; once per batch.
    #[inline]
    pub fn tick(&mut self, now: u32) {
        let _ = now;
    }

    /// The tunnel that this packet belongs to, by itself or by what its flow did before.
    #[inline]
    pub fn tunnel(&mut self, headers: &Headers, held: Held<'_>) -> Option<Tunnel> {
        let _ = (headers, held);
        None
    }
}
