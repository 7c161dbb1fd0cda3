//! Filling a queue and draining it, by one contestant after the other.
//!
//! Every contestant gets the same copy range, GSO flag, length, receive buffer and number of packets, a
//! queue of its own for each turn, and the same thread on the same processor. It drains the queue twice, and
//! the second time counts: by then its memory is there, as a daemon's is. A turn counts only if every packet
//! reached the server. In each round the contestants come in another order.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kordon::config::{Action, Mode};
use kordon::counters::{
    Account, CameraPlaces, Reported, Reports, Service, Shard, Sighting, Sightings, events,
};
use kordon::packet::Addresses;
use kordon::queue::{NativeQueue, NfqQueue, PacketQueue, QueueSettings};
use kordon::ruleset::{Follower, Published};
use kordon::stance::{Stance, Terms};
use kordon::verdict::{Mark, Reason};
use kordon::worker::Worker;
use serde_json::{Map, Value, json};

use super::ceiling::Ceiling;
use super::cold::{Cold, Copies};
use super::common::{self, Ip, Random, SEED, SPREAD};
use super::contestant::{Contestant, Size};
use super::lab::process::tool;
use super::lab::topology::{self, ALLOWED, Place};
use super::lab::{Context, Res};
use super::machine::Pinned;
use super::steal::Undisturbed;
use super::{Bench, COPY_RANGE, QUEUE, at_least, at_most, hold, nfq_loop, release, round};

const ROUNDS: usize = 40;
/// To reach: kordon's packet thread to the ceiling and to the accept-all loop, and how much more a packet may cost
/// with the full table than with empty lists.
const NATIVE_TO_CEILING: f64 = 0.9;
const NATIVE_TO_LOOP: f64 = 1.2;
const FULL_TO_EMPTY: f64 = 1.05;
/// Packets in the queue before it is drained: short enough that few turns are disturbed.
const PACKETS: usize = 4_096;
/// Receive buffer asked for; [`PACKETS`] take about half of it.
const BUFFER: usize = 16 << 20;
/// What one held packet takes of the buffer, amply (832 measured on Linux 6.18, copy range 128).
const CHARGE: usize = 1_280;
/// No turn takes longer.
const LIMIT: Duration = Duration::from_secs(20);

/// Kilopackets per second of each contestant in each round.
pub(super) struct Figures {
    kpps: BTreeMap<(Size, Contestant), Vec<f64>>,
    packets: usize,
    rounds: usize,
}

impl Figures {
    fn of(&self, size: Size, contestant: Contestant) -> f64 {
        median(&self.kpps[&(size, contestant)])
    }

    /// The median of the rounds' ratios.
    fn ratio(&self, size: Size, one: Contestant, other: Contestant) -> f64 {
        let pairs = self.kpps[&(size, one)].iter().zip(&self.kpps[&(size, other)]);
        median(&pairs.map(|(one, other)| one / other).collect::<Vec<_>>())
    }

    pub(super) fn print(&self) -> &Self {
        for size in Size::ALL {
            println!(
                "\ndrain, {} bytes, {} packets, {} rounds            kpps  ns each  to the ceiling",
                size.0, self.packets, self.rounds
            );
            for contestant in Contestant::ALL {
                let kpps = self.of(size, contestant);
                let ratio = self.ratio(size, contestant, Contestant::Ceiling);
                let (label, each) = (contestant.label(), 1e6 / kpps);
                println!("  {label:<42} {kpps:>8.1} {each:>8.0} {ratio:>15.3}");
            }
            let [to_ceiling, to_loop, full_to_empty] = self.ratios(size);
            at_least("native to the ceiling", to_ceiling, NATIVE_TO_CEILING);
            at_least("native to the nfq loop", to_loop, NATIVE_TO_LOOP);
            at_most("cost with the full table to empty lists", full_to_empty, FULL_TO_EMPTY);
        }
        self
    }

    /// Native to the ceiling and to the loop, and the cost with the full table to that with empty lists.
    fn ratios(&self, size: Size) -> [f64; 3] {
        [
            self.ratio(size, Contestant::Native, Contestant::Ceiling),
            self.ratio(size, Contestant::Native, Contestant::NfqLoop),
            self.ratio(size, Contestant::NativeEmpty, Contestant::Native),
        ]
    }

    pub(super) fn json(&self) -> Value {
        let mut report = Map::new();
        let mut ratio = Map::new();
        for size in Size::ALL {
            let suffix = size.suffix();
            let all = Contestant::ALL.into_iter();
            let kpps = all.map(|one| (one.key().to_owned(), json!(round(self.of(size, one)))));
            report.insert(format!("kpps{suffix}"), Value::Object(kpps.collect()));
            let names = ["native_to_ceiling", "native_to_nfq_loop", "full_to_empty_list"];
            for (name, figure) in names.into_iter().zip(self.ratios(size)) {
                ratio.insert(format!("{name}{suffix}"), json!(figure));
            }
        }
        report.insert("ratio".to_owned(), Value::Object(ratio));
        report.insert("rounds".to_owned(), json!({ "drain": self.rounds }));
        report.insert("packets".to_owned(), json!(self.packets));
        Value::Object(report)
    }
}

