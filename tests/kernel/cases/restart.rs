//! The queues' sockets outlive the daemon, in the store of a stand-in for the service manager.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::lab::flood::{Flood, Outcome};
use crate::lab::supervisor::Supervisor;
use crate::lab::topology::*;
use crate::lab::{Context, PATIENCE, Res, rules, tcp, wait_until};
use crate::{Bench, Site, daemon::Daemon};

const N: u32 = 20;
/// Packets a second of each flood.
const RATE: u32 = 4_000;
/// The most packets in one batch.
const BATCH: u64 = 64;

fn lost(daemon: &Daemon, cause: &str) -> Res<u64> {
    daemon.metrics()?.get("kordon_queue_lost_packets_total", &[("cause", cause)])
}

/// One flood that may pass and one that may not.
struct Floods {
    allowed: Flood,
    blocked: Flood,
}

impl Floods {
    fn start() -> Res<Self> {
        Ok(Floods {
            allowed: Flood::start(Place::Out1, ALLOWED, RATE)?,
            blocked: Flood::start(Place::Out2, BLOCKED, RATE / 4)?,
        })
    }

    /// Nothing blocked may have arrived, nothing twice; returns what became of the allowed.
    fn stop(self) -> Res<Outcome> {
        let allowed = self.allowed.stop(Duration::from_millis(500))?;
        let blocked = self.blocked.stop(Duration::from_millis(500))?;
        match (blocked.arrived, allowed.doubled) {
            (0, 0) if blocked.sent > 0 => Ok(allowed),
            (leaked, doubled) => Err(format!(
                "{leaked} of {} blocked packets leaked, {doubled} arrived twice",
                blocked.sent
            )),
        }
    }
}

/// Restarts under traffic: everything that may pass arrives, nothing else does, and a connection lives on.
pub(super) fn planned(bench: &Bench<'_>) -> Res {
    const RESTARTS: usize = 8;
    let site = bench.site()?;
    let mut manager = Supervisor::new(&site)?;
    manager.start()?;
    if manager.stored() != ["nfq-40-answered", "nfq-40"] {
        return Err(format!("stored: {:?}", manager.stored()));
    }
    let connection = tcp::connect(ALLOWED, Duration::from_secs(5))?;
    let floods = Floods::start()?;
    let mut worst = Duration::ZERO;
    for round in 0..RESTARTS {
        std::thread::sleep(Duration::from_millis(50));
        tcp::exchange(&connection, 1 << 12)?;
        let began = Instant::now();
        manager.restart(Signal::SIGTERM)?;
        worst = worst.max(began.elapsed());
        let daemon = manager.daemon()?;
        let counted = ["orphan", "buffer", "late_verdict"].map(|cause| lost(daemon, cause));
        if counted != [Ok(0), Ok(0), Ok(0)] {
            return Err(format!("round {round}: lost {counted:?}"));
        }
    }
    tcp::exchange(&connection, 1 << 16)?;
    let outcome = floods.stop()?;
    match outcome.lost() {
        0 => {}
        n => return Err(format!("{n} of {} packets lost in {RESTARTS} restarts", outcome.sent)),
    }
    let taken_over = manager.daemon()?.log().matches("queue 40: taken over").count();
    if taken_over != RESTARTS || manager.stored().len() != 2 {
        return Err(format!("taken over {taken_over} times, stored {:?}", manager.stored()));
    }
    match rules::gate_dropped()? {
        0 => Ok(()),
        n => Err(format!("{n} packets came to the gate unjudged")),
    }
}

