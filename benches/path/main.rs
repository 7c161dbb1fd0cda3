//! The packet path through the kernel, in parts: `cargo bench --bench path -- drain goodput`; without names, all.
//!
//! It runs in network namespaces of its own, made by root or by anybody (`unshare`). [`drain`]: one thread fills a
//! queue while nobody receives, then drains it, so that neither sender nor idle time is in the figure.
//! [`goodput`]: one TCP stream runs through the gateway, with and without the queue. Both take kordon's packet
//! thread to the [`ceiling`]. Contestants take turns within each round; figures are medians over the rounds, and
//! ratios the medians of the rounds' ratios. [`latency`]: how long a request is held. [`queues`]: two
//! queues on two processors. [`overload`]: more comes than a slowed-down thread can judge. [`reload`]: the daemon
//! itself, with reloads back to back. Only when named: `stages` says where the time goes, `reloads` makes a hundred.
//!
//! The rule set is the full BGP table in allow lists, so every packet is listed, counted and accepted.
//! Live packets go to one documentation address, whose look-up never leaves the cache (`hot`). In the main
//! figures each packet is judged with another address of the table in place of its destination ([`cold`]).
//!
//! Prints tables and writes `target/bench-path.json`, without the parts that did not run. `KORDON_BENCH_ROUNDS`
//! sets the number of rounds.

#[path = "../common/mod.rs"]
mod common;
#[path = "../../tests/lab/mod.rs"]
mod lab;

mod ceiling;
mod cold;
mod conditions;
mod contestant;
mod drain;
mod goodput;
mod latency;
mod machine;
mod nfq_loop;
mod overload;
mod processors;
mod queues;
mod reload;
mod requests;
mod spinning;
mod stages;
mod steal;

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use kordon::config::Action;
use kordon::ruleset::Published;
use serde_json::{Value, json};

use common::Route;
use lab::enter::{self, Entry};
use lab::topology::{self, CAMERA_INTERFACE};
use lab::{Context, Res};

/// The NFQUEUE number; the namespace is our own.
const QUEUE: u16 = 7;
/// As the daemon's default configuration has it.
const COPY_RANGE: u16 = 128;

/// What the parts share.
struct Bench {
    routes: Vec<Route>,
    /// All of them as allow lists.
    rules: Arc<Published>,
    /// The number of rounds, where somebody asked for one.
    rounds: Option<usize>,
}

/// Prints its table and returns its part of the report: an object whose objects are merged with those of others.
type Run = fn(&Bench) -> Res<Value>;

/// The parts, in the order in which they run.
const PARTS: &[(&str, Run)] = &[
    ("drain", |bench| drain::run(bench).map(|figures| figures.print().json())),
    ("goodput", |bench| goodput::run(bench).map(|figures| figures.print().json())),
    ("latency", |bench| latency::run(bench).map(|figures| figures.print().json())),
    ("queues", |bench| queues::run(bench).map(|figures| figures.print().json())),
    ("overload", |bench| overload::run(bench).map(|figures| figures.print().json())),
    ("reload", |bench| reload::run(bench).map(|figures| figures.print().json("reload"))),
];

fn main() -> ExitCode {
    common::take_the_units_environment();
    let result = match enter::entered() {
        Some(entry) => asked().and_then(|parts| inside(entry, &parts)),
        None => asked().and_then(|_| outside()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("bench-path: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Run only when named: the one tells where time goes, and promises nothing; the other takes two minutes.
const ASKED: &[(&str, Run)] = &[
    ("stages", |bench| stages::run(bench).map(|figures| figures.print().json())),
    ("reloads", |bench| reload::many(bench).map(|figures| figures.print().json("reloads"))),
];

/// The parts named on the command line; all of [`PARTS`] where none is.
fn asked() -> Res<Vec<(&'static str, Run)>> {
    // cargo adds its `--bench`.
    let names: Vec<_> = std::env::args().skip(1).filter(|name| name != "--bench").collect();
    let parts = || PARTS.iter().chain(ASKED).copied();
    if let Some(unknown) = names.iter().find(|name| !parts().any(|(part, _)| part == *name)) {
        let parts: Vec<_> = parts().map(|(part, _)| part).collect();
        return Err(format!("{unknown}: no such part; there are {}", parts.join(", ")));
    }
    if names.is_empty() {
        return Ok(PARTS.to_vec());
    }
    Ok(parts().filter(|(part, _)| names.iter().any(|name| name == part)).collect())
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
    let status = command.args(std::env::args().skip(1)).status().context("unshare")?;
    if status.success() { Ok(()) } else { Err(format!("inner process: {status}")) }
}

fn inside(entry: Entry, parts: &[(&str, Run)]) -> Res {
    enter::arrive()?;
    // Before any thread starts: they all inherit it. Refused to ordinary users, and not needed.
    let this = std::process::id().to_string();
    let quiet = Command::new("renice").args(["-n", "-20", "-p", &this]).output();
    let priority = quiet.is_ok_and(|output| output.status.success());
    let rounds = match std::env::var("KORDON_BENCH_ROUNDS") {
        Ok(text) => Some(text.parse().context("KORDON_BENCH_ROUNDS")?),
        Err(_) => None,
    };
    let machine = machine::Machine::look()?;
    println!("{machine}");
    topology::build()?;
    let routes = common::full();
    println!(
        "{} lines of the BGP table; namespaces made as {}{}",
        routes.len(),
        entry.label(),
        if priority { "; raised priority" } else { "" }
    );
    let rules = common::published(&routes, Action::Allow);
    let bench = Bench { routes, rules, rounds };

    let mut report = json!({ "machine": machine.json() });
    let mut failed = Vec::new();
    for (name, run) in parts {
        match run(&bench) {
            Ok(part) => merge(&mut report, part),
            // The others may say something yet.
            Err(reason) => failed.push(format!("{name}: {reason}")),
        }
    }
    let path = report_path();
    let text = serde_json::to_string_pretty(&report).context("the report")?;
    std::fs::write(&path, text + "\n").context(path.display())?;
    println!("\nwritten to {}", path.display());
    if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
}

/// Adds what `part` has to the report, object by object.
fn merge(report: &mut Value, part: Value) {
    match (report, part) {
        (Value::Object(report), Value::Object(part)) => {
            for (key, value) in part {
                merge(report.entry(key).or_insert(Value::Null), value);
            }
        }
        (report, part) => *report = part,
    }
}

/// Says whether a figure is as large as it should be.
fn at_least(what: &str, figure: f64, target: f64) {
    let word = if figure >= target { "met" } else { "MISSED" };
    println!("  {what}: {figure:.3}, to reach at least {target}: {word}");
}

/// Says whether it is as small.
fn at_most(what: &str, figure: f64, target: f64) {
    let word = if figure <= target { "met" } else { "MISSED" };
    println!("  {what}: {figure:.3}, to reach at most {target}: {word}");
}

fn round(figure: f64) -> f64 {
    (figure * 10.0).round() / 10.0
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