pub(super) fn run(bench: &Bench) -> Res<Figures> {
    let pinned = Pinned::new()?;
    let drain = Drain::new(bench)?;
    let rounds = bench.rounds.unwrap_or(ROUNDS);
    let mut kpps: BTreeMap<_, Vec<f64>> = BTreeMap::new();
    let mut order: Vec<_> = Size::ALL
        .into_iter()
        .flat_map(|size| Contestant::ALL.map(|contestant| (size, contestant)))
        .collect();
    let mut random = Random(SEED);
    let mut undisturbed = Undisturbed::new(pinned.processor, rounds * order.len());
    drain.held(|camera| {
        // The first round warms up, and is not kept.
        for round in 0..=rounds {
            shuffle(&mut order, &mut random);
            for (size, contestant) in &order {
                let turn = || drain.turn(*contestant, *size, round, camera);
                let took = undisturbed.take(0, || turn().context(contestant.label()))?;
                if round > 0 {
                    let figure = drain.packets as f64 / took.as_secs_f64() / 1e3;
                    kpps.entry((*size, *contestant)).or_default().push(figure);
                }
            }
        }
        Ok(())
    })?;
    undisturbed.report("drain");
    Ok(Figures { kpps, packets: drain.packets, rounds })
}

fn shuffle<T>(order: &mut [T], random: &mut Random) {
    for last in (1..order.len()).rev() {
        order.swap(last, random.below(last + 1));
    }
}

pub(super) fn settings() -> QueueSettings {
    QueueSettings {
        number: QUEUE,
        copy_range: COPY_RANGE,
        max_length: PACKETS as u32,
        buffer_bytes: BUFFER,
        fail_open: false,
        accept_mark: Mark { value: 0x1000_0000, mask: 0x3000_0000 },
    }
}

/// What turns need.
pub(super) struct Drain {
    pub(super) full: Arc<Published>,
    pub(super) empty: Arc<Published>,
    pub(super) packets: usize,
    addresses: Arc<Vec<[u8; 4]>>,
    settings: QueueSettings,
}

impl Drain {
    pub(super) fn new(bench: &Bench) -> Res<Self> {
        let addresses = common::hits(Ip::V4, &bench.routes, SPREAD);
        let addresses = addresses.into_iter().filter_map(|address| match address {
            IpAddr::V4(address) => Some(address.octets()),
            IpAddr::V6(_) => None,
        });
        let settings = settings();
        let granted = NativeQueue::open(&settings).context("queue")?.buffer_granted();
        let packets = PACKETS.min(granted / CHARGE);
        if packets < PACKETS {
            println!(
                "only {packets} packets a round: a receive buffer of {granted} bytes is granted"
            );
        }
        Ok(Drain {
            full: Arc::clone(&bench.rules),
            empty: common::published(&[], Action::Allow),
            addresses: Arc::new(addresses.collect()),
            settings,
            packets,
        })
    }

    /// Does this while the gateway holds what the camera sends; the camera's socket comes with it.
    pub(super) fn held(&self, work: impl FnOnce(&UdpSocket) -> Res) -> Res {
        hold()?;
        // Judged packets end on arrival, so that the server's work is not in the figure.
        let end = ["-w", "-t", "raw", "-A", "PREROUTING", "-p", "udp", "-j", "DROP"];
        topology::at(Place::Out1, || tool("iptables-nft", &end).map(drop))?;
        let camera = topology::at(Place::Camera, || {
            let socket = UdpSocket::bind("0.0.0.0:0").context("camera: socket")?;
            socket.connect(SocketAddr::from((ALLOWED, 9))).context("camera: connect")?;
            Ok(socket)
        })?;
        work(&camera)?;
        release()?;
        topology::at(Place::Out1, || {
            tool("iptables-nft", &["-w", "-t", "raw", "-F", "PREROUTING"]).map(drop)
        })
    }

