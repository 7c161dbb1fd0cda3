//! Others on the gateway: their rules, their commands, their clients.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::lab::daemon::Backend;
use crate::lab::topology::*;
use crate::lab::{Context, Res, rules, wait_until};
use crate::{Bench, Site};

const N: u32 = 20;

/// Hold stands behind what others have in mangle FORWARD (an accept from the queue skips what follows
/// it), gate before what they have in security FORWARD (their accept would skip it).
pub(super) fn places(bench: &Bench<'_>) -> Res {
    rules::both("-w -t mangle -A FORWARD -i cam0 -m comment --comment tenant")?;
    rules::both("-w -t security -A FORWARD -j ACCEPT")?;
    let mut setup = bench.setup();
    setup.tool = Some("iptables");
    let site = Site::new(setup)?;
    let daemon = site.start()?;
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.passes(ALLOWED6, N)?;
    match rules::packets("tenant")? {
        n if n == u64::from(2 * N) => {}
        n => return Err(format!("their rule saw {n} of {} accepted packets", 2 * N)),
    }
    daemon.kill()?;
    rules::flush_hold()?;
    bench.lab.nothing_passes(&[ALLOWED, ALLOWED6], N)
}

/// What the gate dropped while hold was missing is counted, also by a daemon that starts later, and hold is
/// put back by it.
pub(super) fn gate_counts(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let daemon = site.start()?;
    bench.lab.passes(ALLOWED, N)?;
    daemon.kill()?;
    rules::flush_hold()?;
    bench.lab.nothing_passes(&[ALLOWED], N)?;
    bench.lab.nothing_passes(&[ALLOWED6], 2 * N)?;
    let daemon = site.start()?;
    let metrics = daemon.metrics()?;
    let gate = |family| metrics.get("kordon_gate_dropped_packets_total", &[("family", family)]);
    let dropped = (gate("ipv4")?, gate("ipv6")?);
    if dropped != (u64::from(N), u64::from(2 * N)) {
        return Err(format!("{N} and {} packets met the gate, it counted {dropped:?}", 2 * N));
    }
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.blocked(BLOCKED, N)
}

/// Somebody flushes hold, gate, or everything: noticed and put back within a second, counted, logged.
pub(super) fn put_back(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let daemon = site.start()?;
    let rearmed = || daemon.metrics()?.get("kordon_rules_rearmed_total", &[]);
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.blocked(BLOCKED, N)?;
    let harms: [fn() -> Res; 3] = [rules::flush_hold, rules::flush_gate, rules::flush_everything];
    for (harm, count) in harms.into_iter().zip(1..) {
        let before = rules::snapshot()?;
        harm()?;
        let harmed = std::time::Instant::now();
        if !wait_until(Duration::from_millis(2500), || rearmed().is_ok_and(|n| n == count)) {
            return Err(format!("harm {count}: put back {} times", rearmed()?));
        }
        let took = harmed.elapsed();
        // A promise of one second; a machine that emulates its processor is given twice that.
        if took > Duration::from_secs(2) {
            return Err(format!("harm {count}: put back after {took:?}"));
        }
        println!("    harm {count}: put back after {} ms", took.as_millis());
        if rules::snapshot()? != before {
            return Err(format!("harm {count}: other rules than before:\n{}", rules::snapshot()?));
        }
        bench.lab.passes(ALLOWED, N)?;
        bench.lab.blocked(BLOCKED, N)?;
        bench.lab.blocked(BLOCKED6, N)?;
        let present = || daemon.metrics()?.get("kordon_rules_present", &[]);
        if !wait_until(Duration::from_secs(1), || present().is_ok_and(|n| n == 1)) {
            return Err(format!("harm {count}: put back, and kordon_rules_present is 0"));
        }
    }
    let log = daemon.log();
    let (harms, backs) = (log.matches("not as planned").count(), log.matches("put back").count());
    // Each line begins with the time, and says when they were last seen right.
    let times = log.lines().filter(|line| line.contains("put back: ")).filter_map(|line| {
        let ago = line.split_once("last_seen_right_ms_ago=")?.1;
        ago.split_whitespace().next()?.parse::<u64>().ok()
    });
    match (harms, backs, times.filter(|ago| *ago < 60_000).count()) {
        (3, 3, 3) => Ok(()),
        counts => Err(format!("three harms, three times put back, the log has {counts:?}:\n{log}")),
    }
}

