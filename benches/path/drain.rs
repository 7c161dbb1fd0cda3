//! Filling a queue and draining it, by one contestant after the other.
//!
//! Every contestant gets the same copy range, GSO flag, length, receive buffer and number of packets, a
//! queue of its own for each turn, and the same thread on the same processor. A turn counts only if every
//! packet reached the server.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kordon::config::Mode;
use kordon::counters::{Account, CameraPlaces, Shard, Sightings, events, sightings};
use kordon::failure::Failure;
use kordon::packet::Held;
use kordon::queue::{BATCH, NativeQueue, NfqQueue, PacketQueue, QueueSettings};
use kordon::ruleset::{Follower, Published};
use kordon::stance::{Stance, Terms};
use kordon::verdict::{Mark, Verdict};
use kordon::worker::Worker;
use nix::sys::socket::{setsockopt, sockopt};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use serde_json::{Value, json};

use super::common::{self, Ip, SPREAD};
use super::lab::process::tool;
use super::lab::topology::{self, ALLOWED, Place};
use super::lab::{Context, Res};
use super::machine::Pinned;
use super::steal::Undisturbed;
use super::{Bench, COPY_RANGE, QUEUE, at_least, hold, release, round};

const ROUNDS: usize = 25;
/// To reach: the native backend to the accept-all loop.
const NATIVE_TO_LOOP: f64 = 1.2;
/// Packets in the queue before it is drained: short enough that few turns are disturbed.
const PACKETS: usize = 4_096;
/// The payload of each packet, in bytes: 64 with its headers.
const PAYLOAD: [u8; 36] = [0; 36];
/// Receive buffer asked for; [`PACKETS`] take about half of it.
const BUFFER: usize = 16 << 20;
/// What one held packet takes of the buffer, amply (832 measured on Linux 6.18, copy range 128).
const CHARGE: usize = 1_280;
/// No turn takes longer.
const LIMIT: Duration = Duration::from_secs(20);

/// Who drains the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Contestant {
    NfqLoop,
    NativeCold,
    NativeHot,
    BackendCold,
    BackendHot,
}

impl Contestant {
    const ALL: [Contestant; 5] = [
        Contestant::NfqLoop,
        Contestant::NativeCold,
        Contestant::NativeHot,
        Contestant::BackendCold,
        Contestant::BackendHot,
    ];

    fn label(self) -> &'static str {
        match self {
            Contestant::NfqLoop => "nfq loop, accepts everything",
            Contestant::NativeCold => "kordon native, another address per packet",
            Contestant::NativeHot => "kordon native, one address",
            Contestant::BackendCold => "kordon on nfq, another address per packet",
            Contestant::BackendHot => "kordon on nfq, one address",
        }
    }
}

/// Kilopackets per second of each contestant in each round.
pub(super) struct Figures {
    kpps: BTreeMap<Contestant, Vec<f64>>,
    packets: usize,
    rounds: usize,
}

impl Figures {
    fn of(&self, contestant: Contestant) -> f64 {
        median(&self.kpps[&contestant])
    }

    pub(super) fn print(&self) -> &Self {
        let base = self.of(Contestant::NfqLoop);
        println!(
            "\ndrain, one processor, {} packets a round, {} rounds    kpps    to the loop",
            self.packets, self.rounds
        );
        for contestant in Contestant::ALL {
            let kpps = self.of(contestant);
            println!("  {:<42} {kpps:>6.1}    {:>6.2}", contestant.label(), kpps / base);
        }
        let to_loop = self.of(Contestant::NativeCold) / base;
        at_least("native, cold look-ups, to the accept-all nfq loop", to_loop, NATIVE_TO_LOOP);
        self
    }

    pub(super) fn json(&self) -> Value {
        let base = self.of(Contestant::NfqLoop);
        json!({
            "kpps": {
                "native": round(self.of(Contestant::NativeCold)),
                "nfq_backend": round(self.of(Contestant::BackendCold)),
                "nfq_loop": round(base),
            },
            "kpps_hot": {
                "native": round(self.of(Contestant::NativeHot)),
                "nfq_backend": round(self.of(Contestant::BackendHot)),
            },
            "ratio": {
                "native_to_nfq_loop": self.of(Contestant::NativeCold) / base,
                "native_hot_to_nfq_loop": self.of(Contestant::NativeHot) / base,
            },
            "rounds": { "drain": self.rounds },
            "packets": self.packets,
        })
    }
}

