//! Compiling the full table: time, and peak memory of a child process that does nothing else.
//!
//! `full` adds 1.25 million parsed entries to a builder and compiles them. The child reads the table line
//! by line, so that its peak is the builder's and not that of a copy of the file; it reports `VmHWM`, the
//! high-water mark of its resident memory (proc(5)).

mod common;

use std::process::Command;
use std::time::Instant;

use common::{figure, mib};
use criterion::{BatchSize, Criterion};
use kordon::config::Action;
use kordon::ruleset::Builder;

/// Told to the child only.
const CHILD: &str = "KORDON_BENCH_BUILD_CHILD";
/// What the child may take, in KiB.
const MOST: u64 = 128 * 1024;
/// What finished tables may take, in KiB.
const FINISHED: u64 = 32 * 1024;

fn main() {
    if let Some(path) = std::env::var_os(CHILD) {
        return child(path.as_ref());
    }
    let mut criterion = Criterion::default().configure_from_args().sample_size(10);
    peak_memory();
    let routes = common::full();
    finished(&routes);
    let mut group = criterion.benchmark_group("build");
    group.bench_function("full", |b| {
        b.iter_batched(
            || (),
            |()| common::builder(&routes, Action::Block).compile(),
            BatchSize::PerIteration,
        );
    });
    group.finish();
    criterion.final_summary();
}

/// What look-ups read of the table in many lists.
fn finished(routes: &[common::Route]) {
    let [v4, v6] = common::table(routes).lookup_bytes().map(|bytes| bytes as u64 / 1024);
    println!(
        "build/finished: {:.1} MiB for IPv4, {:.1} MiB for IPv6, limit {} MiB: {}",
        mib(v4),
        mib(v6),
        FINISHED / 1024,
        if v4 + v6 <= FINISHED { "met" } else { "MISSED" }
    );
}

fn peak_memory() {
    let this = std::env::current_exe().expect("the bench knows its file");
    let output = Command::new(this).env(CHILD, common::bgp_path()).output().expect("it runs");
    assert!(output.status.success(), "child: {}", String::from_utf8_lossy(&output.stderr));
    print!("{}", String::from_utf8_lossy(&output.stdout));
}

fn child(path: &std::path::Path) {
    let empty = figure("VmHWM:");
    let began = Instant::now();
    let mut builder = Builder::new();
    let list = builder.list(Action::Block);
    common::for_each_route(path, |prefix, origin, line| {
        builder.add(list, prefix, line, Some(origin));
    });
    let (read, before) = (began.elapsed(), figure("VmHWM:"));
    let table = builder.compile();
    let (all, peak) = (began.elapsed(), figure("VmHWM:"));
    let prefixes = table.prefixes();
    println!(
        "build/child: {} IPv4 and {} IPv6 prefixes, read and parsed in {:.0?}, compiled in {:.0?}",
        prefixes[0],
        prefixes[1],
        read,
        all.saturating_sub(read)
    );
    println!(
        "build/peak-memory: {:.1} MiB ({:.1} at start, {:.1} once read, {:.1} resident now), limit {} MiB: {}",
        mib(peak),
        mib(empty),
        mib(before),
        mib(figure("VmRSS:")),
        MOST / 1024,
        if peak <= MOST { "met" } else { "MISSED" }
    );
}
