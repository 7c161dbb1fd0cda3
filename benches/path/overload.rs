//! More packets than the packet thread can judge, then none: what passes, what is lost, and when it is over.
//!
//! kordon's own packet thread, queue and counters behind a hold rule, with the full table as block lists; no gate, so
//! that whatever passes the queue arrives. The thread sleeps between batches, so that it judges [`DRAIN`] packets a
//! second on any machine. What was held is counted by the rule, what was delivered by the receivers, the rest by
//! kordon; a round is counted when the queue is empty, before another packet comes, and once more behind that.
//! Recovery is the time from the last packet of the overload to the arrival of a packet sent when the queue was empty.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kordon::config::{Action, Mode};
use kordon::counters::{Account, CameraPlaces, Shard, Sightings, events, sightings};
use kordon::failure::Failure;
use kordon::queue::{Around, NativeQueue, PacketQueue, QueueSettings};
use kordon::ruleset::Follower;
use kordon::stance::{Stance, Terms};
use kordon::telemetry::QueueView;
use kordon::worker::Worker;
use serde_json::{Map, Value, json};

use super::common::{self, Route};
use super::drain::settings;
use super::lab::flood::Flood;
use super::lab::process::tool;
use super::lab::topology::{self, ALLOWED, BLOCKED, Place};
use super::lab::{Context, Res, wait_until};
use super::{Bench, QUEUE, at_most, hold, release};

/// Packets a second that the thread judges.
const DRAIN: u32 = 10_000;
/// Room for 0.5 s of that, and the length that the configuration would ask for beside it.
const BUFFER: usize = 4 << 20;
const LENGTH: u32 = 5_632;
/// What comes, in tenths of [`DRAIN`], and its name in the report. Half is the control: nothing may be lost.
const LOADS: [(u32, &str); 3] = [(5, "half"), (20, "times_2"), (100, "times_10")];
/// How long it comes.
const OVERLOAD: Duration = Duration::from_millis(2_500);
/// How long the receivers listen for what may still come.
const SILENCE: Duration = Duration::from_millis(200);
/// To reach: recovery in milliseconds.
const RECOVERY: f64 = 1_000.0;
const PROBE_PORT: u16 = 9_003;
const LIMIT: Duration = Duration::from_secs(5);

/// One load.
struct Round {
    name: &'static str,
    tenths: u32,
    /// Packets a second that were held.
    rate: f64,
    held: u64,
    counts: Counts,
    delivered: u64,
    leaked: u64,
    /// Held, less delivered, dropped and lost; behind the next packet as well.
    difference: [i64; 2],
    recovery: Duration,
}

/// What kordon counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counts {
    accepted: u64,
    dropped: u64,
    lost: u64,
}

pub(super) struct Figures {
    buffer: usize,
    rounds: Vec<Round>,
}

impl Figures {
    pub(super) fn print(&self) -> &Self {
        println!(
            "\noverload, {DRAIN} packets/s judged, buffer {} bytes\n  {:<8} {:>7} {:>9} {:>9} {:>8} {:>9} {:>6} {:>10} \
             {:>11}",
            self.buffer,
            "load",
            "kpps",
            "held",
            "delivered",
            "dropped",
            "lost",
            "leaked",
            "difference",
            "recovery"
        );
        for round in &self.rounds {
            println!(
                "  {:<8} {:>7.1} {:>9} {:>9} {:>8} {:>9} {:>6} {:>10} {:>8.0} ms",
                round.load(),
                round.rate / 1e3,
                round.held,
                round.delivered,
                round.counts.dropped,
                round.counts.lost,
                round.leaked,
                round.worst(),
                round.milliseconds()
            );
        }
        let worst = |figure: fn(&Round) -> f64| self.rounds.iter().map(figure).fold(0.0, f64::max);
        at_most("packets unaccounted for", worst(|round| round.worst() as f64), 0.0);
        at_most("blocked packets passed", worst(|round| round.leaked as f64), 0.0);
        at_most("recovery in ms", worst(Round::milliseconds), RECOVERY);
        self
    }

