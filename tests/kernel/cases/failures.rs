//! What leaves the gateway when nobody judges.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::lab::topology::*;
use crate::lab::{Context, Res, process, rules, wait_until};
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

/// Open, what waits when the daemon dies is dropped all the same: by the kernel, as it closes the queue.
pub(super) fn killed_open(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    setup.on_failure = "open";
    let site = Site::new(setup)?;
    let daemon = site.start()?;
    daemon.freeze()?;
    let mut waiting = [bench.lab.stream(ALLOWED)?, bench.lab.stream(BLOCKED)?];
    waiting.iter_mut().try_for_each(|stream| stream.send_many(N))?;
    daemon.kill()?;
    // Positive control and fence: what comes after the end passes unjudged.
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.passes(BLOCKED, N)?;
    waiting.iter().try_for_each(|stream| bench.lab.none_arrived(stream))
}

/// The same configuration, for a daemon that is asked for no fault.
fn without_fault(site: Site) -> Res<Site> {
    let mut setup = site.setup().clone();
    setup.environment.clear();
    drop(site);
    Site::new(setup)
}

/// A packet thread that ends takes the daemon with it.
pub(super) fn ended(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    setup.queues = 2;
    setup.environment = vec![("KORDON_FAULT", "end-first-worker".to_owned())];
    let site = Site::new(setup)?;
    let mut daemon = site.spawn()?;
    let code = daemon.wait_end()?;
    if code != Some(1) || !daemon.log().contains("queue 40: its packet thread has ended") {
        return Err(format!("ended with {code:?}:\n{}", daemon.log()));
    }
    // Positive control: without the fault the same configuration works.
    let site = without_fault(site)?;
    let _daemon = site.start()?;
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.blocked(BLOCKED, N)
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

/// A packet thread that hangs: the daemon ends within ten seconds, and nothing passes before its successor
/// runs.
pub(super) fn stalled(bench: &Bench<'_>) -> Res {
    wedged(bench, "stall-first-worker", "queue 40: its packet thread has stalled;")
}

/// The same with one that goes on and takes nothing of what waits in its socket.
pub(super) fn deaf(bench: &Bench<'_>) -> Res {
    wedged(
        bench,
        "deaf-first-worker",
        "queue 40: its packet thread has stalled (packets wait in its socket, and it answers none);",
    )
}

fn wedged(bench: &Bench<'_>, fault: &str, said: &str) -> Res {
    let mut setup = bench.setup();
    setup.environment = vec![("KORDON_FAULT", fault.to_owned())];
    let site = Site::new(setup)?;
    let began = std::time::Instant::now();
    let mut daemon = site.start()?;
    let mut waiting = bench.lab.stream(ALLOWED)?;
    waiting.send_many(N)?;
    if !matches!(daemon.get("/healthz")?, (200, _)) {
        return Err("a packet thread that has only just begun to hang is called stalled".to_owned());
    }
    let mut unwell = None;
    let ended = wait_until(Duration::from_secs(10), || {
        if let Ok((503, body)) = daemon.get("/healthz") {
            unwell.get_or_insert(body);
        }
        !daemon.is_alive()
    });
    if !ended {
        return Err("a packet thread hangs, and after ten seconds the daemon lives".to_owned());
    }
    // Said before the end comes: an orchestrator that asks need not wait for it.
    if unwell.as_deref() != Some("packet thread stalled: queue 40\n") {
        return Err(format!("a packet thread hung, and /healthz said {unwell:?}"));
    }
    let code = daemon.wait_end()?;
    if code != Some(1) || !daemon.log().contains(said) {
        return Err(format!("ended after {:?} with {code:?}:\n{}", began.elapsed(), daemon.log()));
    }
    bench.lab.nothing_passes(&[ALLOWED, ALLOWED6], N)?;
    bench.lab.none_arrived(&waiting)?;
    let site = without_fault(site)?;
    let _daemon = site.start()?;
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.none_arrived(&waiting)
}

/// The service manager hears that kordon is ready, then that all is well, then that it stops.
pub(super) fn service_manager(bench: &Bench<'_>) -> Res {
    let folder = std::env::temp_dir().join(format!("kordon-notify-{}", std::process::id()));
    std::fs::create_dir_all(&folder).context("a folder for the socket")?;
    let socket = folder.join("notify");
    let heard = std::os::unix::net::UnixDatagram::bind(&socket).context("the socket")?;
    heard.set_read_timeout(Some(Duration::from_secs(5))).context("the socket")?;
    let mut setup = bench.setup();
    setup.environment = vec![
        ("NOTIFY_SOCKET", socket.display().to_string()),
        ("WATCHDOG_USEC", "400000".to_owned()),
    ];
    let site = Site::new(setup)?;
    let mut daemon = site.start()?;
    let next = || -> Res<String> {
        let mut bytes = [0_u8; 512];
        let length = heard.recv(&mut bytes).context("nothing from the daemon")?;
        Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
    };
    for name in ["nfq-40-answered", "nfq-40"] {
        let expected = format!("FDSTORE=1\nFDNAME={name}\nFDPOLL=0");
        match next()? {
            said if said == expected => {}
            other => return Err(format!("in place of {expected:?} the daemon said {other:?}")),
        }
    }
    let ready = next()?;
    if !ready.starts_with("READY=1\nSTATUS=") {
        return Err(format!("after its descriptors the daemon said {ready:?}"));
    }
    let first = std::time::Instant::now();
    for _ in 0..5 {
        match next()?.as_str() {
            "WATCHDOG=1" => {}
            other => return Err(format!("in place of WATCHDOG=1 the daemon said {other:?}")),
        }
    }
    if first.elapsed() > Duration::from_secs(4) {
        return Err(format!("five signs of life took {:?}", first.elapsed()));
    }
    // The line of `systemctl status` is told anew every five seconds.
    bench.lab.passes(ALLOWED, N)?;
    let told = std::iter::repeat_with(&next).take(60).flatten().find(|said| said != "WATCHDOG=1");
    match told.as_deref() {
        Some(line)
            if line.starts_with("STATUS=enforce, 3 lists, ") && line.contains("packets/s") => {}
        other => {
            return Err(format!("in place of a line for the status the daemon said {other:?}"));
        }
    }
    daemon.signal(Signal::SIGTERM)?;
    daemon.wait_end()?;
    let stopped = std::iter::repeat_with(&next).take(20).flatten().any(|said| said == "STOPPING=1");
    let _ = std::fs::remove_dir_all(&folder);
    if stopped { Ok(()) } else { Err("the daemon did not say that it stops".to_owned()) }
}

/// Mounted over the state folder, so that nothing can be written there; gone when it is dropped.
struct ReadOnly(String);

impl ReadOnly {
    fn over(site: &Site) -> Res<Self> {
        let folder = site.folder().join("state").display().to_string();
        process::tool("mount", &["-t", "tmpfs", "-o", "ro", "none", &folder])?;
        Ok(ReadOnly(folder))
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let _ = process::tool("umount", &[&self.0]);
    }
}

/// A full disk or one that became read-only costs what would have been kept, and no judgement.
pub(super) fn state_not_written(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let mut daemon = site.start()?;
    let add = format!("block add {ALLOWED}/32 --ttl 1h --why test --config kordon.toml");
    let remove = format!("block remove {ALLOWED}/32 --config kordon.toml");
    let doctor = || site.kordon("doctor --config kordon.toml").map(|output| output.stdout);
    // The control: where the folder can be written, it is kept, and nobody complains.
    let said = site.kordon(&add)?;
    if said.code != Some(0) || said.said().contains("NOT KEPT") || doctor()?.contains("FAIL  state")
    {
        return Err(format!("with a good folder: {}; {}", said.said(), doctor()?));
    }
    site.kordon_ok(&remove)?;
    let mounted = ReadOnly::over(&site)?;
    bench.lab.passes(ALLOWED, N)?;
    let said = site.kordon(&add)?;
    let all = format!("{}{}", said.stdout, said.stderr);
    if said.code != Some(0) || !all.contains("NOT KEPT for the next start") {
        return Err(format!("with a folder that cannot be written: {}", said.said()));
    }
    bench.lab.blocked(ALLOWED, N)?;
    let found = doctor()?;
    if !found.contains("is mounted read-only") {
        return Err(format!("doctor does not name the folder:\n{found}"));
    }
    site.add_to_list("blocked", &format!("{UNLISTED}/32\n"))?;
    site.kordon_ok("reload --config kordon.toml")?;
    bench.lab.blocked(UNLISTED, N)?;
    daemon.signal(Signal::SIGTERM)?;
    daemon.wait_end()?;
    drop(daemon);
    bench.lab.nothing_passes(&BOTH, N)?;
    // A start goes by the files alone.
    let daemon = site.start()?;
    BOTH.into_iter().try_for_each(|to| bench.lab.passes(to, N))?;
    bench.lab.blocked(UNLISTED, N)?;
    bench.lab.blocked(BLOCKED, N)?;
    drop((daemon, mounted));
    Ok(())
}
