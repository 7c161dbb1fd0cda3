//! The HTTP endpoint under clients that are slow, many, or both.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, connect, socket};

use crate::Bench;
use crate::lab::daemon::Daemon;
use crate::lab::topology::*;
use crate::lab::{Context, Res};

const N: u32 = 20;
/// Clients that send a byte every two seconds.
const SLOW: usize = 1_000;
/// Requests in a second.
const RATE: u64 = 10_000;
/// How long they come.
const FLOOD: Duration = Duration::from_secs(5);
/// The most of one core that HTTP may cost.
const LIMIT: f64 = 0.05;
/// The most descriptors that HTTP may have: 64 connections that wait for their client, 64 taken up in a round, 16 kept.
const OPEN: usize = 144;
/// The limit for an answer while nothing is wrong. The machine may be busy with other things: of ten answers
/// the half must keep it.
const SOON: Duration = Duration::from_millis(100);

/// A thousand slow clients: packets do not notice, and whoever asks at once is answered at once.
pub(super) fn slow_clients(bench: &Bench<'_>) -> Res {
    raise_descriptor_limit()?;
    let site = bench.site()?;
    let daemon = site.start()?;
    answers_soon(&daemon).context("before")?;
    let slow = Crowd::start(daemon.address(), |address, stop, _| slowly(address, stop));
    std::thread::sleep(Duration::from_millis(500));
    let before = http_time(&daemon)?;
    let began = Instant::now();
    answers_soon(&daemon).context("beside a thousand slow clients")?;
    // Somebody far away, whose request comes 20 ms after its connection: of the many, those that wait longest
    // have to go. (A connection that is closed for a busy machine's sake is no fault.)
    let far = |_: &u32| {
        ask_after(Duration::from_millis(20), daemon.address(), Duration::from_secs(2)).is_ok()
    };
    let answered = (0..10).filter(far).count();
    if answered < 5 {
        return Err(format!("{answered} of 10 questions from far away were answered"));
    }
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.blocked(BLOCKED, N)?;
    site.kordon_ok("status --config kordon.toml")?;
    while began.elapsed() < Duration::from_secs(4) {
        std::thread::sleep(Duration::from_millis(100));
    }
    let share = (http_time(&daemon)? - before) / began.elapsed().as_secs_f64();
    slow.stop()?;
    println!(
        "    1,000 slow clients cost {:.1} % of a core; {answered} of 10 questions from far away were \
         answered",
        share * 100.0
    );
    match share < LIMIT {
        true => answers_soon(&daemon).context("afterwards"),
        false => Err(format!("a thousand slow clients cost {:.1} % of a core", share * 100.0)),
    }
}

