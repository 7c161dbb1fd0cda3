//! The way from whoever logs to the thread that writes: bounded, never waited for.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::entry::Entry;

/// The most lines that wait. A summary of the evidence has 50, and a start about ten.
pub(super) const QUEUED: usize = 256;
/// How often lost lines are mentioned.
const MENTION: Duration = Duration::from_secs(1);

/// Where lines go in the end.
pub(super) trait Write: Send + 'static {
    /// Writes one line; may take as long as it takes.
    fn write(&mut self, entry: &Entry) -> io::Result<()>;
}

/// The queue's near end.
pub(super) struct Queue {
    sender: SyncSender<Entry>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    queued: AtomicU64,
    done: AtomicU64,
    lost: AtomicU64,
}

impl Queue {
    /// Starts the thread that writes. Where none can be had, every line counts as lost.
    pub(super) fn start(sink: impl Write) -> Self {
        let (sender, receiver) = sync_channel(QUEUED);
        let counts = Arc::new(Counts::default());
        let writer = Writer { sink, counts: Arc::clone(&counts), mentioned: 0 };
        // Without the thread the receiver is gone, and each line finds that out.
        let _thread = std::thread::Builder::new()
            .name("kordon-log".to_owned())
            .spawn(move || writer.run(&receiver));
        Queue { sender, counts }
    }

    /// Takes a line to be written; counts it as lost where there is no room.
    pub(super) fn push(&self, entry: Entry) {
        self.counts.queued.fetch_add(1, Ordering::SeqCst);
        if self.sender.try_send(entry).is_err() {
            self.counts.queued.fetch_sub(1, Ordering::SeqCst);
            self.counts.lost.fetch_add(1, Ordering::SeqCst);
        }
    }

    pub(super) fn lost(&self) -> u64 {
        self.counts.lost.load(Ordering::Relaxed)
    }

    /// Waits until what was taken is written, at most this long.
    pub(super) fn flush(&self, limit: Duration) {
        let queued = self.counts.queued.load(Ordering::SeqCst);
        let end = Instant::now() + limit;
        while self.counts.done.load(Ordering::SeqCst) < queued && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

struct Writer<W> {
    sink: W,
    counts: Arc<Counts>,
    /// Lost lines that have been mentioned.
    mentioned: u64,
}

impl<W: Write> Writer<W> {
    fn run(mut self, receiver: &Receiver<Entry>) {
        let mut mention = Instant::now();
        loop {
            let lost = self.counts.lost.load(Ordering::SeqCst);
            let next = match lost > self.mentioned {
                false => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
                true => receiver.recv_timeout(mention.saturating_duration_since(Instant::now())),
            };
            match next {
                Ok(entry) => {
                    if self.sink.write(&entry).is_err() {
                        self.counts.lost.fetch_add(1, Ordering::SeqCst);
                    }
                    self.counts.done.fetch_add(1, Ordering::SeqCst);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if Instant::now() >= mention {
                self.mention_lost();
                mention = Instant::now() + MENTION;
            }
        }
    }

    fn mention_lost(&mut self) {
        let lost = self.counts.lost.load(Ordering::SeqCst);
        if lost > self.mentioned
            && self.sink.write(&Entry::lines_lost(lost - self.mentioned)).is_ok()
        {
            self.mentioned = lost;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Writes a line each time it is allowed to, or fails.
    struct Slow {
        allowed: Receiver<io::Result<()>>,
        written: mpsc::Sender<String>,
    }

    impl Write for Slow {
        fn write(&mut self, entry: &Entry) -> io::Result<()> {
            self.allowed.recv().unwrap_or(Ok(()))?;
            let _closed = self.written.send(entry.message.clone());
            Ok(())
        }
    }

    fn slow() -> (Queue, mpsc::Sender<io::Result<()>>, Receiver<String>) {
        let (allow, allowed) = mpsc::channel();
        let (written, lines) = mpsc::channel();
        (Queue::start(Slow { allowed, written }), allow, lines)
    }

    fn line(number: usize) -> Entry {
        Entry { message: format!("line {number}"), ..Entry::lines_lost(0) }
    }

    const SOON: Duration = Duration::from_secs(5);

    #[test]
    fn a_reader_that_stands_still_costs_lines_but_never_time_and_is_told_afterwards() {
        let (queue, allow, lines) = slow();
        let began = Instant::now();
        let sent = 3 * QUEUED;
        for number in 0..sent {
            queue.push(line(number));
        }
        queue.flush(Duration::from_millis(20));
        assert!(began.elapsed() < Duration::from_secs(2), "nobody waits");
        let lost = queue.lost() as usize;
        // One more may be in the writer's hands.
        assert!((sent - QUEUED - 1..=sent - QUEUED).contains(&lost), "{lost} lost");
        drop(allow);
        for number in 0..sent - lost {
            let written = lines.recv_timeout(SOON).unwrap();
            // Where the writer took its first line late, a later one got the room for which the queue was full.
            let late = number == QUEUED && written > format!("line {number}");
            assert!(late || written == format!("line {number}"), "{written} instead of {number}");
            if number == 0 {
                // What is lost is said with the first line that gets through.
                assert!(
                    lines.recv_timeout(SOON).unwrap().starts_with(&format!("{lost} log lines"))
                );
            }
        }
        assert_eq!(queue.lost() as usize, lost, "mentioned, and none more");
    }

    #[test]
    fn a_line_that_cannot_be_written_is_lost_and_mentioned_when_writing_works_again() {
        let (queue, allow, lines) = slow();
        for outcome in [Err(io::ErrorKind::StorageFull.into()), Ok(()), Ok(())] {
            allow.send(outcome).unwrap();
        }
        queue.push(line(1));
        queue.flush(SOON);
        assert_eq!(queue.lost(), 1);
        assert_eq!(lines.recv_timeout(SOON).unwrap().split(' ').next(), Some("1"));
        queue.push(line(2));
        assert_eq!(lines.recv_timeout(SOON).unwrap(), "line 2");
    }

    #[test]
    fn a_flush_waits_for_the_last_line() {
        let (queue, allow, lines) = slow();
        drop(allow);
        for number in 0..100 {
            queue.push(line(number));
        }
        queue.flush(SOON);
        assert_eq!(lines.try_iter().count(), 100);
        assert_eq!(queue.lost(), 0);
    }
}
