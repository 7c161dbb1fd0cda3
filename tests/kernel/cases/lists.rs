//! What the commands about lists say of a running daemon.

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::lab::daemon::Daemon;
use crate::lab::topology::*;
use crate::lab::{Context, Res};
use crate::{Bench, Site};

const N: u32 = 20;

fn json(site: &Site, arguments: &str) -> Res<Value> {
    let text = site.kordon_ok(arguments)?;
    serde_json::from_str(&text).context(text)
}

fn expect(what: &str, found: &Value, wanted: impl Into<Value>) -> Res {
    let wanted = wanted.into();
    if *found == wanted { Ok(()) } else { Err(format!("{what}: {found}, not {wanted}")) }
}

/// The comparison says what the reload then does, and puts nothing in force.
pub(super) fn comparison(bench: &Bench<'_>) -> Res {
    const COMPARE: &str = "check --against-running -o json -c kordon.toml";
    let site = bench.site()?;
    let daemon = site.start()?;
    let before = json(&site, COMPARE)?;
    expect("nothing to change: lists", &before["lists"], Value::Array(Vec::new()))?;
    expect("nothing to change: blocked", &before["newly_blocked"]["ipv4_addresses"], 0)?;
    site.add_to_list("blocked", "203.0.113.200/29\n")?;
    let found = json(&site, COMPARE)?;
    expect("added", &found["added_total"], 1)?;
    expect("the list", &found["lists"][0]["name"], "blocked")?;
    expect("its prefixes", &found["lists"][0]["added"]["prefixes"], 1)?;
    expect("the entry", &found["added"][0]["prefix"], "203.0.113.200/29")?;
    expect("its line", &found["added"][0]["line"], 4)?;
    expect("newly blocked", &found["newly_blocked"]["ipv4_addresses"], 8)?;
    expect("refused", &found["refused"], Value::Null)?;
    // Only said, not done.
    bench.lab.passes(UNLISTED, N)?;
    if daemon.metrics()?.get("kordon_reloads_total", &[])? != 0 {
        return Err("a comparison counts as a reload".to_owned());
    }
    let report = json(&site, "reload -o json -c kordon.toml")?;
    expect("the reload", &report["added"], found["added_total"].clone())?;
    bench.lab.blocked(UNLISTED, N)?;
    let text = site.kordon_ok("check --against-running -c kordon.toml")?;
    if !text.contains("a reload would change nothing: generation 2") {
        return Err(format!("after the reload: {text}"));
    }
    // What a reload would be refused for.
    site.add_to_list("blocked", "203.0.113.999/24\n")?;
    let output = site.kordon("check --against-running -c kordon.toml")?;
    if output.code != Some(65) || !output.stderr.contains("blocked.txt:4:") {
        return Err(format!("with a bad line: {}", output.said()));
    }
    Ok(())
}

/// Hits are what was sent, under the list that decided.
pub(super) fn hits(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let _daemon = site.start()?;
    bench.lab.blocked(BLOCKED, N)?;
    bench.lab.blocked(BY_ORIGIN, N + 1)?;
    bench.lab.passes(EXEMPT, N + 2)?;
    let found = json(&site, "lists -c kordon.toml --running -o json")?;
    expect("source", &found["source"], "running")?;
    let hits = |place: usize| &found["lists"][place]["hits"];
    expect("blocked", &hits(0)["dropped"], N)?;
    expect("relays", &hits(1)["dropped"], N + 1)?;
    expect("exempt", &hits(2)["exempted"], N + 2)?;
    let files = json(&site, "lists -c kordon.toml -o json")?;
    expect("files know no hits", &files["lists"][0]["hits"], Value::Null)
}

/// A prefix and an AS number are answered for as packets into them are.
pub(super) fn stretches(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let _daemon = site.start()?;
    bench.lab.blocked(BLOCKED, N)?;
    bench.lab.passes(UNLISTED, N)?;
    let found = json(&site, "why 203.0.113.0/24 -c kordon.toml --running -o json")?;
    expect("outcome", &found["outcome"], "partly dropped")?;
    // A /25 with one exempt address, and the 16 addresses of the origin AS.
    expect("blocked", &found["shares"]["blocked"]["ipv4_addresses"], 128 - 1 + 16)?;
    expect("exempt", &found["shares"]["exempt"]["ipv4_addresses"], 1)?;
    let found = json(&site, "why AS64500 -c kordon.toml --running -o json")?;
    expect("the AS", &found["outcome"], "dropped")?;
    expect("its line", &found["lines"][0]["first"]["line"], 1)?;
    expect("its table", &found["prefixes"][0]["origin_sources"][0], "extract")?;
    for (arguments, code) in [("203.0.113.0/24", 10), ("AS64500", 10), ("203.0.113.192/26", 0)] {
        let output =
            site.kordon(&format!("why {arguments} --exit-code -c kordon.toml --running"))?;
        if output.code != Some(code) {
            return Err(format!("why {arguments} --exit-code: {}", output.said()));
        }
    }
    Ok(())
}

