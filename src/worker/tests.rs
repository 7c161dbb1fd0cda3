use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Mutex;

use super::*;
use crate::config::{Action, Mode};
use crate::counters::{CameraPlaces, Reported, Shard, Sighting, events, sightings};
use crate::failure::ExitStatus;
use crate::packet::{Held, synthetic};
use crate::ruleset::{Builder, Published, Ruleset};
use crate::verdict::Verdict;

/// Packets as a test sends them: a number each, and bytes.
type Packets = Vec<(u32, Vec<u8>)>;

/// What happened to a queue, seen from outside.
#[derive(Default)]
struct Seen {
    /// Packet and verdict, in the order of the answers.
    answered: Vec<(u32, Verdict)>,
    /// How often each packet of the present batch was judged.
    judged: Vec<u32>,
    /// Batches that were received before the one ahead of them was answered.
    unanswered: usize,
    /// Changes of mark and fail-open, and how many packets were answered before.
    changes: Vec<(Mark, bool, usize)>,
    /// How many packets were answered when the thread said that it leaves nothing behind.
    left_after: Option<usize>,
}

/// A queue that hands out batches, and notes what becomes of them. As the trait says, what was not judged
/// is dropped.
struct FakeQueue {
    batches: VecDeque<Packets>,
    /// Done as soon as a batch was received, before the worker sees it.
    on_receive: Box<dyn FnMut() + Send>,
    batch: Vec<(u32, Vec<u8>, Verdict)>,
    seen: Arc<Mutex<Seen>>,
    fails: Option<&'static str>,
    /// What the kernel says to a change.
    changed: Result<bool, Failure>,
}

impl FakeQueue {
    fn new(batches: impl IntoIterator<Item = Packets>) -> (Self, Arc<Mutex<Seen>>) {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let queue = FakeQueue {
            batches: batches.into_iter().collect(),
            on_receive: Box::new(|| {}),
            batch: Vec::new(),
            seen: Arc::clone(&seen),
            fails: None,
            changed: Ok(true),
        };
        (queue, seen)
    }

    fn fail(&self, step: &'static str) -> Result<(), Failure> {
        match self.fails {
            Some(failing) if failing == step => Err(Failure::new(ExitStatus::Failed, step)),
            Some(_) | None => Ok(()),
        }
    }
}

impl PacketQueue for FakeQueue {
    fn receive(&mut self) -> Result<usize, Failure> {
        self.fail("receive")?;
        let mut seen = self.seen.lock().unwrap();
        seen.unanswered += usize::from(!self.batch.is_empty());
        let next = self.batches.pop_front().unwrap_or_default();
        self.batch = next.into_iter().map(|(n, bytes)| (n, bytes, Verdict::Drop)).collect();
        seen.judged = vec![0; self.batch.len()];
        drop(seen);
        (self.on_receive)();
        Ok(self.batch.len())
    }

    fn held(&self, index: usize) -> Held<'_> {
        Held::from(self.batch[index].1.as_slice())
    }

    fn judge(&mut self, index: usize, verdict: Verdict) {
        self.batch[index].2 = verdict;
        self.seen.lock().unwrap().judged[index] += 1;
    }

    fn answer(&mut self) -> Result<(), Failure> {
        self.fail("answer")?;
        let mut seen = self.seen.lock().unwrap();
        assert!(seen.judged.iter().all(|times| *times == 1), "judged {:?} times", seen.judged);
        seen.answered.extend(self.batch.drain(..).map(|(n, _, verdict)| (n, verdict)));
        Ok(())
    }

    fn change(&mut self, mark: Mark, fail_open: bool) {
        let mut seen = self.seen.lock().unwrap();
        let answered = seen.answered.len();
        seen.changes.push((mark, fail_open, answered));
    }

    fn changed(&self) -> Result<bool, Failure> {
        self.changed.clone()
    }

    fn leave(&mut self) {
        let mut seen = self.seen.lock().unwrap();
        seen.left_after = Some(seen.answered.len());
    }
}

const MARK: Mark = Mark { value: 0x1000_0000, mask: 0x3000_0000 };
const LISTED: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 7));
const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 7));

/// A rule set that blocks these prefixes.
fn blocking(prefixes: &[&str]) -> Ruleset {
    let mut builder = Builder::new();
    let list = builder.list(Action::Block);
    for (line, prefix) in (1..).zip(prefixes) {
        builder.add(list, prefix.parse().unwrap(), line, None);
    }
    Ruleset::new(Vec::new(), builder.compile())
}

struct Bench {
    worker: Worker<FakeQueue>,
    shard: Arc<Shard>,
    published: Arc<Published>,
    stance: Arc<Stance>,
    sightings: Reported<Sighting>,
}

