//! What keeps a gateway armed: guards, the last good rule set, the way back, and entries by command.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::lab::daemon::Daemon;
use crate::lab::process::Output;
use crate::lab::topology::*;
use crate::lab::{Context, PATIENCE, Res, process, wait_until};
use crate::{Bench, Site};

const N: u32 = 20;
const RELOAD: &str = "reload -c kordon.toml";

fn says(what: &str, output: &Output, code: i32, text: &str) -> Res {
    let said = output.stdout.contains(text) || output.stderr.contains(text);
    match output.code == Some(code) && said {
        true => Ok(()),
        false => Err(format!("{what}: expected {code} and {text:?}, it {}", output.said())),
    }
}

fn status_says(site: &Site, text: &str, expected: bool) -> Res {
    let status = site.kordon_ok("status -c kordon.toml")?;
    match status.contains(text) == expected {
        true => Ok(()),
        false => Err(format!("{text:?} in the status is not {expected}:\n{status}")),
    }
}

/// Waits for the snapshot of the rule set in force.
fn snapshot(site: &Site) -> Res {
    match wait_until(PATIENCE, || site.folder().join("state/ruleset.bin").exists()) {
        true => Ok(()),
        false => Err("no snapshot was left".to_owned()),
    }
}

fn stop(mut daemon: Daemon) -> Res {
    daemon.signal(Signal::SIGTERM)?;
    daemon.wait_end().map(drop)
}

/// The first so many addresses of the blocked prefix, one a line.
fn addresses(count: u32) -> String {
    (0..count).map(|n| format!("203.0.113.{n}\n")).collect()
}

/// A list that shrinks, and an allow list that takes too much, are refused and change nothing until they are
/// accepted by name; then once.
pub(super) fn refused(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    setup.lists[0].text = addresses(100);
    let site = Site::new(setup)?;
    let daemon = site.start()?;
    snapshot(&site)?;
    let exempt = site.setup().lists[2].text.clone();
    for (file, text, said) in [
        ("blocked.txt", addresses(5), "list blocked: shrinks from 100 to 5 prefixes"),
        ("exempt.txt", format!("{exempt}203.0.113.0/26\n"), "of the blocked IPv4 addresses"),
    ] {
        let good = std::fs::read_to_string(site.folder().join(file)).context(file)?;
        let name = file.trim_end_matches(".txt");
        let accept = format!("kordon reload --accept {name}");
        site.write(file, &text)?;
        for command in [RELOAD, "check -c kordon.toml", "check --against-running -c kordon.toml"] {
            let output = site.kordon(command)?;
            says(command, &output, 65, said)?;
            says(command, &output, 65, &accept)?;
        }
        bench.lab.blocked(BLOCKED, N)?;
        bench.lab.passes(ALLOWED, N)?;
        let output = site.kordon(&format!("{RELOAD} --accept relays"))?;
        says("another list accepted", &output, 65, said)?;
        let output = site.kordon(&format!("{RELOAD} --accept nothing"))?;
        says("no list accepted", &output, 2, "--accept nothing: no such list")?;
        bench.lab.blocked(BLOCKED, N)?;
        let output = site.kordon(&format!("{RELOAD} --accept {name}"))?;
        says("accepted", &output, 0, "accepted: list ")?;
        bench.lab.passes(BLOCKED, N)?;
        site.write(file, &good)?;
        site.kordon_ok(&format!("{RELOAD} --accept {name}"))?;
        bench.lab.blocked(BLOCKED, N)?;
        // Accepted was that once.
        site.write(file, &text)?;
        says("once more", &site.kordon(RELOAD)?, 65, said)?;
        site.write(file, &good)?;
        site.kordon_ok(RELOAD)?;
    }
    let rejected = daemon.metrics()?.get("kordon_reloads_rejected_total", &[])?;
    if rejected != 8 {
        return Err(format!("{rejected} refused reloads were counted, not 8"));
    }
    bench.lab.blocked(BLOCKED, N)
}