/// A list in force without one of its lines says so everywhere, and files are looked at without a daemon's help.
pub(super) fn rejected(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let path = "path = \"blocked.txt\"\n";
    let text = site.setup().toml();
    let allowing = text.replace(path, &format!("{path}max_rejected = 1\n"));
    if allowing == text {
        return Err(format!("no {path:?} in the configuration"));
    }
    site.write("kordon.toml", &allowing)?;
    site.add_to_list("blocked", "203.0.113.999\n203.0.113.200/29 # beside it\n")?;
    let daemon = site.start()?;
    bench.lab.blocked(UNLISTED, N)?;
    for options in ["--running -c kordon.toml", "-c kordon.toml"] {
        let found = json(&site, &format!("lists failed blocked -o json {options}"))?;
        expect("total", &found["total"], 1)?;
        let first = found["first"][0].as_str().unwrap_or_default();
        if !first.contains("blocked.txt:4:") {
            return Err(format!("the line is not named: {found}"));
        }
    }
    let labels = [("list", "blocked")];
    match daemon.metrics()?.get("kordon_list_rejected_lines", &labels)? {
        1 => {}
        n => return Err(format!("kordon_list_rejected_lines is {n}")),
    }
    let table = site.kordon_ok("lists --running -c kordon.toml")?;
    if !table.contains("REJECTED: 1 line") {
        return Err(format!("kordon lists does not say so:\n{table}"));
    }
    let found = json(&site, "why 203.0.113.201 --running -c kordon.toml -o json")?;
    expect("the remark", &found["winner"]["remark"], "beside it")?;
    let output = site.kordon("lists sniff blocked.txt")?;
    if output.code != Some(65) || !output.stdout.contains("blocked.txt:4:") {
        return Err(format!("sniff: {}", output.said()));
    }
    site.write("new.txt", "203.0.113.0/25\n2001:db8:3::/64\n203.0.113.200/29\n192.0.2.1\n")?;
    let output = site.kordon("lists diff blocked.txt new.txt --exit-code -o csv")?;
    let one = "added,192.0.2.1/32,new.txt,4,,false";
    if output.code != Some(10) || !output.stdout.contains(one) {
        return Err(format!("diff: {}", output.said()));
    }
    Ok(())
}

/// A fault in a reader refuses the file, as bad data would; the daemon that met it goes on.
pub(super) fn broken_reader(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    setup.environment = vec![("KORDON_FAULT", "break-readers".to_owned())];
    let site = Site::new(setup)?;
    let mut daemon = site.start()?;
    let good = site.setup().toml();
    for (file, other) in [("blocked.txt", "breaks.txt"), ("origin.csv", "breaks.csv")] {
        let text = std::fs::read_to_string(site.folder().join(file)).context(file)?;
        site.write(other, &text)?;
        site.write("kordon.toml", &good.replace(file, other))?;
        let output = site.kordon("reload -c kordon.toml")?;
        let said = format!("{other}: kordon's reader broke on it (src/");
        if output.code != Some(65) || !output.stderr.contains(&said) {
            return Err(format!("with a reader that breaks on {other}: {}", output.said()));
        }
        if !daemon.is_alive() {
            return Err(format!("a reader that breaks ended the daemon:\n{}", daemon.log()));
        }
        for to in [BLOCKED, BY_ORIGIN] {
            bench.lab.blocked(to, N)?;
        }
        bench.lab.passes(ALLOWED, N)?;
        // The same text under another name is read.
        let control = other.replace("breaks", "whole");
        site.write(&control, &text)?;
        site.write("kordon.toml", &good.replace(file, &control))?;
        site.kordon_ok("reload -c kordon.toml")?;
    }
    expect_metric(&daemon, "kordon_reloads_rejected_total", &[], 2)
}

fn expect_metric(daemon: &Daemon, name: &str, labels: &[(&str, &str)], wanted: u64) -> Res {
    match daemon.metrics()?.get(name, labels)? {
        found if found == wanted => Ok(()),
        found => Err(format!("{name} is {found}, not {wanted}")),
    }
}

/// What an origin table no longer gives stays blocked for `hold_down`, also by a daemon that never read it there.
pub(super) fn withdrawn(bench: &Bench<'_>) -> Res {
    const KEPT: &str = "kordon_list_kept_prefixes";
    let relays = [("list", "relays")];
    let site = bench.site()?;
    let mut daemon = site.start()?;
    bench.lab.blocked(BY_ORIGIN, N)?;
    expect_metric(&daemon, KEPT, &relays, 0)?;
    daemon.signal(Signal::SIGTERM)?;
    daemon.wait_end()?;
    // Only what the tables said is left of the daemon before, not its rule set.
    for file in ["ruleset.bin", "previous.bin"] {
        let _not_there = std::fs::remove_file(site.folder().join("state").join(file));
    }
    site.write("origin.csv", "203.0.113.192,203.0.113.207,64500,Example Relay\n")?;
    let daemon = site.start()?;
    for to in [BY_ORIGIN, UNLISTED] {
        bench.lab.blocked(to, N)?;
    }
    expect_metric(&daemon, KEPT, &relays, 1)?;
    let why = site.kordon_ok(&format!("why {BY_ORIGIN} -c kordon.toml --running"))?;
    if !why.contains("NO TABLE any more") {
        return Err(format!("why does not say that no table has it: {why}"));
    }
    // The control: a list that holds nothing lets it go.
    let path = "path = \"relays.txt\"\n";
    let text = site.setup().toml();
    let holding_none = text.replace(path, &format!("{path}hold_down = \"0s\"\n"));
    if holding_none == text {
        return Err(format!("no {path:?} in the configuration"));
    }
    site.write("kordon.toml", &holding_none)?;
    site.kordon_ok("reload -c kordon.toml")?;
    bench.lab.passes(BY_ORIGIN, N)?;
    bench.lab.blocked(UNLISTED, N)?;
    expect_metric(&daemon, KEPT, &relays, 0)
}
