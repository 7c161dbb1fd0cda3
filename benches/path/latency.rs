//! How long a packet is held, by the sender's clock: a request and its reply through the gateway, with and without
//! kordon's packet threads in the way of the request.
//!
//! The camera has one processor, and with other traffic shares it with its sender; packets come in on the other
//! one, the gateway's, as interrupts of a network card would come to it (receive packet steering). The camera looks
//! for the reply without sleeping, so that no waking but the gateway's is in the time; with traffic in the
//! background its processor never halts anyway. What of the time is the halted processor's, in a virtual machine
//! the hypervisor's, shows where a thread of the lowest priority keeps the processors from halting.
//!
//! The background is half as much as one queue lets by where more than that comes in, measured before, from a sender of
//! the lowest priority. Where the machine cannot send so much, the table says what was sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kordon::queue::NativeQueue;
use kordon::ruleset::Published;
use nix::unistd::{Pid, gettid};
use serde_json::{Map, Value, json};

use super::common::{Random, SEED};
use super::conditions::{CONDITIONS, Load, Way};
use super::drain::{arrived, worker};
use super::lab::{Context, Res};
use super::processors::{self, THIS, keep_on};
use super::queues::{destination, discarding, hold_in, numbered};
use super::requests::{Entrance, Pinger, background, keep_awake};
use super::spinning::Spinning;
use super::{Bench, at_most, release, round};

const ROUNDS: usize = 5;
/// Requests of each condition in each round.
const REQUESTS: usize = 400;
/// Packets per second, more than any queue drains.
const MORE: f64 = 2e6;
/// Until the queue is full, or empty again; and for how long its rate is taken.
const FILLING: Duration = Duration::from_millis(400);
const DRAINING: Duration = Duration::from_millis(800);
/// Requests of one condition in one round that may be lost.
const LOSSES: usize = REQUESTS / 2;
/// No round begins later.
const TIME: Duration = Duration::from_secs(42);
/// From the start of a condition to its first request.
const SETTLE: Duration = Duration::from_millis(20);
/// To reach: what the daemon adds to the median of an idle gateway, in microseconds.
const ADDED: f64 = 60.0;

/// The figures of one condition, all rounds together.
#[derive(Default)]
struct Figures {
    /// Nanoseconds from request to reply.
    times: Vec<u64>,
    /// Seconds, and of them those that the packet threads ran.
    took: f64,
    ran: f64,
    /// Packets in the background.
    sent: u64,
    lost: u64,
}

pub(super) struct Latency {
    /// Why nothing was measured.
    obstacle: Option<String>,
    figures: Vec<Figures>,
    /// Packets per second of one queue.
    drain: f64,
    rounds: usize,
}

pub(super) fn run(bench: &Bench) -> Res<Latency> {
    let mut latency = Latency { obstacle: None, figures: Vec::new(), drain: 0.0, rounds: 0 };
    let entrance = match Entrance::new() {
        Ok(entrance) => entrance,
        Err(obstacle) => return Ok(Latency { obstacle: Some(obstacle), ..latency }),
    };
    let processors = processors::two()?;
    latency.figures = CONDITIONS.iter().map(|_| Figures::default()).collect();
    let turns = Turns {
        pinger: Pinger::new()?,
        entrance,
        spin: AtomicU64::new(0),
        threads: Default::default(),
        processors,
        rate: AtomicU64::new(0),
    };
    let rounds = bench.rounds.unwrap_or(ROUNDS);
    discarding(|| turns.all(&bench.rules, rounds, &mut latency))?;
    for figures in &mut latency.figures {
        figures.times.sort_unstable();
    }
    Ok(latency)
}

/// What a turn needs.
struct Turns {
    pinger: Pinger,
    entrance: Entrance,
    /// How long packet threads look again, in nanoseconds.
    spin: AtomicU64,
    /// The packet threads: of the single queue, of the two.
    threads: [AtomicI32; 3],
    /// The camera's, the gateway's.
    processors: [usize; 2],
    /// Background packets per second.
    rate: AtomicU64,
}