    pub(super) fn json(&self) -> Value {
        let mut rounds: Map<String, Value> =
            self.rounds.iter().map(|round| (round.name.to_owned(), round.json())).collect();
        rounds.insert("drain_pps".to_owned(), json!(DRAIN));
        rounds.insert("buffer_bytes".to_owned(), json!(self.buffer));
        json!({ "overload": rounds })
    }
}

impl Round {
    fn load(&self) -> String {
        format!("{:.1} x", f64::from(self.tenths) / 10.0)
    }

    /// The difference that is further from none.
    fn worst(&self) -> u64 {
        self.difference.map(i64::unsigned_abs).into_iter().max().unwrap_or(0)
    }

    fn milliseconds(&self) -> f64 {
        self.recovery.as_secs_f64() * 1e3
    }

    fn json(&self) -> Value {
        json!({
            "kpps": super::round(self.rate / 1e3),
            "held": self.held,
            "delivered": self.delivered,
            "policy_drops": self.counts.dropped,
            "lost": self.counts.lost,
            "leaked": self.leaked,
            "difference": self.worst(),
            "recovery_ms": super::round(self.milliseconds()),
        })
    }
}

pub(super) fn run(bench: &Bench) -> Res<Figures> {
    let settings = QueueSettings { max_length: LENGTH, buffer_bytes: BUFFER, ..settings() };
    let queue = NativeQueue::open(&settings).context("queue")?;
    let buffer = queue.buffer_granted();
    let shard = Arc::new(Shard::new(0));
    let view = QueueView {
        number: QUEUE,
        counters: queue.counters(),
        gauge: queue.gauge(),
        shard: Arc::clone(&shard),
        unread: AtomicU64::new(0),
    };
    // Nobody takes what the thread reports; what finds no room is counted.
    let account =
        Account::new(shard, Arc::new(CameraPlaces::new(&[])), events().way(), Mode::Enforce);
    let mut worker = Worker::new(
        Throttled { queue, free: Instant::now() },
        Follower::new(common::published(&routes(bench), Action::Block)),
        account,
        Sightings::new(sightings().way()),
        Instant::now(),
        Arc::new(Stance::new(Terms::CLOSED)),
        settings.accept_mark,
    );
    hold()?;
    let stop = AtomicBool::new(false);
    let rounds = std::thread::scope(|scope| {
        let packets = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                worker.turn().context("turn")?;
            }
            Ok(())
        });
        let rounds = LOADS.into_iter().map(|(tenths, name)| {
            overload(&view, tenths, name).context(format!("{name}, {tenths} tenths"))
        });
        let rounds: Res<Vec<Round>> = rounds.collect();
        stop.store(true, Ordering::Relaxed);
        let ended = packets.join().unwrap_or_else(|_| Err("the packet thread panicked".to_owned()));
        ended.and(rounds)
    });
    release()?;
    Ok(Figures { buffer, rounds: rounds? })
}

/// The table, with the blocked address in it and without what covers the allowed one.
fn routes(bench: &Bench) -> Vec<Route> {
    let passes = |route: &&Route| !route.prefix.contains(&ALLOWED);
    let mut routes: Vec<Route> = bench.routes.iter().filter(passes).copied().collect();
    routes.push(Route { prefix: BLOCKED.into(), origin: 64_500, line: 0 });
    routes
}

fn overload(view: &QueueView, tenths: u32, name: &'static str) -> Res<Round> {
    let probe = Probe::new()?;
    let (held_before, before) = (held()?, counts(view));
    let (load, began) = (DRAIN * tenths / 10, Instant::now());
    let mut floods = Flood::pair(load)?;
    std::thread::sleep(OVERLOAD);
    floods.iter_mut().try_for_each(Flood::end)?;
    let over = Instant::now();
    let quiet = emptied(view)?;
    probe.passes()?;
    let recovery = over.elapsed();
    let [allowed, blocked] = floods.map(|flood| flood.stop(SILENCE));
    let (allowed, blocked) = (allowed?, blocked?);
    let after = counts(view);
    // Without the probe.
    let held = held()? - held_before - 1;
    let delivered = u64::from(allowed.arrived + allowed.doubled);
    let leaked = u64::from(blocked.arrived);
    let counts = quiet.since(before);
    let difference = |counts: Counts| {
        let accounted = delivered + leaked + counts.dropped + counts.lost;
        held as i64 - accounted as i64
    };
    // That kordon says it accepted what arrived is part of the account.
    if counts.accepted != delivered + leaked {
        return Err(format!("{delivered} arrived and {leaked} leaked: {counts:?}"));
    }
    Ok(Round {
        name,
        tenths,
        rate: held as f64 / over.duration_since(began).as_secs_f64(),
        held,
        counts,
        delivered,
        leaked,
        difference: [difference(counts), difference(after.since(before))],
        recovery,
    })
}