fn bench(queue: FakeQueue, rules: Ruleset, mode: Mode) -> Bench {
    let shard = Arc::new(Shard::new(0));
    let mut sighted = sightings();
    let account =
        Account::new(Arc::clone(&shard), Arc::new(CameraPlaces::new(&[])), events().way(), mode);
    let published = Arc::new(Published::new(rules));
    let follower = Follower::new(Arc::clone(&published));
    let terms = Terms { enforce: mode == Mode::Enforce, ..Terms::CLOSED };
    let stance = Arc::new(Stance::new(terms));
    let worker = Worker::new(
        queue,
        follower,
        account,
        Sightings::new(sighted.way()),
        Instant::now(),
        Arc::clone(&stance),
        MARK,
    );
    Bench { worker, shard, published, stance, sightings: sighted }
}

/// Batches of these sizes, packets numbered through; every third goes to a listed address, every fifth
/// cannot be read. And the verdicts that are due.
fn batches(sizes: &[usize]) -> (Vec<Packets>, Vec<(u32, Verdict)>) {
    let (mut batches, mut due, mut number) = (Vec::new(), Vec::new(), 0);
    for &size in sizes {
        let mut batch = Vec::new();
        for _ in 0..size {
            let (listed, garbled) = (number % 3 == 0, number % 5 == 0);
            let mut bytes = synthetic::packet(None, if listed { LISTED } else { OTHER });
            if garbled {
                bytes.truncate(12);
            }
            batch.push((number, bytes));
            let drop = listed || garbled;
            due.push((number, if drop { Verdict::Drop } else { Verdict::Accept }));
            number += 1;
        }
        batches.push(batch);
    }
    (batches, due)
}

#[test]
fn every_packet_is_judged_once_and_answered_once_in_its_batch() {
    let sizes = [1, 64, 0, 2, 63, 1, 1];
    let (batches, due) = batches(&sizes);
    let (queue, seen) = FakeQueue::new(batches);
    let mut bench = bench(queue, blocking(&["203.0.113.0/24"]), Mode::Enforce);
    let mut answered = 0;
    for size in sizes {
        assert_eq!(bench.worker.turn().unwrap(), size);
        answered += size;
        // At once, not with the next batch: a packet must not wait for another one to come.
        assert_eq!(seen.lock().unwrap().answered.len(), answered);
    }
    assert_eq!(bench.worker.turn().unwrap(), 0);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.answered, due);
    assert_eq!(seen.unanswered, 0);
}

#[test]
fn monitor_mode_answers_accept_and_counts_what_it_would_drop() {
    let (batches, due) = batches(&[64, 5]);
    let (queue, seen) = FakeQueue::new(batches);
    let mut bench = bench(queue, blocking(&["203.0.113.0/24"]), Mode::Monitor);
    for _ in 0..3 {
        bench.worker.turn().unwrap();
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen.answered.len(), due.len());
    assert!(seen.answered.iter().all(|(_, verdict)| *verdict == Verdict::Accept));
    let would: u64 = bench.shard.lists[0].would_drop.iter().map(|v| v.packets.get()).sum();
    let dropped: u64 = bench.shard.lists[0].dropped.iter().map(|v| v.packets.get()).sum();
    let due = due.iter().filter(|(_, verdict)| *verdict == Verdict::Drop).count();
    assert_eq!((would, dropped), (due as u64, 0));
}

#[test]
fn who_sends_what_is_reported_once_a_minute_with_the_answer_that_was_given() {
    for mode in [Mode::Enforce, Mode::Monitor] {
        let (batches, _) = batches(&[64, 64]);
        let (queue, _) = FakeQueue::new(batches);
        let mut bench = bench(queue, blocking(&["203.0.113.0/24"]), mode);
        for _ in 0..3 {
            bench.worker.turn().unwrap();
        }
        let mut seen: Vec<_> = bench
            .sightings
            .by_ref()
            .map(|one| (one.addresses.destination(), one.reason.passes(), one.dropped))
            .collect();
        seen.sort_unstable();
        let dropped = mode == Mode::Enforce;
        assert_eq!(seen, [(OTHER, true, false), (LISTED, false, dropped)]);
        assert_eq!(bench.shard.unsighted.get(), 0);
    }
}

#[test]
fn a_rule_set_published_while_a_packet_was_waited_for_judges_it() {
    let packets = |n| vec![(n, synthetic::packet(None, LISTED))];
    let (mut queue, seen) = FakeQueue::new([packets(0), packets(1), packets(2)]);
    let published = Arc::new(Published::new(blocking(&["192.0.2.0/24"])));
    let mut next = VecDeque::from([None, Some(blocking(&["203.0.113.0/24"])), None]);
    queue.on_receive = Box::new({
        let published = Arc::clone(&published);
        move || {
            if let Some(rules) = next.pop_front().flatten() {
                published.publish(rules);
            }
        }
    });
    let mut bench = bench(queue, blocking(&[]), Mode::Enforce);
    bench.worker.rules = Follower::new(published);
    for _ in 0..3 {
        bench.worker.turn().unwrap();
    }
    let answered = seen.lock().unwrap().answered.clone();
    assert_eq!(answered, [(0, Verdict::Accept), (1, Verdict::Drop), (2, Verdict::Drop)]);
}

