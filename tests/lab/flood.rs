//! Many numbered packets at a steady rate, each with the time it was sent, and what became of each.
//!
//! For loss, leaks and delay across a restart. Times are of one clock: sender and receiver are threads of one
//! process. A packet arrives when the server's kernel gets it (`SO_TIMESTAMPNS` in socket(7)); how long the
//! receiver waits for a processor to read it is no delay of the packet's.

use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};

use super::topology::{self, ALLOWED, BLOCKED, Place};
use super::{Context, Res, wait_until};

/// Where the receiver listens.
const PORT: u16 = 9002;
const MAGIC: &[u8; 4] = b"KRDF";
/// Bytes of payload: magic, number, nanoseconds.
const LENGTH: usize = 16;
/// Packets go out in bursts, one every so often.
const BURST: Duration = Duration::from_millis(1);
/// Nobody floods for longer.
const LONGEST: Duration = Duration::from_secs(1200);

/// A flood that goes on until it is stopped.
pub(crate) struct Flood {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Res>>,
}

struct Shared {
    began: Instant,
    stop_sending: AtomicBool,
    stop_receiving: AtomicBool,
    sent: AtomicU32,
    arrived: AtomicU32,
    last_arrival: AtomicU64,
    arrivals: Mutex<Vec<Arrival>>,
}

/// A packet that arrived.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) number: u32,
    /// Since the flood began.
    pub(crate) sent: Duration,
    pub(crate) arrived: Duration,
}

/// What became of a flood.
pub(crate) struct Outcome {
    pub(crate) sent: u32,
    /// How many different packets arrived.
    pub(crate) arrived: u32,
    /// How many arrived more than once.
    pub(crate) doubled: u32,
    pub(crate) arrivals: Vec<Arrival>,
}

impl Flood {
    /// Sends `rate` packets a second, three quarters of them to an allowed address and the others to a blocked one.
    pub(crate) fn pair(rate: u32) -> Res<[Self; 2]> {
        Ok([
            Flood::start(Place::Out1, ALLOWED, rate * 3 / 4)?,
            Flood::start(Place::Out2, BLOCKED, rate / 4)?,
        ])
    }

    /// Sends `rate` packets a second from the camera to `to`, whose server is at `place`. One flood to a place
    /// at a time.
    pub(crate) fn start(place: Place, to: IpAddr, rate: u32) -> Res<Self> {
        let receiver = topology::at(place, || {
            UdpSocket::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT)))
                .context("flood: server")
        })?;
        // Not allowed in a user namespace.
        let _ = setsockopt(&receiver, sockopt::RcvBufForce, &(64 << 20));
        setsockopt(&receiver, sockopt::ReceiveTimestampns, &true)
            .context("flood: time of arrival")?;
        receiver.set_read_timeout(Some(Duration::from_millis(50))).context("flood: timeout")?;
        let source = if to.is_ipv4() { topology::CAMERA } else { topology::CAMERA6 };
        let sender =
            topology::at(Place::Camera, || UdpSocket::bind((source, 0)).context("flood: camera"))?;
        sender.connect((to, PORT)).context("flood: connect")?;
        let shared = Arc::new(Shared {
            began: Instant::now(),
            stop_sending: AtomicBool::new(false),
            stop_receiving: AtomicBool::new(false),
            sent: AtomicU32::new(0),
            arrived: AtomicU32::new(0),
            last_arrival: AtomicU64::new(0),
            arrivals: Mutex::default(),
        });
        let (one, other) = (Arc::clone(&shared), Arc::clone(&shared));
        let threads = vec![
            std::thread::spawn(move || one.receive(&receiver)),
            std::thread::spawn(move || other.send(&sender, rate)),
        ];
        Ok(Flood { shared, threads })
    }

    /// Time since the flood began.
    pub(crate) fn now(&self) -> Duration {
        self.shared.began.elapsed()
    }

    pub(crate) fn sent(&self) -> u32 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Waits until what was sent before now, less `lost`, has arrived; `false` after `limit`.
    pub(crate) fn caught_up(&self, lost: u32, limit: Duration) -> bool {
        let goal = self.sent().saturating_sub(lost);
        wait_until(limit, || self.shared.arrived.load(Ordering::Relaxed) >= goal)
    }

    /// Sends no more.
    pub(crate) fn end(&mut self) -> Res {
        self.shared.stop_sending.store(true, Ordering::Relaxed);
        if self.threads.len() > 1
            && let Some(sender) = self.threads.pop()
        {
            sender.join().unwrap_or_else(|_| Err("the flood's sender panicked".to_owned()))?;
        }
        Ok(())
    }

    /// Stops sending, waits until nothing has come for `silence`, and says what became of all packets.
    pub(crate) fn stop(mut self, silence: Duration) -> Res<Outcome> {
        self.end()?;
        let end = self.now();
        let quiet = || {
            let last = Duration::from_nanos(self.shared.last_arrival.load(Ordering::Relaxed));
            self.now().saturating_sub(last.max(end)) > silence
        };
        if !wait_until(Duration::from_secs(30), quiet) {
            return Err("the flood's packets never cease to arrive".to_owned());
        }
        self.shared.stop_receiving.store(true, Ordering::Relaxed);
        if let Some(receiver) = self.threads.pop() {
            receiver.join().unwrap_or_else(|_| Err("the flood's receiver panicked".to_owned()))?;
        }
        let arrivals = std::mem::take(&mut *self.shared.lock());
        let sent = self.sent();
        let mut times = vec![0_u8; sent as usize];
        for arrival in &arrivals {
            let count = times.get_mut(arrival.number as usize).ok_or("a number never sent")?;
            *count = count.saturating_add(1);
        }
        let count = |wanted: fn(&&u8) -> bool| times.iter().filter(wanted).count() as u32;
        Ok(Outcome {
            sent,
            arrived: count(|times| **times > 0),
            doubled: count(|times| **times > 1),
            arrivals,
        })
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.shared.stop_sending.store(true, Ordering::Relaxed);
        self.shared.stop_receiving.store(true, Ordering::Relaxed);
    }
}