impl Counts {
    fn since(self, before: Counts) -> Counts {
        Counts {
            accepted: self.accepted - before.accepted,
            dropped: self.dropped - before.dropped,
            lost: self.lost - before.lost,
        }
    }
}

fn counts(view: &QueueView) -> Counts {
    let (losses, _) = view.read();
    let shard = &view.shard;
    let dropped = shard.lists.iter().flat_map(|list| &list.dropped);
    Counts {
        accepted: shard.families.iter().map(|family| family.accepted.packets.get()).sum(),
        dropped: dropped.map(|volume| volume.packets.get()).sum(),
        lost: losses.lost_buffer + losses.late_verdict + losses.orphan,
    }
}

/// Waits until nothing waits in the socket and the last batch is counted.
fn emptied(view: &QueueView) -> Res<Counts> {
    let mut last = counts(view);
    let empty = wait_until(LIMIT, || {
        let used = view.read().1.map(|buffer| buffer.used);
        let now = counts(view);
        used == Some(0) && std::mem::replace(&mut last, now) == now
    });
    if empty { Ok(last) } else { Err("the queue does not become empty".to_owned()) }
}

/// Packets that the hold rule has counted.
fn held() -> Res<u64> {
    // `[12:345] -A FORWARD -i cam0 -j NFQUEUE --queue-num 7`
    let text = tool("iptables-nft-save", &["-c", "-t", "mangle"])?;
    let rule = text.lines().find(|line| line.contains("-j NFQUEUE")).ok_or("no hold rule")?;
    let count = rule.strip_prefix('[').and_then(|rest| rest.split(':').next());
    count.and_then(|count| count.parse().ok()).ok_or_else(|| format!("no counter in {rule:?}"))
}

/// One packet at a time from the camera to the first server.
struct Probe {
    camera: UdpSocket,
    server: UdpSocket,
}

impl Probe {
    fn new() -> Res<Self> {
        let server = topology::at(Place::Out1, || {
            UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PROBE_PORT)).context("probe: server")
        })?;
        server.set_read_timeout(Some(LIMIT)).context("probe: server")?;
        let camera = topology::at(Place::Camera, || {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).context("probe: camera")?;
            socket.connect(SocketAddr::from((ALLOWED, PROBE_PORT))).context("probe: camera")?;
            Ok(socket)
        })?;
        Ok(Probe { camera, server })
    }

    fn passes(&self) -> Res {
        self.camera.send(b"probe").context("probe: send")?;
        self.server.recv(&mut [0; 16]).context("probe: it did not arrive").map(drop)
    }
}

/// A queue whose reader judges [`DRAIN`] packets a second. Nothing is in hand while it sleeps.
struct Throttled {
    queue: NativeQueue,
    /// When what was received so far has taken its time.
    free: Instant,
}

impl Around for Throttled {
    type Inner = NativeQueue;

    fn inner(&self) -> &NativeQueue {
        &self.queue
    }

    fn inner_mut(&mut self) -> &mut NativeQueue {
        &mut self.queue
    }

    fn receive(&mut self) -> Result<usize, Failure> {
        std::thread::sleep(self.free.saturating_duration_since(Instant::now()));
        let count = self.queue.receive()?;
        let taken = Duration::from_secs(1) / DRAIN * count as u32;
        self.free = self.free.max(Instant::now()) + taken;
        Ok(count)
    }
}