pub(super) fn run(bench: &Bench) -> Res<Figures> {
    let pinned = Pinned::new()?;
    Drain::new(bench, pinned.processor)?.run()
}

struct Drain {
    rules: Arc<Published>,
    addresses: Arc<Vec<[u8; 4]>>,
    settings: QueueSettings,
    packets: usize,
    rounds: usize,
    processor: usize,
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

impl Drain {
    fn new(bench: &Bench, processor: usize) -> Res<Self> {
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
        let addresses = Arc::new(addresses.collect());
        let (rules, rounds) = (Arc::clone(&bench.rules), bench.rounds.unwrap_or(ROUNDS));
        Ok(Drain { rules, addresses, settings, packets, rounds, processor })
    }

    fn run(&self) -> Res<Figures> {
        hold()?;
        // Judged packets end on arrival, so that the server's work is not in the figure.
        let end = ["-w", "-t", "raw", "-A", "PREROUTING", "-p", "udp", "-j", "DROP"];
        topology::at(Place::Out1, || tool("iptables-nft", &end).map(drop))?;
        let camera = topology::at(Place::Camera, || {
            let socket = UdpSocket::bind("0.0.0.0:0").context("camera: socket")?;
            socket.connect(SocketAddr::from((ALLOWED, 9))).context("camera: connect")?;
            Ok(socket)
        })?;
        let mut kpps: BTreeMap<Contestant, Vec<f64>> = BTreeMap::new();
        let mut undisturbed = Undisturbed::new(self.processor, self.rounds * Contestant::ALL.len());
        // The first round warms up, and is not kept.
        for round in 0..=self.rounds {
            for turn in 0..Contestant::ALL.len() {
                let contestant = Contestant::ALL[(turn + round) % Contestant::ALL.len()];
                let took = undisturbed
                    .take(0, || self.turn(contestant, &camera).context(contestant.label()))?;
                if round > 0 {
                    let figure = self.packets as f64 / took.as_secs_f64() / 1e3;
                    kpps.entry(contestant).or_default().push(figure);
                }
            }
        }
        undisturbed.report("drain");
        release()?;
        topology::at(Place::Out1, || {
            tool("iptables-nft", &["-w", "-t", "raw", "-F", "PREROUTING"]).map(drop)
        })?;
        Ok(Figures { kpps, packets: self.packets, rounds: self.rounds })
    }

    fn turn(&self, contestant: Contestant, camera: &UdpSocket) -> Res<Duration> {
        let open_native = || NativeQueue::open(&self.settings).context("queue");
        let open_nfq = || NfqQueue::open(&self.settings).context("queue");
        match contestant {
            Contestant::NfqLoop => {
                let mut queue = open_loop(&self.settings)?;
                self.time(camera, || {
                    let mut message = queue.recv().context("recv")?;
                    message.set_verdict(nfq::Verdict::Accept);
                    queue.verdict(message).context("verdict")?;
                    Ok(1)
                })
            }
            Contestant::NativeCold => self.work(camera, self.cold(open_native()?)),
            Contestant::NativeHot => self.work(camera, open_native()?),
            Contestant::BackendCold => self.work(camera, self.cold(open_nfq()?)),
            Contestant::BackendHot => self.work(camera, open_nfq()?),
        }
    }

    /// kordon's own packet thread on this queue.
    fn work<Q: PacketQueue>(&self, camera: &UdpSocket, queue: Q) -> Res<Duration> {
        let mut worker = worker(queue, &self.rules);
        self.time(camera, || worker.turn().context("turn"))
    }

    fn cold<Q: PacketQueue>(&self, queue: Q) -> Cold<Q> {
        Cold { queue, copies: Vec::new(), addresses: Arc::clone(&self.addresses), next: 0 }
    }

