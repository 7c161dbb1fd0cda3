//! Other people's marks, and kordon's.

use crate::lab::topology::*;
use crate::lab::{Res, rules};
use crate::{Bench, Site};

const N: u32 = 20;

/// Connection marks saved on the way out and restored on the way in (a usual set-up with several
/// uplinks) must not carry kordon's pass to packets that nobody judged.
pub(super) fn connmark(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let daemon = site.start()?;
    rules::both("-w -t mangle -A POSTROUTING -j CONNMARK --save-mark")?;
    rules::both("-w -t mangle -A PREROUTING -j CONNMARK --restore-mark")?;
    let mut streams = [bench.lab.stream(ALLOWED)?, bench.lab.stream(ALLOWED6)?];
    for stream in &mut streams {
        stream.send_many(N)?;
        bench.lab.all_arrived(stream)?;
    }
    // The same connections, with hold flushed: only what the daemon judged may arrive.
    let accepted = || daemon.metrics()?.get("kordon_packets_accepted_total", &[]);
    let before = accepted()?;
    rules::flush_hold()?;
    for stream in &mut streams {
        stream.send_many(N)?;
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
    let arrived: u32 = streams.iter().map(|s| bench.lab.ledger().arrived(s.id()) - N).sum();
    let judged = accepted()? - before;
    if u64::from(arrived) > judged {
        return Err(format!("{arrived} packets arrived, {judged} were judged"));
    }
    daemon.kill()?;
    rules::flush_hold()?;
    let (mut late, mut arrived) = (0, 0);
    for stream in &mut streams {
        let before = bench.lab.ledger().arrived(stream.id());
        stream.send_many(N)?;
        std::thread::sleep(std::time::Duration::from_millis(200));
        late += bench.lab.ledger().arrived(stream.id()) - before;
        // Positive control: without the gate the same connection's packets do arrive.
        if stream.to() == ALLOWED6 {
            rules::flush_gate()?;
            let before = bench.lab.ledger().arrived(stream.id());
            stream.send_many(N)?;
            bench.lab.ledger().wait_for(stream.id(), before + N, crate::lab::PATIENCE);
            arrived = bench.lab.ledger().arrived(stream.id()) - before;
        }
    }
    match (late, arrived) {
        (0, N) => Ok(()),
        _ => Err(format!(
            "without daemon and hold {late} packets passed the gate; without gate {arrived} of {N}"
        )),
    }
}

/// `-m mark --mark 0x1` behind the gate matches as if kordon were not there.
pub(super) fn exact_match(bench: &Bench<'_>) -> Res {
    marked(bench, 0x1)
}

/// Open, there is no gate that would clear the mark of an accepted packet: it gets none.
pub(super) fn no_mark_without_a_gate(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    setup.mode = "monitor";
    let site = Site::new(setup)?;
    let daemon = site.start()?;
    rules::both("-w -t mangle -A PREROUTING -i cam0 -j MARK --set-mark 0x1")?;
    rules::both("-w -t mangle -A POSTROUTING -m mark --mark 0x1 -m comment --comment behind")?;
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.passes(BLOCKED6, N)?;
    let accepted = daemon.metrics()?.get("kordon_packets_accepted_total", &[])?;
    match rules::packets("behind")? {
        n if n == u64::from(2 * N) && accepted == n => Ok(()),
        n => Err(format!("{accepted} accepted, {n} of {} matched 0x1 behind", 2 * N)),
    }
}

pub(super) fn foreign_bits(bench: &Bench<'_>) -> Res {
    marked(bench, 0x0a00_abcd)?;
    // Even where all bits are set, kordon's own are the only ones that change.
    bench.lab.clean()?;
    let site = bench.site()?;
    let _daemon = site.start()?;
    rules::both("-w -t mangle -A PREROUTING -i cam0 -j MARK --set-mark 0xffffffff")?;
    rules::both(
        "-w -t mangle -A POSTROUTING -m mark --mark 0xcfffffff -m comment --comment behind",
    )?;
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.passes(ALLOWED6, N)?;
    bench.lab.blocked(BLOCKED, N)?;
    match rules::packets("behind")? {
        // Two of each family's server, and the fence.
        n if n == u64::from(2 * N + 1) => Ok(()),
        n => Err(format!("{n} of {} packets had mark 0xcfffffff behind the gate", 2 * N + 1)),
    }
}

fn marked(bench: &Bench<'_>, mark: u32) -> Res {
    let site = bench.site()?;
    let _daemon = site.start()?;
    rules::both(&format!("-w -t mangle -A PREROUTING -i cam0 -j MARK --set-mark {mark:#x}"))?;
    rules::both(&format!(
        "-w -t mangle -A POSTROUTING -m mark --mark {mark:#x} -m comment --comment behind"
    ))?;
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.passes(ALLOWED6, N)?;
    match rules::packets("behind")? {
        n if n == u64::from(2 * N) => Ok(()),
        n => Err(format!("{n} of {} packets had mark {mark:#x} behind the gate", 2 * N)),
    }
}

pub(super) fn another_mark(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    setup.mark = Some((0x40, 0xc0));
    let site = Site::new(setup)?;
    let daemon = site.start()?;
    rules::both("-w -t mangle -A PREROUTING -i cam0 -j MARK --set-mark 0x10000001")?;
    rules::both(
        "-w -t mangle -A POSTROUTING -m mark --mark 0x10000001 -m comment --comment behind",
    )?;
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.passes(ALLOWED6, N)?;
    let behind = rules::packets("behind")?;
    if behind != u64::from(2 * N) {
        return Err(format!("{behind} of {} packets kept their mark", 2 * N));
    }
    bench.lab.blocked(BLOCKED, N)?;
    daemon.kill()?;
    bench.lab.nothing_passes(&[ALLOWED, ALLOWED6], N)
}

/// Somebody turns hold into one with `--queue-bypass` and sets kordon's mark ahead of it: hold itself
/// takes that mark away, so the gate still drops what nobody judged.
pub(super) fn forged_before_hold(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    setup.tool = Some("iptables");
    let site = Site::new(setup)?;
    let daemon = site.start()?;
    bench.lab.passes(ALLOWED, N)?;
    rules::both("-w -t mangle -A PREROUTING -i cam0 -j MARK --set-mark 0x10000000")?;
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.blocked(BLOCKED, N)?;
    daemon.kill()?;
    rules::both("-w -t mangle -A kordon-queue -j NFQUEUE --queue-num 40 --queue-bypass")?;
    rules::both("-w -t mangle -D kordon-queue -j NFQUEUE --queue-num 40")?;
    bench.lab.nothing_passes(&[ALLOWED, ALLOWED6], N)?;
    // Positive control: it was hold's own rule that took the mark away.
    rules::both("-w -t mangle -D kordon-queue 1")?;
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.passes(ALLOWED6, N)
}
