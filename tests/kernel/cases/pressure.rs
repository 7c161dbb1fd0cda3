//! A queue that overflows, hangs, or loses what it holds: what passes then, and what the counters say.

use std::time::Duration;

use crate::lab::process::tool;
use crate::lab::topology::*;
use crate::lab::{PATIENCE, Res, rules, wait_until};
use crate::{Bench, Site, daemon::Daemon};

/// The smallest buffer that the configuration allows: it holds fewer than 100 small packets.
const BUFFER: u32 = 65_536;
/// More than that.
const MANY: u32 = 300;
const N: u32 = 20;

fn site(bench: &Bench<'_>, on_failure: &'static str) -> Res<Site> {
    let mut setup = bench.setup();
    setup.buffer = Some(BUFFER);
    setup.on_failure = on_failure;
    Site::new(setup)
}

fn lost(daemon: &Daemon, cause: &str) -> Res<u64> {
    daemon.metrics()?.get("kordon_queue_lost_packets_total", &[("cause", cause)])
}

/// Lets a hanging daemon go on, and waits until it has read all that waited: only then is there room again.
fn drain(daemon: &Daemon) -> Res {
    daemon.thaw()?;
    let used = || daemon.metrics()?.get("kordon_queue_buffer_used_bytes", &[]);
    match wait_until(PATIENCE, || used().is_ok_and(|bytes| bytes == 0)) {
        true => Ok(()),
        false => Err(format!("let go on, the daemon leaves {} bytes in its buffer", used()?)),
    }
}

fn accepted(daemon: &Daemon) -> Res<u64> {
    daemon.metrics()?.get("kordon_packets_accepted_total", &[])
}

fn dropped(daemon: &Daemon) -> Res<u64> {
    daemon.metrics()?.get("kordon_packets_dropped_total", &[])
}

/// Sent = arrived + dropped + lost, to the packet. While the daemon hangs nothing passes, overflow or not.
pub(super) fn overflow(bench: &Bench<'_>) -> Res {
    sent_is_arrived_and_lost(bench, &site(bench, "closed")?)
}

/// The same where the buffer's size follows from the queue's length: were the queue full before the buffer,
/// its losses would leave no gap.
pub(super) fn overflow_by_default(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    setup.held = Some("16MiB");
    sent_is_arrived_and_lost(bench, &Site::new(setup)?)
}

/// The same after a change of the mode by command, which takes the kernel's leave to accept what finds no
/// room; and the other way round, which gives it.
pub(super) fn overflow_after_a_change(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    (setup.mode, setup.buffer) = ("monitor", Some(BUFFER));
    let site = Site::new(setup)?;
    let daemon = site.start()?;
    site.kordon_ok("mode enforce -c kordon.toml")?;
    account_for_an_overflow(bench, &daemon)?;
    site.kordon_ok("mode monitor -c kordon.toml")?;
    daemon.freeze()?;
    let mut streams = [bench.lab.stream(BLOCKED)?, bench.lab.stream(ALLOWED6)?];
    streams.iter_mut().try_for_each(|stream| stream.send_many(MANY))?;
    std::thread::sleep(Duration::from_millis(300));
    let excess: u32 = streams.iter().map(|s| bench.lab.ledger().arrived(s.id())).sum();
    drain(&daemon)?;
    if excess == 0 {
        return Err("in monitor mode nothing passed a full queue".to_owned());
    }
    streams.iter().try_for_each(|stream| bench.lab.all_arrived(stream))
}

fn sent_is_arrived_and_lost(bench: &Bench<'_>, site: &Site) -> Res {
    account_for_an_overflow(bench, &site.start()?)
}