/// A second flush right behind a put-back waits for nothing.
pub(super) fn put_back_twice(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let daemon = site.start()?;
    let rearmed = || daemon.metrics()?.get("kordon_rules_rearmed_total", &[]);
    for count in 1..=3 {
        rules::flush_everything()?;
        let limit = Duration::from_millis(1500);
        if !wait_until(limit, || rearmed().is_ok_and(|n| n == count)) {
            return Err(format!("flush {count}: put back {} times within {limit:?}", rearmed()?));
        }
    }
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.blocked(BLOCKED, N)
}

/// Somebody flushes chain by chain and again and again, as firewalld does: attempts fail in the middle, and the
/// rules stand within a second after the last flush.
pub(super) fn put_back_amid_flushes(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    setup.tool = Some("iptables");
    let site = Site::new(setup)?;
    let _daemon = site.start()?;
    let before = rules::snapshot()?;
    for round in 1..=3 {
        for _ in 0..15 {
            for table in ["mangle", "security"] {
                rules::both(&format!("-w -t {table} -F"))?;
                // Refused where the daemon has just made a new jump: that is the point.
                let _ = rules::both(&format!("-w -t {table} -X"));
            }
        }
        let flushed = std::time::Instant::now();
        let stand = || rules::snapshot().is_ok_and(|now| now == before);
        if !wait_until(Duration::from_secs(5), stand) {
            return Err(format!("round {round}: other rules than before:\n{}", rules::snapshot()?));
        }
        // A promise of one second; a machine that emulates its processor is given twice that.
        if flushed.elapsed() > Duration::from_secs(2) {
            return Err(format!("round {round}: put back after {:?}", flushed.elapsed()));
        }
    }
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.blocked(BLOCKED, N)
}

/// `kordon rules remove` goes through the daemon, which wants to know why, says so, and leaves the rules
/// removed until `rules apply`. Without a daemon it acts by itself.
pub(super) fn removed_on_purpose(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let daemon = site.start()?;
    let before = rules::snapshot()?;
    let output = site.kordon("rules remove --config kordon.toml")?;
    if output.code != Some(2) || !output.stderr.contains("--why") {
        return Err(format!("`rules remove` without a reason {}", output.said()));
    }
    if rules::snapshot()? != before {
        return Err("a refused `rules remove` changed the rules".to_owned());
    }
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.blocked(BLOCKED, N)?;
    let remove = ["rules", "remove", "--config", "kordon.toml", "--why", "a fire drill"];
    let output = site.kordon_words(&remove)?;
    if output.code != Some(0) {
        return Err(format!("`rules remove --why` {}", output.said()));
    }
    // Longer than it takes to put back what others removed.
    std::thread::sleep(Duration::from_millis(1500));
    bench.lab.passes(BLOCKED, N)?;
    let status = site.kordon_ok("status --config kordon.toml")?;
    if !status.contains("a fire drill") || daemon.get("/readyz")?.0 != 503 {
        return Err(format!("removed on purpose, and the status is:\n{status}"));
    }
    site.kordon_ok("rules apply --config kordon.toml")?;
    if rules::snapshot()? != before || daemon.get("/readyz")?.0 != 200 {
        return Err("applied again, the rules are not what they were".to_owned());
    }
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.blocked(BLOCKED, N)?;
    daemon.kill()?;
    site.kordon_ok("rules remove --config kordon.toml")?;
    bench.lab.passes(BLOCKED, N)
}

