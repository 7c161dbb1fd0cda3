//! Others on the gateway: their rules, their commands, their clients.

use std::io::{Read, Write};
use std::net::TcpStream;
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

/// Kordon's rules are gone or altered: it says so, and counts what the gate drops.
pub(super) fn hold_flushed(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let daemon = site.start()?;
    bench.lab.passes(ALLOWED, N)?;
    let present = || daemon.metrics()?.get("kordon_rules_present", &[]);
    if present()? != 1 || daemon.get("/readyz")?.0 != 200 {
        return Err("the rules stand, and kordon does not say so".to_owned());
    }
    rules::flush_hold()?;
    bench.lab.nothing_passes(&[ALLOWED], N)?;
    bench.lab.nothing_passes(&[ALLOWED6], 2 * N)?;
    // The daemon looks every five seconds.
    match rules::gate_dropped()? {
        n if n == u64::from(3 * N) => {}
        n => return Err(format!("{} packets met the gate, it dropped {n}", 3 * N)),
    }
    // The daemon looks every five seconds.
    if !wait_until(Duration::from_secs(12), || present().is_ok_and(|n| n == 0)) {
        return Err("hold is flushed, and kordon_rules_present stays 1".to_owned());
    }
    let metrics = daemon.metrics()?;
    let gate = |family| metrics.get("kordon_gate_dropped_packets_total", &[("family", family)]);
    let dropped = (gate("ipv4")?, gate("ipv6")?);
    if dropped != (u64::from(N), u64::from(2 * N)) {
        return Err(format!("{N} and {} packets met the gate, it counted {dropped:?}", 2 * N));
    }
    match daemon.get("/readyz")? {
        (503, _) => Ok(()),
        (code, body) => Err(format!("without hold /readyz is {code}: {body}")),
    }
}

/// `kordon rules remove` is refused while a daemon runs; after its end it opens the gateway.
pub(super) fn remove_refused(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let daemon = site.start()?;
    let before = rules::snapshot()?;
    let output = site.kordon("rules remove --config kordon.toml")?;
    if output.code != Some(1) || !output.stderr.contains("running") {
        return Err(format!("`rules remove` beside a daemon {}", output.said()));
    }
    if rules::snapshot()? != before {
        return Err("a refused `rules remove` changed the rules".to_owned());
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

/// More idle clients than the endpoint has room for: packets do not notice, and the endpoint recovers.
pub(super) fn idle_clients(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let daemon = site.start()?;
    let address = daemon.address();
    let mut idle = Vec::new();
    for number in 0..17 {
        let mut stream = TcpStream::connect(address).context(address)?;
        if number % 2 == 0 {
            stream.write_all(b"GET /metr").context(address)?;
        }
        idle.push(stream);
    }
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.blocked(BLOCKED, N)?;
    site.kordon_ok("status --config kordon.toml")?;
    let answers = || matches!(daemon.get("/metrics"), Ok((200, _)));
    if !wait_until(Duration::from_secs(12), answers) {
        return Err("17 idle clients keep the endpoint from answering".to_owned());
    }
    drop(idle);
    Ok(())
}
