//! The mode, changed by command while packets flow; pauses.

use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::lab::control::Asked;
use crate::lab::daemon::{CONFIG, Daemon};
use crate::lab::topology::*;
use crate::lab::traffic::Running;
use crate::lab::{Context, PATIENCE, Res, rules, wait_until};
use crate::{Bench, Site};

const N: u32 = 20;
const MILLISECOND: Duration = Duration::from_millis(1);

/// A site whose configuration says monitor.
fn monitor(bench: &Bench<'_>) -> Res<Site> {
    let mut setup = bench.setup();
    setup.mode = "monitor";
    Site::new(setup)
}

fn status(site: &Site) -> Res<Value> {
    let text = site.kordon_ok("status -c kordon.toml -o json")?;
    serde_json::from_str(&text).context("status -o json")
}

fn expect_mode(site: &Site, daemon: &Daemon, mode: &str, enforcing: u64) -> Res {
    let (said, metric) = (status(site)?["mode"].clone(), daemon.metrics()?);
    let metric = metric.get("kordon_enforcing", &[])?;
    if said != mode || metric != enforcing {
        return Err(format!("status says {said}, kordon_enforcing {metric}; expected {mode}"));
    }
    Ok(())
}

fn refused(site: &Site, arguments: &str, code: i32, said: &str) -> Res {
    let output = site.kordon(arguments)?;
    match output.code == Some(code) && output.stderr.contains(said) {
        true => Ok(()),
        false => Err(format!("`kordon {arguments}`, to be refused with {code}, {}", output.said())),
    }
}

/// To enforce and back, three times, while streams run: what is allowed loses nothing; of what is blocked
/// everything passes in monitor mode and nothing after the command to enforce has returned.
pub(super) fn switch(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    (setup.mode, setup.queues) = ("monitor", 2);
    let site = Site::new(setup)?;
    let daemon = site.start()?;
    let start = |to| -> Res<Running> { Ok(bench.lab.stream(to)?.run(MILLISECOND)) };
    let allowed = [start(ALLOWED)?, start(ALLOWED6)?, start(EXEMPT)?];
    let blocked = [start(BLOCKED)?, start(BLOCKED6)?];
    let wait = || blocked.iter().try_for_each(|stream| stream.wait_for_more(60));
    let sent = || blocked.iter().map(Running::sent).collect::<Vec<u32>>();
    // For each blocked stream, numbers that must (not) have arrived.
    let mut passing: Vec<Vec<Range<u32>>> = vec![Vec::new(), Vec::new()];
    let mut dropped = passing.clone();
    let note = |kept: &mut Vec<Vec<Range<u32>>>, from: &[u32], to: &[u32]| {
        for (ranges, (from, to)) in kept.iter_mut().zip(from.iter().zip(to)) {
            ranges.push(*from..*to);
        }
    };
    let mut longest = Duration::ZERO;
    for _ in 0..3 {
        let from = sent();
        wait()?;
        note(&mut passing, &from, &sent());
        let began = Instant::now();
        site.kordon_ok("mode enforce -c kordon.toml")?;
        longest = longest.max(began.elapsed());
        expect_mode(&site, &daemon, "enforce", 1)?;
        let from = sent();
        wait()?;
        note(&mut dropped, &from, &sent());
        let began = Instant::now();
        site.kordon_ok("mode monitor -c kordon.toml")?;
        longest = longest.max(began.elapsed());
        expect_mode(&site, &daemon, "monitor", 0)?;
    }
    let from = sent();
    wait()?;
    note(&mut passing, &from, &sent());
    let mut total = 0;
    for stream in allowed {
        let (id, sent) = (stream.id(), stream.stop()?);
        total += sent;
        if !bench.lab.ledger().wait_for(id, sent, PATIENCE) {
            let missing = bench.lab.ledger().missing(id, sent);
            return Err(format!("an allowed stream lost {missing:?} of {sent}"));
        }
    }
    let ids: Vec<(u32, u32)> =
        blocked.into_iter().map(|stream| Ok((stream.id(), stream.stop()?))).collect::<Res<_>>()?;
    bench.lab.fence(BLOCKED)?;
    bench.lab.fence(BLOCKED6)?;
    for (&(id, sent), (passing, dropped)) in ids.iter().zip(passing.iter().zip(&dropped)) {
        let missing = bench.lab.ledger().missing(id, sent);
        if let Some(lost) = missing.iter().find(|n| passing.iter().any(|range| range.contains(n))) {
            return Err(format!("blocked probe {lost} was lost in monitor mode"));
        }
        let arrived = |n: &u32| bench.lab.ledger().has(id, *n);
        if let Some(leaked) = dropped.iter().cloned().flatten().find(arrived) {
            return Err(format!("blocked probe {leaked} passed after `mode enforce` had returned"));
        }
    }
    let gate = daemon.metrics()?.or_zero("kordon_gate_dropped_packets_total", &[]);
    if gate != 0 {
        return Err(format!("{gate} packets met the gate without a mark"));
    }
    println!("    {total} allowed probes in six changes, none lost; longest change {longest:?}");
    ends_closed(bench, &site, daemon)
}

