//! Another address of the table for each packet: the destination is written over after the packet is received.
//!
//! Packets to addresses of the table must not exist, not even between namespaces, and documentation space has too few
//! addresses to hold an IPv4 table of that size. So what is held goes to one documentation address, and is
//! judged by a copy that has another destination. The copies are one line of the cache each and stay there; what the
//! copying takes is shown by a contestant of its own, which does nothing else beside the ceiling.

use std::sync::Arc;

use kordon::failure::Failure;
use kordon::packet::Held;
use kordon::queue::{Around, BATCH, PacketQueue};

use super::COPY_RANGE;

/// Copies of one held packet, each with another destination.
pub(super) struct Copies {
    copies: Vec<Copy>,
    addresses: Arc<Vec<[u8; 4]>>,
    next: usize,
}

#[derive(Clone)]
#[repr(align(64))]
struct Copy([u8; COPY_RANGE as usize]);

impl Copies {
    /// The addresses are taken in turn, from number `first` on.
    pub(super) fn new(addresses: &Arc<Vec<[u8; 4]>>, first: usize) -> Self {
        Copies { copies: Vec::new(), addresses: Arc::clone(addresses), next: first }
    }

    /// Writes the destinations for a batch of `count` packets, of which all are like this one.
    #[inline]
    pub(super) fn write<'a>(&mut self, count: usize, like: impl FnOnce() -> &'a [u8]) {
        if self.copies.is_empty() && count > 0 {
            let mut copy = Copy([0; COPY_RANGE as usize]);
            let bytes = like();
            copy.0[..bytes.len()].copy_from_slice(bytes);
            self.copies = vec![copy; BATCH];
        }
        for Copy(copy) in self.copies.iter_mut().take(count) {
            copy[16..20].copy_from_slice(&self.addresses[self.next]);
            self.next += 1;
            if self.next == self.addresses.len() {
                self.next = 0;
            }
        }
    }

    #[inline]
    fn bytes(&self, index: usize, length: usize) -> &[u8] {
        self.copies.get(index).and_then(|Copy(copy)| copy.get(..length)).unwrap_or_default()
    }
}

/// A queue whose packets are judged by such copies.
pub(super) struct Cold<Q> {
    pub(super) queue: Q,
    pub(super) copies: Copies,
}

impl<Q: PacketQueue> Around for Cold<Q> {
    type Inner = Q;

    fn inner(&self) -> &Q {
        &self.queue
    }

    fn inner_mut(&mut self) -> &mut Q {
        &mut self.queue
    }

    fn receive(&mut self) -> Result<usize, Failure> {
        let count = self.queue.receive()?;
        self.copies.write(count, || self.queue.held(0).bytes);
        Ok(count)
    }

    fn held(&self, index: usize) -> Held<'_> {
        let held = self.queue.held(index);
        Held { bytes: self.copies.bytes(index, held.bytes.len()), ..held }
    }
}
