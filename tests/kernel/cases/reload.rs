//! New lists while packets flow.

use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::lab::topology::*;
use crate::lab::{Context, Res, tcp, wait_until};
use crate::{Bench, Site, daemon::Daemon};

const N: u32 = 20;
const RELOAD: &str = "reload --config kordon.toml";
const MILLISECOND: Duration = Duration::from_millis(1);

/// A stream to a newly listed address ends with its next packet; another loses nothing.
pub(super) fn running_stream(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let _daemon = site.start()?;
    for (to, line) in [(UNLISTED, "203.0.113.200\n"), (UNLISTED6, "2001:db8:3:8000::/52\n")] {
        let hit = bench.lab.stream(to)?.run(MILLISECOND);
        let other = bench.lab.stream(ALLOWED)?.run(MILLISECOND);
        hit.wait_for_more(50)?;
        let before = hit.sent();
        site.add_to_list("blocked", line)?;
        let said = site.kordon_ok(RELOAD)?;
        let after = hit.sent();
        if !said.contains("+ 1 prefix") {
            return Err(format!("the reload printed {said:?}"));
        }
        hit.wait_for_more(100)?;
        let (hit_id, other_id) = (hit.id(), other.id());
        let (hit_sent, other_sent) = (hit.stop()?, other.stop()?);
        if !bench.lab.ledger().wait_for(other_id, other_sent, crate::lab::PATIENCE) {
            let missing = bench.lab.ledger().missing(other_id, other_sent);
            return Err(format!("the other stream lost {} of {other_sent}", missing.len()));
        }
        bench.lab.fence(to)?;
        let missing = bench.lab.ledger().missing(hit_id, hit_sent);
        if let Some(early) = missing.iter().find(|&&number| number < before) {
            return Err(format!("probe {early} was lost before the reload (at {before})"));
        }
        let last = bench.lab.ledger().last(hit_id).unwrap_or(0);
        if last >= after {
            return Err(format!("probe {last} arrived; the reload had ended before {after}"));
        }
        // And back.
        site.add_to_list("blocked", "")?;
        let said = site.kordon_ok(RELOAD)?;
        if !said.contains("- 1") {
            return Err(format!("the reload back printed {said:?}"));
        }
        bench.lab.passes(to, N)?;
    }
    Ok(())
}

/// An established connection gets nothing more through once its peer is listed.
pub(super) fn running_tcp(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let _daemon = site.start()?;
    let connection = tcp::connect(UNLISTED, Duration::from_secs(5))?;
    let other = tcp::connect(ALLOWED, Duration::from_secs(5))?;
    tcp::exchange(&connection, 1 << 16)?;
    tcp::exchange(&other, 1 << 16)?;
    site.add_to_list("blocked", "203.0.113.192/26\n")?;
    site.kordon_ok(RELOAD)?;
    let before = bench.lab.tcp[1].bytes();
    connection.set_read_timeout(Some(Duration::from_secs(1))).map_err(|e| e.to_string())?;
    if tcp::exchange(&connection, 1 << 10).is_ok() {
        return Err("the connection went on".to_owned());
    }
    match bench.lab.tcp[1].bytes() - before {
        0 => {}
        n => return Err(format!("{n} bytes still reached the server")),
    }
    tcp::exchange(&other, 1 << 16)
}

/// A reload with anything wrong is refused with the place; the old rule set stays in force.
pub(super) fn refused(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let daemon = site.start()?;
    let generation = daemon.metrics()?.get("kordon_ruleset_generation", &[])?;
    // The list has three lines; the fourth is the bad one.
    let bad = [
        ("203.0.113.200\n203.0.113.999/24\n", "blocked.txt:5:"),
        ("203.0.113.200/24\n", "blocked.txt:4:"),
        ("0.0.0.0/0\n", "blocked.txt:4:"),
        ("2001:db8:3:9000::/52 what is this\n", "blocked.txt:4:"),
    ];
    for (lines, place) in bad {
        site.add_to_list("blocked", lines)?;
        let output = site.kordon(RELOAD)?;
        let column = output.stderr.split(place).nth(1).and_then(|rest| rest.chars().next());
        if output.code != Some(65) || !column.is_some_and(|c| c.is_ascii_digit()) {
            return Err(format!("a list with {lines:?}: the reload {}", output.said()));
        }
        bench.lab.blocked(BLOCKED, N)?;
        bench.lab.passes(UNLISTED, N)?;
        bench.lab.passes(ALLOWED6, N)?;
    }
    let removed = site.folder().join("blocked.txt");
    std::fs::remove_file(&removed).map_err(|e| e.to_string())?;
    let output = site.kordon(RELOAD)?;
    if output.code != Some(66) || !output.stderr.contains("blocked.txt") {
        return Err(format!("without its list: the reload {}", output.said()));
    }
    bench.lab.blocked(BLOCKED, N)?;
    let metrics = daemon.metrics()?;
    let rejected = metrics.get("kordon_reloads_rejected_total", &[])?;
    let now = metrics.get("kordon_ruleset_generation", &[])?;
    if (rejected, now) != (5, generation) {
        return Err(format!("rejected {rejected} of 5, generation {generation} -> {now}"));
    }
    // Repaired, it reloads.
    site.add_to_list("blocked", "203.0.113.200\n")?;
    site.kordon_ok(RELOAD)?;
    bench.lab.blocked(UNLISTED, N)?;
    bench.lab.passes(ALLOWED, N)
}