/// After a change to enforce, the gateway is as closed as one that was started so.
fn ends_closed(bench: &Bench<'_>, site: &Site, daemon: Daemon) -> Res {
    let open = rules::snapshot()?;
    site.kordon_ok("mode enforce -c kordon.toml")?;
    let closed = rules::snapshot()?;
    daemon.kill()?;
    bench.lab.nothing_passes(&[ALLOWED, ALLOWED6], N)?;
    let daemon = site.start()?;
    if rules::snapshot()? != closed {
        return Err("other rules than those of a start in enforce mode".to_owned());
    }
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.blocked(BLOCKED, N)?;
    site.kordon_ok("mode monitor -c kordon.toml")?;
    if rules::snapshot()? != open {
        return Err("other rules than those of a start in monitor mode".to_owned());
    }
    // Open is open: without the daemon everything passes.
    daemon.kill()?;
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.passes(BLOCKED, N)
}

/// A mode that nobody confirms goes back; one that is confirmed stays.
pub(super) fn unconfirmed(bench: &Bench<'_>) -> Res {
    let site = monitor(bench)?;
    let daemon = site.start()?;
    let said = site.kordon_ok("mode enforce --confirm-within 2s -c kordon.toml")?;
    if !said.contains("goes back to monitor in 2 s unless") {
        return Err(format!("mode enforce --confirm-within printed {said:?}"));
    }
    bench.lab.blocked(BLOCKED, N)?;
    let told = site.kordon_ok("mode -c kordon.toml")?;
    if !told.contains("UNCONFIRMED: back to monitor in ") {
        return Err(format!("kordon mode printed {told:?}"));
    }
    let back = || status(&site).is_ok_and(|status| status["mode"] == "monitor");
    if !wait_until(PATIENCE, back) {
        return Err("nobody confirmed, and the mode stays".to_owned());
    }
    bench.lab.passes(BLOCKED, N)?;
    if !daemon.log().contains("was not confirmed in time: back to monitor") {
        return Err(format!("the log does not say so:\n{}", daemon.log()));
    }
    let late = "nothing waits to be confirmed; it is monitor: enforce was not confirmed in time";
    refused(&site, "mode confirm -c kordon.toml", 1, late)?;
    let told = site.kordon_ok("mode -c kordon.toml")?;
    if !told.contains("WENT BACK by itself")
        || status(&site)?["mode_went_back"]["from"] != "enforce"
    {
        return Err(format!("nobody is told that it went back: {told}"));
    }
    if site.folder().join("state/mode.json").exists() {
        return Err("an unconfirmed mode is kept for the next start".to_owned());
    }
    site.kordon_ok("mode enforce --confirm-within 2s --why drill -c kordon.toml")?;
    site.kordon_ok("mode confirm -c kordon.toml")?;
    std::thread::sleep(Duration::from_millis(2_700));
    expect_mode(&site, &daemon, "enforce", 1)?;
    if status(&site)?["mode_went_back"] != Value::Null {
        return Err("a later command does not end what is said of an earlier one".to_owned());
    }
    let said = site.kordon_ok("mode enforce --confirm-within 1h -c kordon.toml")?;
    if !said.contains("nothing to go back to") || said.contains("goes back to") {
        return Err(format!("enforce within enforce printed {said:?}"));
    }
    bench.lab.blocked(BLOCKED, N)?;
    bench.lab.passes(ALLOWED, N)?;
    // An unconfirmed mode does not outlive the daemon.
    site.kordon_ok("mode monitor --confirm-within 1h -c kordon.toml")?;
    bench.lab.passes(BLOCKED, N)?;
    daemon.kill()?;
    let _daemon = site.start()?;
    bench.lab.blocked(BLOCKED, N)
}

