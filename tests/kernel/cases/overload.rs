//! More packets than the daemon can judge: what passes, and whether every packet is accounted for.
//!
//! The daemon's packet thread is slowed down by a fault of debug builds, so that "twice what it can drain" is
//! the same on every machine.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::lab::daemon::Daemon;
use crate::lab::flood::{Flood, Outcome};
use crate::lab::supervisor::Supervisor;
use crate::lab::topology::*;
use crate::lab::{Context, PATIENCE, Res, rules, wait_until};
use crate::{Bench, Site};

/// Packets a second that the packet thread judges.
const DRAIN: u32 = 1_000;
const FAULT: (&str, &str) = ("KORDON_FAULT", "slow-first-worker=1000");
/// Room for some 150 packets: 0.15 s of what it judges.
const BUFFER: u32 = 131_072;
/// How long too much comes.
const OVERLOAD: Duration = Duration::from_millis(1_500);
/// How long after that a packet may still be kept waiting, or lost.
const RECOVERY: Duration = Duration::from_secs(1);
/// How long the floods' receivers listen for what may still come.
const SILENCE: Duration = Duration::from_millis(200);

fn site(bench: &Bench<'_>) -> Res<Site> {
    let mut setup = bench.setup();
    setup.buffer = Some(BUFFER);
    // Hold's own counter: iptables' rules have one.
    setup.tool = Some("iptables");
    setup.environment = vec![(FAULT.0, FAULT.1.to_owned())];
    Site::new(setup)
}

/// What the daemon says became of its packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Judged {
    accepted: u64,
    dropped: u64,
    lost: u64,
}

fn judged(daemon: &Daemon) -> Res<Judged> {
    let metrics = daemon.metrics()?;
    let sum = |name| metrics.get(name, &[]);
    Ok(Judged {
        accepted: sum("kordon_packets_accepted_total")?,
        dropped: sum("kordon_packets_dropped_total")?,
        lost: sum("kordon_queue_lost_packets_total")?,
    })
}

/// Waits until the socket's buffer is empty and the last batch is judged.
fn emptied(daemon: &Daemon) -> Res<Judged> {
    let mut last = judged(daemon)?;
    let empty = wait_until(PATIENCE, || {
        let used = daemon.metrics().and_then(|m| m.get("kordon_queue_buffer_used_bytes", &[]));
        let Ok(now) = judged(daemon) else { return false };
        used == Ok(0) && std::mem::replace(&mut last, now) == now
    });
    if empty { Ok(last) } else { Err("the queue does not become empty".to_owned()) }
}

/// What root can read of the queue in the kernel: packets that found it full, packets that found no room in the
/// socket. `None` for others.
fn kernel_says() -> Option<(u64, u64)> {
    let table = std::fs::read_to_string("/proc/net/netfilter/nfnetlink_queue").ok()?;
    let row = table.lines().find(|line| line.split_whitespace().next() == Some("40"))?;
    let mut columns = row.split_whitespace().skip(5).map(|word| word.parse());
    Some((columns.next()?.ok()?, columns.next()?.ok()?))
}

/// Held = delivered + dropped + lost, to the packet: once when nothing follows that would show a gap, and once
/// more behind the next packet. At half of what the daemon can judge, nothing is lost.
pub(super) fn exact(bench: &Bench<'_>) -> Res {
    let site = site(bench)?;
    let daemon = site.start()?;
    for (load, times) in [(DRAIN / 2, 0), (2 * DRAIN, 2), (10 * DRAIN, 10)] {
        round(bench, &daemon, load, times).map_err(|why| format!("{load} packets/s: {why}"))?;
    }
    // The daemon says the same of all of it.
    let (held, now) = (rules::held()?, judged(&daemon)?);
    let said = || daemon.metrics()?.get("kordon_hold_packets_total", &[]);
    if !wait_until(PATIENCE, || said() == Ok(held)) {
        return Err(format!("{held} held, kordon_hold_packets_total is {}", said()?));
    }
    match now.accepted + now.dropped + now.lost {
        sum if sum == held => Ok(()),
        _ => Err(format!("{held} held, but {now:?}")),
    }
}