/// With lists that are wrong, or that a guard refuses, a daemon starts with what was last in force for the same
/// configuration, says so, and a mended list ends that.
pub(super) fn last_good(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    setup.lists[0].text = addresses(100);
    let site = Site::new(setup)?;
    let daemon = site.start()?;
    site.add_to_list("blocked", "203.0.113.200\n")?;
    site.kordon_ok(RELOAD)?;
    snapshot(&site)?;
    stop(daemon)?;
    for (text, said) in [
        (format!("{}203.0.113.999\n", addresses(100)), "blocked.txt:101:"),
        (addresses(3), "shrinks from 101 to 3 prefixes"),
    ] {
        site.write("blocked.txt", &text)?;
        let daemon = site.start()?;
        for to in [BLOCKED, UNLISTED, BY_ORIGIN] {
            bench.lab.blocked(to, N)?;
        }
        bench.lab.passes(ALLOWED, N)?;
        let loud = "THE LISTS ARE REFUSED, the last good rule set is in force";
        if !wait_until(PATIENCE, || daemon.log().contains(loud)) {
            return Err(format!("the log does not say so:\n{}", daemon.log()));
        }
        status_says(&site, "THE LISTS WERE REFUSED AT START", true)?;
        status_says(&site, said, true)?;
        let metrics = daemon.metrics()?;
        let found = ["kordon_reload_last_successful", "kordon_reloads_rejected_total"]
            .map(|name| metrics.get(name, &[]));
        if found != [Ok(0), Ok(1)] {
            return Err(format!("last successful and refused reloads: {found:?}"));
        }
        // It is still there for the next start.
        daemon.kill()?;
        let daemon = site.start()?;
        bench.lab.blocked(UNLISTED, N)?;
        // Mended.
        site.add_to_list("blocked", "203.0.113.201\n")?;
        site.kordon_ok(RELOAD)?;
        status_says(&site, "REFUSED", false)?;
        bench.lab.passes(UNLISTED, N)?;
        bench.lab.blocked(BLOCKED, N)?;
        site.add_to_list("blocked", "203.0.113.200\n")?;
        site.kordon_ok(RELOAD)?;
        snapshot(&site)?;
        stop(daemon)?;
    }
    // Positive controls: of another configuration, or none at all, it is fatal.
    site.add_to_list("blocked", "203.0.113.999\n")?;
    let mut other = site.setup().clone();
    other.lists.remove(2);
    let toml = site.setup().toml();
    site.write("kordon.toml", &other.toml())?;
    match site.spawn()?.wait_end()? {
        Some(65) => {}
        end => return Err(format!("with another configuration it ended with {end:?}")),
    }
    site.write("kordon.toml", &toml)?;
    std::fs::remove_file(site.folder().join("state/ruleset.bin")).context("ruleset.bin")?;
    match site.spawn()?.wait_end()? {
        Some(65) => Ok(()),
        end => Err(format!("without a snapshot it ended with {end:?}")),
    }
}

/// The way back is taken once; a watched folder does not take it again by itself; the files come back with a reload.
pub(super) fn undo(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    setup.watch = true;
    let site = Site::new(setup)?;
    let daemon = site.start()?;
    const UNDO: &str = "reload --undo -c kordon.toml";
    says("nothing before", &site.kordon(UNDO)?, 1, "nothing to go back to")?;
    let generation = || daemon.metrics()?.get("kordon_ruleset_generation", &[]);
    site.add_to_list("blocked", "203.0.113.200\n")?;
    if !wait_until(PATIENCE, || generation() == Ok(2)) {
        return Err("the watched folder was not read".to_owned());
    }
    bench.lab.blocked(UNLISTED, N)?;
    // A reload that changes nothing is nothing to go back from.
    site.kordon_ok(RELOAD)?;
    let output = site.kordon(UNDO)?;
    says("undo", &output, 0, "blocked: + 0, - 1")?;
    says("undo", &output, 0, "the files still say otherwise")?;
    bench.lab.passes(UNLISTED, N)?;
    bench.lab.blocked(BLOCKED, N)?;
    status_says(&site, "UNDONE by root", true)?;
    says("a second one", &site.kordon(UNDO)?, 1, "undone already")?;
    std::thread::sleep(Duration::from_secs(1));
    if generation()? != 4 {
        return Err(format!(
            "generation {:?}: the watch put the files in force again",
            generation()
        ));
    }
    bench.lab.passes(UNLISTED, N)?;
    site.kordon_ok(RELOAD)?;
    bench.lab.blocked(UNLISTED, N)?;
    status_says(&site, "UNDONE", false)?;
    // And back again: there is a rule set before this one.
    site.kordon_ok(UNDO)?;
    bench.lab.passes(UNLISTED, N)
}

