//! One TCP stream through the gateway: without a queue, through the ceiling's, through kordon's.
//!
//! Sender, receiver, packet thread and kernel share the one processor, so the figures compare their work.
//! Each measurement is a new connection; what the receiver got in one second, after a start that is not
//! counted, is the figure. Both queues take aggregates whole (the GSO flag), and only the way from the camera is held.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use kordon::queue::NativeQueue;
use kordon::ruleset::Published;
use serde_json::{Value, json};

use super::ceiling::Ceiling;
use super::drain::{median, settings, worker};
use super::lab::topology::{self, ALLOWED, Place};
use super::lab::{Context, Res};
use super::machine::Pinned;
use super::steal::Undisturbed;
use super::{Bench, at_least, hold, release, round};

const ROUNDS: usize = 15;
/// To reach: TCP through kordon's queue to TCP through the ceiling's.
const GOODPUT: f64 = 0.95;
const PORT: u16 = 5001;
const START: Duration = Duration::from_millis(300);
const MEASURED: Duration = Duration::from_millis(1_000);
/// Bytes of one write or read.
const PIECE: usize = 256 << 10;
/// Stolen processor time that a measurement may have, in hundredths of a second.
const TOLERATED: u64 = 4;
const LIMIT: Duration = Duration::from_secs(10);

/// What the stream goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Forwarding,
    Ceiling,
    Native,
}

impl Way {
    const ALL: [Way; 3] = [Way::Forwarding, Way::Ceiling, Way::Native];

    fn label(self) -> &'static str {
        match self {
            Way::Forwarding => "forwarding without a queue",
            Way::Ceiling => "through the ceiling's queue",
            Way::Native => "through kordon's queue",
        }
    }

    fn key(self) -> &'static str {
        match self {
            Way::Forwarding => "forwarding",
            Way::Ceiling => "ceiling",
            Way::Native => "native",
        }
    }
}

/// What one connection came to.
#[derive(Clone, Copy, Default)]
struct Stream {
    mbit: f64,
    /// Packets (aggregates, mostly) that were held, and batches in which they were received.
    held: usize,
    batches: usize,
}

pub(super) struct Figures(BTreeMap<Way, Vec<Stream>>);

impl Figures {
    fn mbit(&self, way: Way) -> f64 {
        median(&self.0[&way].iter().map(|stream| stream.mbit).collect::<Vec<_>>())
    }

    /// How many packets a batch had.
    fn batch(&self, way: Way) -> f64 {
        let each = |stream: &Stream| stream.held as f64 / stream.batches.max(1) as f64;
        median(&self.0[&way].iter().map(each).collect::<Vec<_>>())
    }

    /// The median of the rounds' ratios.
    fn native_to(&self, other: Way) -> f64 {
        let pairs = self.0[&Way::Native].iter().zip(&self.0[&other]);
        median(&pairs.map(|(native, other)| native.mbit / other.mbit).collect::<Vec<_>>())
    }

    pub(super) fn print(&self) -> &Self {
        let rounds = self.0[&Way::Native].len();
        println!("\nTCP goodput, one stream, {rounds} rounds       Mbit/s   packets a batch");
        for way in Way::ALL {
            let (mbit, label) = (self.mbit(way), way.label());
            match way {
                Way::Forwarding => println!("  {label:<36} {mbit:>9.0}"),
                Way::Ceiling | Way::Native => {
                    println!("  {label:<36} {mbit:>9.0} {:>17.1}", self.batch(way));
                }
            }
        }
        at_least("goodput of native to the ceiling", self.native_to(Way::Ceiling), GOODPUT);
        println!("  goodput of native to forwarding: {:.3}", self.native_to(Way::Forwarding));
        self
    }

    pub(super) fn json(&self) -> Value {
        let mbit = Way::ALL.map(|way| (way.key().to_owned(), json!(round(self.mbit(way)))));
        json!({
            "goodput_mbit": Value::Object(mbit.into_iter().collect()),
            "goodput_batch": {
                "ceiling": round(self.batch(Way::Ceiling)),
                "native": round(self.batch(Way::Native)),
            },
            "ratio": {
                "goodput_to_ceiling": self.native_to(Way::Ceiling),
                "goodput_to_forwarding": self.native_to(Way::Forwarding),
            },
            "rounds": { "goodput": self.0[&Way::Native].len() },
        })
    }
}