fn round(bench: &Bench<'_>, daemon: &Daemon, load: u32, times: u32) -> Res {
    let (held_before, before) = (rules::held()?, judged(daemon)?);
    let mut floods = Flood::pair(load)?;
    std::thread::sleep(OVERLOAD);
    floods.iter_mut().try_for_each(Flood::end)?;
    let over = Instant::now();
    let quiet = emptied(daemon)?;
    bench.lab.passes(ALLOWED, 1)?;
    let recovery = over.elapsed();
    let after = judged(daemon)?;
    let held = rules::held()? - held_before;
    let outcomes: Vec<Outcome> =
        floods.into_iter().map(|flood| flood.stop(SILENCE)).collect::<Res<_>>()?;
    let [allowed, blocked] = &outcomes[..] else { return Err("two floods".to_owned()) };

    let delivered = u64::from(allowed.arrived);
    let [accepted, dropped, lost] = [
        quiet.accepted - before.accepted,
        quiet.dropped - before.dropped,
        quiet.lost - before.lost,
    ];
    let what = format!(
        "{held} held and a probe among them, {delivered} delivered, {accepted} accepted, {dropped} dropped, {lost} \
         lost; {} and {} sent; recovered in {} ms; then {after:?}",
        allowed.sent,
        blocked.sent,
        recovery.as_millis()
    );
    if blocked.arrived > 0 || allowed.doubled > 0 || rules::gate_dropped()? > 0 {
        return Err(format!("{} blocked packets passed: {what}", blocked.arrived));
    }
    if held != delivered + dropped + lost + 1 || accepted != delivered {
        return Err(format!("not every packet is accounted for: {what}"));
    }
    let probe = Judged { accepted: quiet.accepted + 1, ..quiet };
    if after != probe {
        return Err(format!("the next packet changed what was counted: {what}"));
    }
    // Of twice as many half is lost, of ten times nine tenths, less what the buffer takes.
    let least = match times {
        0 => 0,
        times => held * u64::from(times - 1) / u64::from(times) / 2,
    };
    let expected = if times == 0 { lost == 0 } else { lost >= least };
    if !expected || delivered == 0 || dropped == 0 {
        return Err(format!("that was no load of this kind: {what}"));
    }
    if recovery > RECOVERY {
        return Err(format!("it took too long: {what}"));
    }
    match kernel_says() {
        Some((full, room)) if full > 0 || room != after.lost => Err(format!(
            "the kernel says that {full} found the queue full and {room} the socket: {what}"
        )),
        Some(_) | None => Ok(()),
    }
}

fn lost_by_status(site: &Site) -> Res<u64> {
    let text = site.kordon_ok("status -o json --config kordon.toml")?;
    let status: serde_json::Value = serde_json::from_str(&text).context("status")?;
    status["queues"][0]["lost"][0].as_u64().ok_or_else(|| format!("no losses in {text}"))
}

/// The same while the daemon is replaced, told to end or killed, ten times as many as it can judge. What it lost before, meanwhile
/// and afterwards is in the successor's count. Allowed packets only: what the predecessor dropped by policy since
/// its last scrape nobody could ask it.
pub(super) fn restarted(bench: &Bench<'_>) -> Res {
    let site = site(bench)?;
    let mut manager = Supervisor::new(&site)?;
    manager.start()?;
    let mut before = 0;
    for signal in [Signal::SIGTERM, Signal::SIGKILL, Signal::SIGTERM] {
        let held_before = rules::held()?;
        let mut flood = Flood::start(Place::Out1, ALLOWED, 10 * DRAIN)?;
        std::thread::sleep(Duration::from_millis(600));
        manager.restart(signal)?;
        std::thread::sleep(Duration::from_millis(600));
        flood.end()?;
        let over = Instant::now();
        let daemon = manager.daemon()?;
        let quiet = emptied(daemon)?;
        bench.lab.passes(ALLOWED, 1)?;
        let recovery = over.elapsed();
        let after = judged(daemon)?;
        let held = rules::held()? - held_before;
        let outcome = flood.stop(SILENCE)?;
        let (delivered, lost) = (u64::from(outcome.arrived), quiet.lost - before);
        let what = format!(
            "{signal}: {held} held and a probe among them, {delivered} delivered, {lost} lost; recovered in \
             {} ms; then {after:?}",
            recovery.as_millis()
        );
        if held != delivered + lost + 1 || outcome.doubled > 0 {
            return Err(format!("not every packet is accounted for: {what}"));
        }
        // Status is about this daemon: what its predecessors counted is in the metric alone.
        let own = lost_by_status(&site)?;
        if own == 0 || own > lost {
            return Err(format!("status says {own} lost: {what}"));
        }
        if after.lost != quiet.lost || lost < held / 2 || recovery > RECOVERY {
            return Err(format!("no such overload: {what}"));
        }
        before = after.lost;
    }
    // None of them may pass while nobody or too slow a daemon judges.
    let mut blocked = Flood::start(Place::Out2, BLOCKED, 10 * DRAIN)?;
    std::thread::sleep(Duration::from_millis(300));
    manager.restart(Signal::SIGTERM)?;
    std::thread::sleep(Duration::from_millis(300));
    blocked.end()?;
    emptied(manager.daemon()?)?;
    match (blocked.stop(SILENCE)?, rules::gate_dropped()?) {
        (Outcome { arrived: 0, .. }, 0) => Ok(()),
        (outcome, gate) => Err(format!(
            "{} of {} blocked packets passed, {gate} came to the gate",
            outcome.arrived, outcome.sent
        )),
    }
}