/// A daemon that dies with a batch in its hands: that batch is lost, counted to the packet, and nothing leaks.
pub(super) fn killed(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let mut manager = Supervisor::new(&site)?;
    // To the packet, with a daemon that ends where it hurts.
    for packets in [1, 40, 150] {
        manager.environment = vec![("KORDON_FAULT", "die-with-a-batch")];
        // A packet that an earlier case left behind is a batch, too: then it dies before it is ready.
        let started = (0..5).any(|_| manager.start().is_ok());
        if !started {
            return Err(format!("no start in five succeeds:\n{}", manager.daemon()?.log()));
        }
        let daemon = manager.daemon()?;
        daemon.freeze()?;
        let mut streams = [bench.lab.stream(ALLOWED)?, bench.lab.stream(BLOCKED)?];
        streams[0].send_many(packets)?;
        streams[1].send_many(N)?;
        std::thread::sleep(Duration::from_millis(100));
        daemon.thaw()?;
        if !wait_until(PATIENCE, || manager.daemon().is_ok_and(|daemon| !daemon.is_alive())) {
            return Err("the daemon with a fault lives".to_owned());
        }
        manager.environment.clear();
        manager.start()?;
        bench.lab.passes(ALLOWED, N)?;
        let daemon = manager.daemon()?;
        let orphans = lost(daemon, "orphan")?;
        let arrived = bench.lab.ledger().arrived(streams[0].id());
        bench.lab.none_arrived(&streams[1])?;
        let expected = u64::from(packets + N).min(BATCH);
        // In the batch were, of both streams together, as many as were lost.
        // Others' late segments may be judged, too: they go elsewhere.
        let blocked = [("list", "blocked"), ("reason", "blocked")];
        let dropped = daemon.metrics()?.get("kordon_packets_dropped_total", &blocked)?;
        let judged = u64::from(arrived) + dropped;
        if orphans != expected || judged + orphans != u64::from(packets + N) {
            return Err(format!(
                "{packets} + {N} packets: {expected} in the batch, {orphans} orphans, {judged} judged, \
                 {arrived} arrived"
            ));
        }
        if (lost(daemon, "buffer")?, lost(daemon, "late_verdict")?) != (0, 0) {
            return Err("orphans were counted as other losses, too".to_owned());
        }
        manager.end(Signal::SIGTERM)?;
    }
    // Under traffic, wherever it hits.
    manager.start()?;
    for round in 0..6 {
        let floods = Floods::start()?;
        std::thread::sleep(Duration::from_millis(60 + 7 * round));
        manager.restart(Signal::SIGKILL)?;
        std::thread::sleep(Duration::from_millis(100));
        let outcome = floods.stop()?;
        let daemon = manager.daemon()?;
        let [orphans, buffer] = [lost(daemon, "orphan")?, lost(daemon, "buffer")?];
        if buffer > 0 || orphans > BATCH || u64::from(outcome.lost()) > orphans {
            return Err(format!(
                "round {round}: {} of {} lost; {orphans} orphans of both floods, {buffer} in the buffer",
                outcome.lost(),
                outcome.sent
            ));
        }
    }
    Ok(())
}

/// Stopped for good, the store is closed: what waits is dropped, and nothing passes.
pub(super) fn stopped_for_good(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let mut manager = Supervisor::new(&site)?;
    manager.start()?;
    bench.lab.passes(ALLOWED, N)?;
    manager.end(Signal::SIGTERM)?;
    let mut waiting = [bench.lab.stream(ALLOWED)?, bench.lab.stream(ALLOWED6)?];
    waiting.iter_mut().try_for_each(|stream| stream.send_many(N))?;
    drop(manager);
    bench.lab.nothing_passes(&[ALLOWED, ALLOWED6], N)?;
    let mut manager = Supervisor::new(&site)?;
    manager.start()?;
    bench.lab.passes(ALLOWED, N)?;
    waiting.iter().try_for_each(|stream| bench.lab.none_arrived(stream))?;
    // Positive control: with the store kept, they had passed.
    manager.end(Signal::SIGTERM)?;
    let mut waiting = bench.lab.stream(ALLOWED)?;
    waiting.send_many(N)?;
    std::thread::sleep(Duration::from_millis(200));
    match bench.lab.ledger().arrived(waiting.id()) {
        0 => {}
        n => return Err(format!("{n} packets passed while no daemon ran")),
    }
    manager.start()?;
    bench.lab.all_arrived(&waiting)
}

/// Two readers of one socket would drop each other's packets: the second is refused and the first goes on.
pub(super) fn living_reader(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let mut manager = Supervisor::new(&site)?;
    manager.start()?;
    let running = bench.lab.stream(ALLOWED)?.run(Duration::from_millis(1));
    running.wait_for_more(50)?;
    let mut second = manager.launch_beside()?;
    let code = second.wait_end()?;
    if code != Some(75) || !second.log().contains("queue 40 is in use by another process") {
        return Err(format!("a second reader ended with {code:?}:\n{}", second.log()));
    }
    // Another backend gives the stored socket up, but not this one.
    let mut other = site.setup().clone();
    other.backend = crate::Backend::Nfq;
    site.write("kordon.toml", &other.toml())?;
    let code = manager.launch_beside()?.wait_end()?;
    if code != Some(75) {
        return Err(format!("a second reader with another backend ended with {code:?}"));
    }
    running.wait_for_more(50)?;
    let id = running.id();
    let sent = running.stop()?;
    match bench.lab.ledger().wait_for(id, sent, PATIENCE) {
        true => bench.lab.blocked(BLOCKED, N),
        false => Err(format!("{:?} lost", bench.lab.ledger().missing(id, sent))),
    }
}