fn account_for_an_overflow(bench: &Bench<'_>, daemon: &Daemon) -> Res {
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.passes(ALLOWED6, N)?;
    for round in 1..=2 {
        let before = (accepted(daemon)?, dropped(daemon)?, lost(daemon, "buffer")?);
        daemon.freeze()?;
        let mut streams =
            [bench.lab.stream(ALLOWED)?, bench.lab.stream(ALLOWED6)?, bench.lab.stream(BLOCKED)?];
        for _ in 0..MANY {
            streams.iter_mut().try_for_each(|stream| stream.send_many(1))?;
        }
        std::thread::sleep(Duration::from_millis(200));
        let early: u32 = streams.iter().map(|s| bench.lab.ledger().arrived(s.id())).sum();
        if early > 0 {
            return Err(format!("round {round}: {early} packets passed a daemon that hangs"));
        }
        drain(daemon)?;
        // Let past a full queue, they would have come as far as the gate.
        match rules::gate_dropped()? {
            0 => {}
            n => return Err(format!("round {round}: {n} packets passed a full queue to the gate")),
        }
        // A gap shows with the packet behind it.
        bench.lab.passes(ALLOWED, 1)?;
        bench.lab.none_arrived(&streams[2])?;
        let arrived: u32 = streams.iter().map(|s| bench.lab.ledger().arrived(s.id())).sum();
        let accepted = accepted(daemon)? - before.0 - 1;
        let dropped = dropped(daemon)? - before.1;
        let lost = lost(daemon, "buffer")? - before.2;
        let all_happened = arrived > 0 && dropped > 0 && lost > 0;
        let sum = accepted + dropped + lost;
        if u64::from(arrived) != accepted || sum != u64::from(3 * MANY) || !all_happened {
            return Err(format!(
                "round {round}: {} sent, {arrived} arrived; accepted {accepted}, dropped {dropped}, \
                 lost {lost}",
                3 * MANY
            ));
        }
    }
    Ok(())
}

/// Open: what does not fit passes unjudged, and is counted as lost to judgement; what fits is judged.
pub(super) fn overflow_open(bench: &Bench<'_>) -> Res {
    let site = site(bench, "open")?;
    let daemon = site.start()?;
    bench.lab.blocked(BLOCKED, N)?;
    daemon.freeze()?;
    let mut streams = [bench.lab.stream(BLOCKED)?, bench.lab.stream(BLOCKED6)?];
    for stream in &mut streams {
        stream.send_many(MANY)?;
    }
    let arrived = || -> u32 { streams.iter().map(|s| bench.lab.ledger().arrived(s.id())).sum() };
    std::thread::sleep(Duration::from_millis(300));
    let excess = arrived();
    drain(&daemon)?;
    bench.lab.fence(BLOCKED)?;
    let lost = lost(&daemon, "buffer")?;
    let dropped = dropped(&daemon)? - u64::from(N);
    let after = arrived();
    if excess == 0 || after != excess || lost != u64::from(excess) {
        return Err(format!("{excess} passed a hanging daemon, {after} in all, {lost} counted"));
    }
    match lost + dropped {
        n if n == u64::from(2 * MANY) => Ok(()),
        n => Err(format!("{} sent, {n} passed or dropped", 2 * MANY)),
    }
}

/// Somebody removes a base chain, anywhere: the kernel drops every waiting packet. None passes, each is
/// counted, and the next ones are judged as before.
pub(super) fn base_chain_removed(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let daemon = site.start()?;
    tool("nft", &["add", "table", "ip6", "others"])?;
    let chain = "add chain ip6 others input { type filter hook input priority 0; }";
    tool("nft", &[chain])?;
    bench.lab.passes(ALLOWED, N)?;
    daemon.freeze()?;
    let mut streams = [bench.lab.stream(ALLOWED)?, bench.lab.stream(ALLOWED6)?];
    for stream in &mut streams {
        stream.send_many(N)?;
    }
    std::thread::sleep(Duration::from_millis(100));
    tool("nft", &["delete", "table", "ip6", "others"])?;
    std::thread::sleep(Duration::from_millis(100));
    daemon.thaw()?;
    let late = || lost(&daemon, "late_verdict");
    let expected = u64::from(2 * N);
    if !wait_until(Duration::from_secs(3), || late().is_ok_and(|n| n >= expected)) {
        return Err(format!("{expected} packets dropped by the kernel, {} counted", late()?));
    }
    streams.iter().try_for_each(|stream| bench.lab.none_arrived(stream))?;
    for to in [ALLOWED, ALLOWED6] {
        bench.lab.passes(to, N)?;
    }
    bench.lab.blocked(BLOCKED, N)?;
    match (late()?, lost(&daemon, "buffer")?) {
        (late, 0) if late == expected => Ok(()),
        (late, buffer) => Err(format!("{late} late verdicts of {expected}, {buffer} lost")),
    }
}