/// A thousand slow clients and ten thousand requests in a second: at most 5 % of a core, no packet lost, and
/// afterwards the endpoint answers as before.
pub(super) fn flood(bench: &Bench<'_>) -> Res {
    raise_descriptor_limit()?;
    let site = bench.site()?;
    let daemon = site.start()?;
    answers_soon(&daemon).context("before")?;
    let quiet = descriptors(&daemon)?;
    let stream = bench.lab.stream(ALLOWED)?.run(Duration::from_millis(2));
    let mut scraper = Scraper::connect(daemon.address())?;
    scraper.scrape()?;
    let slow = Crowd::start(daemon.address(), |address, stop, _| slowly(address, stop));
    let answers = Arc::new(AtomicU64::new(0));
    let flood = Crowd::start(daemon.address(), {
        let answers = Arc::clone(&answers);
        move |address, stop, count| flooding(address, stop, count, &answers)
    });
    // The first allowance is used up in here, as it would be in the first second of a day.
    std::thread::sleep(Duration::from_millis(500));
    let (began, before) = (Instant::now(), http_time(&daemon)?);
    let requests = flood.count();
    let asker = std::thread::spawn({
        let address = daemon.address();
        move || {
            let end = Instant::now() + FLOOD;
            let (mut asked, mut answered) = (0, 0);
            while Instant::now() < end {
                asked += 1;
                answered += u32::from(ask(address, Duration::from_secs(1)).is_ok());
            }
            (asked, answered)
        }
    });
    // Prometheus, which was there before, keeps its connection and scrapes as ever.
    let (mut scrapes, mut most) = (Vec::new(), 0);
    while began.elapsed() < FLOOD {
        most = most.max(descriptors(&daemon)?);
        let asked = Instant::now();
        scraper.scrape().context("a scrape beside the flood")?;
        scrapes.push(asked.elapsed());
        std::thread::sleep(Duration::from_millis(200));
    }
    scrapes.sort_unstable();
    let seconds = began.elapsed().as_secs_f64();
    let share = (http_time(&daemon)? - before) / seconds;
    let rate = (flood.count() - requests) as f64 / seconds;
    let (asked, answered) = asker.join().map_err(|_| "the asking thread panicked")?;
    let (made, served) = (flood.count(), answers.load(Ordering::Relaxed));
    flood.stop()?;
    slow.stop()?;
    println!(
        "    {served} of {made} requests of the flood were answered, with {most} descriptors open at the most"
    );
    // The excess is refused, not kept: some are answered, most are not, and nothing piles up.
    if served == 0 || served > made / 2 || most > quiet + OPEN {
        return Err(format!("{served} of {made} answered, {quiet} to {most} descriptors"));
    }
    println!(
        "    {rate:.0} requests/s and 1,000 slow clients cost {:.1} % of a core; \
         {answered} of {asked} questions on new connections were answered within a second; {} scrapes on \
         one that was there before took {:.0} ms (median) to {:.0} ms",
        share * 100.0,
        scrapes.len(),
        scrapes[scrapes.len() / 2].as_secs_f64() * 1e3,
        scrapes[scrapes.len() - 1].as_secs_f64() * 1e3
    );
    if rate < RATE as f64 * 0.7 {
        return Err(format!("only {rate:.0} requests in a second could be made"));
    }
    if share > LIMIT {
        return Err(format!("{rate:.0} requests/s cost {:.1} % of a core", share * 100.0));
    }
    let (id, sent) = (stream.id(), stream.stop()?);
    if !bench.lab.ledger().wait_for(id, sent, crate::lab::PATIENCE) {
        return Err(format!("{} of {sent} packets arrived", bench.lab.ledger().arrived(id)));
    }
    let lost = daemon.metrics()?.get("kordon_queue_lost_packets_total", &[])?;
    if lost > 0 {
        return Err(format!("{lost} packets lost"));
    }
    bench.lab.blocked(BLOCKED, N)?;
    std::thread::sleep(Duration::from_millis(1500));
    answers_soon(&daemon).context("afterwards")
}

/// Of ten scrapes the half is answered in time, and all of them are answered.
fn answers_soon(daemon: &Daemon) -> Res {
    let mut times = Vec::new();
    for _ in 0..10 {
        let began = Instant::now();
        ask(daemon.address(), Duration::from_secs(2))?;
        times.push(began.elapsed());
        std::thread::sleep(Duration::from_millis(50));
    }
    times.sort_unstable();
    match times[5] < SOON {
        true => Ok(()),
        false => Err(format!("a scrape takes {:?}", times[5])),
    }
}

/// A client that keeps its connection, as Prometheus does.
struct Scraper(TcpStream);

impl Scraper {
    fn connect(address: SocketAddr) -> Res<Self> {
        let limit = Duration::from_secs(2);
        let stream = TcpStream::connect_timeout(&address, limit).context("connect")?;
        stream.set_read_timeout(Some(limit)).context("connect")?;
        Ok(Scraper(stream))
    }

    fn scrape(&mut self) -> Res {
        let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
        self.0.write_all(request).context("write")?;
        let (mut answer, mut chunk) = (Vec::new(), [0; 16_384]);
        loop {
            let count = self.0.read(&mut chunk).context("read")?;
            answer.extend_from_slice(&chunk[..count]);
            let text = String::from_utf8_lossy(&answer);
            if let Some((header, body)) = text.split_once("\r\n\r\n") {
                let length = header.split("Content-Length: ").nth(1);
                let length = length.and_then(|rest| rest.lines().next()?.parse::<usize>().ok());
                if !header.contains("Connection: keep-alive") {
                    return Err(format!("the connection is not kept: {header}"));
                }
                if length == Some(body.len()) {
                    return Ok(());
                }
            }
            if count == 0 {
                return Err(format!("closed after {} bytes", answer.len()));
            }
        }
    }
}

fn ask(address: SocketAddr, limit: Duration) -> Res {
    ask_after(Duration::ZERO, address, limit)
}

/// Connects, and asks after a while.
fn ask_after(pause: Duration, address: SocketAddr, limit: Duration) -> Res {
    let mut stream = TcpStream::connect_timeout(&address, limit).context("connect")?;
    std::thread::sleep(pause);
    stream.set_read_timeout(Some(limit)).context("read")?;
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .context("write")?;
    let mut text = String::new();
    stream.read_to_string(&mut text).context("read")?;
    match text.contains("kordon_enforcing") {
        true => Ok(()),
        false => Err(format!("not an answer: {text:?}")),
    }
}