/// What is stored and of no use is named and replaced.
pub(super) fn broken(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let mut manager = Supervisor::new(&site)?;
    manager.start()?;
    let other = || -> Res<OwnedFd> {
        Ok(std::net::UdpSocket::bind("127.0.0.1:0").context("a socket")?.into())
    };
    let file =
        || -> Res<OwnedFd> { Ok(std::fs::File::open("/dev/null").context("/dev/null")?.into()) };
    // The service manager closes what it is told to forget when it comes to it: meanwhile the number is taken.
    for (name, descriptor, said, lag) in [
        ("nfq-40", Some(other()?), "it is no netfilter socket", 0),
        ("nfq-40-answered", Some(file()?), "the record beside it cannot be read", 0),
        ("nfq-40-answered", Some(file()?), "the record beside it cannot be read", 100),
        ("nfq-40-answered", None, "what is stored of it is not whole", 100),
    ] {
        manager.end(Signal::SIGTERM)?;
        manager.forgets_after(lag);
        manager.replace(name, descriptor);
        manager.start()?;
        let log = manager.daemon()?.log();
        if !log.contains(said) {
            return Err(format!("{name} was replaced by something else, and the log:\n{log}"));
        }
        bench.lab.passes(ALLOWED, N)?;
        bench.lab.blocked(BLOCKED, N)?;
        // The new one is handed on.
        let before = log.matches("taken over").count();
        manager.restart(Signal::SIGTERM)?;
        let log = manager.daemon()?.log();
        if log.matches("taken over").count() != before + 1 || manager.stored().len() != 2 {
            return Err(format!("stored {:?}; after {name}:\n{log}", manager.stored()));
        }
    }
    Ok(())
}

/// A restart with other queue keys: what waits is judged, queues no longer read are given up, new ones opened,
/// and the backend can be changed to and fro.
pub(super) fn changed_queues(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let mut manager = Supervisor::new(&site)?;
    manager.start()?;
    let setup = site.setup().clone();
    let mut restart = |setup: &crate::Setup, keeps: bool| -> Res {
        manager.end(Signal::SIGTERM)?;
        let mut waiting = [bench.lab.stream(ALLOWED)?, bench.lab.stream(BLOCKED)?];
        waiting.iter_mut().try_for_each(|stream| stream.send_many(N))?;
        site.write("kordon.toml", &setup.toml())?;
        manager.start()?;
        if keeps {
            bench.lab.all_arrived(&waiting[0])?;
        }
        for to in [ALLOWED, ALLOWED6] {
            bench.lab.passes(to, N)?;
        }
        bench.lab.blocked(BLOCKED, N)?;
        bench.lab.none_arrived(&waiting[1])?;
        let native = setup.backend == crate::Backend::Native;
        let expected = if native { 2 * usize::from(setup.queues) } else { 0 };
        match manager.stored().len() {
            n if n == expected => Ok(()),
            _ => Err(format!("stored: {:?}, expected {expected}", manager.stored())),
        }
    };
    restart(&crate::Setup { queues: 3, ..setup.clone() }, true)?;
    restart(&crate::Setup { buffer: Some(1 << 20), held: Some("128MiB"), ..setup.clone() }, false)?;
    restart(&crate::Setup { on_failure: "open", ..setup.clone() }, true)?;
    restart(&crate::Setup { backend: crate::Backend::Nfq, ..setup.clone() }, false)?;
    restart(&setup, false)?;
    restart(&setup, true)
}