impl Outcome {
    pub(crate) fn lost(&self) -> u32 {
        self.sent - self.arrived
    }

    /// The longest time from sending to arrival among packets sent in this span.
    pub(crate) fn longest(&self, from: Duration, to: Duration) -> Duration {
        let within = self.arrivals.iter().filter(|one| (from..to).contains(&one.sent));
        within.map(|one| one.arrived.saturating_sub(one.sent)).max().unwrap_or_default()
    }
}

impl Shared {
    fn send(&self, socket: &UdpSocket, rate: u32) -> Res {
        let mut payload = [0; LENGTH];
        payload[..4].copy_from_slice(MAGIC);
        while !self.stop_sending.load(Ordering::Relaxed) && self.began.elapsed() < LONGEST {
            let due = (self.began.elapsed().as_secs_f64() * f64::from(rate)) as u32;
            let mut sent = self.sent.load(Ordering::Relaxed);
            // What a sleep of the whole machine left undone is not made up for in one go.
            let least = due.saturating_sub(rate / 10);
            let burst = due - sent.max(least).min(due);
            for _ in 0..burst {
                payload[4..8].copy_from_slice(&sent.to_be_bytes());
                let now = self.began.elapsed().as_nanos() as u64;
                payload[8..].copy_from_slice(&now.to_be_bytes());
                socket.send(&payload).context("flood: send")?;
                sent += 1;
            }
            self.sent.store(sent, Ordering::Relaxed);
            std::thread::sleep(BURST);
        }
        Ok(())
    }

    fn receive(&self, socket: &UdpSocket) -> Res {
        let mut buffer = [0; 64];
        while !self.stop_receiving.load(Ordering::Relaxed) && self.began.elapsed() < LONGEST {
            let Some((length, age)) = read(socket, &mut buffer)? else { continue };
            let arrived = self.began.elapsed().saturating_sub(age);
            let Some((number, sent)) = parse(&buffer[..length]) else { continue };
            let sent = Duration::from_nanos(sent);
            self.lock().push(Arrival { number, sent, arrived });
            self.arrived.fetch_add(1, Ordering::Relaxed);
            self.last_arrival.store(arrived.as_nanos() as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arrival>> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The next packet: its length, and how long ago the kernel got it. `None` if none comes.
fn read(socket: &UdpSocket, buffer: &mut [u8]) -> Res<Option<(usize, Duration)>> {
    let mut slices = [IoSliceMut::new(buffer)];
    let mut space = cmsg_space!(TimeSpec);
    let (descriptor, flags) = (socket.as_raw_fd(), MsgFlags::empty());
    let Ok(message) = recvmsg::<()>(descriptor, &mut slices, Some(&mut space), flags) else {
        return Ok(None);
    };
    let stamp = message.cmsgs().context("flood: time of arrival")?.find_map(|more| match more {
        ControlMessageOwned::ScmTimestampns(stamp) => Some(Duration::from(stamp)),
        _ => None,
    });
    let stamp = stamp.ok_or("flood: a packet without its time of arrival")?;
    let now = clock_gettime(ClockId::CLOCK_REALTIME).context("flood: the clock")?;
    Ok(Some((message.bytes, Duration::from(now).saturating_sub(stamp))))
}

fn parse(payload: &[u8]) -> Option<(u32, u64)> {
    let rest = payload.strip_prefix(MAGIC)?;
    let (number, rest) = rest.split_first_chunk::<4>()?;
    let (sent, _) = rest.split_first_chunk::<8>()?;
    Some((u32::from_be_bytes(*number), u64::from_be_bytes(*sent)))
}
