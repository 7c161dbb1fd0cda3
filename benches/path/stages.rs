//! Where the time of a drained packet goes, as far as it can be told from outside: only when asked for by name.
//!
//! A queue around kordon's own takes the time before and after each call. `receive` is the system call, the reading of
//! what it brought, and the record for a successor; `decide` ends with the first verdict; `count` is counting,
//! sightings and verdicts noted; `answer` is the verdicts' writing and the system call, in which the kernel
//! forwards the packets. The ceiling's two calls are timed in the same way: what `receive` and `answer` take
//! beyond them is kordon's. Five readings of the clock per batch are in the figures, some 2 ns per packet.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use kordon::failure::Failure;
use kordon::queue::{Around, NativeQueue, PacketQueue};
use kordon::verdict::Verdict;
use serde_json::{Map, Value, json};

use super::ceiling::Ceiling;
use super::cold::Cold;
use super::contestant::{Contestant, Size};
use super::drain::{Drain, settings, worker};
use super::lab::{Context, Res};
use super::machine::Pinned;
use super::{Bench, round};

const ROUNDS: usize = 25;
const NAMES: [&str; 4] = ["receive", "decide", "count", "answer"];
const WHO: [Contestant; 4] =
    [Contestant::Ceiling, Contestant::Native, Contestant::NativeEmpty, Contestant::NativeHot];

/// Nanoseconds per packet of each stage, round by round, of each contestant.
#[derive(Default)]
pub(super) struct Figures([[Vec<f64>; NAMES.len()]; WHO.len()]);

impl Figures {
    fn rows(&self) -> impl Iterator<Item = (Contestant, [f64; NAMES.len()])> {
        let low = |stages: &[Vec<f64>; 4]| stages.each_ref().map(|rounds| quartile(rounds));
        WHO.into_iter().zip(self.0.iter().map(low))
    }

    pub(super) fn print(&self) -> &Self {
        println!("\nns per packet of 64 bytes                     {}      all", NAMES.join("   "));
        for (who, stages) in self.rows() {
            let figures: String = stages.map(|ns| format!(" {ns:>8.0}")).concat();
            println!("  {:<42}{figures} {:>8.0}", who.label(), stages.iter().sum::<f64>());
        }
        self
    }

    pub(super) fn json(&self) -> Value {
        let row = |stages: [f64; NAMES.len()]| {
            let figures = NAMES.into_iter().zip(stages);
            Value::Object(figures.map(|(name, ns)| (name.to_owned(), json!(round(ns)))).collect())
        };
        let rows = self.rows().map(|(who, stages)| (who.key().to_owned(), row(stages)));
        json!({ "stages_ns": rows.collect::<Map<_, _>>() })
    }
}

pub(super) fn run(bench: &Bench) -> Res<Figures> {
    let _pinned = Pinned::new()?;
    let drain = Drain::new(bench)?;
    let mut figures = Figures::default();
    drain.held(|camera| {
        // The first round warms up, and is not kept.
        for round in 0..=bench.rounds.unwrap_or(ROUNDS) {
            for (who, stages) in WHO.into_iter().zip(&mut figures.0) {
                let spent = turn(&drain, who, round, camera)?;
                if round > 0 {
                    for (stage, total) in stages.iter_mut().zip(spent) {
                        stage.push(total as f64 / drain.packets as f64);
                    }
                }
            }
        }
        Ok(())
    })?;
    Ok(figures)
}

/// A quarter of the rounds is below: neighbours only add.
fn quartile(rounds: &[f64]) -> f64 {
    let mut sorted = rounds.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 4]
}

/// Nanoseconds that one turn spent in each stage.
fn turn(drain: &Drain, who: Contestant, at: usize, camera: &UdpSocket) -> Res<[u64; 4]> {
    let spent = Arc::new(Spent::default());
    if who == Contestant::Ceiling {
        let mut ceiling = Ceiling::open(&settings())?;
        return twice(drain, camera, &spent, || {
            let began = Instant::now();
            let received = ceiling.receive()?;
            let before = spent.add(0, began);
            ceiling.accept(received)?;
            spent.add(3, before);
            Ok(received)
        });
    }
    let queue = NativeQueue::open(&settings()).context("queue")?;
    let queue = Timed { queue, spent: Arc::clone(&spent), at: Instant::now() };
    let rules = if who == Contestant::NativeEmpty { &drain.empty } else { &drain.full };
    if who == Contestant::NativeHot {
        let mut worker = worker(queue, rules);
        return twice(drain, camera, &spent, || worker.turn().context("turn"));
    }
    let mut worker = worker(Cold { queue, copies: drain.copies(at) }, rules);
    twice(drain, camera, &spent, || worker.turn().context("turn"))
}

/// Empties the queue twice; only the second time counts.
fn twice(
    drain: &Drain,
    camera: &UdpSocket,
    spent: &Spent,
    mut some: impl FnMut() -> Res<usize>,
) -> Res<[u64; 4]> {
    let payload = Size::ALL[0].payload();
    drain.once(camera, &payload, &mut some)?;
    let first = spent.so_far();
    drain.once(camera, &payload, &mut some)?;
    let both = spent.so_far();
    Ok(std::array::from_fn(|stage| both[stage] - first[stage]))
}

/// Nanoseconds in each stage.
#[derive(Default)]
struct Spent([AtomicU64; NAMES.len()]);

impl Spent {
    /// Adds the time since `began`, and returns the present time.
    fn add(&self, stage: usize, began: Instant) -> Instant {
        let now = Instant::now();
        let spent = now.duration_since(began).as_nanos() as u64;
        self.0[stage].fetch_add(spent, Ordering::Relaxed);
        now
    }

    fn so_far(&self) -> [u64; NAMES.len()] {
        self.0.each_ref().map(|spent| spent.load(Ordering::Relaxed))
    }
}

/// kordon's own queue, and when it was last called.
struct Timed {
    queue: NativeQueue,
    spent: Arc<Spent>,
    at: Instant,
}

impl Around for Timed {
    type Inner = NativeQueue;

    fn inner(&self) -> &NativeQueue {
        &self.queue
    }

    fn inner_mut(&mut self) -> &mut NativeQueue {
        &mut self.queue
    }

    fn receive(&mut self) -> Result<usize, Failure> {
        let began = Instant::now();
        let count = self.queue.receive()?;
        self.at = self.spent.add(0, began);
        Ok(count)
    }

    fn judge(&mut self, index: usize, verdict: Verdict) {
        if index == 0 {
            self.at = self.spent.add(1, self.at);
        }
        self.queue.judge(index, verdict);
    }

    fn answer(&mut self) -> Result<(), Failure> {
        let before = self.spent.add(2, self.at);
        let outcome = self.queue.answer();
        self.spent.add(3, before);
        outcome
    }
}
