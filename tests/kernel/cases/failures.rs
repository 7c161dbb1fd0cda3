//! What leaves the gateway when nobody judges.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::lab::topology::*;
use crate::lab::{Res, rules, wait_until};
use crate::{Bench, Site};

const N: u32 = 20;
const BOTH: [std::net::IpAddr; 2] = [ALLOWED, ALLOWED6];

pub(super) fn no_daemon(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    site.kordon_ok("rules apply --config kordon.toml")?;
    bench.lab.nothing_passes(&[ALLOWED, ALLOWED6, BLOCKED, EXEMPT], N)?;
    // Hold alone sees to it; the gate is there for the day when it does not.
    match rules::gate_dropped()? {
        0 => {}
        n => return Err(format!("hold let {n} packets through to the gate")),
    }
    // Applied again, they are the same rules, not twice the rules.
    let before = rules::snapshot()?;
    site.kordon_ok("rules apply --config kordon.toml")?;
    if rules::snapshot()? != before {
        return Err("a second `rules apply` changed the rules".to_owned());
    }
    site.kordon_ok("rules remove --config kordon.toml")?;
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.passes(ALLOWED6, N)
}

pub(super) fn stopped(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut daemon = site.start()?;
        BOTH.into_iter().try_for_each(|to| bench.lab.passes(to, N))?;
        daemon.signal(signal)?;
        match daemon.wait_end()? {
            Some(0) => {}
            other => return Err(format!("{signal} ended it with status {other:?}")),
        }
        bench.lab.nothing_passes(&BOTH, N)?;
    }
    Ok(())
}

pub(super) fn killed(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let daemon = site.start()?;
    BOTH.into_iter().try_for_each(|to| bench.lab.passes(to, N))?;
    daemon.kill()?;
    bench.lab.nothing_passes(&BOTH, N)?;
    let _daemon = site.start()?;
    BOTH.into_iter().try_for_each(|to| bench.lab.passes(to, N))?;
    bench.lab.blocked(BLOCKED, N)
}

pub(super) fn killed_with_packets_waiting(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let daemon = site.start()?;
    // Positive control: what is sent to a stopped daemon waits, and arrives when it goes on.
    daemon.freeze()?;
    let mut waiting = bench.lab.stream(ALLOWED)?;
    waiting.send_many(N)?;
    std::thread::sleep(Duration::from_millis(200));
    match bench.lab.ledger().arrived(waiting.id()) {
        0 => {}
        n => return Err(format!("{n} packets passed a stopped daemon")),
    }
    daemon.thaw()?;
    bench.lab.all_arrived(&waiting)?;

    daemon.freeze()?;
    let mut lost = [bench.lab.stream(ALLOWED)?, bench.lab.stream(ALLOWED6)?];
    lost.iter_mut().try_for_each(|stream| stream.send_many(N))?;
    daemon.kill()?;
    std::thread::sleep(Duration::from_millis(300));
    lost.iter().try_for_each(|stream| bench.lab.none_arrived(stream))?;
    // Not with a successor either.
    let _daemon = site.start()?;
    bench.lab.passes(ALLOWED, N)?;
    lost.iter().try_for_each(|stream| bench.lab.none_arrived(stream))
}

/// Somebody replaces hold by a queue rule with `--queue-bypass`, and nobody listens.
pub(super) fn bypassed_queue(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let daemon = site.start()?;
    bench.lab.passes(ALLOWED, N)?;
    daemon.kill()?;
    rules::flush_hold()?;
    rules::both("-w -t mangle -A FORWARD -i cam0 -j NFQUEUE --queue-num 40 --queue-bypass")?;
    bench.lab.nothing_passes(&BOTH, N)?;
    // Positive control: it was the gate.
    rules::flush_gate()?;
    BOTH.into_iter().try_for_each(|to| bench.lab.passes(to, N))
}

pub(super) fn open(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    setup.on_failure = "open";
    let site = Site::new(setup)?;
    let mut daemon = site.start()?;
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.blocked(BLOCKED, N)?;
    bench.lab.blocked(BLOCKED6, N)?;
    daemon.signal(Signal::SIGKILL)?;
    daemon.wait_end()?;
    for to in [ALLOWED, ALLOWED6, BLOCKED, BLOCKED6] {
        bench.lab.passes(to, N)?;
    }
    let mut daemon = site.start()?;
    bench.lab.blocked(BLOCKED, N)?;
    daemon.signal(Signal::SIGTERM)?;
    if !wait_until(crate::lab::PATIENCE, || !daemon.is_alive()) {
        return Err("SIGTERM did not end it".to_owned());
    }
    bench.lab.passes(BLOCKED, N)
}