    /// Fills the queue, calls `some` (which returns how many it answered) until it is empty, and returns how
    /// long that took.
    fn time(&self, camera: &UdpSocket, mut some: impl FnMut() -> Res<usize>) -> Res<Duration> {
        let before = arrived()?;
        for _ in 0..self.packets {
            camera.send(&PAYLOAD).context("camera: send")?;
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
    // Nobody listens: nothing is blocked, so there are no events.
    let (send, _) = events();
    let account = Account::new(Arc::new(Shard::new(0)), cameras, send, Mode::Enforce);
    let (rules, stance) = (Follower::new(Arc::clone(rules)), Arc::new(Stance::new(Terms::CLOSED)));
    let sighted = Sightings::new(sightings().0);
    Worker::new(queue, rules, account, sighted, Instant::now(), stance, settings().accept_mark)
}

/// A queue whose packets are judged with another destination each: addresses of the table in turn.
struct Cold<Q> {
    queue: Q,
    copies: Vec<[u8; COPY_RANGE as usize]>,
    addresses: Arc<Vec<[u8; 4]>>,
    next: usize,
}

impl<Q: PacketQueue> PacketQueue for Cold<Q> {
    fn receive(&mut self) -> Result<usize, Failure> {
        let count = self.queue.receive()?;
        if self.copies.is_empty() && count > 0 {
            let mut copy = [0; COPY_RANGE as usize];
            let bytes = self.queue.held(0).bytes;
            copy[..bytes.len()].copy_from_slice(bytes);
            self.copies = vec![copy; BATCH];
        }
        for copy in self.copies.iter_mut().take(count) {
            copy[16..20].copy_from_slice(&self.addresses[self.next]);
            self.next = (self.next + 1) % self.addresses.len();
        }
        Ok(count)
    }

    fn held(&self, index: usize) -> Held<'_> {
        let held = self.queue.held(index);
        let bytes = self.copies.get(index).and_then(|copy| copy.get(..held.bytes.len()));
        Held { bytes: bytes.unwrap_or_default(), ..held }
    }

    fn judge(&mut self, index: usize, verdict: Verdict) {
        self.queue.judge(index, verdict);
    }

    fn answer(&mut self) -> Result<(), Failure> {
        self.queue.answer()
    }

    fn change(&mut self, mark: Mark, fail_open: bool) {
        self.queue.change(mark, fail_open);
    }

    fn changed(&self) -> Result<bool, Failure> {
        self.queue.changed()
    }
}

/// The accept-all loop's queue, set up as kordon's are. The crate keeps its socket to itself: the one socket
/// that appears in /proc/self/fd is it.
fn open_loop(settings: &QueueSettings) -> Res<nfq::Queue> {
    let before = descriptors()?;
    let mut queue = nfq::Queue::open().context("nfq: open")?;
    let mut new = descriptors()?.into_iter().filter(|number| !before.contains(number));
    let (Some(number), None) = (new.next(), new.next()) else {
        return Err("nfq: its socket was not found".to_owned());
    };
    let process = pidfd_open(getpid(), PidfdFlags::empty()).context("pidfd_open")?;
    let socket = pidfd_getfd(&process, number, PidfdGetfdFlags::empty()).context("pidfd_getfd")?;
    let half = settings.buffer_bytes / 2;
    set_buffer(&socket, half)?;
    queue.bind(settings.number).context("nfq: bind")?;
    queue.set_copy_range(settings.number, settings.copy_range).context("nfq: copy range")?;
    queue.set_recv_gso(settings.number, true).context("nfq: GSO")?;
    queue.set_queue_max_len(settings.number, settings.max_length).context("nfq: length")?;
    Ok(queue)
}

fn set_buffer(socket: &OwnedFd, half: usize) -> Res {
    if setsockopt(socket, sockopt::RcvBufForce, &half).is_err() {
        setsockopt(socket, sockopt::RcvBuf, &half).context("SO_RCVBUF")?;
    }
    Ok(())
}

/// The numbers of our open sockets.
fn descriptors() -> Res<BTreeSet<i32>> {
    let entries = std::fs::read_dir("/proc/self/fd").context("/proc/self/fd")?;
    let socket = |entry: &std::fs::DirEntry| {
        std::fs::read_link(entry.path())
            .is_ok_and(|target| target.to_string_lossy().starts_with("socket:"))
    };
    let number = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    Ok(entries.flatten().filter(socket).filter_map(number).collect())
}

/// Packets that reached the first server.
fn arrived() -> Res<u64> {
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
