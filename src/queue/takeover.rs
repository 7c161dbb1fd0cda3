//! What a predecessor read and nobody answered: which packets these are, and how many. Pure.
//!
//! The predecessor recorded each batch after it received it and before it answered it
//! ([`Record`]). So at its end the kernel may still hold, without anybody to judge them, either
//! the recorded batch, or a batch that it had just received and not recorded yet. Two batch drops find out, each
//! answered by the kernel with success (something was held) or `ENOENT` (nothing was):
//!
//! 1. up to the recorded id, sent at once;
//! 2. up to the id before the first packet that we receive, if ids are missing between the two.
//!
//! Missing ids are the second kind of orphan only if the second drop hit something; otherwise they were lost in
//! the buffer. All arithmetic on ids wraps.

use super::answered::Record;

/// The sequence numbers of the two drops.
pub(super) const RECORDED: u32 = 1;
pub(super) const UNRECORDED: u32 = 2;

/// Follows a takeover until both questions are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Takeover {
    /// Packets of the recorded batch.
    batch: u32,
    /// Packets lost in the buffer that no gap had shown yet when we took over.
    unseen: u32,
    /// Missing ids between the recorded and the first received one; `None` before that one came.
    gap: Option<u32>,
}

/// How packets were lost that nobody judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lost {
    /// Read by the predecessor and not answered.
    pub(super) orphans: u32,
    /// Never in the socket, for want of room.
    pub(super) buffer: u32,
}

impl Takeover {
    /// Begins: `dropped` is the kernel's count of messages that did not fit into the buffer.
    pub(super) fn new(record: &Record, dropped: u32) -> Self {
        Takeover { batch: record.batch, unseen: dropped.wrapping_sub(record.lost), gap: None }
    }

    /// Notes the first packet; `gap` is how many ids are missing before it. True if the second drop is to be
    /// sent: then the gap is counted when it is answered.
    pub(super) fn first(&mut self, gap: u32) -> bool {
        match self.gap {
            None => {
                self.gap = Some(gap);
                gap > 0
            }
            Some(_) => false,
        }
    }

