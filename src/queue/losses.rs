//! What a queue lost, and how full its socket is; read by telemetry from another thread.
//!
//! Counters only grow. A packet id that was never received is a lost packet: ids within one queue are
//! consecutive and wrap at 32 bits (net/netfilter/nfnetlink_queue.c, `id_sequence`). But a gap shows only with
//! the packet behind it, which may never come. The kernel counts at once what found no room in a socket
//! (`sk_drops`), whoever reads it; it also counts replies that found none, which are no packets. So what is lost
//! is the greater of the two counts, both from the opening of the socket on: gaps and the kernel's.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use nix::sys::socket::getsockopt;

use super::options::MemInfo;

/// Counters of one queue, shared between its packet thread and telemetry.
#[derive(Debug, Default)]
pub struct QueueCounters {
    /// Gaps that this process saw.
    gaps: AtomicU64,
    /// Gaps that the predecessors on this socket saw; wraps.
    inherited: AtomicU32,
    late_verdict: AtomicU64,
    orphan: AtomicU64,
    malformed: AtomicU64,
}

/// The counters of one queue at a moment; packets, if not said otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueLosses {
    /// Did not fit into the socket's buffer (with `fail_open` the kernel accepted them unjudged), and no
    /// predecessor on the socket saw it.
    pub lost_buffer: u64,
    /// The same, as the predecessors saw; modulo 2^32.
    pub lost_buffer_before: u64,
    /// Gone before their verdict came: the kernel had dropped them itself. Of packets that were answered together,
    /// only where all of them were gone: the kernel's replies do not count.
    pub late_verdict: u64,
    /// Read by nobody who could judge them, and dropped without judgement.
    pub orphan: u64,
    /// Messages that were cut short, could not be read, or make no sense.
    pub malformed: u64,
}

impl QueueCounters {
    /// The counters now; `buffer` is the socket's, read just before.
    pub fn read(&self, buffer: Option<BufferUse>) -> QueueLosses {
        let gaps = self.gaps.load(Ordering::Relaxed);
        let inherited = self.inherited.load(Ordering::Relaxed);
        // In the kernel's 32 bits; gaps that came since it was asked make this negative.
        let seen = inherited.wrapping_add(gaps as u32);
        let unseen = buffer.map_or(0, |buffer| buffer.dropped.wrapping_sub(seen) as i32);
        QueueLosses {
            lost_buffer: gaps + u64::from(unseen.max(0).unsigned_abs()),
            lost_buffer_before: u64::from(inherited),
            late_verdict: self.late_verdict.load(Ordering::Relaxed),
            orphan: self.orphan.load(Ordering::Relaxed),
            malformed: self.malformed.load(Ordering::Relaxed),
        }
    }

    pub(super) fn add_lost_buffer(&self, packets: u32) {
        self.gaps.fetch_add(u64::from(packets), Ordering::Relaxed);
    }

    /// Goes on after predecessors that saw so many.
    pub(super) fn inherit(&self, lost_buffer: u32) {
        self.inherited.store(lost_buffer, Ordering::Relaxed);
    }

    pub(super) fn add_late_verdicts(&self, packets: u32) {
        self.late_verdict.fetch_add(u64::from(packets), Ordering::Relaxed);
    }

    pub(super) fn add_orphans(&self, packets: u32) {
        self.orphan.fetch_add(u64::from(packets), Ordering::Relaxed);
    }

    pub(super) fn add_malformed(&self) {
        self.malformed.fetch_add(1, Ordering::Relaxed);
    }
}

/// Finds gaps in packet ids; the first id is the baseline, unless there is an earlier one to go on from.
#[derive(Debug, Default)]
pub(super) struct IdSequence {
    last: Option<u32>,
}

impl IdSequence {
    /// The last id, if there was one.
    pub(super) fn last(&self) -> Option<u32> {
        self.last
    }
}

impl From<u32> for IdSequence {
    /// Goes on from this id.
    fn from(last: u32) -> Self {
        IdSequence { last: Some(last) }
    }
}

impl IdSequence {
    /// How many packets between the last id and this one never came. A step backwards (half the range or
    /// more) is no loss: it starts anew from there.
    pub(super) fn lost_before(&mut self, id: u32) -> u32 {
        let Some(last) = self.last.replace(id) else { return 0 };
        match id.wrapping_sub(last) {
            step @ 1..=0x7fff_ffff => step - 1,
            0 | 0x8000_0000..=u32::MAX => 0,
        }
    }
}

