//! What a queue lost, and how full its socket is; read by telemetry from another thread.
//!
//! Counters only grow. A packet id that was never received is a lost packet: ids within one queue are
//! consecutive and wrap at 32 bits (net/netfilter/nfnetlink_queue.c, `id_sequence`).

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::socket::getsockopt;

use super::options::MemInfo;

/// Counters of one queue, shared between its packet thread and telemetry.
#[derive(Debug, Default)]
pub struct QueueCounters {
    lost_buffer: AtomicU64,
    late_verdict: AtomicU64,
    orphan: AtomicU64,
    malformed: AtomicU64,
}

/// The counters of one queue at a moment; packets, if not said otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueLosses {
    /// Did not fit into the socket's buffer (with `fail_open` the kernel accepted them unjudged).
    pub lost_buffer: u64,
    /// Gone before their verdict came: the kernel had dropped them itself. Of packets that were answered together,
    /// only where all of them were gone: the kernel's replies do not count.
    pub late_verdict: u64,
    /// Read by nobody who could judge them, and dropped without judgement.
    pub orphan: u64,
    /// Messages that were cut short, could not be read, or make no sense.
    pub malformed: u64,
}

impl QueueCounters {
    /// The counters now.
    pub fn read(&self) -> QueueLosses {
        QueueLosses {
            lost_buffer: self.lost_buffer.load(Ordering::Relaxed),
            late_verdict: self.late_verdict.load(Ordering::Relaxed),
            orphan: self.orphan.load(Ordering::Relaxed),
            malformed: self.malformed.load(Ordering::Relaxed),
        }
    }

    pub(super) fn add_lost_buffer(&self, packets: u32) {
        self.lost_buffer.fetch_add(u64::from(packets), Ordering::Relaxed);
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
    /// Messages that did not fit since the socket was opened.
    pub dropped: u64,
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
        Some(BufferUse {
            used: u64::from(used),
            size: u64::from(size),
            dropped: u64::from(dropped),
        })
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

    #[test]
    fn step_backwards_is_no_loss_and_starts_anew() {
        assert_eq!(lost(&[500, 1, 2, 4]), [0, 0, 0, 1]);
        assert_eq!(lost(&[5, 5, 6]), [0, 0, 0]);
        assert_eq!(lost(&[0, 0x8000_0000, 0x8000_0001]), [0, 0, 0]);
        assert_eq!(lost(&[0, 0x7fff_ffff]), [0, 0x7fff_fffe]);
    }
}