/// Lists that went bad while the daemon ran do not keep its successor from judging: it goes on by the rule set
/// that was in force, and says so as for a refused reload.
pub(super) fn bad_lists(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let mut manager = Supervisor::new(&site)?;
    manager.start()?;
    site.add_to_list("blocked", "203.0.113.200\n")?;
    site.kordon_ok("reload --config kordon.toml")?;
    snapshot(&site)?;
    bench.lab.blocked(UNLISTED, N)?;
    site.add_to_list("blocked", "203.0.113.999\n")?;
    manager.end(Signal::SIGTERM)?;
    let mut waiting =
        [bench.lab.stream(ALLOWED)?, bench.lab.stream(UNLISTED)?, bench.lab.stream(BLOCKED6)?];
    waiting.iter_mut().try_for_each(|stream| stream.send_many(N))?;
    manager.start()?;
    bench.lab.all_arrived(&waiting[0])?;
    bench.lab.blocked(UNLISTED, N)?;
    bench.lab.blocked(BLOCKED, N)?;
    waiting[1..].iter().try_for_each(|stream| bench.lab.none_arrived(stream))?;
    let daemon = manager.daemon()?;
    let rejected = || daemon.metrics()?.get("kordon_reloads_rejected_total", &[]);
    if !wait_until(PATIENCE, || rejected() == Ok(1)) {
        return Err(format!("the bad list was not refused: {:?}", rejected()));
    }
    let status = site.kordon_ok("status --config kordon.toml")?;
    if !status.contains("LAST RELOAD REFUSED") || !status.contains("blocked.txt:4:") {
        return Err(format!("the status says nothing of the bad list:\n{status}"));
    }
    // So it is for the next one, and then a mended list is put in force by itself.
    manager.restart(Signal::SIGKILL)?;
    bench.lab.blocked(UNLISTED, N)?;
    manager.end(Signal::SIGTERM)?;
    site.add_to_list("blocked", "")?;
    manager.start()?;
    let daemon = manager.daemon()?;
    let generation = || daemon.metrics()?.get("kordon_ruleset_generation", &[]);
    if !wait_until(PATIENCE, || generation() == Ok(2)) {
        return Err(format!("the lists were not read again: generation {:?}", generation()));
    }
    bench.lab.passes(UNLISTED, N)?;
    bench.lab.blocked(BLOCKED, N)?;
    // Positive control: at a start that takes nothing over and finds no snapshot, the bad list is fatal.
    manager.end(Signal::SIGTERM)?;
    drop(manager);
    site.add_to_list("blocked", "203.0.113.999\n")?;
    // It may have ended before it had written one.
    let _absent = std::fs::remove_file(site.folder().join("state/ruleset.bin"));
    match site.spawn()?.wait_end()? {
        Some(65) => Ok(()),
        other => Err(format!("a start with a bad list ended with {other:?}")),
    }
}

/// Waits for the snapshot of the rule set in force; returns where it is.
fn snapshot(site: &Site) -> Res<std::path::PathBuf> {
    let path = site.folder().join("state/ruleset.bin");
    match wait_until(PATIENCE, || path.exists()) {
        true => Ok(path),
        false => Err("no snapshot was left".to_owned()),
    }
}

/// A snapshot that is not as it was written, or not for this configuration, is named and not used.
pub(super) fn damaged(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let mut manager = Supervisor::new(&site)?;
    manager.start()?;
    for (damage, said) in [
        ((|bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 2)) as fn(&mut Vec<u8>), "damaged"),
        (|bytes| bytes[100] ^= 1, "damaged"),
        (|bytes| bytes.clear(), "damaged"),
        (|bytes| bytes[7] ^= 1, "written by another version"),
    ] {
        let path = snapshot(&site)?;
        let mut bytes = std::fs::read(&path).context("the snapshot")?;
        damage(&mut bytes);
        manager.end(Signal::SIGTERM)?;
        std::fs::write(&path, bytes).context("the snapshot")?;
        let mut waiting = [bench.lab.stream(ALLOWED)?, bench.lab.stream(BLOCKED)?];
        waiting.iter_mut().try_for_each(|stream| stream.send_many(N))?;
        manager.start()?;
        // They waited until the lists were read.
        bench.lab.all_arrived(&waiting[0])?;
        bench.lab.none_arrived(&waiting[1])?;
        let log = manager.daemon()?.log();
        if !log.contains(&format!("state/ruleset.bin: {said}: ignored")) {
            return Err(format!("{said} is not said:\n{log}"));
        }
        bench.lab.passes(ALLOWED, N)?;
        bench.lab.blocked(BLOCKED, N)?;
    }
    snapshot(&site)?;
    manager.end(Signal::SIGTERM)?;
    let mut other = site.setup().clone();
    other.lists.remove(0);
    site.write("kordon.toml", &other.toml())?;
    manager.start()?;
    let log = manager.daemon()?.log();
    if !log.contains("made for other lists or origin tables: ignored") {
        return Err(format!("a snapshot of other lists:\n{log}"));
    }
    bench.lab.passes(BLOCKED, N)?;
    // Positive control: a whole one is used.
    snapshot(&site)?;
    let before = log.matches("ignored").count();
    manager.restart(Signal::SIGTERM)?;
    let log = manager.daemon()?.log();
    match log.matches("ignored").count() {
        n if n == before => bench.lab.passes(BLOCKED, N),
        _ => Err(format!("a whole snapshot was ignored:\n{log}")),
    }
}

