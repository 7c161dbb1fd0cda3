//! Two queues on two processors: packets shared out by address, as kordon's rules do, or by the processor that
//! they come in on (`--queue-cpu-fanout`).
//!
//! Both queues are filled while nobody receives, then drained by two packet threads at once, so that the senders,
//! which are on the same two processors, are not in the rate. Where a packet comes in is where its sender runs:
//! what a network card's receive queues, or RPS, would do. Of a flow whose packets come in on alternating
//! processors (interrupts that are moved), it is counted how many arrive after a later one.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::time::{Duration, Instant};

use kordon::queue::{NativeQueue, QueueSettings};
use kordon::ruleset::Published;
use kordon::worker::Worker;
use nix::sys::socket::{getsockopt, setsockopt, sockopt};
use serde_json::{Map, Value, json};

use super::drain::{arrived, median, settings, worker};
use super::lab::process::tool;
use super::lab::topology::{self, ALLOWED, CAMERA_INTERFACE, Place};
use super::lab::{Context, Res};
use super::processors::{self, THIS, keep_on};
use super::{Bench, release, round};

const ROUNDS: usize = 6;
/// No round begins later.
const TIME: Duration = Duration::from_secs(22);
/// Packets in both queues together.
const PACKETS: usize = 8_192;
/// What one held packet takes of the buffer, amply.
const CHARGE: usize = 1_280;
/// Payload: a number first.
const PAYLOAD: usize = 36;
/// Where packets end on arrival.
pub(super) const DISCARD: u16 = 9;
/// Where they are kept, to look at their order.
const KEPT: u16 = 9_010;
/// Packets of a flow that moves from one processor to the other, before each move.
const STAY: usize = 16;
const LIMIT: Duration = Duration::from_secs(10);

/// How packets are shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spread {
    /// There is one queue.
    One,
    Address,
    Processor,
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Traffic {
    /// To many addresses, from both processors.
    Many,
    /// To many addresses, from one processor.
    ManyOnOne,
    /// To one address, from one processor.
    Single,
    /// To one address, from both processors by turns.
    Moving,
}

struct Case {
    label: &'static str,
    key: &'static str,
    spread: Spread,
    traffic: Traffic,
    pinned: bool,
}

const CASES: [Case; 10] = [
    case("one queue, many flows", "one_queue", Spread::One, Traffic::Many, true),
    case("by address: many flows", "address", Spread::Address, Traffic::Many, true),
    case("  threads not pinned", "address_free", Spread::Address, Traffic::Many, false),
    case("  in on one processor", "address_in_on_one", Spread::Address, Traffic::ManyOnOne, true),
    case("  one flow", "address_one_flow", Spread::Address, Traffic::Single, true),
    case("  one flow that moves", "address_moving", Spread::Address, Traffic::Moving, true),
    case("by processor: many flows", "fanout", Spread::Processor, Traffic::Many, true),
    case("  in on one processor", "fanout_in_on_one", Spread::Processor, Traffic::ManyOnOne, true),
    case("  one flow", "fanout_one_flow", Spread::Processor, Traffic::Single, true),
    case("  one flow that moves", "fanout_moving", Spread::Processor, Traffic::Moving, true),
];

const fn case(
    label: &'static str,
    key: &'static str,
    spread: Spread,
    traffic: Traffic,
    pinned: bool,
) -> Case {
    Case { label, key, spread, traffic, pinned }
}

/// The figures of one case, round by round.
#[derive(Default)]
struct Figures {
    kpps: Vec<f64>,
    /// The share of the fuller queue, in percent.
    fuller: Vec<f64>,
    /// Packets that arrived after a later one, in percent; of a moving flow only.
    late: Vec<f64>,
}

/// All cases, in their order.
pub(super) struct Queues {
    figures: Vec<Figures>,
    packets: usize,
    rounds: usize,
}

/// What one drain did.
struct Turn {
    took: Duration,
    answered: [usize; 2],
    late: usize,
}

pub(super) fn run(bench: &Bench) -> Res<Queues> {
    let processors = processors::two()?;
    let figures = CASES.iter().map(|_| Figures::default()).collect();
    let mut queues = Queues { figures, packets: fitting()?, rounds: 0 };
    let began = Instant::now();
    discarding(|| {
        // The first round warms up, and is not kept.
        for round in 0..=bench.rounds.unwrap_or(ROUNDS) {
            if began.elapsed() > TIME && queues.rounds > 0 {
                break;
            }
            for turn in 0..CASES.len() {
                let place = (turn + round) % CASES.len();
                let case = &CASES[place];
                let turn = case.turn(&bench.rules, queues.packets, processors).context(case.key)?;
                if round > 0 {
                    queues.figures[place].add(case, &turn);
                }
            }
            queues.rounds = round;
        }
        Ok(())
    })?;
    Ok(queues)
}