    /// Notes the answer to the drop with this sequence number: whether it hit anything.
    pub(super) fn answered(&mut self, sequence: u32, hit: bool) -> Lost {
        let gap = self.gap.unwrap_or(0);
        match (sequence, hit) {
            (RECORDED, true) => Lost { orphans: self.batch, buffer: 0 },
            (RECORDED, false) => Lost::default(),
            // Something was held, so at least one was an orphan.
            (UNRECORDED, true) => {
                let buffer = self.unseen.min(gap.saturating_sub(1));
                Lost { orphans: gap.saturating_sub(buffer), buffer }
            }
            (UNRECORDED, false) => Lost { orphans: 0, buffer: gap },
            (_, _) => Lost::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::losses::IdSequence;
    use super::*;
    use proptest::prelude::*;

    /// A queue as the kernel keeps it: what it holds, what waits in the socket, what found no room.
    #[derive(Default)]
    struct Kernel {
        next: u32,
        held: Vec<u32>,
        waiting: std::collections::VecDeque<u32>,
        dropped: u32,
    }

    impl Kernel {
        fn packet(&mut self, room: bool) {
            let id = self.next;
            self.next = id.wrapping_add(1);
            if room {
                self.held.push(id);
                self.waiting.push_back(id);
            } else {
                self.dropped = self.dropped.wrapping_add(1);
            }
        }

        fn receive(&mut self, most: usize) -> Vec<u32> {
            let count = most.min(self.waiting.len());
            self.waiting.drain(..count).collect()
        }

        fn answer(&mut self, ids: &[u32]) {
            self.held.retain(|id| !ids.contains(id));
        }

        /// As `nfqnl_recv_verdict_batch` compares: by the sign of the difference. How many were hit.
        fn drop_up_to(&mut self, id: u32) -> u32 {
            let before = self.held.len();
            self.held.retain(|held| (held.wrapping_sub(id) as i32) > 0);
            (before - self.held.len()) as u32
        }
    }

    /// Where the predecessor was killed.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Killed {
        Received,
        Recorded,
        Answered,
    }

    fn killed() -> impl Strategy<Value = Killed> {
        prop_oneof![Just(Killed::Received), Just(Killed::Recorded), Just(Killed::Answered)]
    }

    proptest! {
        /// Whatever happened: what is counted is what was lost, and nothing is held that nobody can judge.
        #[test]
        fn orphans_and_buffer_losses_are_told_apart(
            first_id in prop_oneof![Just(1u32), any::<u32>(), (0u32..300).prop_map(|n| u32::MAX - n)],
            before in proptest::collection::vec((1usize..90, proptest::bool::weighted(0.9)), 0..6),
            last in 0usize..90, overflow in 0u32..3, between in 0usize..5,
            killed in killed(), waiting in 0usize..100,
        ) {
            let mut kernel = Kernel { next: first_id, ..Kernel::default() };
            let mut record = Record { received: first_id.wrapping_sub(1), ..Record::default() };
            let mut sequence = IdSequence::from(record.received);
            let mut note = |record: &mut Record, batch: &[u32]| {
                for id in batch {
                    record.lost = record.lost.wrapping_add(sequence.lost_before(*id));
                }
                if let Some(id) = batch.last() {
                    (record.received, record.batch) = (*id, batch.len() as u32);
                }
            };
            // The predecessor's life.
            for (packets, room) in before {
                (0..packets).for_each(|_| kernel.packet(room));
                while let batch @ [_, ..] = &kernel.receive(64)[..] {
                    note(&mut record, batch);
                    kernel.answer(batch);
                }
            }
            (0..last).for_each(|_| kernel.packet(true));
            let batch = kernel.receive(64);
            let mut unanswered = batch.len() as u32;
            if killed != Killed::Received { note(&mut record, &batch) }
            if killed == Killed::Answered { kernel.answer(&batch); unanswered = 0 }
            // Nobody reads.
            (0..overflow).for_each(|_| kernel.packet(false));
            (0..between).for_each(|_| kernel.packet(true));
            let dropped = kernel.dropped;
            // The successor.
            let (mut takeover, mut lost) = (Takeover::new(&record, dropped), Lost::default());
            let add = |lost: &mut Lost, more: Lost| {
                lost.orphans += more.orphans;
                lost.buffer += more.buffer;
            };
            let hit = kernel.drop_up_to(record.received);
            add(&mut lost, takeover.answered(RECORDED, hit > 0));
            (0..waiting).for_each(|_| kernel.packet(true));
            let uncounted = record.lost;
            let mut sequence = IdSequence::from(record.received);
            while let batch @ [_, ..] = &kernel.receive(64)[..] {
                for id in batch {
                    let gap = sequence.lost_before(*id);
                    if takeover.first(gap) {
                        let hit = kernel.drop_up_to(id.wrapping_sub(1));
                        add(&mut lost, takeover.answered(UNRECORDED, hit > 0));
                    } else {
                        lost.buffer += gap;
                    }
                }
                kernel.answer(batch);
            }
            // One more shows a gap at the end.
            kernel.packet(true);
            for id in kernel.receive(64) {
                let gap = sequence.lost_before(id);
                if takeover.first(gap) {
                    let hit = kernel.drop_up_to(id.wrapping_sub(1));
                    add(&mut lost, takeover.answered(UNRECORDED, hit > 0));
                } else {
                    lost.buffer += gap;
                }
                kernel.answer(&[id]);
            }
            prop_assert_eq!(&kernel.held, &[] as &[u32]);
            prop_assert_eq!(lost.orphans + lost.buffer, unanswered + dropped.wrapping_sub(uncounted));
            // Exact, but where the buffer overflowed at the very moment of a kill before the record.
            if killed != Killed::Received || dropped == uncounted {
                prop_assert_eq!(lost.orphans, unanswered);
            }
        }
    }

    #[test]
    fn recorded_batch_is_lost_only_if_the_kernel_still_held_it() {
        let record = Record { received: 100, batch: 64, ..Record::default() };
        assert_eq!(
            Takeover::new(&record, 0).answered(RECORDED, true),
            Lost { orphans: 64, buffer: 0 }
        );
        assert_eq!(Takeover::new(&record, 0).answered(RECORDED, false), Lost::default());
    }
}