/// A commanded mode outlives the daemon, and yields to an edited configuration.
pub(super) fn kept(bench: &Bench<'_>) -> Res {
    let site = monitor(bench)?;
    let daemon = site.start()?;
    site.kordon_ok("mode enforce --why drill -c kordon.toml")?;
    site.kordon_ok("reload -c kordon.toml")?;
    bench.lab.blocked(BLOCKED, N)?;
    daemon.kill()?;
    bench.lab.nothing_passes(&[ALLOWED], N)?;
    // Whoever puts the rules in place while none runs puts those of this mode in place.
    site.kordon_ok("rules remove -c kordon.toml")?;
    site.kordon_ok("rules apply -c kordon.toml")?;
    bench.lab.nothing_passes(&[ALLOWED], N)?;
    let daemon = site.start()?;
    expect_mode(&site, &daemon, "enforce", 1)?;
    let said = status(&site)?;
    if said["mode_configured"] != "monitor" || said["mode_set"]["why"] != "drill" {
        return Err(format!("status says {} and {}", said["mode_configured"], said["mode_set"]));
    }
    bench.lab.blocked(BLOCKED, N)?;
    // Damage to what was kept opens nothing.
    daemon.kill()?;
    let kept = site.folder().join("state/mode.json");
    let good = std::fs::read(&kept).context("state/mode.json")?;
    std::fs::write(&kept, good.get(..good.len() / 2).unwrap_or_default())
        .context("state/mode.json")?;
    let daemon = site.start()?;
    expect_mode(&site, &daemon, "enforce", 1)?;
    bench.lab.blocked(BLOCKED, N)?;
    if !daemon.log().contains("it cannot be said which: mode enforce") {
        return Err(format!("the log does not name the damage:\n{}", daemon.log()));
    }
    std::fs::write(&kept, good).context("state/mode.json")?;
    // The administrator makes it permanent: fine at once, and the last word at the next start.
    let mut setup = site.setup().clone();
    setup.mode = "enforce";
    site.write(CONFIG, &setup.toml())?;
    site.kordon_ok("reload -c kordon.toml")?;
    daemon.kill()?;
    let daemon = site.start()?;
    if site.folder().join("state/mode.json").exists()
        || !daemon.log().contains("which counts no longer")
    {
        return Err(format!("the configuration was edited, yet:\n{}", daemon.log()));
    }
    bench.lab.blocked(BLOCKED, N)?;
    // The other mode still wants the command or a restart.
    site.write(CONFIG, &site.setup().toml())?;
    refused(&site, "reload -c kordon.toml", 78, "a reload cannot change mode")?;
    daemon.kill()?;
    let daemon = site.start()?;
    expect_mode(&site, &daemon, "monitor", 0)?;
    bench.lab.passes(BLOCKED, N)
}

