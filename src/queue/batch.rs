//! A batch of held packets in a fixed slab: datagrams in, packets to judge, verdicts out. No system call.
//!
//! Every packet whose id could be read becomes an entry, and every entry leaves with a verdict: `Drop`
//! unless somebody said otherwise. A message that was cut short is an entry that nobody can accept. A
//! datagram may carry several messages; what does not fit into this batch is read into the next.

use std::io::IoSliceMut;

use nix::errno::Errno;

use super::BATCH;
use super::answered::Record;
use super::codec::{self, Incoming, Messages, Packet, Reply, Shapes};
use super::losses::{IdSequence, QueueCounters};
use super::native::CONFIGURE;
use super::takeover::{Lost, Takeover};
use crate::packet::Held;
use crate::verdict::{Mark, Verdict};

/// Room in a slot beside the copied bytes: all attributes that the kernel sends to a queue configured as
/// ours are below 200 bytes together; an error reply echoes at most our 64-byte configuration.
const ROOM: usize = 256;
/// The most that the kernel copies (net/netfilter/nfnetlink_queue.c, `NFQNL_MAX_COPY_RANGE`); a range of
/// 0 asks for it.
const MOST_COPIED: u16 = u16::MAX - 4;
/// In the sequence number of a batch verdict that answers what was judged; the rest of it is how many packets it answers.
/// The drops of a takeover have other numbers.
const RUN: u32 = 1 << 31;

/// The datagrams of one receive call and the packets in them.
#[derive(Debug)]
pub(super) struct Batch {
    slab: Vec<u8>,
    slot: usize,
    /// Bytes in each slot; 0 for a datagram to ignore.
    lengths: [usize; BATCH],
    /// Slots in use.
    datagrams: usize,
    /// The next message to read: slot, and byte in it.
    next: (usize, usize),
    entries: Vec<Entry>,
    /// What messages looked like.
    shapes: Shapes,
    sequence: IdSequence,
    /// The predecessor's end, where there was one.
    takeover: Option<Takeover>,
    /// Up to which id the second drop of the takeover is to go.
    orphans_before: Option<u32>,
    /// Packets lost in the buffer since the socket was opened, by whomever.
    lost: u32,
    /// The last reply to a change while packets flow: sequence number and error number.
    changed: Option<(u32, i32)>,
    /// The kernel may hold a packet whose id could not be read: then nothing is answered but by its id.
    nameless: bool,
}

/// A packet that waits for its verdict.
#[derive(Debug, Clone, Copy)]
struct Entry {
    packet: Packet,
    /// Where its bytes start in the slab.
    start: usize,
    verdict: Verdict,
}

impl Batch {
    /// An empty batch for packets of which `copy_range` bytes are copied.
    pub(super) fn new(copy_range: u16) -> Self {
        let copied = match copy_range {
            0 => MOST_COPIED,
            range => range.min(MOST_COPIED),
        };
        let slot = usize::from(copied) + ROOM;
        Batch {
            slab: vec![0; slot * BATCH],
            slot,
            lengths: [0; BATCH],
            datagrams: 0,
            next: (0, 0),
            entries: Vec::with_capacity(BATCH),
            shapes: Shapes::default(),
            sequence: IdSequence::default(),
            takeover: None,
            orphans_before: None,
            lost: 0,
            changed: None,
            nameless: false,
        }
    }

    /// Goes on where a predecessor ended; `dropped` is the kernel's count of messages that found no room.
    pub(super) fn take_over(&mut self, record: &Record, dropped: u32) {
        self.sequence = IdSequence::from(record.received);
        // Where everything was answered, there is nothing to find out: what is missing found no room.
        self.takeover = (!record.is_settled()).then(|| Takeover::new(record, dropped));
        self.lost = record.lost;
    }

