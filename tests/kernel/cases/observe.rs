//! What kordon says about itself.

use std::process::Command;

use crate::lab::daemon::List;
use crate::lab::process::{SHORT, feed};
use crate::lab::topology::*;
use crate::lab::{Context, PATIENCE, Res, wait_until};
use crate::{Bench, Site, daemon::Daemon};

/// IP and UDP headers and the probe itself.
const BYTES: [u64; 2] = [20 + 8 + 16, 40 + 8 + 16];

/// Sent, arrived, and what the counters say about it: equal to the last packet.
pub(super) fn accounting(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let daemon = site.start()?;
    let traffic = [
        (ALLOWED, 101),
        (UNLISTED, 53),
        (ALLOWED6, 67),
        (EXEMPT, 31),
        (EXEMPT6, 17),
        (BLOCKED, 41),
        (BLOCKED6, 23),
        (BY_ORIGIN, 13),
    ];
    let mut arrived = [0; 2];
    for (to, count) in traffic {
        let mut stream = bench.lab.stream(to)?;
        stream.send_many(count)?;
        if [BLOCKED, BLOCKED6, BY_ORIGIN].contains(&to) {
            bench.lab.fence(to)?;
            bench.lab.none_arrived(&stream)?;
            arrived[usize::from(to.is_ipv6())] += 1;
        } else {
            bench.lab.all_arrived(&stream)?;
            arrived[usize::from(to.is_ipv6())] += u64::from(count);
        }
    }
    let metrics = daemon.metrics()?;
    let check =
        |name: &str, labels: &[(&str, &str)], expected: u64| match metrics.get(name, labels)? {
            n if n == expected => Ok(()),
            n => Err(format!("{name}{labels:?} is {n}, not {expected}")),
        };
    let (v4, v6) = (&[("family", "ipv4")], &[("family", "ipv6")]);
    let total = [arrived[0] + 41 + 13, arrived[1] + 23];
    check("kordon_packets_accepted_total", v4, arrived[0])?;
    check("kordon_packets_accepted_total", v6, arrived[1])?;
    check("kordon_packets_total", v4, total[0])?;
    check("kordon_packets_total", v6, total[1])?;
    check("kordon_bytes_total", v4, total[0] * BYTES[0])?;
    check("kordon_bytes_total", v6, total[1] * BYTES[1])?;
    check("kordon_packets_dropped_total", &[("list", "blocked"), ("reason", "blocked")], 64)?;
    check("kordon_packets_dropped_total", &[("list", "relays")], 13)?;
    check("kordon_packets_dropped_total", &[], 77)?;
    check("kordon_bytes_dropped_total", &[("list", "blocked")], 41 * BYTES[0] + 23 * BYTES[1])?;
    check("kordon_packets_exempted_total", &[("list", "exempt")], 31 + 17)?;
    check("kordon_camera_packets_total", &[("camera", "gate-3")], total[0])?;
    check("kordon_camera_packets_dropped_total", &[("camera", "gate-3")], 41 + 13)?;
    check("kordon_enforcing", &[], 1)?;
    check("kordon_list_entries", &[("list", "blocked")], 2)?;
    for cause in ["buffer", "late_verdict", "orphan"] {
        check("kordon_queue_lost_packets_total", &[("cause", cause)], 0)?;
    }
    // = accepted + dropped
    let sum = metrics.get("kordon_packets_accepted_total", &[])?
        + metrics.get("kordon_packets_dropped_total", &[])?;
    check("kordon_packets_total", &[], sum)
}