/// The backend is changed by a restart, and only by a restart.
pub(super) fn backend_switched(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let mut daemon = site.start()?;
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.blocked(BLOCKED, N)?;
    let mut other = site.setup().clone();
    other.backend = match other.backend {
        Backend::Native => Backend::Nfq,
        Backend::Nfq => Backend::Native,
    };
    site.write("kordon.toml", &other.toml())?;
    let output = site.kordon("reload --config kordon.toml")?;
    if output.code != Some(78) || !output.stderr.contains("queue.backend") {
        return Err(format!("a reload with another backend {}", output.said()));
    }
    daemon.signal(Signal::SIGTERM)?;
    daemon.wait_end()?;
    bench.lab.nothing_passes(&[ALLOWED], N)?;
    let _daemon = site.start()?;
    for to in [ALLOWED, ALLOWED6] {
        bench.lab.passes(to, N)?;
    }
    bench.lab.blocked(BLOCKED, N)?;
    bench.lab.blocked(BLOCKED6, N)
}

/// Whatever comes over the control socket, the daemon answers or hangs up, and goes on judging.
pub(super) fn control_nonsense(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let mut daemon = site.start()?;
    let generation = || daemon.metrics()?.get("kordon_ruleset_generation", &[]);
    let before = generation()?;
    let socket = site.folder().join("control.sock");
    let requests: [&[u8]; 8] = [
        b"",
        b"\n",
        b"{\"command\":\"rel",
        b"{\"command\":\"reload\",\"force\":true}\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"{\"command\":\"why\",\"addresses\":[\"203.0.113\"]}\n",
        &[0xff; 300],
        &[b'['; 100_000],
    ];
    for request in requests {
        let shown = String::from_utf8_lossy(&request[..request.len().min(40)]).into_owned();
        let mut stream = UnixStream::connect(&socket).context(&shown)?;
        stream.set_read_timeout(Some(Duration::from_secs(3))).context(&shown)?;
        // It may hang up before all is written; that is its right.
        let _ = stream.write_all(request);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        if !answer.is_empty() && !answer.contains("\"error\"") {
            return Err(format!("to {shown:?} the daemon answered {answer}"));
        }
    }
    // Somebody who connects and says nothing.
    let _silent = UnixStream::connect(&socket).context("control.sock")?;
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.blocked(BLOCKED, N)?;
    if generation()? != before {
        return Err("nonsense reloaded the daemon".to_owned());
    }
    site.kordon_ok("status --config kordon.toml")?;
    match daemon.is_alive() {
        true => Ok(()),
        false => Err(format!("the daemon is gone:\n{}", daemon.log())),
    }
}

/// An order whose giver broke off while the daemon hung does not open the gateway minutes later.
pub(super) fn abandoned_order(bench: &Bench<'_>) -> Res {
    const ORDER: &[u8] = b"{\"command\":\"rules\",\"order\":{\"remove\":{\"why\":\"late\"}}}\n";
    let site = bench.site()?;
    let daemon = site.start()?;
    let before = rules::snapshot()?;
    let give = || -> Res<UnixStream> {
        let mut stream =
            UnixStream::connect(site.folder().join("control.sock")).context("control.sock")?;
        stream.write_all(ORDER).context("the order")?;
        Ok(stream)
    };
    daemon.freeze()?;
    drop(give()?);
    daemon.thaw()?;
    let said = || daemon.log().contains("an order is not carried out: its caller has gone");
    if !wait_until(crate::lab::PATIENCE, said) {
        return Err(format!("an abandoned order, and the log says:\n{}", daemon.log()));
    }
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.blocked(BLOCKED, N)?;
    if rules::snapshot()? != before {
        return Err("an abandoned order was carried out".to_owned());
    }
    // The control: of one who has said all and waits, it is.
    daemon.freeze()?;
    let mut stream = give()?;
    stream.shutdown(std::net::Shutdown::Write).context("the order's end")?;
    daemon.thaw()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("the answer")?;
    if !answer.contains("removed gate") && !answer.contains("removed hold") {
        return Err(format!("to an order that waits the daemon answered {answer}"));
    }
    bench.lab.passes(BLOCKED, N)
}