/// Blocked and allowed by command: at once, while every list is broken, over a kill, until the time is up.
pub(super) fn entries(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    setup.more = format!("\n[[recorder]]\nname = \"nvr-1\"\naddress = \"{BY_ORIGIN}\"\n");
    let site = Site::new(setup)?;
    let daemon = site.start()?;
    snapshot(&site)?;
    // A recorder is never blocked, though the AS that announces it is.
    bench.lab.passes(BY_ORIGIN, N)?;
    let exempted = |daemon: &Daemon| {
        daemon.metrics()?.get("kordon_packets_exempted_total", &[("list", "protected")])
    };
    if exempted(&daemon)? != u64::from(N) {
        return Err("the recorder's packets are not counted for `protected`".to_owned());
    }
    let command = |words: &[&str]| site.kordon_words(&[words, &["-c", "kordon.toml"]].concat());
    site.add_to_list("blocked", "nonsense\n")?;
    bench.lab.passes(UNLISTED, N)?;
    let began = Instant::now();
    let output =
        command(&["block", "add", "203.0.113.200", "2001:db8:3:8000::/52", "--why", "ticket 7"])?;
    let took = began.elapsed();
    says("block add", &output, 0, "blocked 203.0.113.200/32, 2001:db8:3:8000::/52 until ")?;
    says("block add", &output, 0, "kept for the next start")?;
    for to in [UNLISTED, UNLISTED6] {
        bench.lab.blocked(to, N)?;
    }
    println!("    block add took {took:?}, the command's start included");
    let why = command(&["why", &UNLISTED.to_string(), "--running"])?;
    says("why", &why, 0, "blocked-by-command")?;
    says("why", &why, 0, "ticket 7")?;
    says("list", &command(&["block", "list"])?, 0, "ticket 7")?;
    status_says(&site, "block add 2 prefixes, for 86400 s: ticket 7", true)?;
    // An exemption ends by itself.
    bench.lab.blocked(BLOCKED, N)?;
    let to = BLOCKED.to_string();
    let output = command(&["allow", "add", &to, "--ttl", "3s", "--why", "a look"])?;
    let given = Instant::now();
    says("allow add", &output, 0, "allowed 203.0.113.10/32 until ")?;
    bench.lab.passes(BLOCKED, 3)?;
    if given.elapsed() > Duration::from_secs(2) {
        return Err("this machine is too slow for this case".to_owned());
    }
    let left = || site.kordon_ok("allow list -c kordon.toml");
    if !wait_until(PATIENCE, || left().is_ok_and(|text| text == "nothing by command\n")) {
        return Err("the exemption does not end".to_owned());
    }
    let lasted = given.elapsed();
    if lasted < Duration::from_millis(1_900) || lasted > Duration::from_secs(6) {
        return Err(format!("an exemption of 3 s lasted {lasted:?}"));
    }
    bench.lab.blocked(BLOCKED, N)?;
    // What cannot be.
    for (prefix, code, said) in [
        (
            "192.0.2.0/26",
            65,
            "192.0.2.0/26 is in local space: 192.0.2.0/25 (a network of the cameras)",
        ),
        ("10.1.0.0/16", 65, "10.0.0.0/8 (private, RFC 1918)"),
        ("0.0.0.0/0", 65, "too wide for a command"),
        ("203.0.113.150", 65, "203.0.113.150/32 cannot be blocked: recorder nvr-1"),
        ("192.0.2.129", 65, "192.0.2.129/32 cannot be blocked: address of wan1"),
        ("203.0.113.1/24", 2, "has host bits set"),
    ] {
        // One that is wrong spoils the order.
        let output = command(&["block", "add", "198.51.100.10", prefix, "--why", "x"])?;
        says(prefix, &output, code, said)?;
    }
    bench.lab.passes(ALLOWED, N)?;
    let output = command(&["block", "add", "203.0.113.128/27", "--why", "x"])?;
    says(
        "around the recorder",
        &output,
        0,
        "203.0.113.150 in 203.0.113.128/27 stays exempt: recorder nvr-1",
    )?;
    bench.lab.passes(BY_ORIGIN, N)?;
    // Over a kill, with the lists still broken.
    daemon.kill()?;
    let _daemon = site.start()?;
    for to in [UNLISTED, UNLISTED6, BLOCKED] {
        bench.lab.blocked(to, N)?;
    }
    // A reload keeps them; taken back, they are gone.
    site.add_to_list("blocked", "")?;
    site.kordon_ok(RELOAD)?;
    bench.lab.blocked(UNLISTED, N)?;
    says(
        "remove",
        &command(&["block", "remove", "203.0.113.200"])?,
        0,
        "block by command no more",
    )?;
    says("remove", &command(&["block", "remove", "203.0.113.200"])?, 1, "no such entry")?;
    bench.lab.passes(UNLISTED, N)?;
    bench.lab.blocked(UNLISTED6, N)
}

