//! Who sends what, and the way from there to a policy that drops the rest.

use std::net::{IpAddr, Ipv4Addr};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::lab::topology::*;
use crate::lab::traffic::Stream;
use crate::lab::{Context, PATIENCE, Res, process, wait_until};
use crate::{Bench, Site};

const N: u32 = 20;
/// The second camera, which nobody declared.
const SECOND: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 11));
const CONFIG: &str = "-c kordon.toml";

fn json(site: &Site, arguments: &str) -> Res<Value> {
    let text = site.kordon_ok(&format!("{arguments} -o json {CONFIG}"))?;
    serde_json::from_str(&text).context(text)
}

/// What is said of the camera with this address.
fn camera(report: &Value, address: IpAddr) -> Option<&Value> {
    let address = address.to_string();
    report["cameras"].as_array()?.iter().find(|camera| camera["address"] == *address)
}

/// The daemon tells of what it has judged as soon as its evidence thread has come round.
fn seen(site: &Site, what: impl Fn(&Value) -> bool) -> Res<Value> {
    let mut last = Value::Null;
    let found = wait_until(PATIENCE, || {
        last = json(site, "cameras").unwrap_or(Value::Null);
        what(&last)
    });
    if found { Ok(last) } else { Err(format!("kordon cameras: {last}")) }
}

fn expect(what: &str, found: &Value, wanted: impl Into<Value>) -> Res {
    let wanted = wanted.into();
    if *found == wanted { Ok(()) } else { Err(format!("{what}: {found}, not {wanted}")) }
}

fn allowed(proposal: &Value) -> Vec<&str> {
    let allow = proposal["allow"].as_array().into_iter().flatten();
    allow.filter_map(|allowed| allowed["destination"].as_str()).collect()
}

fn from_second(bench: &Bench<'_>, to: IpAddr) -> Res {
    let mut stream = Stream::from(SECOND, to)?;
    stream.send_many(N)?;
    bench.lab.all_arrived(&stream)
}

/// The MAC address of the camera's interface.
fn mac() -> Res<String> {
    let link = process::tool("ip", &["-n", "cam", "-o", "link", "show", "eth0"])?;
    let mac = link.split_once("link/ether ").and_then(|(_, rest)| rest.split(' ').next());
    mac.map(str::to_owned).ok_or_else(|| format!("no MAC address in {link}"))
}

/// What was seen to pass becomes a policy; under it the same passes, and nothing else of that camera.
pub(super) fn learn(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    std::fs::create_dir(site.folder().join("conf.d")).context("conf.d")?;
    let daemon = site.start()?;
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.nothing_passes(&[BLOCKED], N)?;
    from_second(bench, UNLISTED)?;
    let report = seen(&site, |report| {
        let destinations = |address| camera(report, address).map(|one| &one["destinations"]);
        destinations(CAMERA) == Some(&2.into()) && destinations(SECOND) == Some(&1.into())
    })?;
    let gate = camera(&report, CAMERA).ok_or("the declared camera is missing")?;
    expect("its name", &gate["name"], "gate-3")?;
    expect("declared", &gate["declared"], true)?;
    expect("its packets", &gate["packets"], 2 * N)?;
    expect("those dropped", &gate["packets_dropped"], N)?;
    expect("what was dropped", &gate["last_drop"]["destination"], BLOCKED.to_string())?;
    expect("its interface", &gate["interface"], CAMERA_INTERFACE)?;
    expect("its MAC address", &gate["macs"][0], mac()?)?;
    let second = camera(&report, SECOND).ok_or("the second camera is missing")?;
    expect("the second one's name", &second["name"], "_other")?;
    expect("declared", &second["declared"], false)?;
    for (declared, count) in [("yes", 1), ("no", 1)] {
        let labels = [("declared", declared)];
        let value = daemon.metrics()?.get("kordon_cameras_seen", &labels)?;
        if value != count {
            return Err(format!("kordon_cameras_seen{labels:?} is {value}, not {count}"));
        }
    }
    let table = site.kordon_ok(&format!("cameras {CONFIG}"))?;
    if !table.contains("UNDECLARED, first seen") {
        return Err(format!("kordon cameras does not mark the second one:\n{table}"));
    }

    // Who tried to reach whom, by which list, on what basis: in one command, and nobody who was not stopped.
    let stopped = json(&site, "cameras stopped")?;
    let told = camera(&stopped, CAMERA).ok_or("what was stopped names no camera")?;
    let to = told["contacts"].as_array().map_or(&[][..], Vec::as_slice);
    let [to] = to else { return Err(format!("stopped: {stopped}")) };
    expect("its name", &told["name"], "gate-3")?;
    expect("whom it tried to reach", &to["destination"], BLOCKED.to_string())?;
    expect("the list", &to["listed"]["list"], "blocked")?;
    expect("the basis", &to["listed"]["basis"], "Test Office 1, 2026-01-01")?;
    if camera(&stopped, SECOND).is_some() {
        return Err(format!("nothing of the second one was stopped: {stopped}"));
    }

    // Exactly what was used, by whoever is asked about.
    let (used, other) = (ALLOWED.to_string(), UNLISTED.to_string());
    let proposal = json(&site, "cameras learn gate-3")?;
    if allowed(&proposal) != [used.as_str()] {
        return Err(format!("learn gate-3: {proposal}"));
    }
    let proposal = json(&site, "cameras learn")?;
    if allowed(&proposal) != [used.as_str(), other.as_str()] {
        return Err(format!("learn: {proposal}"));
    }
    let text = site.kordon_ok(&format!("cameras learn {CONFIG}"))?;
    if !text.contains("name = \"camera-192.0.2.11\"") || text.contains(&BLOCKED.to_string()) {
        return Err(format!("learn:\n{text}"));
    }

    let written = format!("cameras learn gate-3 --since 1h --name gates --write conf.d {CONFIG}");
    site.kordon_ok(&written)?;
    let again = site.kordon(&written)?;
    if again.code != Some(1) || !again.stderr.contains("is there already") {
        return Err(format!("written twice: {}", again.said()));
    }
    // The control: only written, not in force.
    bench.lab.passes(EXEMPT, N)?;
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.passes(UNLISTED, N)?;
    site.kordon_ok(&format!("reload {CONFIG}"))?;
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.nothing_passes(&[UNLISTED, BLOCKED], N)?;
    // The list that exempts was in force for it, and still is.
    bench.lab.passes(EXEMPT, N)?;
    // The other camera is under everybody's policy.
    from_second(bench, UNLISTED)?;
    let labels = [("list", ""), ("reason", "not_allowed")];
    let dropped = daemon.metrics()?.get("kordon_packets_dropped_total", &labels)?;
    if dropped != u64::from(N) {
        return Err(format!("{dropped} packets not allowed, not {N}"));
    }
    seen(&site, |report| {
        camera(report, CAMERA).is_some_and(|gate| gate["last_drop"]["why"] != "")
    })?;
    let shown = site.kordon_ok(&format!("cameras show gate-3 {CONFIG}"))?;
    if !shown.contains("DROPPED: not_allowed") || !shown.contains("policy     gates") {
        return Err(format!("kordon cameras show gate-3:\n{shown}"));
    }
    Ok(())
}