/// `kordon restart` leaves the daemon alone while its check fails, and waits for the next one when it asks for it.
pub(super) fn command(bench: &Bench<'_>) -> Res {
    // A stand-in for systemctl: it says that it was asked, and waits until it is done.
    const SYSTEMCTL: &str = "#!/bin/sh\n\
        case \"$1\" in\n\
        restart) echo \"$@\" >asked; while [ ! -e done ]; do sleep 0.01; done; exit \"$(cat done)\" ;;\n\
        show) echo 65 ;;\n\
        esac\n";
    let site = bench.site()?;
    let tools = site.folder().join("tools");
    std::fs::create_dir(&tools).context("a folder")?;
    std::fs::write(tools.join("systemctl"), SYSTEMCTL).context("systemctl")?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(tools.join("systemctl"), mode).context("systemctl")?;
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap_or_default());
    let restart = || site.kordon_with("restart --config kordon.toml", &[("PATH", &path)]);
    let asked = || std::fs::read_to_string(site.folder().join("asked")).ok();

    let mut manager = Supervisor::new(&site)?;
    let first = manager.start()?.pid();
    // Without systemd it says what to do.
    let output = restart()?;
    let what =
        format!("end process {first} (kill {first}), then start `kordon run --config kordon.toml`");
    if output.code != Some(1) || !output.stderr.contains(&what) || asked().is_some() {
        return Err(format!("without systemd it {}", output.said()));
    }
    std::fs::create_dir_all("/run/systemd/system").context("/run/systemd/system")?;
    let outcome = (|| {
        // The check fails: nobody is asked for anything.
        for (name, text, code) in
            [("blocked.txt", "203.0.113.999\n", 65), ("kordon.toml", "x = 1\n", 78)]
        {
            let good = std::fs::read_to_string(site.folder().join(name)).context(name)?;
            site.write(name, text)?;
            let output = restart()?;
            site.write(name, &good)?;
            if output.code != Some(code) || !output.stderr.contains(name) || asked().is_some() {
                return Err(format!("with a bad {name} it {}", output.said()));
            }
        }
        bench.lab.passes(ALLOWED, N)?;
        bench.lab.blocked(BLOCKED, N)?;
        // It passes: systemctl is asked, and the new daemon waited for.
        let next = std::thread::scope(|scope| {
            let command = scope.spawn(restart);
            if !wait_until(PATIENCE, || asked().is_some()) {
                return Err("systemctl was not asked".to_owned());
            }
            manager.restart(Signal::SIGTERM)?;
            std::fs::write(site.folder().join("done"), "0").context("done")?;
            command.join().map_err(|_| "the command panicked".to_owned())?
        })?;
        let second = manager.daemon()?.pid();
        let said = format!("restarted: process {first} -> process {second}, ready after");
        let question = asked().unwrap_or_default();
        if next.code != Some(0)
            || !next.stdout.contains(&said)
            || question != "restart kordon.service\n"
        {
            return Err(format!("asked {question:?}, it {}", next.said()));
        }
        // The new daemon does not start: its status is the command's.
        std::fs::write(site.folder().join("done"), "1").context("done")?;
        match restart()? {
            output if output.code == Some(65) => Ok(()),
            output => Err(format!("with a daemon that ended with 65 it {}", output.said())),
        }
    })();
    let _ = std::fs::remove_dir_all("/run/systemd");
    outcome?;
    bench.lab.passes(ALLOWED, N)
}