/// Reads how full a queue's socket is, without a lock and from any thread.
#[derive(Debug)]
pub struct BufferGauge {
    socket: OwnedFd,
}

/// The receive buffer of a queue's socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferUse {
    /// Bytes in use, as the kernel charges them (832 B for a small packet).
    pub used: u64,
    /// Bytes of the buffer, after the kernel's doubling.
    pub size: u64,
    /// Messages that did not fit since the socket was opened; wraps.
    pub dropped: u32,
}

impl BufferGauge {
    /// A gauge of this socket; a duplicate of the queue's own descriptor.
    pub(super) fn new(socket: OwnedFd) -> Self {
        BufferGauge { socket }
    }

    /// The buffer now; `None` where the kernel does not say (before Linux 4.12).
    pub fn read(&self) -> Option<BufferUse> {
        // SK_MEMINFO_RMEM_ALLOC 0, SK_MEMINFO_RCVBUF 1, SK_MEMINFO_DROPS 8.
        let [used, size, _, _, _, _, _, _, dropped] = getsockopt(&self.socket, MemInfo).ok()?;
        Some(BufferUse { used: u64::from(used), size: u64::from(size), dropped })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(ids: &[u32]) -> Vec<u32> {
        let mut sequence = IdSequence::default();
        ids.iter().map(|id| sequence.lost_before(*id)).collect()
    }

    #[test]
    fn first_id_is_the_baseline() {
        assert_eq!(lost(&[1]), [0]);
        assert_eq!(lost(&[309, 310]), [0, 0]);
    }

    #[test]
    fn gap_is_counted_once() {
        assert_eq!(lost(&[1, 310, 311]), [0, 308, 0]);
    }

    #[test]
    fn ids_wrap() {
        assert_eq!(lost(&[u32::MAX - 1, u32::MAX, 0, 1]), [0, 0, 0, 0]);
        assert_eq!(lost(&[u32::MAX, 2]), [0, 2]);
    }

    /// What is counted after these gaps, where the kernel counted so many.
    fn counted(inherited: u32, gaps: u32, dropped: u32) -> u64 {
        let counters = QueueCounters::default();
        counters.inherit(inherited);
        counters.add_lost_buffer(gaps);
        let losses = counters.read(Some(BufferUse { used: 0, size: 0, dropped }));
        assert_eq!(losses.lost_buffer_before, u64::from(inherited));
        losses.lost_buffer
    }

    #[test]
    fn losses_that_no_packet_follows_are_counted_once() {
        let counters = QueueCounters::default();
        counters.add_lost_buffer(5);
        assert_eq!(counters.read(None).lost_buffer, 5);
        assert_eq!(counted(0, 5, 5), 5);
        // Three more, and then the packet that shows them.
        assert_eq!(counted(0, 5, 8), 8);
        assert_eq!(counted(0, 8, 8), 8);
        // The gap was seen after the kernel was asked.
        assert_eq!(counted(0, 8, 5), 8);
    }

    #[test]
    fn losses_of_a_predecessor_are_its_own() {
        // It saw seven gaps; two more losses came before anybody read again.
        assert_eq!(counted(7, 0, 7), 0);
        assert_eq!(counted(7, 0, 9), 2);
        assert_eq!(counted(7, 2, 9), 2);
    }

    #[test]
    fn kernel_count_of_losses_wraps() {
        assert_eq!(counted(u32::MAX - 1, 1, 3), 5);
        assert_eq!(counted(u32::MAX, 1, 0), 1);
        assert_eq!(counted(3, 0, u32::MAX), 0);
    }

    #[test]
    fn step_backwards_is_no_loss_and_starts_anew() {
        assert_eq!(lost(&[500, 1, 2, 4]), [0, 0, 0, 1]);
        assert_eq!(lost(&[5, 5, 6]), [0, 0, 0]);
        assert_eq!(lost(&[0, 0x8000_0000, 0x8000_0001]), [0, 0, 0]);
        assert_eq!(lost(&[0, 0x7fff_ffff]), [0, 0x7fff_fffe]);
    }
}