    fn turn(&self, who: Contestant, size: Size, round: usize, camera: &UdpSocket) -> Res<Duration> {
        let open_native = || NativeQueue::open(&self.settings).context("queue");
        match who {
            Contestant::NfqLoop => {
                let mut queue = nfq_loop::open(&self.settings)?;
                self.time(camera, size, || nfq_loop::turn(&mut queue))
            }
            Contestant::Ceiling => {
                let mut ceiling = Ceiling::open(&self.settings)?;
                self.time(camera, size, || ceiling.turn())
            }
            Contestant::CeilingCopying => {
                let mut ceiling = Ceiling::open(&self.settings)?;
                let mut copies = self.copies(round);
                self.time(camera, size, || {
                    let received = ceiling.receive()?;
                    copies.write(received, || &[0; 64]);
                    ceiling.accept(received)
                })
            }
            Contestant::Native => {
                self.work(camera, size, self.cold(open_native()?, round), &self.full)
            }
            Contestant::NativeEmpty => {
                self.work(camera, size, self.cold(open_native()?, round), &self.empty)
            }
            Contestant::NativeHot => self.work(camera, size, open_native()?, &self.full),
            Contestant::Backend => {
                let queue = NfqQueue::open(&self.settings).context("queue")?;
                self.work(camera, size, self.cold(queue, round), &self.full)
            }
        }
    }

    /// kordon's own packet thread on this queue.
    fn work<Q: PacketQueue>(
        &self,
        camera: &UdpSocket,
        size: Size,
        queue: Q,
        rules: &Arc<Published>,
    ) -> Res<Duration> {
        let mut worker = worker(queue, rules);
        self.time(camera, size, || worker.turn().context("turn"))
    }

    fn cold<Q: PacketQueue>(&self, queue: Q, round: usize) -> Cold<Q> {
        Cold { queue, copies: self.copies(round) }
    }

    /// In each round other addresses than in the one before, the same for all contestants; in a turn all differ.
    pub(super) fn copies(&self, round: usize) -> Copies {
        let all = self.addresses.len();
        Copies::new(&self.addresses, 2 * round * self.packets % all)
    }

    /// Fills the queue, calls `some` (which returns how many it answered) until it is empty, does so once more, and
    /// returns how long it took to empty it then.
    fn time(
        &self,
        camera: &UdpSocket,
        size: Size,
        mut some: impl FnMut() -> Res<usize>,
    ) -> Res<Duration> {
        let payload = size.payload();
        self.once(camera, &payload, &mut some)?;
        self.once(camera, &payload, &mut some)
    }

    /// Fills the queue and empties it.
    pub(super) fn once(
        &self,
        camera: &UdpSocket,
        payload: &[u8],
        some: &mut impl FnMut() -> Res<usize>,
    ) -> Res<Duration> {
        let before = arrived()?;
        for _ in 0..self.packets {
            camera.send(payload).context("camera: send")?;
        }
        let began = Instant::now();
        let mut answered = 0;
        while answered < self.packets {
            answered += some()?;
            if began.elapsed() > LIMIT {
                return Err(format!("{answered} of {} packets in {LIMIT:?}", self.packets));
            }
        }
        let took = began.elapsed();
        let arrived = arrived()? - before;
        if arrived < self.packets as u64 {
            return Err(format!("{arrived} of {} packets arrived", self.packets));
        }
        Ok(took)
    }
}

pub(super) fn worker<Q: PacketQueue>(queue: Q, rules: &Arc<Published>) -> Worker<Q> {
    let cameras = Arc::new(CameraPlaces::new(&[]));
    // Nothing is blocked, so there are no events.
    let account = Account::new(Arc::new(Shard::new(0)), cameras, events().way(), Mode::Enforce);
    let (rules, stance) = (Follower::new(Arc::clone(rules)), Arc::new(Stance::new(Terms::CLOSED)));
    // Nobody takes what a turn reports.
    let sighted = Sightings::new(worn(&mut Reported::with_room_for(2 * PACKETS)));
    Worker::new(queue, rules, account, sighted, Instant::now(), stance, settings().accept_mark)
}

/// A way all of whose room was used before, as that of a daemon that has run for a while: the kernel gives memory only when
/// it is first written to.
fn worn(sightings: &mut Reported<Sighting>) -> Reports<Sighting> {
    let mut way = sightings.way();
    let nobody = Ipv4Addr::UNSPECIFIED;
    let sighting = Sighting {
        addresses: Addresses::V4 { source: nobody, destination: nobody },
        protocol: 0,
        service: Service::None,
        mac: None,
        interface: 0,
        reason: Reason::NoMatch,
        dropped: false,
    };
    while way.send(sighting) {}
    sightings.for_each(drop);
    way
}

/// Packets that reached the first server.
pub(super) fn arrived() -> Res<u64> {
    topology::at(Place::Out1, || {
        let table = std::fs::read_to_string("/proc/thread-self/net/dev").context("net/dev")?;
        table
            .lines()
            .find_map(|line| line.trim_start().strip_prefix("eth0:"))
            .and_then(|counts| counts.split_whitespace().nth(1)?.parse().ok())
            .ok_or_else(|| "eth0 has no counters".to_owned())
    })
}

/// The middle of the figures.
pub(super) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        1 => sorted[middle],
        _ => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}
