//! What kordon refuses, with which message and status, and that nothing else suffers.

use crate::lab::topology::*;
use crate::lab::{Res, rules};
use crate::{Bench, Site};

const N: u32 = 20;

pub(super) fn second_daemon(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let mut first = site.start()?;
    let before = rules::snapshot()?;
    let mut setup = bench.setup();
    setup.port += 1;
    let other = Site::new(setup)?;
    let mut second = other.spawn()?;
    let code = second.wait_end()?;
    let log = second.log();
    if code != Some(75) || !log.contains("queue 40") {
        return Err(format!("the second daemon ended with {code:?} and said:\n{log}"));
    }
    if rules::snapshot()? != before {
        return Err("the second daemon changed the rules".to_owned());
    }
    if !first.is_alive() {
        return Err("the first daemon is gone".to_owned());
    }
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.passes(ALLOWED6, N)?;
    bench.lab.blocked(BLOCKED, N)
}

/// Root without CAP_NET_ADMIN: the capability is what is missing, not the user.
pub(super) fn missing_capability(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let mut daemon = site.spawn_through(&[
        "--bounding-set",
        "-net_admin",
        "--inh-caps",
        "-net_admin",
        "--ambient-caps",
        "-net_admin",
    ])?;
    let code = daemon.wait_end()?;
    let log = daemon.log();
    if code != Some(77) || !log.contains("CAP_NET_ADMIN") {
        return Err(format!("the daemon ended with {code:?} and said:\n{log}"));
    }
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.passes(BLOCKED, N)?;
    // Positive control: with the capability the same folder works.
    let _daemon = site.start()?;
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.blocked(BLOCKED, N)
}

/// Each mistake gets its status and names its place; a running gateway does not notice.
pub(super) fn bad_input(bench: &Bench<'_>) -> Res {
    let good = bench.site()?;
    let mut running = good.start()?;
    let before = rules::snapshot()?;
    type Break = fn(&Site) -> Res;
    let mistakes: [(&str, i32, &str, Break); 8] = [
        ("unknown key", 78, "kordon.toml:1:", |site| {
            site.write("kordon.toml", &format!("moode = \"enforce\"\n{}", site.setup().toml()))
        }),
        ("wrong type", 78, "kordon.toml:1:", |site| {
            let text = site.setup().toml().replace("mode = \"enforce\"", "mode = 1");
            site.write("kordon.toml", &text)
        }),
        ("missing list", 66, "blocked.txt", |site| {
            std::fs::remove_file(site.folder().join("blocked.txt")).map_err(|e| e.to_string())
        }),
        ("missing configuration", 66, "kordon.toml", |site| {
            std::fs::remove_file(site.folder().join("kordon.toml")).map_err(|e| e.to_string())
        }),
        ("empty list", 65, "blocked.txt", |site| site.write("blocked.txt", "# nothing\n")),
        ("everything", 65, "blocked.txt:1:", |site| site.write("blocked.txt", "::/0\n")),
        ("host bits", 65, "blocked.txt:2:", |site| {
            site.write("blocked.txt", "203.0.113.0/25\n203.0.113.129/25\n")
        }),
        ("unknown AS", 65, "relays.txt:1:", |site| site.write("relays.txt", "AS64511\n")),
    ];
    for (what, status, place, breaks) in mistakes {
        let mut setup = bench.setup();
        setup.port += 1;
        let site = Site::new(setup)?;
        breaks(&site)?;
        let mut daemon = site.spawn()?;
        let code = daemon.wait_end()?;
        let log = daemon.log();
        if code != Some(status) || !log.contains(place) {
            return Err(format!("{what}: run ended with {code:?}, not {status}; it said:\n{log}"));
        }
        let check = site.kordon("check --config kordon.toml")?;
        if check.code != Some(status) || !(check.stderr + &check.stdout).contains(place) {
            return Err(format!("{what}: check ended with {:?}, not {status}", check.code));
        }
    }
    if rules::snapshot()? != before || !running.is_alive() {
        return Err("what was running was touched".to_owned());
    }
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.blocked(BLOCKED, N)
}

/// What was laid out at the start (interfaces, queues, mode, rules) is not changed by a reload: refused, with
/// the key named, and nothing moves.
pub(super) fn fixed_keys(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let daemon = site.start()?;
    let before = rules::snapshot()?;
    let original = site.setup().toml();
    type Change = fn(&mut crate::lab::daemon::Setup);
    let changes: [(&str, Change); 5] = [
        ("cameras.interfaces", |setup| setup.interfaces = vec!["cam1"]),
        ("queue.count", |setup| setup.queues = 3),
        ("mode", |setup| setup.mode = "monitor"),
        ("on_failure", |setup| setup.on_failure = "open"),
        ("rules", |setup| setup.mark = Some((0x4000_0000, 0x4000_0000))),
    ];
    for (key, change) in changes {
        let mut setup = site.setup().clone();
        change(&mut setup);
        site.write("kordon.toml", &setup.toml())?;
        let output = site.kordon("reload --config kordon.toml")?;
        if output.code != Some(78) || !output.stderr.contains(&format!("cannot change {key}")) {
            return Err(format!("a reload with another {key} {}", output.said()));
        }
        if rules::snapshot()? != before {
            return Err(format!("a refused reload with another {key} changed the rules"));
        }
        bench.lab.passes(ALLOWED, N)?;
        bench.lab.blocked(BLOCKED, N)?;
    }
    // Positive control: it was those keys that were refused.
    site.write("kordon.toml", &original)?;
    site.kordon_ok("reload --config kordon.toml")?;
    match daemon.metrics()?.get("kordon_reloads_rejected_total", &[])? {
        5 => Ok(()),
        n => Err(format!("5 reloads were refused, {n} counted")),
    }
}

pub(super) fn not_running(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    for command in ["status --config kordon.toml", "reload --config kordon.toml"] {
        let output = site.kordon(command)?;
        if output.code != Some(3) {
            return Err(format!("`kordon {command}` {}", output.said()));
        }
    }
    // Killed, it leaves its socket's file behind; that is not running either.
    site.start()?.kill()?;
    let output = site.kordon("reload --config kordon.toml")?;
    match output.code {
        Some(3) => Ok(()),
        _ => Err(format!("after a kill: {}", output.said())),
    }
}
