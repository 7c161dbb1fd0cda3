//! The way of reports from the packet threads to the evidence thread: a ring of its own for each of them.
//!
//! Invariants: sending never blocks, locks or allocates; what finds no room is the sender's to count. With one
//! sender to a ring, sending is a store: a way that several threads share takes a locked instruction for each report,
//! behind which the processor begins no load.

use rtrb::{Consumer, Producer, RingBuffer};

/// A packet thread's end.
pub struct Reports<T>(Producer<T>);

impl<T> Reports<T> {
    /// Sends a report; whether there was room for it.
    #[inline]
    pub fn send(&mut self, report: T) -> bool {
        self.0.push(report).is_ok()
    }
}

/// The evidence thread's end of all ways of one kind: gives the reports that wait, each way in turn, in the order in which
/// its thread sent them. When it has none, others may still come.
pub struct Reported<T> {
    rings: Vec<Consumer<T>>,
    /// Reports that wait on each way before there is no room.
    room: usize,
    /// The ring that is looked at next.
    turn: usize,
}

impl<T> Reported<T> {
    /// The end of no way yet; each will have this much room.
    pub fn with_room_for(room: usize) -> Self {
        Reported { rings: Vec::new(), room, turn: 0 }
    }

    /// Another way, for one more packet thread.
    pub fn way(&mut self) -> Reports<T> {
        let (sender, receiver) = RingBuffer::new(self.room);
        self.rings.push(receiver);
        Reports(sender)
    }

    /// How many wait now: threads may go on sending.
    pub fn waiting(&self) -> usize {
        self.rings.iter().map(Consumer::slots).sum()
    }
}

impl<T> Iterator for Reported<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        for _ in 0..self.rings.len() {
            self.turn = (self.turn + 1) % self.rings.len();
            if let Some(report) = self.rings.get_mut(self.turn).and_then(|ring| ring.pop().ok()) {
                return Some(report);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_has_its_room_and_its_order_and_none_waits_behind_another() {
        let mut reported = Reported::with_room_for(3);
        let mut ways = [reported.way(), reported.way()];
        assert_eq!((reported.waiting(), reported.next()), (0, None));
        let sent: Vec<bool> = (0..5).map(|number| ways[0].send(number)).collect();
        assert_eq!(sent, [true, true, true, false, false]);
        assert!(ways[1].send(10), "a full way is its thread's alone");
        assert_eq!(reported.waiting(), 4);
        let mut taken: Vec<i32> = reported.by_ref().collect();
        let place = taken.iter().position(|report| *report == 10);
        assert!(place < Some(2), "{taken:?}");
        taken.retain(|report| *report != 10);
        assert_eq!(taken, [0, 1, 2]);
        assert!(ways[0].send(5));
        assert_eq!(reported.by_ref().collect::<Vec<_>>(), [5]);
    }

    #[test]
    fn what_a_thread_sent_before_it_ended_is_taken_and_its_end_is_none_for_others() {
        let mut reported = Reported::with_room_for(1_000);
        let threads: Vec<_> = (0..4_u32)
            .map(|thread| {
                let mut way = reported.way();
                std::thread::spawn(move || (0..1_000).all(|n| way.send(thread * 1_000 + n)))
            })
            .collect();
        assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
        let mut taken: Vec<u32> = reported.by_ref().collect();
        taken.sort_unstable();
        assert!(taken.into_iter().eq(0..4_000));
    }
}