/// In monitor mode: packets = accepted = what arrived, and the would-drop counters have the shape of those
/// of enforce mode.
pub(super) fn monitor_accounting(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    setup.mode = "monitor";
    let site = Site::new(setup)?;
    let daemon = site.start()?;
    let traffic = [(ALLOWED, 29), (ALLOWED6, 7), (EXEMPT, 11), (BLOCKED, 41), (BLOCKED6, 23)];
    let mut arrived = [0; 2];
    for (to, count) in traffic.into_iter().chain([(BY_ORIGIN, 13)]) {
        bench.lab.passes(to, count)?;
        arrived[usize::from(to.is_ipv6())] += u64::from(count);
    }
    let metrics = daemon.metrics()?;
    let check =
        |name: &str, labels: &[(&str, &str)], expected: u64| match metrics.or_zero(name, labels) {
            n if n == expected => Ok(()),
            n => Err(format!("{name}{labels:?} is {n}, not {expected}")),
        };
    for (family, place) in [("ipv4", 0), ("ipv6", 1)] {
        check("kordon_packets_total", &[("family", family)], arrived[place])?;
        check("kordon_packets_accepted_total", &[("family", family)], arrived[place])?;
        let bytes = arrived[place] * BYTES[place];
        check("kordon_bytes_total", &[("family", family)], bytes)?;
    }
    let would = "kordon_packets_would_drop_total";
    check(would, &[("list", "blocked"), ("reason", "blocked")], 41 + 23)?;
    check(would, &[("list", "relays"), ("reason", "blocked")], 13)?;
    check(would, &[], 41 + 23 + 13)?;
    check("kordon_bytes_would_drop_total", &[("list", "relays")], 13 * BYTES[0])?;
    check("kordon_packets_dropped_total", &[], 0)?;
    check("kordon_bytes_dropped_total", &[], 0)?;
    check("kordon_packets_exempted_total", &[("list", "exempt")], 11)?;
    check("kordon_camera_packets_total", &[("camera", "gate-3")], arrived[0])?;
    check("kordon_camera_packets_would_drop_total", &[("camera", "gate-3")], 41 + 13)?;
    check("kordon_camera_packets_dropped_total", &[], 0)
}

/// An address on a monitor list passes and is counted; on a block list as well, it is dropped, whichever
/// of the two is longer.
pub(super) fn monitor_list(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    setup.lists.push(List {
        name: "watched",
        kind: "prefix",
        action: "monitor",
        text: format!("{BLOCKED}\n203.0.113.0/24\n2001:db8:3::/48\n{BLOCKED6}\n{EXEMPT}\n"),
    });
    // First in the configuration, too.
    setup.lists.rotate_right(1);
    let site = Site::new(setup)?;
    let daemon = site.start()?;
    bench.lab.passes(UNLISTED, 7)?;
    bench.lab.passes(UNLISTED6, 5)?;
    bench.lab.passes(EXEMPT, 3)?;
    let metrics = daemon.metrics()?;
    let labels = [("list", "watched"), ("reason", "monitored")];
    match metrics.get("kordon_packets_would_drop_total", &labels)? {
        12 => {}
        n => return Err(format!("12 packets to watched addresses, {n} counted")),
    }
    for to in [BLOCKED, BLOCKED6] {
        bench.lab.blocked(to, 20)?;
    }
    match daemon.metrics()?.get("kordon_packets_dropped_total", &[("list", "blocked")])? {
        40 => Ok(()),
        n => Err(format!("40 packets to blocked addresses, {n} counted")),
    }
}

pub(super) fn promtool(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let daemon = site.start()?;
    approve(&daemon).context("before traffic")?;
    bench.lab.passes(ALLOWED, 10)?;
    bench.lab.blocked(BLOCKED, 10)?;
    site.kordon_ok("reload --config kordon.toml")?;
    approve(&daemon).context("after traffic")
}

fn approve(daemon: &Daemon) -> Res {
    let text = daemon.metrics()?.text;
    let output = feed(Command::new("promtool").args(["check", "metrics"]), &text, SHORT)
        .context("promtool (Debian package prometheus; scripts/setup installs it)")?;
    match output.code {
        Some(0) if output.stderr.trim().is_empty() => Ok(()),
        _ => Err(format!("promtool check metrics {}", output.said())),
    }
}

pub(super) fn status(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let daemon = site.start()?;
    for path in ["/healthz", "/readyz"] {
        let (code, body) = daemon.get(path)?;
        if code != 200 {
            return Err(format!("GET {path}: {code} {body}"));
        }
    }
    if daemon.get("/nothing")?.0 != 404 {
        return Err("GET /nothing is not 404".to_owned());
    }
    // A thread of its own writes the log.
    if !wait_until(PATIENCE, || daemon.log().contains("ready")) {
        return Err(format!("no line with \"ready\" in the log:\n{}", daemon.log()));
    }
    let text = site.kordon_ok("status --config kordon.toml -o json")?;
    let status: serde_json::Value = serde_json::from_str(&text).context(&text)?;
    if !status.is_object() {
        return Err(format!("status -o json is not an object: {text}"));
    }
    site.kordon_ok("status --config kordon.toml")?;
    let expected = [(BLOCKED, 10), (BLOCKED6, 10), (ALLOWED, 0), (EXEMPT, 0)];
    for (address, code) in expected {
        for options in ["", "--running"] {
            let command = format!("why {address} --exit-code --config kordon.toml {options}");
            let output = site.kordon(&command)?;
            if output.code != Some(code) {
                return Err(format!("`kordon {command}` {}", output.said()));
            }
        }
    }
    Ok(())
}
