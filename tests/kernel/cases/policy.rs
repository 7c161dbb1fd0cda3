//! Who sends, and what is different for some cameras.

use std::net::IpAddr;

use super::count::{dropped, expect};
use crate::daemon::Daemon;
use crate::lab::capture::{Capture, mark};
use crate::lab::process;
use crate::lab::raw::{self, udp_between};
use crate::lab::topology::*;
use crate::lab::traffic::Stream;
use crate::lab::{PATIENCE, Res, wait_until};
use crate::{Bench, Site};

const N: u32 = 20;
const UDP: u8 = 17;

/// A second camera.
fn second() -> Res<IpAddr> {
    "192.0.2.11".parse().map_err(|_| "an address".to_owned())
}

/// `N` packets from a camera to an address: all arrive, or none.
fn goes(bench: &Bench<'_>, from: IpAddr, to: IpAddr, passes: bool) -> Res {
    let mut stream = Stream::from(from, to)?;
    stream.send_many(N)?;
    if passes {
        return bench.lab.all_arrived(&stream).map_err(|error| format!("from {from}: {error}"));
    }
    bench.lab.fence(to)?;
    bench.lab.none_arrived(&stream).map_err(|error| format!("from {from}: {error}"))
}

/// The MAC address of the camera's interface.
fn mac() -> Res<String> {
    let shown = process::tool("ip", &["-n", "cam", "-o", "link", "show", "eth0"])?;
    let mut words = shown.split_whitespace().skip_while(|word| *word != "link/ether");
    words.nth(1).map(str::to_owned).ok_or(format!("no MAC address in {shown}"))
}

/// A source in no network of the camera's interface is dropped, and one in it passes.
pub(super) fn forged_source(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    setup.networks = Vec::new();
    let site = Site::new(setup)?;
    let text = site.setup().toml();
    let sources = "[cameras]\nsources = { cam0 = [\"192.0.2.0/28\", \"2001:db8:1::/112\"] }\n";
    let text = text.replace("[cameras]\n", sources);
    site.write(crate::daemon::CONFIG, &text)?;
    let mut capture = Capture::start(Place::Out1)?;
    let send = |from: &str, to: IpAddr| {
        let (mark, from) = (mark(), from.parse().map_err(|_| format!("{from}: an address"))?);
        let datagram = udp_between(4000, 5000, &mark);
        let packet = match to {
            IpAddr::V4(_) => raw::v4(from, to, UDP, &[], &datagram)?,
            IpAddr::V6(_) => raw::v6(from, to, UDP, &datagram)?,
        };
        raw::send_as_it_is(&packet, to).map(|()| mark)
    };
    // Without kordon the gateway forwards them.
    for (from, to) in [("192.0.2.77", ALLOWED), ("2001:db8:1:0:1::1", ALLOWED6)] {
        let sent = send(from, to)?;
        capture.wait_for(&sent, from)?;
    }
    let daemon = site.start()?;
    for (from, to) in [("192.0.2.14", ALLOWED), ("2001:db8:1::77", ALLOWED6)] {
        let sent = send(from, to)?;
        capture.wait_for(&sent, from)?;
    }
    for (from, to) in [("192.0.2.77", ALLOWED), ("2001:db8:1:0:1::1", ALLOWED6)] {
        let sent = send(from, to)?;
        bench.lab.fence(to)?;
        capture.none(&sent, from)?;
    }
    expect("forged", dropped(&daemon, "forged")?, 2)?;
    // Another network for the interface: a reload is enough.
    site.write(crate::daemon::CONFIG, &text.replace("192.0.2.0/28", "192.0.2.0/25"))?;
    site.kordon_ok("reload --config kordon.toml")?;
    let sent = send("192.0.2.77", ALLOWED)?;
    capture.wait_for(&sent, "192.0.2.77 after the reload")
}

/// A declared camera's MAC address and its address belong together, whichever of the two is the wrong one.
pub(super) fn forged_mac(bench: &Bench<'_>) -> Res {
    let started = |declared: &str| -> Res<(Site, Daemon)> {
        let site = bench.site()?;
        let named = format!("address = \"{CAMERA}\"");
        let text = site.setup().toml().replace(&named, &format!("{named}\nmac = \"{declared}\""));
        site.write(crate::daemon::CONFIG, &text)?;
        let daemon = site.start()?;
        Ok((site, daemon))
    };
    // Both addresses are on the same interface: the second one has the first one's MAC address.
    let (site, daemon) = started(&mac()?)?;
    goes(bench, CAMERA, ALLOWED, true)?;
    goes(bench, second()?, ALLOWED, false)?;
    expect("forged", dropped(&daemon, "forged")?, u64::from(N))?;
    daemon.kill()?;
    drop(site);
    bench.lab.clean()?;

    let (_site, daemon) = started("02:00:5e:10:00:99")?;
    goes(bench, second()?, ALLOWED, true)?;
    let mut stream = Stream::from(CAMERA, ALLOWED)?;
    stream.send_many(N)?;
    let counted = || dropped(&daemon, "forged").is_ok_and(|count| count >= u64::from(N));
    if !wait_until(PATIENCE, counted) {
        return Err(format!("{} forged, {N} should", dropped(&daemon, "forged")?));
    }
    bench.lab.none_arrived(&stream)?;
    for word in ["not from whom it says", "camera=gate-3", "mac="] {
        if !wait_until(PATIENCE, || daemon.log().contains(word)) {
            return Err(format!("the log does not say `{word}`:\n{}", daemon.log()));
        }
    }
    Ok(())
}

