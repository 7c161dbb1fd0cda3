//! Restarts under traffic: what is lost, what leaks, and how long packets are held.
//!
//! In network namespaces of its own, with the release binary: 20,000 packets a second to an allowed address and
//! 2,000 to a blocked one, numbered, while a stand-in for the service manager ends the daemon (SIGTERM, SIGKILL)
//! and starts the next one at once. A hold is the longest time from sending to arrival among the packets sent
//! around a restart, less the median of all others. Once with the small lists of the tests, once with the full
//! BGP table, with and without the snapshot.
//!
//! Prints a table and writes `target/bench-restart.json`. `KORDON_BENCH_ROUNDS` sets the number of restarts.

#[path = "../common/mod.rs"]
mod common;
#[path = "../../tests/lab/mod.rs"]
mod lab;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use lab::daemon::{self, Backend, Setup, Site};
use lab::enter::{self, Entry};
use lab::flood::{Arrival, Flood, Outcome};
use lab::supervisor::Supervisor;
use lab::topology::{self, ALLOWED, BLOCKED, Place};
use lab::{Context, Res, wait_until};

const RATE: u32 = 20_000;
const BLOCKED_RATE: u32 = 2_000;
const ROUNDS: usize = 100;
/// With the full table each round takes seconds.
const FULL_ROUNDS: usize = 10;
/// The hold to reach.
const HOLD: Duration = Duration::from_millis(250);