    /// The slots to receive into. What they held is forgotten.
    pub(super) fn slots(&mut self) -> [[IoSliceMut<'_>; 1]; BATCH] {
        self.datagrams = 0;
        self.next = (0, 0);
        let mut slots = self.slab.chunks_exact_mut(self.slot);
        std::array::from_fn(|_| [IoSliceMut::new(slots.next().unwrap_or_default())])
    }

    /// Says how many bytes each received datagram has, in the order of the slots; 0 to ignore one.
    pub(super) fn received(&mut self, lengths: impl Iterator<Item = usize>) {
        self.datagrams = 0;
        self.next = (0, 0);
        for (place, length) in self.lengths.iter_mut().zip(lengths) {
            *place = length.min(self.slot);
            self.datagrams += 1;
        }
    }

    /// The datagrams received, with all their bytes.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        let slots = self.slab.chunks_exact(self.slot).zip(&self.lengths).take(self.datagrams);
        slots.map(|(slot, length)| slot.get(..*length).unwrap_or_default())
    }

    /// Puts back datagrams that were set aside, as if just received; those that fit.
    pub(super) fn put_back(&mut self, aside: &mut impl Iterator<Item = Vec<u8>>) {
        let mut lengths = Vec::with_capacity(BATCH);
        for (slot, datagram) in self.slab.chunks_exact_mut(self.slot).zip(aside) {
            let bytes = slot.iter_mut().zip(&datagram);
            lengths.push(bytes.len());
            bytes.for_each(|(to, from)| *to = *from);
        }
        self.received(lengths.into_iter());
    }

    /// Reads messages until the batch is full or nothing is left of the datagrams. Returns the error
    /// number of a reply that says that no verdict of ours will be carried out any more.
    pub(super) fn read(&mut self, counters: &QueueCounters) -> Result<(), Errno> {
        let mut fatal = None;
        let Batch { slab, slot, lengths, datagrams, next, entries, shapes, .. } = self;
        while next.0 < *datagrams && entries.len() < BATCH {
            let base = next.0.saturating_mul(*slot);
            let length = lengths.get(next.0).copied().unwrap_or(0);
            let datagram = slab.get(base..base.saturating_add(length)).unwrap_or_default();
            let mut messages = Messages::from(datagram, next.1);
            while entries.len() < BATCH {
                let Some(message) = messages.next() else { break };
                let Ok(message) = message else {
                    counters.add_malformed();
                    self.nameless = true;
                    continue;
                };
                match shapes.read(&message) {
                    Incoming::Packet(packet) => {
                        let gap = self.sequence.lost_before(packet.id);
                        if self.takeover.as_mut().is_some_and(|takeover| takeover.first(gap)) {
                            self.orphans_before = Some(packet.id);
                        } else if gap > 0 {
                            counters.add_lost_buffer(gap);
                            self.lost = self.lost.wrapping_add(gap);
                        }
                        if !packet.whole {
                            counters.add_malformed();
                        }
                        let start = base.saturating_add(packet.start);
                        entries.push(Entry { packet, start, verdict: Verdict::Drop });
                    }
                    Incoming::Reply(reply) if is_change(&reply) => {
                        self.changed = Some((reply.sequence, reply.errno));
                    }
                    Incoming::Reply(reply) => {
                        match self.takeover.as_mut().and_then(|takeover| settle(takeover, &reply)) {
                            Some(lost) => {
                                counters.add_orphans(lost.orphans);
                                counters.add_lost_buffer(lost.buffer);
                                self.lost = self.lost.wrapping_add(lost.buffer);
                            }
                            None => fatal = fatal.or(note(&reply, counters)),
                        }
                    }
                    Incoming::Other => {}
                    Incoming::Unreadable => {
                        counters.add_malformed();
                        self.nameless = true;
                    }
                }
            }
            if messages.at() >= length {
                *next = (next.0 + 1, 0);
            } else {
                *next = (next.0, messages.at());
            }
        }
        fatal.map_or(Ok(()), Err)
    }

    /// Something of the datagrams is still to be read.
    pub(super) fn has_more(&self) -> bool {
        self.next.0 < self.datagrams
    }

