//! A queue around another one that does some of its steps otherwise: a fault, a brake, a measurement.
//!
//! Invariant: what the outer one does not say is done by the inner one, so no step can be forgotten on the way.

use super::PacketQueue;
use crate::failure::Failure;
use crate::packet::Held;
use crate::verdict::{Mark, Verdict};

/// What stands around a queue; whoever has it is a [`PacketQueue`]. Each step is the inner queue's, unless it is said
/// otherwise.
pub trait Around: Send {
    /// The queue within.
    type Inner: PacketQueue;

    /// The queue within.
    fn inner(&self) -> &Self::Inner;

    /// The queue within.
    fn inner_mut(&mut self) -> &mut Self::Inner;

    /// As [`PacketQueue::receive`].
    ///
    /// # Errors
    /// As there.
    #[inline]
    fn receive(&mut self) -> Result<usize, Failure> {
        self.inner_mut().receive()
    }

    /// As [`PacketQueue::held`].
    #[inline]
    fn held(&self, index: usize) -> Held<'_> {
        self.inner().held(index)
    }

    /// As [`PacketQueue::judge`].
    #[inline]
    fn judge(&mut self, index: usize, verdict: Verdict) {
        self.inner_mut().judge(index, verdict);
    }

    /// As [`PacketQueue::answer`].
    ///
    /// # Errors
    /// As there.
    #[inline]
    fn answer(&mut self) -> Result<(), Failure> {
        self.inner_mut().answer()
    }
}

impl<T: Around> PacketQueue for T {
    #[inline]
    fn receive(&mut self) -> Result<usize, Failure> {
        Around::receive(self)
    }

    #[inline]
    fn held(&self, index: usize) -> Held<'_> {
        Around::held(self, index)
    }

    #[inline]
    fn judge(&mut self, index: usize, verdict: Verdict) {
        Around::judge(self, index, verdict);
    }

    #[inline]
    fn answer(&mut self) -> Result<(), Failure> {
        Around::answer(self)
    }

    fn change(&mut self, accept_mark: Mark, fail_open: bool) {
        self.inner_mut().change(accept_mark, fail_open);
    }

    fn changed(&self) -> Result<bool, Failure> {
        self.inner().changed()
    }

    fn leave(&mut self) {
        self.inner_mut().leave();
    }
}