/// A pause lets blocked packets pass, is seen, and ends by itself; nothing passes unjudged meanwhile.
pub(super) fn pause(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let daemon = site.start()?;
    bench.lab.blocked(BLOCKED, N)?;
    let paused_until = || daemon.metrics()?.get("kordon_paused_until_timestamp_seconds", &[]);
    if paused_until()? != 0 {
        return Err("paused before anybody asked".to_owned());
    }
    let before = rules::snapshot()?;
    site.kordon_ok("pause --for 3s --why drill -c kordon.toml")?;
    let began = Instant::now();
    bench.lab.passes(BLOCKED, N)?;
    bench.lab.passes(BLOCKED6, N)?;
    bench.lab.passes(ALLOWED, N)?;
    expect_mode(&site, &daemon, "enforce", 0)?;
    let metrics = daemon.metrics()?;
    let would = metrics.or_zero("kordon_packets_would_drop_total", &[]);
    if paused_until()? == 0 || would != u64::from(2 * N) {
        return Err(format!("paused until {}, {would} would be dropped", paused_until()?));
    }
    let text = site.kordon_ok("status -c kordon.toml")?;
    let shown = text.contains("PAUSED: nothing is dropped") && text.contains(": drill");
    if !shown || daemon.get("/readyz")?.0 != 200 {
        return Err(format!("status in a pause:\n{text}"));
    }
    let why = site.kordon_ok(&format!("why {BLOCKED} -c kordon.toml --running"))?;
    if !why.contains("WOULD BE DROPPED") || !why.contains("mode enforce, paused") {
        return Err(format!("why in a pause:\n{why}"));
    }
    if rules::snapshot()? != before {
        return Err("a pause changed the rules".to_owned());
    }
    if !wait_until(PATIENCE, || paused_until().is_ok_and(|until| until == 0)) {
        return Err("the pause does not end".to_owned());
    }
    if began.elapsed() < Duration::from_millis(2_500) {
        return Err(format!("a pause of 3 s ended after {:?}", began.elapsed()));
    }
    bench.lab.blocked(BLOCKED, N)?;
    site.kordon_ok("pause --for 1h --why drill -c kordon.toml")?;
    bench.lab.passes(BLOCKED, N)?;
    site.kordon_ok("resume -c kordon.toml")?;
    bench.lab.blocked(BLOCKED, N)?;
    refused(&site, "pause --for 25h --why x -c kordon.toml", 2, "1s to 24h")?;
    refused(&site, "pause --for 5m -c kordon.toml", 2, "--why")?;
    // To enforce is to enforce.
    site.kordon_ok("pause --for 1h --why drill -c kordon.toml")?;
    site.kordon_ok("mode enforce -c kordon.toml")?;
    bench.lab.blocked(BLOCKED, N)?;
    // A daemon that dies in a pause leaves the gateway closed, and its successor enforces.
    site.kordon_ok("pause --for 1h --why drill -c kordon.toml")?;
    daemon.kill()?;
    bench.lab.nothing_passes(&[ALLOWED, ALLOWED6], N)?;
    refused(&site, "resume -c kordon.toml", 3, "to start it: systemctl start kordon")?;
    refused(&site, "resume -c else.toml", 3, "else.toml: no such file")?;
    let _daemon = site.start()?;
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.blocked(BLOCKED, N)
}

/// An order that reaches a hung daemon is not carried out when it wakes and nobody waits any more.
pub(super) fn late_order(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let daemon = site.start()?;
    let socket = site.folder().join("control.sock");
    let pause = r#"{"command":"mode","order":{"pause":{"seconds":3600,"why":"drill"}}}"#;
    let paused = || Ok::<_, String>(status(&site)?["paused"] != Value::Null);
    daemon.freeze()?;
    drop(Asked::send_request(&socket, pause)?);
    daemon.thaw()?;
    let told = || daemon.log().contains("an order is not carried out: its caller has gone");
    if !wait_until(PATIENCE, told) || paused()? {
        return Err(format!("an order whose caller had gone was carried out:\n{}", daemon.log()));
    }
    bench.lab.blocked(BLOCKED, N)?;
    // The control: one who waits gets it.
    daemon.freeze()?;
    let asked = Asked::send_request(&socket, pause)?;
    daemon.thaw()?;
    asked.answer(PATIENCE)?;
    match paused()? {
        true => bench.lab.passes(BLOCKED, N),
        false => Err("an order whose caller waits was not carried out".to_owned()),
    }
}

