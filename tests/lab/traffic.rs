//! Probes: UDP packets from the camera, each with a number that nothing else has, and the ledger of
//! those that arrived.
//!
//! A probe carries a 64-bit nonce: its stream's number and its own number within the stream.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};

use super::topology::{self, Place};
use super::{Context, Res};

/// Where the receivers listen.
pub(crate) const PORT: u16 = 9000;
const MAGIC: &[u8; 8] = b"KRDPROBE";
pub(crate) const LENGTH: usize = 16;
/// As many probes go out at once; then the sender waits for a millisecond. An ordinary user's queue
/// socket holds 512 packets.
const BURST: u32 = 20;

static NEXT_STREAM: AtomicU32 = AtomicU32::new(1);

/// A probe's payload that nothing else has.
pub(crate) fn nonce() -> [u8; LENGTH] {
    let mut payload = [0; LENGTH];
    payload[..8].copy_from_slice(MAGIC);
    payload[8..12].copy_from_slice(&NEXT_STREAM.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    payload
}

/// Probes from the camera to one address (or, one by one, to others).
pub(crate) struct Stream {
    id: u32,
    to: IpAddr,
    socket: UdpSocket,
    sent: u32,
}

impl Stream {
    /// A stream from the camera's first address.
    pub(crate) fn new(to: IpAddr) -> Res<Self> {
        Self::from(if to.is_ipv4() { topology::CAMERA } else { topology::CAMERA6 }, to)
    }

    /// A stream from this address of the camera's.
    pub(crate) fn from(source: IpAddr, to: IpAddr) -> Res<Self> {
        let socket = topology::at(Place::Camera, || {
            UdpSocket::bind((source, 0)).context(format!("camera: UDP socket on {source}"))
        })?;
        Ok(Stream { id: NEXT_STREAM.fetch_add(1, Ordering::Relaxed), to, socket, sent: 0 })
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    pub(crate) fn to(&self) -> IpAddr {
        self.to
    }

    /// How many probes went out.
    pub(crate) fn sent(&self) -> u32 {
        self.sent
    }

    /// Sends the next probe; returns its number.
    pub(crate) fn send(&mut self) -> Res<u32> {
        self.send_to(self.to)
    }

    /// Sends the next probe to another address.
    pub(crate) fn send_to(&mut self, to: IpAddr) -> Res<u32> {
        let number = self.sent;
        let payload = self.next_payload();
        self.socket.send_to(&payload, (to, PORT)).context(format!("camera: send to {to}"))?;
        Ok(number)
    }

    /// The next probe's payload, for whoever sends it by other means; it counts as sent.
    pub(crate) fn next_payload(&mut self) -> [u8; LENGTH] {
        let mut payload = [0; LENGTH];
        payload[..8].copy_from_slice(MAGIC);
        payload[8..12].copy_from_slice(&self.id.to_be_bytes());
        payload[12..].copy_from_slice(&self.sent.to_be_bytes());
        self.sent += 1;
        payload
    }

    /// Sends the next probe with `length` bytes of payload, in fragments where the link wants them.
    pub(crate) fn send_long(&mut self, length: usize) -> Res {
        let mut payload = self.next_payload().to_vec();
        payload.resize(length.max(LENGTH), 0);
        let sent = self.socket.send_to(&payload, (self.to, PORT));
        sent.map(drop).context(format!("camera: send {length} bytes to {}", self.to))
    }

    /// Sends `count` probes, paced.
    pub(crate) fn send_many(&mut self, count: u32) -> Res {
        for _ in 0..count {
            self.send_paced(self.to)?;
        }
        Ok(())
    }

    /// [`Stream::send_to`], with a pause after each burst.
    pub(crate) fn send_paced(&mut self, to: IpAddr) -> Res<u32> {
        let number = self.send_to(to)?;
        if self.sent.is_multiple_of(BURST) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(number)
    }

    /// Goes on sending from a thread of its own.
    pub(crate) fn run(self, interval: Duration) -> Running {
        let id = self.id;
        let stop = Arc::new(AtomicBool::new(false));
        let stream = Arc::new(Mutex::new(self));
        let thread = std::thread::spawn({
            let (stop, stream) = (Arc::clone(&stop), Arc::clone(&stream));
            move || {
                // Bounded, whatever becomes of the owner.
                let end = Instant::now() + Duration::from_secs(600);
                while !stop.load(Ordering::Relaxed) && Instant::now() < end {
                    lock(&stream).send()?;
                    std::thread::sleep(interval);
                }
                Ok(())
            }
        });
        Running { id, stop, stream, thread: Some(thread) }
    }
}

/// A stream that keeps running.
pub(crate) struct Running {
    id: u32,
    stop: Arc<AtomicBool>,
    stream: Arc<Mutex<Stream>>,
    thread: Option<JoinHandle<Res>>,
}

impl Running {
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// How many probes went out before now: the next one has this number.
    pub(crate) fn sent(&self) -> u32 {
        lock(&self.stream).sent
    }

    /// Waits until `more` probes have gone out since now.
    pub(crate) fn wait_for_more(&self, more: u32) -> Res {
        let goal = self.sent() + more;
        match super::wait_until(super::PATIENCE, || self.sent() >= goal) {
            true => Ok(()),
            false => Err("a running stream stopped sending".to_owned()),
        }
    }

    /// Stops it; returns how many probes went out in all.
    pub(crate) fn stop(mut self) -> Res<u32> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result?,
            Some(Err(_)) | None => return Err("a running stream's thread panicked".to_owned()),
        }
        Ok(self.sent())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// What arrived: for each stream, how often each of its probes did.
#[derive(Clone)]
pub(crate) struct Ledger(Arc<Shared>);

struct Shared {
    entries: Mutex<Entries>,
    changed: Condvar,
}

#[derive(Default)]
struct Entries {
    streams: HashMap<u32, HashMap<u32, u32>>,
    forbidden: Vec<(u32, IpAddr)>,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Ledger(Arc::new(Shared { entries: Mutex::default(), changed: Condvar::new() }))
    }

    /// How many different probes of a stream arrived.
    pub(crate) fn arrived(&self, stream: u32) -> u32 {
        self.read(stream, |numbers| numbers.len() as u32)
    }

    /// How many probes of a stream arrived more than once.
    pub(crate) fn duplicates(&self, stream: u32) -> u32 {
        self.read(stream, |numbers| numbers.values().filter(|&&times| times > 1).count() as u32)
    }

    /// Whether this probe arrived.
    pub(crate) fn has(&self, stream: u32, number: u32) -> bool {
        self.read(stream, |numbers| numbers.contains_key(&number))
    }

    /// Those of the probes `0..sent` that did not arrive.
    pub(crate) fn missing(&self, stream: u32, sent: u32) -> Vec<u32> {
        self.read(stream, |numbers| (0..sent).filter(|n| !numbers.contains_key(n)).collect())
    }

    /// The highest number that arrived.
    pub(crate) fn last(&self, stream: u32) -> Option<u32> {
        self.read(stream, |numbers| numbers.keys().max().copied())
    }

    /// Waits until `count` different probes of a stream have arrived; `false` after `limit`.
    pub(crate) fn wait_for(&self, stream: u32, count: u32, limit: Duration) -> bool {
        let short = |entries: &mut Entries| {
            entries.streams.get(&stream).map_or(0, |numbers| numbers.len() as u32) < count
        };
        let guard = lock(&self.0.entries);
        let waited = self.0.changed.wait_timeout_while(guard, limit, short);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// From now to [`Ledger::verify_forbidden`], no probe of this stream may arrive.
    pub(crate) fn forbid(&self, stream: u32, to: IpAddr) {
        lock(&self.0.entries).forbidden.push((stream, to));
    }

    /// Names the forbidden streams that had late arrivals, and forgets them all.
    pub(crate) fn verify_forbidden(&self) -> Res {
        let forbidden = std::mem::take(&mut lock(&self.0.entries).forbidden);
        for (stream, to) in forbidden {
            match self.arrived(stream) {
                0 => {}
                n => return Err(format!("{n} probes to {to} arrived late, none may")),
            }
        }
        Ok(())
    }

    fn record(&self, stream: u32, number: u32) {
        *lock(&self.0.entries).streams.entry(stream).or_default().entry(number).or_insert(0) += 1;
        self.0.changed.notify_all();
    }

    fn read<T>(&self, stream: u32, look: impl FnOnce(&HashMap<u32, u32>) -> T) -> T {
        let mut entries = lock(&self.0.entries);
        look(entries.streams.entry(stream).or_default())
    }
}

/// A UDP socket at a server that writes what it receives into the ledger.
pub(crate) struct Receiver {
    stop: Arc<AtomicBool>,
}

impl Receiver {
    pub(crate) fn start(place: Place, ledger: &Ledger) -> Res<Self> {
        let socket = topology::at(place, || {
            UdpSocket::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT)))
                .context("server: UDP socket")
        })?;
        // Not allowed in a user namespace; the default holds a few hundred probes, which is enough.
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &(8 << 20));
        socket.set_read_timeout(Some(Duration::from_millis(100))).context("server: timeout")?;
        let stop = Arc::new(AtomicBool::new(false));
        let (ledger, stopped) = (ledger.clone(), Arc::clone(&stop));
        std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while !stopped.load(Ordering::Relaxed) {
                let Ok(length) = socket.recv(&mut buffer) else { continue };
                if let Some((stream, number)) = parse(&buffer[..length]) {
                    ledger.record(stream, number);
                }
            }
        });
        Ok(Receiver { stop })
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn parse(payload: &[u8]) -> Option<(u32, u32)> {
    let (magic, rest) = payload.split_first_chunk::<8>()?;
    let (stream, rest) = rest.split_first_chunk::<4>()?;
    let (number, _) = rest.split_first_chunk::<4>()?;
    (magic == MAGIC).then(|| (u32::from_be_bytes(*stream), u32::from_be_bytes(*number)))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