impl Turns {
    /// All conditions, round by round, with the packet threads of all queues there all the time.
    fn all(&self, rules: &Arc<Published>, rounds: usize, latency: &mut Latency) -> Res {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let mut threads = Vec::new();
            for (place, id) in self.threads.iter().enumerate() {
                let queue = NativeQueue::open(&numbered(place as u16)).context("queue")?;
                let (mut worker, stop) = (worker(Spinning::new(queue, &self.spin), rules), &stop);
                threads.push(scope.spawn(move || -> Res {
                    id.store(gettid().as_raw(), Ordering::Relaxed);
                    while !stop.load(Ordering::Relaxed) {
                        worker.turn().context("turn")?;
                    }
                    Ok(())
                }));
            }
            std::thread::sleep(SETTLE);
            let outcome = self.drained().and_then(|drain| {
                latency.drain = drain;
                self.rate.store((drain / 2.0) as u64, Ordering::Relaxed);
                self.rounds(rounds, latency)
            });
            stop.store(true, Ordering::Relaxed);
            outcome.and(threads.into_iter().try_for_each(|thread| {
                thread.join().unwrap_or_else(|_| Err("a packet thread panicked".to_owned()))
            }))
        })
    }

    /// Packets per second that one queue lets by while more than that come in on the other processor. Fewer than where a
    /// queue was filled before: the two processors take turns with each packet's memory and with the queue's lock.
    fn drained(&self) -> Res<f64> {
        let [camera, gateway] = self.processors;
        let single = numbered(0).number.to_string();
        self.entrance.steer(Some(gateway))?;
        hold_in(&["--queue-num", &single])?;
        let (stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
        let drained = std::thread::scope(|scope| {
            let begun = background(scope, camera, MORE, &sent, &stop);
            std::thread::sleep(FILLING);
            let (began, before) = (Instant::now(), arrived());
            std::thread::sleep(DRAINING);
            let drained = before.and_then(|before| Ok(arrived()? - before));
            stop.store(true, Ordering::Relaxed);
            begun.and(Ok(drained? as f64 / began.elapsed().as_secs_f64()))
        });
        std::thread::sleep(FILLING);
        release()?;
        drained
    }

    fn rounds(&self, rounds: usize, latency: &mut Latency) -> Res {
        let began = Instant::now();
        // The first round warms up, and is not kept.
        for round in 0..=rounds {
            if began.elapsed() > TIME && latency.rounds > 0 {
                break;
            }
            for turn in 0..CONDITIONS.len() {
                let place = (turn + round) % CONDITIONS.len();
                let (load, way) = CONDITIONS[place];
                let label = || format!("{}, {}", load.label(), way.label());
                match round {
                    0 => self.turn(load, way, 0, &mut Figures::default()),
                    _ => self.turn(load, way, round, &mut latency.figures[place]),
                }
                .context(label())?;
            }
            latency.rounds = round;
        }
        Ok(())
    }

    fn turn(&self, load: Load, way: Way, round: usize, figures: &mut Figures) -> Res {
        let [camera, gateway] = self.processors;
        let any = [camera, gateway];
        let range = format!("{}:{}", numbered(1).number, numbered(2).number);
        let single = numbered(0).number.to_string();
        let (threads, own, options): (_, &[usize], [&str; 2]) = match way {
            Way::Forwarding => (&self.threads[..0], &any, [""; 2]),
            Way::OneQueue | Way::Spinning | Way::Sleepless => {
                (&self.threads[..1], &any, ["--queue-num", &single])
            }
            Way::Pinned => (&self.threads[..1], &[gateway], ["--queue-num", &single]),
            Way::TwoQueues => (&self.threads[1..], &any, ["--queue-balance", &range]),
        };
        for thread in threads {
            keep_on(Pid::from_raw(thread.load(Ordering::Relaxed)), own)?;
        }
        self.entrance.steer((load != Load::Unsteered).then_some(gateway))?;
        self.spin.store(way.spin().as_nanos() as u64, Ordering::Relaxed);
        if way != Way::Forwarding {
            hold_in(&options)?;
        }
        let outcome = self.measured(load, threads, round, figures);
        release()?;
        outcome
    }

    fn measured(
        &self,
        load: Load,
        threads: &[AtomicI32],
        round: usize,
        figures: &mut Figures,
    ) -> Res {
        let [camera, _] = self.processors;
        let (stop, sent, before) = (AtomicBool::new(false), AtomicU64::new(0), arrived()?);
        let asked = std::thread::scope(|scope| {
            let begun = match load {
                Load::Idle | Load::Unsteered | Load::Steady => Ok(()),
                Load::Half => {
                    let rate = self.rate.load(Ordering::Relaxed) as f64;
                    background(scope, camera, rate, &sent, &stop)
                }
                Load::Awake => {
                    self.processors.iter().for_each(|one| keep_awake(scope, *one, &stop));
                    Ok(())
                }
            };
            std::thread::sleep(SETTLE);
            let (began, ran, from) =
                (Instant::now(), running(threads), sent.load(Ordering::Relaxed));
            let asking = scope.spawn(|| self.ask(load, round));
            let times = asking.join().unwrap_or_else(|_| Err("the camera panicked".to_owned()));
            figures.took += began.elapsed().as_secs_f64();
            figures.ran += running(threads)? - ran?;
            figures.sent += sent.load(Ordering::Relaxed) - from;
            stop.store(true, Ordering::Relaxed);
            begun.and(times)
        });
        stop.store(true, Ordering::Relaxed);
        let mut times = asked?;
        // What waits in the queue is on its way.
        std::thread::sleep(SETTLE);
        let all = sent.load(Ordering::Relaxed) + requests(round) as u64;
        figures.lost += (before + all).saturating_sub(arrived()?);
        figures.times.append(&mut times);
        Ok(())
    }

    fn ask(&self, load: Load, round: usize) -> Res<Vec<u64>> {
        keep_on(THIS, &self.processors[..1])?;
        let mut random = Random(SEED ^ round as u64);
        let mut times = Vec::with_capacity(REQUESTS);
        for number in 0..requests(round) {
            std::thread::sleep(load.pause(&mut random));
            // Both of two queues get some.
            let to = destination(random.below(250), 0);
            let took = self.pinger.ask(number, to, load == Load::Half)?;
            times.extend(took.map(|took| took.as_nanos() as u64));
            if number + 1 - times.len() > LOSSES {
                return Err(format!("{LOSSES} requests have no reply"));
            }
        }
        Ok(times)
    }
}

