//! The two wires of the gateway and what is at their other ends: a camera network that sends from before
//! power-on, and a host outside that counts what arrives.
//!
//! A wire is a pair of Unix datagram sockets, one of QEMU's and one of ours; a datagram is a frame. Nothing is
//! lost on it: what the card does not take stays with the sender, who waits or counts it as not sent.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::frame::{self, Way};
use crate::lab::{Context, Res, wait_until};

/// How long the machine may take for what must arrive: software emulation on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How long to look for what must not arrive, after a later probe has.
const SILENCE: Duration = Duration::from_millis(400);
/// No stream runs longer, whatever becomes of the case.
const LONGEST: Duration = Duration::from_secs(600);

static NEXT_STREAM: AtomicU32 = AtomicU32::new(1);

/// Both wires, as long as this lives.
pub(crate) struct Wires {
    folder: PathBuf,
    arrivals: Arrivals,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Wires {
    /// Our ends, in this folder.
    pub(crate) fn lay(folder: &Path) -> Res<Self> {
        let mut wires = Wires {
            folder: folder.to_owned(),
            arrivals: Arrivals::default(),
            stop: Arc::default(),
            threads: Vec::new(),
        };
        // What comes back to the cameras is read, so that the card goes on, and not looked at.
        wires.read("lan", |_| ())?;
        let arrivals = wires.arrivals.clone();
        wires.read("wan", move |bytes| {
            if let Some((stream, number)) = frame::probe(bytes) {
                arrivals.record(stream, number);
            }
        })?;
        Ok(wires)
    }

    /// QEMU's options for both cards.
    pub(crate) fn qemu_options(&self) -> Vec<String> {
        let mut options = Vec::new();
        for (name, mac) in [("lan", frame::LAN), ("wan", frame::WAN)] {
            let mac: Vec<String> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
            options.push("-netdev".to_owned());
            options.push(format!(
                "dgram,id={name},local.type=unix,local.path={},remote.type=unix,remote.path={}",
                self.far_end(name).display(),
                self.near_end(name).display()
            ));
            options.push("-device".to_owned());
            // Without a filter for VLANs in the card: what it is not told about reaches the kernel all the same.
            options
                .push(format!("virtio-net-pci,netdev={name},mac={},ctrl_vlan=off", mac.join(":")));
        }
        options
    }

    /// Makes room for the next machine's ends.
    pub(crate) fn unplug(&self) {
        for name in ["lan", "wan"] {
            let _ = std::fs::remove_file(self.far_end(name));
        }
    }

    /// A new stream of probes.
    pub(crate) fn stream(&self, way: &Way) -> Res<Stream> {
        let socket = UnixDatagram::unbound().context("a socket for a camera")?;
        socket.set_nonblocking(true).context("a socket for a camera")?;
        Ok(Stream {
            id: NEXT_STREAM.fetch_add(1, Ordering::Relaxed),
            way: way.clone(),
            socket,
            card: self.far_end("lan"),
            arrivals: self.arrivals.clone(),
            sent: 0,
        })
    }

    fn read(&mut self, name: &str, mut take: impl FnMut(&[u8]) + Send + 'static) -> Res {
        let path = self.near_end(name);
        let socket = UnixDatagram::bind(&path).context(path.display())?;
        socket.set_read_timeout(Some(Duration::from_millis(100))).context(path.display())?;
        let stop = Arc::clone(&self.stop);
        self.threads.push(std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while !stop.load(Ordering::Relaxed) {
                if let Ok(length) = socket.recv(&mut buffer) {
                    take(&buffer[..length]);
                }
            }
        }));
        Ok(())
    }

    fn near_end(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.here"))
    }

    fn far_end(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.qemu"))
    }
}

impl Drop for Wires {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Probes of one way, numbered from 0.
pub(crate) struct Stream {
    id: u32,
    way: Way,
    socket: UnixDatagram,
    card: PathBuf,
    arrivals: Arrivals,
    sent: u32,
}

impl Stream {
    pub(crate) fn to(&self) -> IpAddr {
        self.way.to
    }

    /// How many probes the card took.
    pub(crate) fn sent(&self) -> u32 {
        self.sent
    }

    /// How many of them arrived, each counted once.
    pub(crate) fn arrived(&self) -> u32 {
        self.arrivals.of(self.id).len() as u32
    }

    /// Sends the next probe; whether the card took it within `limit`.
    pub(crate) fn offer(&mut self, limit: Duration) -> Res<bool> {
        let frame = frame::frame(&self.way, self.id, self.sent);
        let end = Instant::now() + limit;
        loop {
            match self.socket.send_to(&frame, &self.card) {
                Ok(_) => {
                    self.sent += 1;
                    return Ok(true);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < end => {
                    std::thread::sleep(Duration::from_micros(200));
                }
                // Full, or nobody at the other end.
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
                        return Ok(false);
                    }
                    _ => return Err(format!("a frame to the machine: {error}")),
                },
            }
        }
    }