/// Whoever sends with another camera's MAC address is marked, is no camera that was seen, and is never learned.
pub(super) fn forged(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let named = format!("address = \"{CAMERA}\"");
    let declared = format!("{named}\nmac = \"{}\"", mac()?);
    site.write("kordon.toml", &site.setup().toml().replace(&named, &declared))?;
    let daemon = site.start()?;
    bench.lab.passes(ALLOWED, N)?;
    let mut stream = Stream::from(SECOND, UNLISTED)?;
    stream.send_many(N)?;
    let report = seen(&site, |report| {
        let gate = camera(report, CAMERA).is_some_and(|gate| gate["destinations"] == 1);
        gate && camera(report, SECOND).is_some()
    })?;
    let gate = camera(&report, CAMERA).ok_or("the camera is missing")?;
    expect("the camera's own packets", &gate["forged"], Value::Null)?;
    let second = camera(&report, SECOND).ok_or("the forged one is missing")?;
    expect("all of it forged", &second["only_forged"], true)?;
    expect(
        "why",
        &second["forged"]["why"],
        "forged (a camera's MAC address with another address)",
    )?;
    expect("its MAC address", &second["forged"]["mac"], mac()?)?;
    let table = site.kordon_ok(&format!("cameras {CONFIG}"))?;
    if !table.contains("ALL OF IT FORGED") {
        return Err(format!("kordon cameras does not mark it:\n{table}"));
    }
    let proposal = json(&site, "cameras learn")?;
    if allowed(&proposal) != [ALLOWED.to_string().as_str()] {
        return Err(format!("learn: {proposal}"));
    }
    match daemon.metrics()?.get("kordon_cameras_seen", &[("declared", "no")])? {
        0 => bench.lab.none_arrived(&stream),
        n => Err(format!("{n} undeclared cameras seen, none was")),
    }
}

/// The record outlives the daemon, is read without one, and begins anew where its file is damaged.
pub(super) fn kept(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let mut daemon = site.start()?;
    bench.lab.passes(ALLOWED, N)?;
    let before =
        seen(&site, |report| camera(report, CAMERA).is_some_and(|c| c["destinations"] == 1))?;
    expect("the source", &before["source"], "running")?;
    daemon.signal(Signal::SIGTERM)?;
    daemon.wait_end()?;
    let output = site.kordon(&format!("cameras -o json {CONFIG}"))?;
    if !output.stderr.contains("the daemon is not running") {
        return Err(format!("without a daemon: {}", output.said()));
    }
    let report: Value = serde_json::from_str(&output.stdout).context(output.said())?;
    expect("the source", &report["source"], "kept by the last daemon")?;
    let proposal = json(&site, "cameras learn")?;
    if allowed(&proposal) != [ALLOWED.to_string().as_str()] {
        return Err(format!("learn without a daemon: {proposal}"));
    }
    let first = |report: &Value| camera(report, CAMERA).map(|gate| gate["first"].clone());
    let mut daemon = site.start()?;
    let again =
        seen(&site, |report| camera(report, CAMERA).is_some_and(|c| c["destinations"] == 1))?;
    if first(&again) != first(&before) {
        return Err(format!("after a restart: {again}"));
    }
    daemon.signal(Signal::SIGTERM)?;
    daemon.wait_end()?;
    let file = site.folder().join("state/cameras.json");
    std::fs::write(&file, "{\"schema\":1,").context(file.display())?;
    let output = site.kordon(&format!("cameras {CONFIG}"))?;
    if output.code != Some(65) || !output.stderr.contains("cameras.json: ") {
        return Err(format!("a damaged file without a daemon: {}", output.said()));
    }
    let daemon = site.start()?;
    let empty = seen(&site, |report| camera(report, CAMERA).is_some_and(|c| c["first"].is_null()));
    empty.context(daemon.log())?;
    if !daemon.log().contains("the record of who sends what begins anew") {
        return Err(format!("a damaged file is not named:\n{}", daemon.log()));
    }
    bench.lab.passes(ALLOWED, N)?;
    seen(&site, |report| camera(report, CAMERA).is_some_and(|c| c["destinations"] == 1)).map(drop)
}