/// How many descriptors the daemon has open.
fn descriptors(daemon: &Daemon) -> Res<usize> {
    let folder = format!("/proc/{}/fd", daemon.pid());
    std::fs::read_dir(&folder).context(&folder).map(Iterator::count)
}

/// Seconds of processor time that the daemon's HTTP thread has used (`/proc/PID/task/TID/schedstat`, in
/// nanoseconds).
fn http_time(daemon: &Daemon) -> Res<f64> {
    let tasks = format!("/proc/{}/task", daemon.pid());
    for task in std::fs::read_dir(&tasks).context(&tasks)? {
        let task = task.context(&tasks)?.path();
        let name = std::fs::read_to_string(task.join("comm")).unwrap_or_default();
        if name.trim() == "kordon-http" {
            let text = std::fs::read_to_string(task.join("schedstat")).context("schedstat")?;
            let nanos = text.split_whitespace().next().and_then(|text| text.parse::<u64>().ok());
            return nanos.map(|n| n as f64 / 1e9).ok_or_else(|| format!("schedstat: {text:?}"));
        }
    }
    Err("no thread kordon-http".to_owned())
}

/// Clients on a thread of their own, until stopped.
struct Crowd {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    thread: JoinHandle<Res>,
}

impl Crowd {
    fn start(
        address: SocketAddr,
        work: impl FnOnce(SocketAddr, &AtomicBool, &AtomicU64) -> Res + Send + 'static,
    ) -> Self {
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let thread = std::thread::spawn({
            let (stop, count) = (Arc::clone(&stop), Arc::clone(&count));
            move || work(address, &stop, &count)
        });
        Crowd { stop, count, thread }
    }

    fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    fn stop(self) -> Res {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| "a crowd panicked".to_owned())?
    }
}

/// Bounded, whatever becomes of the owner.
const LONGEST: Duration = Duration::from_secs(60);

/// A thousand clients that send a byte every two seconds, and come again when they are sent away.
fn slowly(address: SocketAddr, stop: &AtomicBool) -> Res {
    let mut clients: Vec<Option<TcpStream>> = (0..SLOW).map(|_| None).collect();
    let end = Instant::now() + LONGEST;
    for round in 0.. {
        for (number, client) in clients.iter_mut().enumerate() {
            if stop.load(Ordering::Relaxed) || Instant::now() > end {
                return Ok(());
            }
            if number % 2 == round % 2 || client.is_none() {
                let written = client.as_mut().is_some_and(|client| client.write(b"G").is_ok());
                if !written {
                    *client = Some(begin(address)?);
                }
            }
            // A thousand in a second, each every second time.
            if number % 5 == 0 {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
    Ok(())
}

/// Ten thousand requests in a second, answered or not.
fn flooding(address: SocketAddr, stop: &AtomicBool, count: &AtomicU64, answers: &AtomicU64) -> Res {
    let mut open = VecDeque::new();
    let began = Instant::now();
    while !stop.load(Ordering::Relaxed) && began.elapsed() < LONGEST {
        let due = (began.elapsed().as_secs_f64() * RATE as f64) as u64;
        while count.load(Ordering::Relaxed) < due {
            let mut client = begin(address)?;
            let _sent = client.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
            open.push_back(client);
            // Long enough for an answer: a tenth of a second.
            if open.len() > RATE as usize / 10
                && let Some(mut oldest) = open.pop_front()
            {
                let answered = oldest.read(&mut [0; 16]).is_ok_and(|count| count > 0);
                answers.fetch_add(u64::from(answered), Ordering::Relaxed);
            }
            count.fetch_add(1, Ordering::Relaxed);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Begins to connect, and does not wait.
fn begin(address: SocketAddr) -> Res<TcpStream> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let descriptor =
        socket(AddressFamily::Inet, SockType::Stream, flags, None).context("socket")?;
    match connect(descriptor.as_raw_fd(), &SockaddrStorage::from(address)) {
        Ok(()) | Err(nix::errno::Errno::EINPROGRESS | nix::errno::Errno::ECONNREFUSED) => {}
        Err(error) => return Err(format!("connect: {error}")),
    }
    Ok(TcpStream::from(descriptor))
}

fn raise_descriptor_limit() -> Res {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum.map(|most| most.min(8_192)).or(Some(8_192));
    setrlimit(Resource::Nofile, limit).context("setrlimit")
}