/// How many packets find room in one queue.
fn fitting() -> Res<usize> {
    let granted = NativeQueue::open(&numbered(0)).context("queue")?.buffer_granted();
    Ok(PACKETS.min(granted / CHARGE))
}

impl Figures {
    fn add(&mut self, case: &Case, turn: &Turn) {
        let packets: usize = turn.answered.iter().sum();
        let of = |part: usize| part as f64 * 100.0 / packets as f64;
        self.fuller.push(of(turn.answered[0].max(turn.answered[1])));
        match case.traffic {
            // Its packets are kept by a socket, which costs more: the rate compares with nothing.
            Traffic::Moving => self.late.push(of(turn.late)),
            Traffic::Many | Traffic::ManyOnOne | Traffic::Single => {
                self.kpps.push(packets as f64 / turn.took.as_secs_f64() / 1e3);
            }
        }
    }
}

impl Queues {
    pub(super) fn print(&self) -> &Self {
        println!(
            "\n{} packets in two queues, {} rounds                kpps   fuller queue   out of order",
            self.packets, self.rounds
        );
        for (case, figures) in CASES.iter().zip(&self.figures) {
            let some = |figures: &[f64], unit| match figures {
                [] => String::new(),
                figures => format!("{:.0}{unit}", median(figures)),
            };
            println!(
                "  {:<50} {:>5} {:>14} {:>14}",
                case.label,
                some(&figures.kpps, ""),
                some(&figures.fuller, " %"),
                some(&figures.late, " %")
            );
        }
        self
    }

    pub(super) fn json(&self) -> Value {
        let cases = CASES.iter().zip(&self.figures).map(|(case, figures)| {
            let some = |figures: &[f64]| (!figures.is_empty()).then(|| round(median(figures)));
            let value = json!({
                "kpps": some(&figures.kpps),
                "fuller_percent": some(&figures.fuller),
                "out_of_order_percent": some(&figures.late),
            });
            (case.key.to_owned(), value)
        });
        let cases: Map<String, Value> = cases.collect();
        json!({ "queues": cases, "rounds": { "queues": self.rounds } })
    }
}

/// The settings of the queue with this place.
pub(super) fn numbered(place: u16) -> QueueSettings {
    let one = settings();
    QueueSettings { number: one.number + place, max_length: 4 * PACKETS as u32, ..one }
}

/// Does this while packets to [`DISCARD`] end on arrival, so that the server's work is not in the figure.
pub(super) fn discarding(work: impl FnOnce() -> Res) -> Res {
    let port = DISCARD.to_string();
    let end = ["-w", "-t", "raw", "-A", "PREROUTING", "-p", "udp", "--dport", &port, "-j", "DROP"];
    let at_server =
        |options: &[&str]| topology::at(Place::Out1, || tool("iptables-nft", options).map(drop));
    at_server(&end)?;
    let outcome = work();
    at_server(&["-w", "-t", "raw", "-F", "PREROUTING"])?;
    outcome
}

/// Holds what enters from the camera, in these queues: options of the NFQUEUE target.
pub(super) fn hold_in(options: &[&str]) -> Res {
    let rule = ["-w", "-t", "mangle", "-A", "FORWARD", "-i", CAMERA_INTERFACE, "-j", "NFQUEUE"];
    tool("iptables-nft", &[rule.as_slice(), options].concat()).map(drop)
}

/// The camera's socket, to any address of the first server.
pub(super) fn camera() -> Res<UdpSocket> {
    topology::at(Place::Camera, || UdpSocket::bind("0.0.0.0:0").context("camera: socket"))
}

/// One address of the first server after another.
pub(super) fn destination(index: usize, port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(198, 51, 100, 1 + (index % 250) as u8), port))
}

impl Case {
    /// Fills the queues and drains them.
    fn turn(&self, rules: &Arc<Published>, packets: usize, processors: [usize; 2]) -> Res<Turn> {
        let [first, range] = [
            numbered(0).number.to_string(),
            format!("{}:{}", numbered(0).number, numbered(1).number),
        ];
        let (queues, options): (u16, &[&str]) = match self.spread {
            Spread::One => (1, &["--queue-num", &first]),
            Spread::Address => (2, &["--queue-balance", &range]),
            Spread::Processor => (2, &["--queue-balance", &range, "--queue-cpu-fanout"]),
        };
        let mut workers = Vec::new();
        for place in 0..queues {
            workers.push(worker(NativeQueue::open(&numbered(place)).context("queue")?, rules));
        }
        let (receiver, packets) = match self.traffic {
            Traffic::Moving => {
                let (receiver, room) = receiver()?;
                (Some(receiver), packets.min(room))
            }
            Traffic::Many | Traffic::ManyOnOne | Traffic::Single => (None, packets),
        };
        let before = arrived()?;
        hold_in(options)?;
        let drained = fill(self.traffic, packets, processors)
            .and_then(|()| self.drain(workers, packets, processors));
        release()?;
        let (took, answered) = drained?;
        let reached = arrived()? - before;
        if reached < packets as u64 {
            return Err(format!("{reached} of {packets} packets arrived"));
        }
        let late = receiver.map_or(Ok(0), |receiver| late(&receiver, packets))?;
        Ok(Turn { took, answered, late })
    }