/// An address that the gateway gets while the daemon runs cannot be blocked, and one that it loses can.
pub(super) fn own_addresses(bench: &Bench<'_>) -> Res {
    const OWN: &str = "203.0.113.77";
    let site = bench.site()?;
    let _daemon = site.start()?;
    let why =
        || Ok::<_, String>(site.kordon(&format!("why {OWN} --running -c kordon.toml"))?.stdout);
    let says = |expected: bool| {
        wait_until(PATIENCE, || {
            why().is_ok_and(|said| said.contains("address of cam0") == expected)
        })
    };
    if !why()?.contains("DROPPED") {
        return Err(format!("without the address: {}", why()?));
    }
    process::tool("ip", &["address", "add", &format!("{OWN}/32"), "dev", "cam0"])?;
    let came = says(true);
    let said = why()?;
    process::tool("ip", &["address", "delete", &format!("{OWN}/32"), "dev", "cam0"])?;
    if !came || !said.contains("PASSES") {
        return Err(format!("with the address: {said}"));
    }
    match says(false) {
        true => bench.lab.blocked(BLOCKED, N),
        false => Err("the address that is gone stays protected".to_owned()),
    }
}

/// Entries that come while reloads are under way are in force after them, and those that go are not.
pub(super) fn beside_reloads(bench: &Bench<'_>) -> Res {
    const ROUNDS: u32 = 60;
    let mut setup = bench.setup();
    // So long that a reload takes much longer than an entry.
    setup.lists[0].text =
        (0..20_000).map(|n| format!("101.{}.{}.0/26\n", n / 256, n % 256)).collect();
    let site = Site::new(setup)?;
    let daemon = site.start()?;
    let stop = std::sync::atomic::AtomicBool::new(false);
    let reloads = std::thread::scope(|scope| {
        let reloading = scope.spawn(|| {
            let mut count = 0_u32;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                count += 1;
                site.add_to_list(
                    "blocked",
                    if count.is_multiple_of(2) { "" } else { "203.0.113.201\n" },
                )?;
                site.kordon_ok(RELOAD)?;
            }
            Ok(count)
        });
        let mut outcome = Ok(());
        for round in 0..ROUNDS {
            let order = if round % 2 == 0 { "add" } else { "remove" };
            let why = if round % 2 == 0 { " --why x" } else { "" };
            let done = site.kordon_ok(&format!("block {order} 203.0.113.200{why} -c kordon.toml"));
            let stream = done.and_then(|_| match round % 2 {
                0 => bench.lab.blocked(UNLISTED, 3),
                _ => bench.lab.passes(UNLISTED, 3),
            });
            if let Err(error) = stream {
                outcome = Err(format!("round {round}: {error}"));
                break;
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let reloads: Res<u32> = reloading.join().map_err(|_| "the reloads panicked".to_owned())?;
        outcome.and(reloads)
    })?;
    let metrics = daemon.metrics()?;
    let found =
        [metrics.get("kordon_reloads_total", &[])?, metrics.get("kordon_ruleset_generation", &[])?];
    println!("    {ROUNDS} changes of an entry beside {reloads} reloads");
    match found == [u64::from(reloads), u64::from(reloads + ROUNDS) + 1] {
        true => Ok(()),
        false => Err(format!("reloads and generation are {found:?} after {reloads} reloads")),
    }
}