    /// Up to which id everything that the kernel still holds is without a judge; once, after the first packet
    /// of a takeover.
    pub(super) fn orphans_up_to(&mut self) -> Option<u32> {
        self.orphans_before.take().map(|first| first.wrapping_sub(1))
    }

    /// What a successor would have to know, if this batch stayed unanswered: the last id, the number of packets,
    /// and what was lost so far. `None` if nothing waits for a verdict.
    #[inline]
    pub(super) fn taken(&self) -> Option<(u32, u32, u32)> {
        let last = self.entries.last()?;
        Some((last.packet.id, self.entries.len() as u32, self.lost))
    }

    /// The record of a reader that leaves nothing unanswered; `None` if something waits for a verdict, or nothing
    /// ever came.
    pub(super) fn settled(&self, queue: u16, copy_range: u16) -> Option<Record> {
        let received = self.sequence.last().filter(|_| self.entries.is_empty())?;
        Some(Record { queue, copy_range, received, batch: Record::SETTLED, lost: self.lost })
    }

    /// The error number of the reply to the change with this sequence number, if it came; 0 is an
    /// acknowledgement.
    pub(super) fn changed(&self, sequence: u32) -> Option<i32> {
        self.changed.filter(|(of, _)| *of == sequence).map(|(_, errno)| errno)
    }

    /// How many packets wait for their verdict.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The packet at `index`; empty beyond the batch, and for a message that was cut short.
    pub(super) fn held(&self, index: usize) -> Held<'_> {
        let Some(entry) = self.entries.get(index) else { return Held::from(&[][..]) };
        let end = entry.start.saturating_add(entry.packet.copied);
        let bytes = match entry.packet.whole {
            true => self.slab.get(entry.start..end).unwrap_or_default(),
            false => &[],
        };
        let Packet { length, aggregate, interface, mac, .. } = entry.packet;
        Held { bytes, length, aggregate, interface, mac }
    }

    /// Notes a verdict. A message that was cut short stays dropped.
    pub(super) fn judge(&mut self, index: usize, verdict: Verdict) {
        if let Some(entry) = self.entries.get_mut(index).filter(|entry| entry.packet.whole) {
            entry.verdict = verdict;
        }
    }

    /// Appends the verdicts of all packets, in order, and forgets the packets.
    ///
    /// Neighbours with the same answer share a message: the kernel gives it to all that it holds up to the last
    /// one's id, and every packet before them has its answer by then. That is so only while the ids go up and none
    /// of them is unknown.
    pub(super) fn answer(&mut self, queue: u16, mark: Mark, buffer: &mut Vec<u8>) {
        let ids = self.entries.iter().map(|entry| entry.packet.id);
        let ordered = ids.clone().zip(ids.skip(1)).all(|(id, next)| is_after(next, id));
        let together = ordered && !self.nameless;
        let answer = |entry: &Entry| match entry.verdict {
            Verdict::Accept => Some(mark.applied_to(entry.packet.mark)),
            Verdict::Drop => None,
        };
        for run in self.entries.chunk_by(|one, next| together && answer(one) == answer(next)) {
            let Some(last) = run.last() else { continue };
            let id = last.packet.id;
            match (run.len() as u32, answer(last)) {
                (1, Some(mark)) => codec::put_accept(buffer, queue, id, mark),
                (1, None) => codec::put_drop(buffer, queue, id),
                (length, mark) => codec::put_run(buffer, RUN | length, queue, id, mark),
            }
        }
        self.entries.clear();
    }
}

/// `nfq_id_after` of net/netfilter/nfnetlink_queue.c: by the sign of the difference.
fn is_after(id: u32, other: u32) -> bool {
    id.wrapping_sub(other) as i32 > 0
}

/// This replies to a batch verdict of ours.
fn is_run(reply: &Reply) -> bool {
    reply.kind == Some(codec::VERDICT_BATCH) && reply.sequence & RUN != 0
}

/// A reply to a configuration message other than the first one.
fn is_change(reply: &Reply) -> bool {
    reply.kind == Some(codec::CONFIG) && reply.sequence != CONFIGURE
}