    /// All packet threads at once until every packet is answered: how long that took, and who answered how many.
    fn drain(
        &self,
        workers: Vec<Worker<NativeQueue>>,
        packets: usize,
        processors: [usize; 2],
    ) -> Res<(Duration, [usize; 2])> {
        let answered = [AtomicUsize::new(0), AtomicUsize::new(0)];
        let total = || answered.iter().map(|one| one.load(Ordering::Relaxed)).sum::<usize>();
        let (ended, barrier) = (OnceLock::new(), Barrier::new(workers.len()));
        let begun = std::thread::scope(|scope| {
            let mut threads = Vec::new();
            for (place, mut worker) in workers.into_iter().enumerate() {
                let (answered, ended, total, barrier) =
                    (&answered[place], &ended, &total, &barrier);
                threads.push(scope.spawn(move || -> Res<Instant> {
                    let one = &processors[place..=place];
                    let kept = keep_on(THIS, if self.pinned { one } else { &processors });
                    barrier.wait();
                    kept?;
                    let began = Instant::now();
                    // A thread that has nothing left waits for a quarter of a second; that is not counted.
                    while total() < packets && began.elapsed() < LIMIT {
                        answered.fetch_add(worker.turn().context("turn")?, Ordering::Relaxed);
                        if total() >= packets {
                            ended.get_or_init(Instant::now);
                        }
                    }
                    Ok(began)
                }));
            }
            let panicked = |_| Err("a packet thread panicked".to_owned());
            let ends = threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked));
            ends.collect::<Res<Vec<Instant>>>()
        })?;
        let answered = answered.map(AtomicUsize::into_inner);
        // From the moment at which the first of them began.
        match (begun.into_iter().min(), ended.into_inner()) {
            (Some(began), Some(ended)) => Ok((ended.duration_since(began), answered)),
            (_, _) => Err(format!("{answered:?} of {packets} packets were answered")),
        }
    }
}

/// Fills the queues while nobody receives.
fn fill(traffic: Traffic, packets: usize, processors: [usize; 2]) -> Res {
    let camera = camera()?;
    let send = |index: usize, to: SocketAddr| {
        let mut payload = [0; PAYLOAD];
        payload[..8].copy_from_slice(&(index as u64).to_be_bytes());
        camera.send_to(&payload, to).map(drop).context("camera: send")
    };
    let single = |port| SocketAddr::from((ALLOWED, port));
    let some = |indices: std::ops::Range<usize>, processor: usize| -> Res {
        keep_on(THIS, &[processor])?;
        for index in indices {
            match traffic {
                Traffic::Many | Traffic::ManyOnOne => send(index, destination(index, DISCARD))?,
                Traffic::Single => send(index, single(DISCARD))?,
                Traffic::Moving => {
                    if index % STAY == 0 {
                        keep_on(THIS, &[processors[index / STAY % 2]])?;
                    }
                    send(index, single(KEPT))?;
                }
            }
        }
        Ok(())
    };
    let half = match traffic {
        Traffic::Many => packets / 2,
        Traffic::ManyOnOne | Traffic::Single | Traffic::Moving => packets,
    };
    let [one, other] = processors;
    std::thread::scope(|scope| {
        let senders =
            [scope.spawn(|| some(0..half, one)), scope.spawn(|| some(half..packets, other))];
        senders
            .into_iter()
            .try_for_each(|sender| sender.join().unwrap_or_else(|_| Err("panicked".to_owned())))
    })
}

/// A socket at the server, and how many packets find room in it.
fn receiver() -> Res<(UdpSocket, usize)> {
    topology::at(Place::Out1, || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, KEPT)).context("server")?;
        // Not allowed in a user namespace.
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &(32 << 20));
        socket.set_read_timeout(Some(Duration::from_millis(100))).context("server")?;
        let granted = getsockopt(&socket, sockopt::RcvBuf).context("server")?;
        Ok((socket, granted / CHARGE))
    })
}

/// How many of the packets that wait in this socket stand behind a later one.
fn late(socket: &UdpSocket, packets: usize) -> Res<usize> {
    let (mut last, mut late) = (0, 0);
    for received in 0..packets {
        let mut payload = [0; PAYLOAD];
        socket.recv(&mut payload).context(format!("server: {received} of {packets}"))?;
        let number = payload.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        if number < last {
            late += 1;
        }
        last = last.max(number);
    }
    Ok(late)
}