/// A step that fails on the way to enforce leaves monitor mode, whole; one on the way back is made up for.
pub(super) fn failing_step(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    (setup.mode, setup.tool) = ("monitor", Some("iptables"));
    let tools = std::env::temp_dir().join(format!("kordon-tools-{}", std::process::id()));
    std::fs::create_dir_all(&tools).context("a folder for tools")?;
    let broken = tools.join("broken");
    for program in ["iptables-nft", "ip6tables-nft"] {
        let text = format!(
            "#!/bin/sh\ncase \"$*\" in\n*security*-[IADNFX]*) [ ! -e {} ] || exit 1;;\nesac\n\
             PATH=/usr/sbin:/sbin exec {program} \"$@\"\n",
            broken.display()
        );
        let file = tools.join(program);
        std::fs::write(&file, text).context("a tool")?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).context("chmod")?;
    }
    let path = std::env::var("PATH").unwrap_or_default();
    setup.environment = vec![("PATH", format!("{}:{path}", tools.display()))];
    let site = Site::new(setup)?;
    let daemon = site.start()?;
    let open = rules::snapshot()?;
    let outcome = (|| {
        std::fs::write(&broken, "").context("break")?;
        refused(&site, "mode enforce -c kordon.toml", 1, "iptables-nft")?;
        expect_mode(&site, &daemon, "monitor", 0)?;
        bench.lab.passes(ALLOWED, N)?;
        bench.lab.passes(BLOCKED, N)?;
        if !wait_until(PATIENCE, || rules::snapshot().is_ok_and(|now| now == open)) {
            return Err("the rules of monitor mode were not put back".to_owned());
        }
        std::fs::remove_file(&broken).context("mend")?;
        site.kordon_ok("mode enforce -c kordon.toml")?;
        bench.lab.passes(ALLOWED, N)?;
        bench.lab.blocked(BLOCKED, N)?;
        // The gate cannot be removed: accepted packets go on to pass it.
        std::fs::write(&broken, "").context("break")?;
        let said = site.kordon_ok("mode monitor -c kordon.toml")?;
        if !said.contains("note: ") || !said.contains("trying again") {
            return Err(format!("mode monitor printed {said:?}"));
        }
        bench.lab.passes(ALLOWED, N)?;
        bench.lab.passes(BLOCKED, N)?;
        std::fs::remove_file(&broken).context("mend")?;
        if !wait_until(PATIENCE, || rules::snapshot().is_ok_and(|now| now == open)) {
            return Err("the gate was not removed later".to_owned());
        }
        bench.lab.passes(BLOCKED, N)?;
        // Without rules there is nothing to change.
        site.kordon_ok("rules remove --why drill -c kordon.toml")?;
        refused(&site, "mode enforce -c kordon.toml", 1, "run `kordon rules apply` first")?;
        site.kordon_ok("rules apply -c kordon.toml")?;
        site.kordon_ok("mode enforce -c kordon.toml")?;
        bench.lab.blocked(BLOCKED, N)
    })();
    let _ = std::fs::remove_dir_all(&tools);
    outcome
}

/// With `on_failure` open, the mode changes what is dropped and nothing else.
pub(super) fn open(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    (setup.mode, setup.on_failure) = ("monitor", "open");
    let site = Site::new(setup)?;
    let daemon = site.start()?;
    let before = rules::snapshot()?;
    bench.lab.passes(BLOCKED, N)?;
    site.kordon_ok("mode enforce -c kordon.toml")?;
    bench.lab.blocked(BLOCKED, N)?;
    bench.lab.passes(ALLOWED, N)?;
    if rules::snapshot()? != before {
        return Err("the rules changed".to_owned());
    }
    daemon.kill()?;
    bench.lab.passes(BLOCKED, N)
}