fn main() -> ExitCode {
    common::take_the_units_environment();
    daemon::set_binary(env!("CARGO_BIN_EXE_kordon"));
    let result = match enter::entered() {
        Some(entry) => inside(entry),
        None => outside(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("bench-restart: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn outside() -> Res {
    let missing = enter::missing_tools(enter::TOOLS);
    if !missing.is_empty() {
        return Err(format!("missing: {}; scripts/setup installs it", missing.join(", ")));
    }
    // Not in a user namespace: the sockets' buffers cannot be forced there.
    if let Some(obstacle) = enter::obstacle(Entry::Root) {
        return Err(format!("needs namespaces made by root: {obstacle}"));
    }
    let program = std::env::current_exe().context("current_exe")?;
    let mut command = enter::unshared(Entry::Root, &program.display().to_string());
    let status = command.status().context("unshare")?;
    if status.success() { Ok(()) } else { Err(format!("inner process: {status}")) }
}

/// One kind of restart.
struct Series {
    name: &'static str,
    signal: Signal,
    rounds: usize,
    full: bool,
    snapshot: bool,
}

/// What a series of restarts did.
struct Figures {
    sent: u32,
    lost: u32,
    orphans: u64,
    buffer: u64,
    worst_orphans: u64,
    leaked: u32,
    holds: Vec<Duration>,
    /// From the signal to READY=1.
    pauses: Vec<Duration>,
}

fn inside(entry: Entry) -> Res {
    enter::arrive()?;
    topology::build()?;
    let rounds = match std::env::var("KORDON_BENCH_ROUNDS") {
        Ok(text) => text.parse().context("KORDON_BENCH_ROUNDS")?,
        Err(_) => ROUNDS,
    };
    let full_rounds = rounds.min(FULL_ROUNDS);
    let series =
        |name, signal, rounds, full, snapshot| Series { name, signal, rounds, full, snapshot };
    println!(
        "{RATE} packets/s allowed, {BLOCKED_RATE} blocked; namespaces made as {}; load {}",
        entry.label(),
        std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim()
    );
    println!(
        "{:<34} {:>8} {:>9} {:>6} {:>8} {:>7} {:>7}  {:>15}  {:>15}",
        "",
        "restarts",
        "sent",
        "lost",
        "orphans",
        "buffer",
        "leaked",
        "hold med/worst",
        "pause med/worst"
    );
    let mut report = Vec::new();
    for series in [
        series("planned, small lists", Signal::SIGTERM, rounds, false, true),
        series("SIGKILL, small lists", Signal::SIGKILL, rounds, false, true),
        series("planned, full table, snapshot", Signal::SIGTERM, full_rounds, true, true),
        series("SIGKILL, full table, snapshot", Signal::SIGKILL, full_rounds, true, true),
        series("planned, full table, no snapshot", Signal::SIGTERM, full_rounds, true, false),
    ] {
        let figures = run(&series)?;
        println!("{}", figures.line(&series));
        report.push(figures.json(&series));
    }
    let path = report_path();
    let text = serde_json::to_string_pretty(&report).context("the report")?;
    std::fs::write(&path, text + "\n").context(path.display())?;
    println!("\nwritten to {}; load {}", path.display(), loads());
    Ok(())
}

fn loads() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned()
}

fn run(series: &Series) -> Res<Figures> {
    let mut setup = Setup { queues: 2, ..Setup::new(Backend::Native) };
    if series.full {
        setup.more = "\n[[list]]\nname = \"full\"\npath = \"full.txt\"\nkind = \"prefix\"\n\
            action = \"block\"\nallow_wide = true\n"
            .to_owned();
    }
    let site = Site::new(setup)?;
    if series.full {
        let mut text = String::new();
        for route in common::without_default(&common::full()) {
            let _ = writeln!(text, "{}", route.prefix);
        }
        site.write("full.txt", &text)?;
    }
    lab::rules::flush_everything()?;
    let snapshot = site.folder().join("state/ruleset.bin");
    let settled = || wait_until(Duration::from_secs(30), || snapshot.exists());
    let mut manager = Supervisor::new(&site)?;
    manager.patience = Duration::from_secs(60);
    manager.start()?;
    let mut figures = Figures::new();
    for _ in 0..series.rounds {
        if !settled() {
            return Err("no snapshot was written".to_owned());
        }
        let allowed = Flood::start(Place::Out1, ALLOWED, RATE)?;
        let blocked = Flood::start(Place::Out2, BLOCKED, BLOCKED_RATE)?;
        std::thread::sleep(Duration::from_millis(200));
        if !series.snapshot {
            std::fs::remove_file(&snapshot).context("the snapshot")?;
        }
        let (from, began) = (allowed.now(), Instant::now());
        manager.end(series.signal)?;
        manager.launch()?;
        let ready = manager.wait_ready()?;
        figures.pauses.push(ready.saturating_duration_since(began));
        // What waited is on its way, and the next ones pass as before.
        std::thread::sleep(Duration::from_millis(200));
        let to = allowed.now();
        let allowed = allowed.stop(Duration::from_millis(400))?;
        let blocked = blocked.stop(Duration::from_millis(400))?;
        let metrics = manager.daemon()?.metrics()?;
        let lost = |cause| metrics.get("kordon_queue_lost_packets_total", &[("cause", cause)]);
        figures.add(&allowed, &blocked, [lost("orphan")?, lost("buffer")?]);
        let ordinary = median(&mut delays(&allowed, |sent| !(from..to).contains(&sent)));
        figures.holds.push(allowed.longest(from, to).saturating_sub(ordinary));
        // The lists are read again meanwhile; the next restart is one of a daemon at rest.
        wait_until(Duration::from_secs(30), || {
            let metrics = manager.daemon().and_then(|daemon| daemon.metrics());
            metrics.is_ok_and(|metrics| {
                !series.snapshot || metrics.or_zero("kordon_ruleset_generation", &[]) >= 2
            })
        });
    }
    Ok(figures)
}

fn delays(outcome: &Outcome, wanted: impl Fn(Duration) -> bool) -> Vec<Duration> {
    let wanted = |one: &&Arrival| wanted(one.sent);
    let arrivals = outcome.arrivals.iter().filter(wanted);
    arrivals.map(|one| one.arrived.saturating_sub(one.sent)).collect()
}

fn median(durations: &mut [Duration]) -> Duration {
    durations.sort_unstable();
    durations.get(durations.len() / 2).copied().unwrap_or_default()
}

impl Figures {
    fn new() -> Self {
        Figures {
            sent: 0,
            lost: 0,
            orphans: 0,
            buffer: 0,
            worst_orphans: 0,
            leaked: 0,
            holds: Vec::new(),
            pauses: Vec::new(),
        }
    }

    fn add(&mut self, allowed: &Outcome, blocked: &Outcome, [orphans, buffer]: [u64; 2]) {
        self.sent += allowed.sent;
        self.lost += allowed.lost();
        self.leaked += blocked.arrived;
        self.orphans += orphans;
        self.worst_orphans = self.worst_orphans.max(orphans);
        // It goes on over restarts.
        self.buffer = buffer;
    }

    fn spread(durations: &[Duration]) -> [f64; 2] {
        let mut sorted = durations.to_vec();
        let middle = median(&mut sorted);
        let worst = sorted.last().copied().unwrap_or_default();
        [middle, worst].map(|one| (one.as_secs_f64() * 10_000.0).round() / 10.0)
    }

    fn line(&self, series: &Series) -> String {
        let [hold, worst_hold] = Self::spread(&self.holds);
        let [pause, worst_pause] = Self::spread(&self.pauses);
        let late = self.holds.iter().filter(|hold| **hold > HOLD).count();
        format!(
            "{:<34} {:>8} {:>9} {:>6} {:>8} {:>7} {:>7}  {hold:>6.1} / {worst_hold:>6.1}  {pause:>6.1} / \
             {worst_pause:>6.1} ms; {late} held longer than {} ms; most orphans {}",
            series.name,
            series.rounds,
            self.sent,
            self.lost,
            self.orphans,
            self.buffer,
            self.leaked,
            HOLD.as_millis(),
            self.worst_orphans
        )
    }

    fn json(&self, series: &Series) -> serde_json::Value {
        json!({
            "series": series.name,
            "restarts": series.rounds,
            "sent": self.sent,
            "lost": self.lost,
            "orphans": self.orphans,
            "most_orphans": self.worst_orphans,
            "lost_in_buffer": self.buffer,
            "leaked": self.leaked,
            "hold_ms_median_and_worst": Self::spread(&self.holds),
            "pause_ms_median_and_worst": Self::spread(&self.pauses),
        })
    }
}

/// `target/bench-restart.json`, wherever cargo keeps its target folder: the bench is in `<target>/PROFILE/deps`.
fn report_path() -> PathBuf {
    let target = std::env::current_exe()
        .ok()
        .and_then(|program| program.ancestors().nth(3).map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target"));
    target.join("bench-restart.json")
}