/// One camera is only watched, another one reaches nothing but what an allow list names, all others have what everybody has.
pub(super) fn policies(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    let closed =
        "\n[[policy]]\nname = \"closed\"\ncameras = [\"192.0.2.11\"]\ndefault = \"drop\"\n";
    let canary = "\n[[policy]]\nname = \"canary\"\ncameras = [\"gate-3\"]\nmode = \"monitor\"\n";
    setup.more = format!("{closed}{canary}");
    let site = Site::new(setup)?;
    let daemon = site.start()?;
    let other = second()?;
    for (from, to, passes) in [
        (other, ALLOWED, false),
        (other, BLOCKED, false),
        (other, EXEMPT, true),
        (CAMERA, ALLOWED, true),
        (CAMERA, BLOCKED, true),
        (CAMERA6, ALLOWED6, true),
        (CAMERA6, BLOCKED6, false),
    ] {
        goes(bench, from, to, passes)?;
    }
    expect("not allowed", dropped(&daemon, "not_allowed")?, u64::from(N))?;
    expect("blocked", dropped(&daemon, "blocked")?, u64::from(2 * N))?;
    let watched = [("reason", "blocked"), ("list", "blocked")];
    let would = daemon.metrics()?.get("kordon_packets_would_drop_total", &watched)?;
    expect("would drop", would, u64::from(N))?;
    for (camera, words) in [
        ("gate-3", ["WOULD BE DROPPED", "canary"]),
        ("192.0.2.11", ["DROPPED", "closed"]),
        ("2001:db8:1::10", ["DROPPED", "Test Office"]),
    ] {
        let why = site.kordon_ok(&format!(
            "why --config kordon.toml --running {BLOCKED} --camera {camera}"
        ))?;
        if let Some(word) = words.iter().find(|word| !why.contains(**word)) {
            return Err(format!("`kordon why --camera {camera}` does not say `{word}`:\n{why}"));
        }
    }

    // The canary has lived: what is true for all is true for it, after a reload.
    let text = site.setup().toml().replace(canary, "");
    site.write(crate::daemon::CONFIG, &text)?;
    site.kordon_ok("reload --config kordon.toml")?;
    goes(bench, CAMERA, BLOCKED, false)?;
    goes(bench, CAMERA, ALLOWED, true)?;

    // And the last step: everybody reaches what is allowed, and nothing else.
    let text = format!("default = \"drop\"\n{}", text.replace(closed, ""));
    site.write(crate::daemon::CONFIG, &text)?;
    site.kordon_ok("reload --config kordon.toml")?;
    let mut refused = Vec::new();
    for (from, to) in [(CAMERA, ALLOWED), (other, UNLISTED), (CAMERA6, ALLOWED6)] {
        let mut stream = Stream::from(from, to)?;
        stream.send_many(N)?;
        refused.push(stream);
    }
    // Judged in order: what is exempt has arrived behind them.
    for (from, to) in [(CAMERA, EXEMPT), (CAMERA6, EXEMPT6)] {
        let mut stream = Stream::from(from, to)?;
        stream.send_many(N)?;
        bench.lab.all_arrived(&stream)?;
    }
    refused.iter().try_for_each(|stream| bench.lab.none_arrived(stream))
}

/// A policy's own lists are all that counts for its cameras, but for what is blocked by command.
pub(super) fn own_lists(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    setup.more =
        "\n[[policy]]\nname = \"some\"\ncameras = [\"192.0.2.11\"]\nlists = [\"relays\"]\n"
            .to_owned();
    let site = Site::new(setup)?;
    let _daemon = site.start()?;
    let other = second()?;
    goes(bench, other, BLOCKED, true)?;
    goes(bench, other, BY_ORIGIN, false)?;
    goes(bench, CAMERA, BLOCKED, false)?;
    let words =
        ["block", "add", "--config", crate::daemon::CONFIG, "--why", "a drill", "203.0.113.10"];
    let output = site.kordon_words(&words)?;
    if output.code != Some(0) {
        return Err(format!("`block add` {}", output.said()));
    }
    goes(bench, other, BLOCKED, false)?;
    goes(bench, other, UNLISTED, true)
}
