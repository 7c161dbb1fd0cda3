//! Queues of held packets: the seam between the kernel and a packet thread.
//!
//! A backend receives a batch of held packets and answers each of them exactly once. What was not judged
//! when the batch is answered is dropped. The only room that knows netlink.
//!
//! [`NativeQueue`] is the default; [`NfqQueue`] keeps the same promises on the `nfq` crate. A worker is
//! generic over [`PacketQueue`]; counters and gauge are taken from the backend before the worker owns it.

mod adopt;
mod answered;
mod around;
mod batch;
mod codec;
mod crate_nfq;
mod losses;
mod native;
mod options;
mod refusal;
mod takeover;

pub use adopt::{NotAdopted, ROOM as TAKEOVER_ROOM, Stored};
pub use around::Around;
pub use crate_nfq::NfqQueue;
pub use losses::{BufferGauge, BufferUse, QueueCounters, QueueLosses};
pub use native::NativeQueue;

use crate::failure::Failure;
use crate::packet::Held;
use crate::verdict::{Mark, Verdict};

/// The most packets that one batch holds.
pub const BATCH: usize = 64;

/// How a queue is opened; one per packet thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSettings {
    /// The NFQUEUE number.
    pub number: u16,
    /// Bytes of each packet that the kernel copies to us, from the IP header on.
    pub copy_range: u16,
    /// The most packets that the kernel holds in this queue.
    pub max_length: u32,
    /// Bytes of socket receive buffer asked for (the kernel doubles what it is told; this is after doubling).
    pub buffer_bytes: usize,
    /// Set `NFQA_CFG_F_FAIL_OPEN`: the kernel accepts what does not fit. Only by configuration or command.
    pub fail_open: bool,
    /// The mark that an accepted packet gets.
    pub accept_mark: Mark,
}

/// One queue of held packets.
///
/// A packet thread calls [`receive`](Self::receive), judges each index below the returned count, and calls
/// [`answer`](Self::answer); then the batch is gone. A thread that stops does so after `answer`: then nothing
/// that it read is left without a verdict.
pub trait PacketQueue: Send {
    /// Waits for held packets, at most about 250 ms, and returns how many the batch now holds (0 after the
    /// wait, or when only error replies came). Answers the last batch first if that was not done.
    ///
    /// # Errors
    ///
    /// Fatal to the thread, it cannot go on answering: `NoPermission` when the kernel refused verdicts,
    /// `Failed` when the queue is gone or the socket broke.
    fn receive(&mut self) -> Result<usize, Failure>;

    /// The held packet at `index`, below what `receive` returned. Beyond it, and where the kernel's message
    /// was cut short: a packet without bytes.
    fn held(&self, index: usize) -> Held<'_>;

    /// Notes the verdict of the packet at `index`; the last one counts. A packet never judged is dropped, and so
    /// is one whose message was cut short, whatever is judged.
    fn judge(&mut self, index: usize, verdict: Verdict);

    /// Answers every packet of the batch once, in order. `Accept` sets the masked mark, `Drop` sets none.
    ///
    /// # Errors
    ///
    /// As for [`receive`](Self::receive): some packets are still held, and only the end of the process,
    /// which closes the socket, frees (drops) them.
    fn answer(&mut self) -> Result<(), Failure>;

    /// Changes, from the next answer on, the mark of accepted packets, and asks the kernel to accept what
    /// finds no room, or to drop it. For a batch that is received and not answered yet, the new mark counts.
    fn change(&mut self, accept_mark: Mark, fail_open: bool);

    /// Whether the kernel has confirmed what [`change`](Self::change) asked of it last: replies come with the
    /// packets.
    ///
    /// # Errors
    ///
    /// Why it will not; what it did before is then still so. Not fatal to the thread.
    fn changed(&self) -> Result<bool, Failure>;

    /// Notes for a successor that everything received is answered. The last call, after
    /// [`answer`](Self::answer). A queue that has no successors has nothing to note.
    fn leave(&mut self) {}
}