pub(super) fn run(bench: &Bench) -> Res<Figures> {
    let pinned = Pinned::new()?;
    let rounds = bench.rounds.unwrap_or(ROUNDS);
    let mut streams: BTreeMap<Way, Vec<Stream>> = BTreeMap::new();
    let mut undisturbed = Undisturbed::new(pinned.processor, Way::ALL.len() * rounds);
    // The first round warms up, and is not kept.
    for round in 0..=rounds {
        for turn in 0..Way::ALL.len() {
            let way = Way::ALL[(turn + round) % Way::ALL.len()];
            let measure = || once(way, &bench.rules).context(way.label());
            let stream = undisturbed.take(TOLERATED, measure)?;
            if round > 0 {
                streams.entry(way).or_default().push(stream);
            }
        }
    }
    undisturbed.report("goodput");
    Ok(Figures(streams))
}

fn once(way: Way, rules: &Arc<Published>) -> Res<Stream> {
    let settings = settings();
    match way {
        Way::Forwarding => Ok(Stream { mbit: stream()?, ..Stream::default() }),
        Way::Ceiling => through(|| Ceiling::open(&settings), Ceiling::turn),
        Way::Native => {
            let open = || Ok(worker(NativeQueue::open(&settings).context("queue")?, rules));
            through(open, |worker| worker.turn().context("turn"))
        }
    }
}

/// A stream through a queue that a thread of its own opens and serves.
fn through<Q>(
    open: impl FnOnce() -> Res<Q> + Send,
    serve: impl Fn(&mut Q) -> Res<usize> + Send,
) -> Res<Stream> {
    let stop = AtomicBool::new(false);
    let (ready, opened) = channel();
    std::thread::scope(|scope| {
        let stop = &stop;
        let packets = scope.spawn(move || {
            let mut queue = open()?;
            // Received as long as this thread lives.
            let _ = ready.send(());
            let (mut held, mut batches) = (0, 0);
            while !stop.load(Ordering::Relaxed) {
                let batch = serve(&mut queue)?;
                held += batch;
                batches += usize::from(batch > 0);
            }
            Ok::<_, String>((held, batches))
        });
        let mut mbit = Err("the queue did not open".to_owned());
        if opened.recv().is_ok() {
            mbit = hold().and_then(|()| stream());
            stop.store(true, Ordering::Relaxed);
            release()?;
        }
        let served = packets.join().map_err(|_| "the packet thread panicked".to_owned())?;
        match served? {
            (0, _) => Err("no packet of the stream was held".to_owned()),
            (held, batches) => Ok(Stream { mbit: mbit?, held, batches }),
        }
    })
}

/// One connection from the camera to the first server, as fast as it goes.
fn stream() -> Res<f64> {
    let listener = topology::at(Place::Out1, || {
        TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT))).context("server")
    })?;
    let sender = topology::at(Place::Camera, || {
        let to = SocketAddr::from((ALLOWED, PORT));
        TcpStream::connect_timeout(&to, LIMIT).context("camera: connect")
    })?;
    sender.set_write_timeout(Some(LIMIT)).context("camera")?;
    let (receiver, _) = listener.accept().context("server: accept")?;
    receiver.set_read_timeout(Some(LIMIT)).context("server")?;
    let (stop, received) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| send(&sender, &stop));
        scope.spawn(|| receive(&receiver, &received));
        std::thread::sleep(START);
        let (began, before) = (Instant::now(), received.load(Ordering::Relaxed));
        std::thread::sleep(MEASURED);
        let bytes = received.load(Ordering::Relaxed) - before;
        let took = began.elapsed().as_secs_f64();
        stop.store(true, Ordering::Relaxed);
        match bytes {
            0 => Err("nothing was received".to_owned()),
            _ => Ok(bytes as f64 * 8.0 / took / 1e6),
        }
    })
}

/// Sends until told to stop, then closes the sending side, so that the receiver ends too.
fn send(mut stream: &TcpStream, stop: &AtomicBool) {
    let piece = vec![0; PIECE];
    while !stop.load(Ordering::Relaxed) && stream.write_all(&piece).is_ok() {}
    let _ = stream.shutdown(std::net::Shutdown::Write);
}

fn receive(mut stream: &TcpStream, received: &AtomicU64) {
    let mut piece = vec![0; PIECE];
    while let Ok(length @ 1..) = stream.read(&mut piece) {
        received.fetch_add(length as u64, Ordering::Relaxed);
    }
}