/// What a reply to a drop of the takeover says; `None` if it is no such reply, or an error of another kind.
fn settle(takeover: &mut Takeover, reply: &Reply) -> Option<Lost> {
    let hit = match Errno::from_raw(reply.errno) {
        _ if reply.errno == 0 => true,
        Errno::ENOENT => false,
        _ => return None,
    };
    (reply.kind == Some(codec::VERDICT_BATCH) && !is_run(reply))
        .then(|| takeover.answered(reply.sequence, hit))
}

/// Counts a reply to a verdict; returns the error number of one that is fatal.
fn note(reply: &Reply, counters: &QueueCounters) -> Option<Errno> {
    match Errno::from_raw(reply.errno) {
        // An acknowledgement nobody waits for any more.
        _ if reply.errno == 0 => None,
        // The packet is gone: its interface went down, or somebody removed a base chain.
        Errno::ENOENT => {
            counters.add_late_verdicts(if is_run(reply) { reply.sequence & !RUN } else { 1 });
            None
        }
        // EPERM: no capability, or the queue is no longer ours. ENODEV: the queue is gone.
        errno @ (Errno::EPERM | Errno::ENODEV) => Some(errno),
        _ => {
            counters.add_malformed();
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::codec::made;
    use super::super::losses::QueueLosses;
    use super::*;

    const MARK: Mark = Mark { value: 0x1000_0000, mask: 0x3000_0000 };

    fn fill(batch: &mut Batch, datagrams: &[Vec<u8>]) {
        batch.put_back(&mut datagrams.iter().cloned());
    }

    /// What becomes of each packet, as the kernel does it: id, accepted with this mark or dropped.
    fn verdicts(batch: &mut Batch) -> Vec<(u32, Option<u32>)> {
        let mut held: Vec<u32> = batch.entries.iter().map(|entry| entry.packet.id).collect();
        let mut answered = Vec::new();
        let mut buffer = Vec::new();
        batch.answer(40, MARK, &mut buffer);
        for message in Messages::from(&buffer, 0).map(Result::unwrap) {
            let word = |at: usize| message.body.get(at..at + 4)?.try_into().ok();
            let [accept, id] = [8, 12].map(|at| u32::from_be_bytes(word(at).unwrap()));
            let mark = word(20).map(u32::from_be_bytes);
            assert_eq!(accept == 1, mark.is_some(), "a drop carries no mark");
            let before = held.len();
            match message.kind {
                codec::VERDICT => {
                    held.retain(|other| *other != id || answer(&mut answered, id, mark))
                }
                _ => {
                    held.retain(|other| is_after(*other, id) || answer(&mut answered, *other, mark))
                }
            }
            let hit = before - held.len();
            let expected = if message.kind == codec::VERDICT { id } else { RUN | hit as u32 };
            assert_eq!(message.sequence, expected);
        }
        assert_eq!(held, [0; 0], "held for ever");
        answered
    }

    /// Held no longer.
    fn answer(answered: &mut Vec<(u32, Option<u32>)>, id: u32, mark: Option<u32>) -> bool {
        answered.push((id, mark));
        false
    }

    /// How many messages the verdicts of the batch take.
    fn messages(batch: &mut Batch) -> usize {
        let mut buffer = Vec::new();
        batch.answer(40, MARK, &mut buffer);
        Messages::from(&buffer, 0).count()
    }

    #[test]
    fn packets_are_answered_once_in_order_and_dropped_unless_judged() {
        let counters = QueueCounters::default();
        let mut batch = Batch::new(128);
        let packets: Vec<_> =
            (1..=4).map(|id| made::packet(id, 0x2a00_0001, &[id as u8; 20], Some(99))).collect();
        fill(&mut batch, &packets);
        batch.read(&counters).unwrap();
        assert_eq!(batch.len(), 4);
        let bytes = &[3; 20][..];
        let held = Held { length: 99, aggregate: true, interface: 3, ..Held::from(bytes) };
        assert_eq!(batch.held(2), held);
        assert_eq!(batch.held(4).bytes, &[0u8; 0]);
        batch.judge(1, Verdict::Accept);
        batch.judge(2, Verdict::Accept);
        batch.judge(2, Verdict::Drop);
        batch.judge(9, Verdict::Accept);
        assert_eq!(verdicts(&mut batch), [(1, None), (2, Some(0x1a00_0001)), (3, None), (4, None)]);
        assert_eq!(verdicts(&mut batch), []);
        assert_eq!(counters.read(None), Default::default());
    }

    #[test]
    fn packet_cut_short_is_dropped_whatever_is_judged() {
        let counters = QueueCounters::default();
        let mut batch = Batch::new(128);
        let mut long = made::packet(5, 0, &[7; 400], None);
        long.truncate(batch.slot + 10);
        fill(&mut batch, &[long, made::packet(6, 0, &[1], None)]);
        batch.read(&counters).unwrap();
        assert_eq!(batch.held(0).bytes, &[0u8; 0]);
        batch.judge(0, Verdict::Accept);
        batch.judge(1, Verdict::Accept);
        assert_eq!(verdicts(&mut batch), [(5, None), (6, Some(0x1000_0000))]);
        assert_eq!(counters.read(None).malformed, 1);
    }

    #[test]
    fn more_messages_than_a_batch_holds_are_read_into_the_next() {
        let counters = QueueCounters::default();
        let mut batch = Batch::new(1024);
        let several = |from: u32| -> Vec<u8> {
            (from..from + 10).flat_map(|id| made::packet(id, 0, &[id as u8], None)).collect()
        };
        let datagrams: Vec<_> = (0..15).map(|i| several(1 + i * 10)).collect();
        fill(&mut batch, &datagrams);
        let mut ids = Vec::new();
        let mut rounds = Vec::new();
        while batch.has_more() {
            batch.read(&counters).unwrap();
            rounds.push(batch.len());
            for index in 0..batch.len() {
                let [byte] = batch.held(index).bytes else { panic!("one byte each") };
                ids.push(*byte as u32);
            }
            verdicts(&mut batch);
        }
        assert_eq!(rounds, [BATCH, BATCH, 150 - 2 * BATCH]);
        assert_eq!(ids, (1..=150).collect::<Vec<u32>>());
        assert_eq!(counters.read(None), Default::default());
    }

    #[test]
    fn neighbours_with_the_same_answer_share_a_message() {
        let counters = QueueCounters::default();
        let mut batch = Batch::new(128);
        let marks = [0, 0, 0, 0x2a00_0001, 0, 0, 0];
        let packet = |(id, mark)| made::packet(u32::MAX.wrapping_add(id), mark, &[1], None);
        let packets: Vec<_> = (0..).zip(marks).map(packet).collect();
        let accepted = |batch: &mut Batch| {
            fill(batch, &packets);
            batch.read(&counters).unwrap();
            [0, 1, 2, 3, 4, 6].into_iter().for_each(|index| batch.judge(index, Verdict::Accept));
        };
        accepted(&mut batch);
        let own = Some(0x1000_0000);
        let expected = [own, own, own, Some(0x1a00_0001), own, None, own];
        let ids = (0..7).map(|id| u32::MAX.wrapping_add(id));
        assert!(verdicts(&mut batch).into_iter().eq(ids.zip(expected)));
        accepted(&mut batch);
        // Three together; one with another mark; one, one dropped, one.
        assert_eq!(messages(&mut batch), 5);
    }

    #[test]
    fn packets_out_of_order_or_beside_one_without_a_name_are_answered_one_by_one() {
        let three = |ids: [u32; 3]| ids.map(|id| made::packet(id, 0, &[1], None)).to_vec();
        let nameless = || {
            let mut message = made::packet(9, 0, &[1], None);
            message.truncate(24);
            vec![message]
        };
        for (before, ids, expected) in [
            (vec![], [1, 2, 3], 1),
            (vec![], [2, 1, 3], 3),
            (vec![], [1, 1, 2], 3),
            (nameless(), [10, 11, 12], 3),
            (vec![vec![0; 40]], [1, 2, 3], 3),
        ] {
            let mut batch = Batch::new(128);
            fill(&mut batch, &before);
            batch.read(&QueueCounters::default()).unwrap();
            for _ in 0..2 {
                fill(&mut batch, &three(ids));
                batch.read(&QueueCounters::default()).unwrap();
                assert_eq!(messages(&mut batch), expected, "{ids:?} after {before:?}");
            }
        }
    }

    #[test]
    fn answers_that_came_too_late_are_counted_by_the_packet() {
        let counters = QueueCounters::default();
        let mut batch = Batch::new(128);
        batch.take_over(&Record::default(), 0);
        let run = |errno: i32, sequence| made::reply(errno, codec::VERDICT_BATCH, sequence);
        fill(&mut batch, &[run(libc_enoent(), RUN | 40), run(libc_enoent(), RUN | 2)]);
        batch.read(&counters).unwrap();
        assert_eq!(counters.read(None), QueueLosses { late_verdict: 42, ..QueueLosses::default() });
        fill(&mut batch, &[run(Errno::EPERM as i32, RUN | 40)]);
        assert_eq!(batch.read(&counters), Err(Errno::EPERM));
    }

    proptest! {
        #[test]
        fn every_packet_gets_its_own_answer_whatever_its_neighbours_get(
            first: u32,
            packets in prop::collection::vec((1..4_u32, any::<bool>(), 0..3_u32), 0..BATCH),
        ) {
            let mut batch = Batch::new(128);
            let mut id = first;
            let mut datagrams = Vec::new();
            let mut expected = Vec::new();
            for (step, accept, mark) in &packets {
                id = id.wrapping_add(*step);
                datagrams.push(made::packet(id, *mark, &[1], None));
                expected.push((id, accept.then_some(MARK.applied_to(*mark))));
            }
            fill(&mut batch, &datagrams);
            batch.read(&QueueCounters::default()).unwrap();
            for (index, (_, accept, _)) in packets.iter().enumerate() {
                batch.judge(index, if *accept { Verdict::Accept } else { Verdict::Drop });
            }
            prop_assert_eq!(verdicts(&mut batch), expected);
        }
    }

    #[test]
    fn gaps_late_verdicts_and_rubbish_are_counted() {
        let counters = QueueCounters::default();
        let mut batch = Batch::new(128);
        fill(
            &mut batch,
            &[
                made::packet(u32::MAX, 0, &[1], None),
                made::reply(libc_enoent(), codec::VERDICT, 3),
                vec![0; 40],
                vec![],
                made::packet(2, 0, &[1], None),
                made::reply(0, codec::CONFIG, 1),
                made::reply(22, codec::VERDICT, 1),
            ],
        );
        batch.read(&counters).unwrap();
        let losses = counters.read(None);
        assert_eq!((losses.lost_buffer, losses.late_verdict, losses.malformed), (2, 1, 2));
        assert_eq!(verdicts(&mut batch), [(u32::MAX, None), (2, None)]);
    }

    #[test]
    fn reply_to_a_change_is_kept_for_whoever_asked() {
        let counters = QueueCounters::default();
        let mut batch = Batch::new(128);
        assert_eq!(batch.changed(7), None);
        // Not fatal, as the same number would be on a verdict.
        let refusal = made::reply(Errno::EPERM as i32, codec::CONFIG, 7);
        fill(&mut batch, &[made::packet(1, 0, &[1], None), refusal]);
        batch.read(&counters).unwrap();
        assert_eq!(batch.changed(7), Some(Errno::EPERM as i32));
        assert_eq!(batch.changed(8), None);
        fill(&mut batch, &[made::reply(0, codec::CONFIG, 8)]);
        batch.read(&counters).unwrap();
        assert_eq!(batch.changed(8), Some(0));
        assert_eq!(counters.read(None), Default::default());
        // The first configuration, of a takeover.
        fill(&mut batch, &[made::reply(Errno::EPERM as i32, codec::CONFIG, CONFIGURE)]);
        assert_eq!(batch.read(&counters), Err(Errno::EPERM));
    }

    #[test]
    fn refused_verdict_is_fatal_and_the_packets_beside_it_are_still_answered() {
        for errno in [Errno::EPERM, Errno::ENODEV] {
            let counters = QueueCounters::default();
            let mut batch = Batch::new(128);
            let reply = made::reply(errno as i32, codec::VERDICT, 3);
            fill(&mut batch, &[reply, made::packet(4, 0, &[1], None)]);
            assert_eq!(batch.read(&counters), Err(errno));
            assert_eq!(verdicts(&mut batch), [(4, None)]);
        }
    }

    #[test]
    fn what_a_predecessor_left_is_counted_when_the_kernel_has_said_what_it_held() {
        let enoent = libc_enoent();
        for (replies, expected) in [
            // The recorded batch was held, and then two found no room.
            ([0, enoent], (64, 2)),
            // Recorded and answered; the two missing ones had just been received.
            ([enoent, 0], (2, 0)),
            // Nothing was held.
            ([enoent, enoent], (0, 2)),
        ] {
            let counters = QueueCounters::default();
            let mut batch = Batch::new(128);
            let record = Record { received: u32::MAX, batch: 64, lost: 5, ..Record::default() };
            batch.take_over(&record, 5);
            let reply =
                |place: usize| made::reply(replies[place], codec::VERDICT_BATCH, place as u32 + 1);
            fill(&mut batch, &[reply(0), made::packet(2, 0, &[1], None)]);
            batch.read(&counters).unwrap();
            assert_eq!((batch.orphans_up_to(), batch.orphans_up_to()), (Some(1), None));
            fill(&mut batch, &[reply(1), made::packet(3, 0, &[1], None)]);
            batch.read(&counters).unwrap();
            let losses = counters.read(None);
            assert_eq!((losses.orphan, losses.lost_buffer), expected);
            assert_eq!((losses.late_verdict, losses.malformed), (0, 0));
            assert_eq!(batch.taken(), Some((3, 2, 5 + expected.1 as u32)));
        }
    }

    #[test]
    fn after_a_reader_that_left_nothing_each_missing_packet_found_no_room() {
        let counters = QueueCounters::default();
        let mut batch = Batch::new(128);
        assert_eq!(batch.settled(40, 128), None);
        fill(&mut batch, &[made::packet(7, 0, &[1], None), made::packet(9, 0, &[1], None)]);
        batch.read(&counters).unwrap();
        assert_eq!(batch.settled(40, 128), None, "two wait for their verdict");
        verdicts(&mut batch);
        let record = batch.settled(40, 128).unwrap();
        assert_eq!((record.received, record.is_settled(), record.lost), (9, true, 1));

        let counters = QueueCounters::default();
        let mut successor = Batch::new(128);
        successor.take_over(&record, 4);
        fill(&mut successor, &[made::packet(13, 0, &[1], None)]);
        successor.read(&counters).unwrap();
        assert_eq!(successor.orphans_up_to(), None);
        let losses = counters.read(None);
        assert_eq!((losses.orphan, losses.lost_buffer), (0, 3));
        assert_eq!(successor.taken(), Some((13, 1, 4)));
    }

    fn libc_enoent() -> i32 {
        Errno::ENOENT as i32
    }

    proptest::proptest! {
        #[test]
        fn any_datagrams_are_read_to_an_end(
            datagrams in proptest::collection::vec(
                proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300), 0..BATCH),
        ) {
            let counters = QueueCounters::default();
            let mut batch = Batch::new(128);
            fill(&mut batch, &datagrams);
            for _ in 0..1000 {
                let _ = batch.read(&counters);
                verdicts(&mut batch);
                if !batch.has_more() { break }
            }
            assert!(!batch.has_more());
        }
    }
}