#[test]
fn a_stop_comes_between_batches_and_leaves_nothing_unanswered() {
    let (batches, due) = batches(&[10, 20, 30]);
    let (mut queue, seen) = FakeQueue::new(batches);
    let stop = Arc::new(AtomicBool::new(false));
    let mut left = 2;
    queue.on_receive = Box::new({
        let stop = Arc::clone(&stop);
        // In the middle of the second batch.
        move || {
            left -= 1;
            stop.store(left == 0, Ordering::Relaxed);
        }
    });
    let bench = bench(queue, blocking(&["203.0.113.0/24"]), Mode::Enforce);
    bench.worker.run(&stop).unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(seen.answered, due[..30]);
    assert_eq!(seen.left_after, Some(30));
}

#[test]
fn a_queue_that_fails_ends_the_thread_with_its_failure() {
    for step in ["receive", "answer"] {
        let (batches, _) = batches(&[3]);
        let (mut queue, seen) = FakeQueue::new(batches);
        queue.fails = Some(step);
        let bench = bench(queue, blocking(&[]), Mode::Enforce);
        let stop = Arc::new(AtomicBool::new(false));
        assert_eq!(bench.worker.run(&stop).unwrap_err().message, step);
        let seen = seen.lock().unwrap();
        assert!(seen.answered.is_empty() && seen.left_after.is_none());
    }
}

#[test]
fn each_turn_is_a_sign_of_life_and_each_batch_one_time_sample() {
    let (batches, _) = batches(&[4, 4]);
    let (queue, _) = FakeQueue::new(batches);
    let mut bench = bench(queue, blocking(&[]), Mode::Enforce);
    std::thread::sleep(std::time::Duration::from_millis(5));
    let before = bench.shard.last_alive();
    assert_eq!(bench.shard.last_held(), None, "no packet yet");
    for _ in 0..4 {
        bench.worker.turn().unwrap();
    }
    assert!(bench.shard.last_alive() > before);
    let held = bench.shard.last_held().unwrap();
    assert!(held >= before && held <= bench.shard.last_alive());
    let samples: u64 = bench.shard.times.buckets.iter().map(|bucket| bucket.get()).sum();
    assert_eq!(samples, 2);
    assert_eq!(bench.published.sweep(), 0);
}

/// A thread that hangs while it decides, counts or answers has not finished its turn.
#[test]
fn a_batch_that_is_not_answered_is_no_sign_of_life() {
    for (step, alive) in [("receive", false), ("answer", false), ("nothing", true)] {
        let (batches, _) = batches(&[4]);
        let (mut queue, _) = FakeQueue::new(batches);
        queue.fails = Some(step);
        let mut bench = bench(queue, blocking(&[]), Mode::Enforce);
        std::thread::sleep(std::time::Duration::from_millis(5));
        let before = bench.shard.last_alive();
        assert_eq!(bench.worker.turn().is_ok(), alive, "{step}");
        assert_eq!(bench.shard.last_alive() > before, alive, "{step}");
    }
}

const MONITOR: Terms = Terms { enforce: false, mark: false, fail_open: true };

#[test]
fn terms_posted_count_from_the_next_batch_on_and_are_reported_once_it_is_answered() {
    let (queue, seen) = FakeQueue::new([
        vec![(1, synthetic::packet(None, LISTED).as_slice().to_vec())],
        vec![(2, synthetic::packet(None, LISTED).as_slice().to_vec())],
        vec![],
    ]);
    let mut bench = bench(queue, blocking(&["203.0.113.0/24"]), Mode::Enforce);
    let first = bench.stance.read();
    assert_eq!(bench.shard.heard.answers(first), Ok(false), "before the first turn");
    bench.worker.turn().unwrap();
    assert_eq!(bench.shard.heard.answers(first), Ok(true));
    let posted = bench.stance.post(MONITOR);
    assert_eq!(bench.shard.heard.answers(posted), Ok(false));
    bench.worker.turn().unwrap();
    assert_eq!(bench.shard.heard.answers(posted), Ok(true));
    let seen = seen.lock().unwrap();
    assert_eq!(seen.answered, [(1, Verdict::Drop), (2, Verdict::Accept)]);
    // The mark's bits are cleared where no gate stands; changed ahead of the second answer.
    assert_eq!(seen.changes, [(Mark { value: 0, ..MARK }, true, 1)]);
}

#[test]
fn terms_count_as_taken_only_when_the_kernel_has_confirmed_them() {
    let (mut queue, _seen) = FakeQueue::new([]);
    queue.changed = Ok(false);
    let mut waiting = bench(queue, blocking(&["203.0.113.0/24"]), Mode::Enforce);
    let posted = waiting.stance.post(MONITOR);
    for _ in 0..3 {
        waiting.worker.turn().unwrap();
        assert_eq!(waiting.shard.heard.answers(posted), Ok(false));
    }
    let refusal = Failure::new(ExitStatus::Unavailable, "no");
    let (mut queue, _seen) = FakeQueue::new([]);
    queue.changed = Err(refusal.clone());
    let mut refused = bench(queue, blocking(&["203.0.113.0/24"]), Mode::Enforce);
    let posted = refused.stance.post(MONITOR);
    refused.worker.turn().unwrap();
    assert_eq!(refused.shard.heard.answers(posted), Err(refusal));
}
