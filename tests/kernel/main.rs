//! Real packets through real queues, judged by the real daemon, observed at the receiving host.
//!
//! Runs in network namespaces of its own: made by root where the caller is root, in a user namespace
//! otherwise; as root, the verdict cases run in a user namespace as well. Where neither can be made, the
//! test fails and says what is missing. Each case runs once per queue backend, unless it has nothing to do
//! with backends, and before each one the gateway without rules must pass everything (positive control).
//!
//! `cargo test --test kernel -- FILTER...` runs the cases whose names contain a filter.

#[path = "../documented/mod.rs"]
mod documented;
#[path = "../lab/mod.rs"]
mod lab;

mod cases;

use std::io::{BufRead, BufReader, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{ExitCode, Stdio};
use std::time::Instant;

use cases::{CASES, Case};
pub(crate) use lab::daemon::{Backend, Setup, Site};
use lab::enter::{self, Entry};
use lab::{Context, Lab, Res, daemon, topology};

/// Which cases the inner process runs.
const SCOPE: &str = "KORDON_LAB_SCOPE";
/// How the inner process reports: `@counts PASSED FAILED`.
const COUNTS: &str = "@counts";

/// What a case works with.
pub(crate) struct Bench<'a> {
    pub(crate) lab: &'a Lab,
    pub(crate) backend: Backend,
}

impl Bench<'_> {
    /// The usual configuration for this backend.
    pub(crate) fn setup(&self) -> Setup {
        Setup::new(self.backend)
    }

    /// The usual configuration, in a folder.
    pub(crate) fn site(&self) -> Res<Site> {
        Site::new(self.setup())
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let filters: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|word| !word.starts_with('-')).collect();
    let selected: Vec<&Case> = CASES
        .iter()
        .filter(|case| filters.is_empty() || filters.iter().any(|f| case.name.contains(f)))
        .collect();
    if arguments.iter().any(|word| word == "--list") {
        selected.iter().for_each(|case| println!("{}: test", case.name));
        return ExitCode::SUCCESS;
    }
    daemon::set_binary(env!("CARGO_BIN_EXE_kordon"));
    if let Some(entry) = enter::entered() {
        return inside(entry, &selected);
    }
    let start = Instant::now();
    let result = outside(&arguments, &selected);
    let (counts, word) = match &result {
        Ok(counts) if counts.failed == 0 => (*counts, "ok"),
        Ok(counts) => (*counts, "FAILED"),
        Err(reason) => {
            println!("FAILED the kernel tests cannot run: {reason}");
            (Counts { passed: 0, failed: 1 }, "FAILED")
        }
    };
    println!(
        "\ntest result: {word}. {} passed; {} failed; 0 ignored; 0 measured; {} filtered out; \
         finished in {:.2}s\n",
        counts.passed,
        counts.failed,
        CASES.len() - selected.len(),
        start.elapsed().as_secs_f64()
    );
    if word == "ok" { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    passed: usize,
    failed: usize,
}

/// Starts itself again inside, once or twice, and adds up.
fn outside(arguments: &[String], selected: &[&Case]) -> Res<Counts> {
    let mut counts = Counts::default();
    if selected.is_empty() {
        return Ok(counts);
    }
    let tools =
        [enter::TOOLS, &[("promtool", "prometheus"), ("prometheus", "prometheus")]].concat();
    let missing = enter::missing_tools(&tools);
    if !missing.is_empty() {
        return Err(format!("missing: {}; scripts/setup installs it", missing.join(", ")));
    }
    let runs: &[(Entry, &str)] = match (enter::obstacle(Entry::Root), enter::obstacle(Entry::User))
    {
        (None, None) => &[(Entry::Root, "all"), (Entry::User, "verdicts")],
        (None, Some(reason)) => {
            println!("note: not run in a user namespace as well: {reason}");
            &[(Entry::Root, "all")]
        }
        (Some(_), None) => &[(Entry::User, "all")],
        (Some(root), Some(user)) => {
            return Err(format!(
                "no namespaces can be made: as root: {root}; as an ordinary user: {user}"
            ));
        }
    };
    for &(entry, scope) in runs {
        let more = reenter(entry, scope, arguments).context(entry.label())?;
        counts.passed += more.passed;
        counts.failed += more.failed;
    }
    Ok(counts)
}

fn reenter(entry: Entry, scope: &str, arguments: &[String]) -> Res<Counts> {
    let program = std::env::current_exe().context("current_exe")?;
    let mut child = enter::unshared(entry, &program.display().to_string())
        .args(arguments)
        .env(SCOPE, scope)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("unshare")?;
    let mut counts = None;
    for line in BufReader::new(child.stdout.take().ok_or("no stdout")?).lines() {
        let line = line.context("the inner process's output")?;
        match line.strip_prefix(COUNTS) {
            Some(numbers) => {
                let mut numbers = numbers.split_whitespace().filter_map(|n| n.parse().ok());
                counts = numbers.next().zip(numbers.next());
            }
            None => println!("{line}"),
        }
    }
    let status = child.wait().context("wait")?;
    let (passed, failed) =
        counts.ok_or_else(|| format!("the inner process ended early, with {status}"))?;
    Ok(Counts { passed, failed })
}

/// Builds the lab in this namespace and runs the cases, one after the other.
fn inside(entry: Entry, selected: &[&Case]) -> ExitCode {
    let lab = match enter::arrive().and_then(|()| Lab::build()) {
        Ok(lab) => lab,
        Err(reason) => {
            println!("FAILED building the lab [{}]: {reason}", entry.label());
            return ExitCode::FAILURE;
        }
    };
    let verdicts_only = std::env::var(SCOPE).is_ok_and(|scope| scope == "verdicts");
    println!("\nrunning kernel cases in namespaces made as: {}", entry.label());
    let mut counts = Counts::default();
    for backend in Backend::ALL {
        let native = backend == Backend::Native;
        let here = |case: &&&Case| (case.verdict || !verdicts_only) && (native || !case.once);
        for case in selected.iter().filter(here) {
            let start = Instant::now();
            let result = run_case(case, &Bench { lab: &lab, backend });
            let label = format!("{} [{}, {}]", case.name, backend.label(), entry.label());
            match result {
                Ok(()) => {
                    counts.passed += 1;
                    println!("ok {label} {:.2}s", start.elapsed().as_secs_f64());
                }
                Err(reason) => {
                    counts.failed += 1;
                    println!("FAILED {label}: {reason}");
                }
            }
            let _ = std::io::stdout().flush();
        }
    }
    println!("{COUNTS} {} {}", counts.passed, counts.failed);
    ExitCode::SUCCESS
}

fn run_case(case: &Case, bench: &Bench<'_>) -> Res {
    bench.lab.clean()?;
    positive_control(bench.lab).context("positive control")?;
    let result = catch_unwind(AssertUnwindSafe(|| (case.run)(bench)))
        .unwrap_or_else(|_| Err("panicked".to_owned()));
    // After the case, with its daemon gone and its rules still standing or not: nothing forbidden
    // may have come late.
    let late = bench.lab.ledger().verify_forbidden();
    bench.lab.clean()?;
    result.and(late)
}

/// Without rules everything arrives: what a case later misses, kordon stopped.
fn positive_control(lab: &Lab) -> Res {
    use topology::*;
    for to in [ALLOWED, ALLOWED6, BLOCKED, BLOCKED6, EXEMPT, EXEMPT6, BY_ORIGIN, UNLISTED] {
        lab.passes(to, 2)?;
    }
    Ok(())
}
