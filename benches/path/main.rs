//! The packet path through the kernel: kordon's packet thread against an accept-all loop on the `nfq` crate.
//!
//! It runs in network namespaces of its own, made by root or by anybody (`unshare`), and on one processor. One
//! thread first fills the queue while nobody receives, then drains it, so that neither sender nor idle time
//! is in the figure ([`drain`]). Then one TCP stream runs through the gateway, with and without the queue
//! ([`goodput`]). Contestants take turns within each round; figures are medians over the rounds.
//!
//! The rule set is the full BGP table as one allow list, so every packet is listed, counted and accepted.
//! Live packets go to one documentation address, whose look-up never leaves the cache (`hot`). In the main
//! figures (`cold`) each packet is judged with another address of the table in place of its destination.
//!
//! Prints tables and writes `target/bench-path.json`. `KORDON_BENCH_ROUNDS` sets the number of rounds.

#[path = "../common/mod.rs"]
mod common;
#[path = "../../tests/lab/mod.rs"]
mod lab;

mod drain;
mod goodput;
mod steal;

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use kordon::config::Action;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use serde_json::json;

use drain::{Contestant, Drain};
use lab::enter::{self, Entry};
use lab::topology::{self, CAMERA_INTERFACE};
use lab::{Context, Res};

/// The NFQUEUE number; the namespace is our own.
const QUEUE: u16 = 7;
/// As the daemon's default configuration has it.
const COPY_RANGE: u16 = 128;
const ROUNDS: usize = 25;
/// Targets: the native backend to the accept-all loop, TCP through the queue to plain forwarding.
const NATIVE_TO_LOOP: f64 = 1.2;
const GOODPUT: f64 = 0.8;

fn main() -> ExitCode {
    let result = match enter::entered() {
        Some(entry) => inside(entry),
        None => outside(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("bench-path: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn outside() -> Res {
    let missing = enter::missing_tools(enter::TOOLS);
    if !missing.is_empty() {
        return Err(format!("missing: {}; scripts/setup installs it", missing.join(", ")));
    }
    let entry = match (enter::obstacle(Entry::Root), enter::obstacle(Entry::User)) {
        (None, _) => Entry::Root,
        (Some(_), None) => Entry::User,
        (Some(root), Some(user)) => {
            return Err(format!("no namespaces: as root: {root}; as an ordinary user: {user}"));
        }
    };
    let program = std::env::current_exe().context("current_exe")?;
    let mut command = enter::unshared(entry, &program.display().to_string());
    let status = command.status().context("unshare")?;
    if status.success() { Ok(()) } else { Err(format!("inner process: {status}")) }
}

fn inside(entry: Entry) -> Res {
    enter::arrive()?;
    // Before any thread starts: they all inherit it. Refused to ordinary users, and not needed.
    let this = std::process::id().to_string();
    let quiet = Command::new("renice").args(["-n", "-20", "-p", &this]).output();
    let priority = quiet.is_ok_and(|output| output.status.success());
    let rounds = match std::env::var("KORDON_BENCH_ROUNDS") {
        Ok(text) => text.parse().context("KORDON_BENCH_ROUNDS")?,
        Err(_) => ROUNDS,
    };
    topology::build()?;
    let routes = common::full();
    let rules = common::published(&routes, Action::Allow);
    println!(
        "{} lines of the BGP table as one allow list; {rounds} rounds; namespaces made as {}{}",
        routes.len(),
        entry.label(),
        if priority { "; raised priority" } else { "" }
    );

    let processor = pin()?;
    let drain = Drain::new(Arc::clone(&rules), &routes, rounds, processor)?;
    let kpps = drain.run()?;
    let of = |contestant| drain::median(&kpps[&contestant]);
    let base = of(Contestant::NfqLoop);
    println!("\ndrain, one processor, {} packets a round    kpps    to the loop", drain.packets());
    for contestant in Contestant::ALL {
        let kpps = of(contestant);
        println!("  {:<42} {kpps:>6.1}    {:>6.2}", contestant.label(), kpps / base);
    }
    let to_loop = of(Contestant::NativeCold) / base;
    verdict("native, cold look-ups, to the accept-all nfq loop", to_loop, NATIVE_TO_LOOP);

    let mbit = goodput::run(&rules, rounds.div_ceil(3), processor)?;
    let (forwarding, native) = (drain::median(&mbit.forwarding), drain::median(&mbit.native));
    println!("\nTCP goodput, one stream, median        Mbit/s");
    println!("  forwarding without a queue         {forwarding:>9.0}");
    println!("  through kordon's queue             {native:>9.0}");
    let to_forwarding = native / forwarding;
    verdict("goodput to forwarding", to_forwarding, GOODPUT);

    let report = json!({
        "kpps": {
            "native": round(of(Contestant::NativeCold)),
            "nfq_backend": round(of(Contestant::BackendCold)),
            "nfq_loop": round(base),
        },
        "kpps_hot": {
            "native": round(of(Contestant::NativeHot)),
            "nfq_backend": round(of(Contestant::BackendHot)),
        },
        "goodput_mbit": { "forwarding": round(forwarding), "native": round(native) },
        "ratio": {
            "native_to_nfq_loop": to_loop,
            "native_hot_to_nfq_loop": of(Contestant::NativeHot) / base,
            "goodput_to_forwarding": to_forwarding,
        },
        "rounds": rounds,
        "packets": drain.packets(),
    });
    let path = report_path();
    let text = serde_json::to_string_pretty(&report).context("the report")?;
    std::fs::write(&path, text + "\n").context(path.display())?;
    println!("\nwritten to {}", path.display());
    Ok(())
}

fn verdict(what: &str, ratio: f64, target: f64) {
    let word = if ratio >= target { "met" } else { "MISSED" };
    println!("  {what}: {ratio:.2}, target {target:.1}: {word}");
}

fn round(figure: f64) -> f64 {
    (figure * 10.0).round() / 10.0
}

/// Keeps this thread, and all that it starts, on the last processor that it may use.
fn pin() -> Res<usize> {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this).context("sched_getaffinity")?;
    let last = (0..CpuSet::count()).rev().find(|cpu| allowed.is_set(*cpu) == Ok(true));
    let last = last.ok_or("no processor")?;
    let mut one = CpuSet::new();
    one.set(last).context("CpuSet")?;
    sched_setaffinity(this, &one).context("sched_setaffinity")?;
    Ok(last)
}

/// `target/bench-path.json`, wherever cargo keeps its target folder: the bench is in `<target>/PROFILE/deps`.
fn report_path() -> PathBuf {
    let target = std::env::current_exe()
        .ok()
        .and_then(|program| program.ancestors().nth(3).map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target"));
    target.join("bench-path.json")
}

/// Holds what enters from the camera.
fn hold() -> Res {
    let queue = QUEUE.to_string();
    let rule = ["-w", "-t", "mangle", "-A", "FORWARD", "-i", CAMERA_INTERFACE];
    let target = ["-j", "NFQUEUE", "--queue-num", &queue];
    lab::process::tool("iptables-nft", &[rule.as_slice(), &target].concat()).map(drop)
}

/// Lets it pass again.
fn release() -> Res {
    lab::process::tool("iptables-nft", &["-w", "-t", "mangle", "-F", "FORWARD"]).map(drop)
}