    /// Sends so many probes; the card must take them.
    pub(crate) fn send(&mut self, count: u32) -> Res {
        for _ in 0..count {
            if !self.offer(PATIENCE)? {
                return Err(format!(
                    "the machine takes no frames ({} to {})",
                    self.sent,
                    self.to()
                ));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Waits until all that was sent has arrived; says how many, and whether any came twice.
    pub(crate) fn all_arrived(&self) -> Res {
        wait_until(PATIENCE, || self.arrived() >= self.sent);
        let twice = self.arrivals.of(self.id).values().filter(|seen| seen.times > 1).count();
        match (self.arrived(), twice) {
            (arrived, 0) if arrived == self.sent => Ok(()),
            (arrived, twice) => Err(format!(
                "{arrived} of {} probes to {} arrived ({twice} of them more than once), all should",
                self.sent,
                self.to()
            )),
        }
    }

    /// Goes on by itself, `rate` probes a second. What the card does not take at once it waits for.
    pub(crate) fn run(self, rate: u32) -> Running {
        self.keep_sending(rate, PATIENCE)
    }

    /// The same, but what the card does not take at once is not sent: a camera that waits for nobody.
    pub(crate) fn run_regardless(self, rate: u32) -> Running {
        self.keep_sending(rate, Duration::ZERO)
    }

    fn keep_sending(mut self, rate: u32, limit: Duration) -> Running {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let (id, to, arrivals) = (self.id, self.to(), self.arrivals.clone());
        let sent = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&sent);
        let thread = std::thread::spawn(move || {
            let start = Instant::now();
            let interval = Duration::from_secs(1) / rate.max(1);
            let mut due = start;
            while !stopped.load(Ordering::Relaxed) && start.elapsed() < LONGEST {
                self.offer(limit)?;
                count.store(self.sent, Ordering::Relaxed);
                due += interval;
                match due.checked_duration_since(Instant::now()) {
                    Some(rest) => std::thread::sleep(rest),
                    // Never a burst to make up for a pause.
                    None => due = Instant::now(),
                }
            }
            Ok(self)
        });
        Running { id, to, arrivals, sent, stop, thread: Some(thread) }
    }
}

/// A stream that keeps running.
pub(crate) struct Running {
    id: u32,
    to: IpAddr,
    arrivals: Arrivals,
    sent: Arc<AtomicU32>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Res<Stream>>>,
}

impl Running {
    pub(crate) fn sent(&self) -> u32 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Sends no more; [`Running::stop`] adds up.
    pub(crate) fn halt(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Waits until so many more have gone out.
    pub(crate) fn wait_sent(&self, more: u32) -> Res {
        let goal = self.sent() + more;
        match wait_until(PATIENCE, || self.sent() >= goal) {
            true => Ok(()),
            false => Err(format!("the stream to {} stopped sending", self.to)),
        }
    }

    /// Waits until one that is sent from now on has arrived.
    pub(crate) fn wait_arrival(&self, limit: Duration) -> Res {
        let from = self.sent();
        let later = || self.arrivals.of(self.id).range(from..).next().is_some();
        match wait_until(limit, later) {
            true => Ok(()),
            false => Err(format!("nothing to {} arrives any more", self.to)),
        }
    }

    /// Stops, lets what is under way arrive, and adds up.
    pub(crate) fn stop(mut self) -> Res<Flow> {
        self.halt();
        let stream = match self.thread.take().map(JoinHandle::join) {
            Some(Ok(stream)) => stream?,
            Some(Err(_)) | None => return Err("a stream's thread panicked".to_owned()),
        };
        // All of it, or nothing more for a while.
        let mut last = (stream.arrived(), Instant::now());
        wait_until(PATIENCE, || {
            let arrived = stream.arrived();
            if arrived != last.0 {
                last = (arrived, Instant::now());
            }
            arrived >= stream.sent() || last.1.elapsed() > 3 * SILENCE
        });
        let seen = stream.arrivals.of(stream.id);
        let twice = seen.values().filter(|seen| seen.times > 1).count() as u32;
        let longest = seen
            .values()
            .zip(seen.values().skip(1))
            .map(|(one, next)| next.at.saturating_duration_since(one.at))
            .max();
        let span = seen.values().next().zip(seen.values().next_back());
        Ok(Flow {
            sent: stream.sent(),
            arrived: seen.len() as u32,
            twice,
            longest_gap: longest.unwrap_or_default(),
            span: span.map_or(Duration::ZERO, |(first, last)| last.at - first.at),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// What became of a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flow {
    pub(crate) sent: u32,
    pub(crate) arrived: u32,
    /// How many arrived more than once.
    pub(crate) twice: u32,
    /// The longest time between two arrivals.
    pub(crate) longest_gap: Duration,
    /// From the first arrival to the last.
    pub(crate) span: Duration,
}

impl Flow {
    pub(crate) fn lost(&self) -> u32 {
        self.sent - self.arrived
    }
}

/// Sends `count` probes on each way and a fence after them, which must arrive; returns how many probes arrived.
pub(crate) fn leaks(wires: &Wires, ways: &[Way], fence: &Way, count: u32) -> Res<u32> {
    let mut streams = Vec::new();
    for way in ways {
        let mut stream = wires.stream(way)?;
        stream.send(count)?;
        streams.push(stream);
    }
    let mut after = wires.stream(fence)?;
    after.send(1)?;
    after.all_arrived().context("the fence behind probes that must not arrive")?;
    std::thread::sleep(SILENCE);
    Ok(streams.iter().map(Stream::arrived).sum())
}

/// What arrived outside: for each stream and number, when first and how often.
#[derive(Clone, Default)]
struct Arrivals(Arc<Mutex<BTreeMap<u32, BTreeMap<u32, Seen>>>>);

#[derive(Debug, Clone, Copy)]
struct Seen {
    at: Instant,
    times: u32,
}

impl Arrivals {
    fn record(&self, stream: u32, number: u32) {
        let new = Seen { at: Instant::now(), times: 0 };
        self.lock().entry(stream).or_default().entry(number).or_insert(new).times += 1;
    }

    fn of(&self, stream: u32) -> BTreeMap<u32, Seen> {
        self.lock().get(&stream).cloned().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, BTreeMap<u32, Seen>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