pub(super) fn sighup(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let daemon = site.start()?;
    bench.lab.passes(UNLISTED, N)?;
    let before = generation(&daemon)?;
    site.add_to_list("blocked", "203.0.113.200\n")?;
    daemon.signal(Signal::SIGHUP)?;
    next_generation(&daemon, before)?;
    bench.lab.blocked(UNLISTED, N)?;
    bench.lab.passes(ALLOWED, N)
}

pub(super) fn watch(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    setup.watch = true;
    let site = Site::new(setup)?;
    let daemon = site.start()?;
    bench.lab.passes(UNLISTED, N)?;
    let before = generation(&daemon)?;
    site.add_to_list("blocked", "203.0.113.200\n")?;
    next_generation(&daemon, before)?;
    bench.lab.blocked(UNLISTED, N)?;
    // A broken file changes nothing; the repaired one does.
    let before = generation(&daemon)?;
    let rejected = || daemon.metrics()?.get("kordon_reloads_rejected_total", &[]);
    site.add_to_list("blocked", "nonsense\n")?;
    if !wait_until(crate::lab::PATIENCE, || rejected().is_ok_and(|n| n > 0)) {
        return Err("a broken file in the watched folder was not noticed".to_owned());
    }
    bench.lab.blocked(UNLISTED, N)?;
    site.add_to_list("blocked", "")?;
    next_generation(&daemon, before)?;
    bench.lab.passes(UNLISTED, N)?;
    bench.lab.blocked(BLOCKED, N)
}

/// 1,000 reloads in a row, each flipping one address: the first probe sent after the command returned
/// gets the new answer; meanwhile one stream is always blocked, one always passes.
pub(super) fn thousand(bench: &Bench<'_>) -> Res {
    const RELOADS: u32 = 1000;
    let site = bench.site()?;
    let daemon = site.start()?;
    let blocked = bench.lab.stream(BLOCKED)?.run(MILLISECOND);
    let allowed = bench.lab.stream(ALLOWED)?.run(MILLISECOND);
    let mut probes = bench.lab.stream(UNLISTED)?;
    let mut fences = bench.lab.stream(fence_for(UNLISTED))?;
    for round in 0..RELOADS {
        let listed = round % 2 == 0;
        site.add_to_list("blocked", if listed { "203.0.113.200\n" } else { "" })?;
        site.kordon_ok(RELOAD)?;
        on_one_cpu(|| probes.send().and_then(|_| fences.send()))?;
        // On a busy machine a packet may wait longer than the next reload takes, and that one would judge it.
        if !bench.lab.ledger().wait_for(fences.id(), round + 1, crate::lab::PATIENCE) {
            return Err(format!("round {round}: the fence behind the probe did not arrive"));
        }
    }
    let (blocked_id, allowed_id) = (blocked.id(), allowed.id());
    let (blocked_sent, allowed_sent) = (blocked.stop()?, allowed.stop()?);
    bench.lab.fence(BLOCKED)?;

    let ledger = bench.lab.ledger();
    ledger.wait_for(allowed_id, allowed_sent, crate::lab::PATIENCE);
    let wrong: Vec<u32> =
        (0..RELOADS).filter(|&n| ledger.has(probes.id(), n) != (n % 2 == 1)).collect();
    let lost = ledger.missing(allowed_id, allowed_sent).len();
    let leaked = ledger.arrived(blocked_id);
    let doubled = ledger.duplicates(allowed_id) + ledger.duplicates(probes.id());
    // What the daemon itself says of these packets tells a wrong answer from a packet lost elsewhere.
    let metrics = daemon.metrics()?;
    let passed = metrics.get("kordon_packets_accepted_total", &[])?;
    let dropped = metrics.get("kordon_packets_dropped_total", &[])?;
    // And the fences.
    let due = [allowed_sent + RELOADS / 2 + RELOADS + 1, blocked_sent + RELOADS / 2].map(u64::from);
    if (wrong.len(), lost, leaked, doubled) != (0, 0, 0, 0) || [passed, dropped] != due {
        let early = wrong.iter().filter(|&&round| round % 2 == 0).count();
        return Err(format!(
            "{} of {RELOADS} first probes got the old answer, {early} of them passed (first: round \
             {:?}); allowed stream: {lost} of {allowed_sent} lost; blocked stream: {leaked} of \
             {blocked_sent} leaked; {doubled} arrived twice; accepted and dropped: {:?}, due: {due:?}",
            wrong.len(),
            wrong.first(),
            [passed, dropped]
        ));
    }
    let reloads = metrics.get("kordon_reloads_total", &[])?;
    if reloads != u64::from(RELOADS) {
        return Err(format!("kordon_reloads_total is {reloads}"));
    }
    Ok(())
}

/// Sends on one CPU, so that packets go their way in the order in which they were sent.
fn on_one_cpu<T>(send: impl FnOnce() -> Res<T>) -> Res<T> {
    let this = Pid::from_raw(0);
    let all = sched_getaffinity(this).context("sched_getaffinity")?;
    let mut one = CpuSet::new();
    let first = (0..CpuSet::count()).find(|&cpu| all.is_set(cpu).unwrap_or(false));
    one.set(first.unwrap_or(0)).context("CPU set")?;
    sched_setaffinity(this, &one).context("sched_setaffinity")?;
    let sent = send();
    sched_setaffinity(this, &all).context("sched_setaffinity")?;
    sent
}

fn generation(daemon: &Daemon) -> Res<u64> {
    daemon.metrics()?.get("kordon_ruleset_generation", &[])
}

fn next_generation(daemon: &Daemon, before: u64) -> Res {
    match wait_until(crate::lab::PATIENCE, || generation(daemon).is_ok_and(|now| now > before)) {
        true => Ok(()),
        false => Err(format!("no reload came:\n{}", daemon.log())),
    }
}