/// The round that warms up need not be long.
fn requests(round: usize) -> usize {
    if round == 0 { REQUESTS / 8 } else { REQUESTS }
}

/// Seconds that these threads of ours have run (schedstat: Documentation/scheduler/sched-stats.rst).
fn running(threads: &[AtomicI32]) -> Res<f64> {
    let mut sum = 0.0;
    for thread in threads {
        let path = format!("/proc/self/task/{}/schedstat", thread.load(Ordering::Relaxed));
        let text = std::fs::read_to_string(&path).context(&path)?;
        let nanos = text.split_whitespace().next().unwrap_or_default();
        sum += nanos.parse::<f64>().context(&path)? / 1e9;
    }
    Ok(sum)
}

impl Figures {
    /// In microseconds: median, 99 and 99.9 of a hundred.
    fn percentiles(&self) -> [f64; 3] {
        [0.5, 0.99, 0.999].map(|share| {
            let last = self.times.len().saturating_sub(1);
            let place = ((self.times.len() as f64 * share) as usize).min(last);
            self.times.get(place).map_or(0.0, |nanos| *nanos as f64 / 1e3)
        })
    }

    /// The share of one processor that the packet threads took, in percent.
    fn busy(&self) -> f64 {
        self.ran * 100.0 / self.took
    }

    fn kpps(&self) -> f64 {
        self.sent as f64 / self.took / 1e3
    }
}

impl Latency {
    fn of(&self, load: Load, way: Way) -> Option<&Figures> {
        let place = CONDITIONS.iter().position(|condition| *condition == (load, way))?;
        self.figures.get(place)
    }

    /// What a way adds to plain forwarding at these percentiles.
    fn added(&self, load: Load, figures: &Figures) -> [f64; 3] {
        let forwarding = self.of(load, Way::Forwarding).map_or([0.0; 3], Figures::percentiles);
        let with = figures.percentiles();
        std::array::from_fn(|place| with[place] - forwarding[place])
    }

    pub(super) fn print(&self) -> &Self {
        if let Some(obstacle) = &self.obstacle {
            println!("\nrequest to reply: not measured, which takes root: {obstacle}");
            return self;
        }
        println!(
            "\nrequest to reply, us, {} rounds of {REQUESTS}{:>24} {:>6} {:>7} {:>6} {:>6} {:>6} {:>6}",
            self.rounds, "p50", "p99", "p99.9", "added", "busy %", "kpps", "lost"
        );
        let mut before = None;
        for ((load, way), figures) in CONDITIONS.into_iter().zip(&self.figures) {
            if before != Some(load) {
                println!("  {}", load.label());
            }
            before = Some(load);
            let ([p50, p99, p999], [added, ..]) =
                (figures.percentiles(), self.added(load, figures));
            println!(
                "    {:<44} {p50:>7.1} {p99:>6.0} {p999:>7.0} {added:>6.1} {:>6.1} {:>6.0} {:>6}",
                way.label(),
                figures.busy(),
                figures.kpps(),
                figures.lost
            );
        }
        println!("  one queue drains {:.0} kpps", self.drain / 1e3);
        for way in [Way::OneQueue, Way::TwoQueues] {
            if let Some(figures) = self.of(Load::Idle, way) {
                let [added, ..] = self.added(Load::Idle, figures);
                at_most(&format!("us added at p50, idle, {}", way.label()), added, ADDED);
            }
        }
        self
    }

    pub(super) fn json(&self) -> Value {
        if self.obstacle.is_some() {
            return json!({ "hold_us": null });
        }
        let mut report: Map<String, Value> = Map::new();
        for ((load, way), figures) in CONDITIONS.into_iter().zip(&self.figures) {
            let [p50, p99, p999] = figures.percentiles().map(round);
            let added = self.added(load, figures).map(round);
            let row = json!({
                "p50": p50, "p99": p99, "p99.9": p999,
                "added": { "p50": added[0], "p99": added[1], "p99.9": added[2] },
                "requests": figures.times.len(),
                "busy_percent": round(figures.busy()),
                "background_kpps": round(figures.kpps()),
                "lost": figures.lost,
            });
            let group = report.entry(load.key()).or_insert_with(|| json!({}));
            if let Value::Object(group) = group {
                group.insert(way.key().to_owned(), row);
            }
        }
        json!({ "hold_us": report, "rounds": { "latency": self.rounds } })
    }
}
