//! One TCP stream through the gateway, with and without the queue in its way.
//!
//! Sender, receiver, packet thread and kernel share the one processor, so the figures compare their work.
//! Each measurement is a new connection; what the receiver got in one second, after a start that is not
//! counted, is the figure.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kordon::queue::NativeQueue;
use kordon::ruleset::Published;
use serde_json::{Value, json};

use super::drain::{median, settings, worker};
use super::lab::topology::{self, ALLOWED, Place};
use super::lab::{Context, Res};
use super::machine::Pinned;
use super::steal::Undisturbed;
use super::{Bench, at_least, hold, release, round};

const ROUNDS: usize = 9;
/// To reach: TCP through the queue to plain forwarding.
const GOODPUT: f64 = 0.8;
const PORT: u16 = 5001;
const START: Duration = Duration::from_millis(300);
const MEASURED: Duration = Duration::from_millis(1_000);
/// Bytes of one write or read.
const PIECE: usize = 256 << 10;
/// Stolen processor time that a measurement may have, in hundredths of a second.
const TOLERATED: u64 = 4;
const LIMIT: Duration = Duration::from_secs(10);

/// Megabits per second, round by round.
#[derive(Default)]
pub(super) struct Figures {
    forwarding: Vec<f64>,
    native: Vec<f64>,
}

impl Figures {
    fn to_forwarding(&self) -> f64 {
        median(&self.native) / median(&self.forwarding)
    }

    pub(super) fn print(&self) -> &Self {
        println!("\nTCP goodput, one stream, {} rounds     Mbit/s", self.native.len());
        println!("  forwarding without a queue         {:>9.0}", median(&self.forwarding));
        println!("  through kordon's queue             {:>9.0}", median(&self.native));
        at_least("goodput to forwarding", self.to_forwarding(), GOODPUT);
        self
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "goodput_mbit": {
                "forwarding": round(median(&self.forwarding)),
                "native": round(median(&self.native)),
            },
            "ratio": { "goodput_to_forwarding": self.to_forwarding() },
            "rounds": { "goodput": self.native.len() },
        })
    }
}

pub(super) fn run(bench: &Bench) -> Res<Figures> {
    let pinned = Pinned::new()?;
    let (rules, rounds) = (&bench.rules, bench.rounds.unwrap_or(ROUNDS));
    let mut goodput = Figures::default();
    let mut undisturbed = Undisturbed::new(pinned.processor, 2 * rounds);
    // The first round warms up, and is not kept.
    for round in 0..=rounds {
        let forwarding = undisturbed.take(TOLERATED, stream)?;
        let native = undisturbed.take(TOLERATED, || through_queue(rules))?;
        if round > 0 {
            goodput.forwarding.push(forwarding);
            goodput.native.push(native);
        }
    }
    undisturbed.report("goodput");
    Ok(goodput)
}

fn through_queue(rules: &Arc<Published>) -> Res<f64> {
    let mut worker = worker(NativeQueue::open(&settings()).context("queue")?, rules);
    let stop = AtomicBool::new(false);
    hold()?;
    let (figure, held) = std::thread::scope(|scope| {
        let packets = scope.spawn(|| {
            let mut held = 0;
            while !stop.load(Ordering::Relaxed) {
                held += worker.turn().context("turn")?;
            }
            Ok::<usize, String>(held)
        });
        let figure = stream();
        stop.store(true, Ordering::Relaxed);
        (figure, packets.join().unwrap_or_else(|_| Err("the packet thread panicked".to_owned())))
    });
    release()?;
    if held? == 0 {
        return Err("no packet of the stream was held".to_owned());
    }
    figure
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
