//! Asking how things stand: `rules check`, `rules verify`, rules left to the admin, interfaces that belong to
//! others, tools that hang.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::lab::daemon::Setup;
use crate::lab::process::{self, SHORT, tool};
use crate::lab::topology::*;
use crate::lab::{Context, PATIENCE, Res, rules, wait_until};
use crate::{Bench, Site};

const N: u32 = 20;
const CHECK: &str = "rules check --config kordon.toml";
const VERIFY: &str = "rules verify --config kordon.toml";

/// Looks different tools up in a verified table.
fn verified(site: &Site, code: i32, words: &[&str]) -> Res {
    let output = site.kordon(VERIFY)?;
    match output.code == Some(code) && words.iter().all(|word| output.stdout.contains(word)) {
        true => Ok(()),
        false => Err(format!(
            "`rules verify` should end with {code} and say {words:?}: {}",
            output.said()
        )),
    }
}

/// `rules check` says what would be done and does nothing; `rules verify` says what stands, with the gate's
/// counters, and its status follows.
pub(super) fn check_and_verify(bench: &Bench<'_>) -> Res {
    for with in [None, Some("iptables")] {
        let mut setup = bench.setup();
        setup.tool = with;
        let site = Site::new(setup)?;
        let before = rules::snapshot()?;
        let said = site.kordon_ok(CHECK)?;
        if !said.contains("would install gate for") || !said.contains("would install hold for") {
            return Err(format!("without rules, `rules check` says: {said}"));
        }
        if rules::snapshot()? != before {
            return Err(format!("`rules check` changed the rules:\n{}", rules::snapshot()?));
        }
        verified(&site, 1, &["hold absent", "gate absent", "no daemon answers", "NOT IN FORCE"])?;
        bench.lab.passes(BLOCKED, N)?;

        let daemon = site.start()?;
        bench.lab.passes(ALLOWED, N)?;
        let said = site.kordon_ok(CHECK)?;
        if !said.contains("nothing to change") {
            return Err(format!("with all rules, `rules check` says: {said}"));
        }
        verified(
            &site,
            0,
            &["hold present", "gate present", "queue 40: last packet", "in force: as"],
        )?;
        let json = site.kordon_ok(&format!("{VERIFY} -o json"))?;
        for part in
            ["\"schema\":1", "\"in_force\":true", "\"family\":\"ipv6\"", "\"gate_dropped\":0"]
        {
            if !json.contains(part) {
                return Err(format!("{part} is not in {json}"));
            }
        }
        daemon.kill()?;
        rules::flush_hold()?;
        bench.lab.nothing_passes(&[ALLOWED], N)?;
        verified(&site, 1, &["gate present", &format!("gate dropped {N}")])?;
        let before = rules::snapshot()?;
        let said = site.kordon_ok(CHECK)?;
        if !said.contains("hold for") || said.contains("gate for") || rules::snapshot()? != before {
            return Err(format!("without hold, `rules check` says: {said}"));
        }
        bench.lab.clean()?;
    }
    Ok(())
}

/// `rules.manage = false`: kordon prints lines that work when pasted, sees whether they stand and whether
/// packets come, and never touches them.
pub(super) fn left_to_the_admin(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let unmanaged = site.setup().toml().replace("\n[rules]", "\n[rules]\nmanage = false");
    site.write("kordon.toml", &unmanaged)?;
    let daemon = site.start()?;
    bench.lab.passes(BLOCKED, N)?;
    verified(&site, 1, &["NEITHER", "queue 40: no packet yet"])?;
    let paste = site.kordon_ok("rules show --config kordon.toml")?;
    let mut shell = match paste.contains("table inet kordon {") {
        true => {
            let mut nft = Command::new("nft");
            nft.args(["-f", "-"]);
            nft
        }
        false => Command::new("sh"),
    };
    match process::feed(&mut shell, &paste, SHORT)? {
        output if output.code == Some(0) => {}
        output => return Err(format!("the pasted lines {}:\n{paste}", output.said())),
    }
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.blocked(BLOCKED, N)?;
    bench.lab.blocked(BLOCKED6, N)?;
    verified(&site, 0, &["hold present", "gate present", "queue 40: last packet", "in force"])?;
    let status = || site.kordon_ok("status --config kordon.toml");
    if !wait_until(PATIENCE, || status().is_ok_and(|text| text.contains("the planned ones stand")))
    {
        return Err(format!("the pasted rules stand, and the status says:\n{}", status()?));
    }
    // The admin takes them away: noticed, and left so.
    rules::flush_everything()?;
    if !wait_until(PATIENCE, || daemon.log().contains("stood and do so no longer")) {
        return Err(format!("the pasted rules are gone, and the log says:\n{}", daemon.log()));
    }
    bench.lab.passes(BLOCKED, N)?;
    // Rules of the admin's own that lead to the queue are right as long as packets arrive.
    rules::both("-w -t mangle -A FORWARD -i cam0 -j NFQUEUE --queue-num 40")?;
    bench.lab.blocked(BLOCKED, N)?;
    verified(&site, 0, &["other rules than the planned", "packets arrive"])
}

fn ip(line: &str) -> Res {
    tool("ip", &line.split_whitespace().collect::<Vec<&str>>()).map(drop)
}

/// A camera interface that is the port of a bridge is refused at start and by `check`, with the bridge named;
/// when it becomes one later, status, readiness and log say so, and the daemon goes on.
pub(super) fn bridge_port(bench: &Bench<'_>) -> Res {
    let result = with_bridge(bench);
    for link in ["br0", "port0"] {
        // Those that the case did not come to make are not there.
        let _ = ip(&format!("link delete {link}"));
    }
    result
}

fn with_bridge(bench: &Bench<'_>) -> Res {
    ip("link add br0 type bridge")?;
    ip("link add port0 type veth peer name port1")?;
    ip("link set port0 master br0")?;
    let with =
        |interfaces: &[&'static str]| Setup { interfaces: interfaces.to_vec(), ..bench.setup() };
    for interfaces in [["cam0", "port0"], ["cam0", "port+"]] {
        let site = Site::new(with(&interfaces))?;
        let before = rules::snapshot()?;
        let mut daemon = site.spawn()?;
        let (code, log) = (daemon.wait_end()?, daemon.log());
        if code != Some(69) || !log.contains("port0 is a port of bridge br0") {
            return Err(format!("{interfaces:?}: ended with {code:?} and said:\n{log}"));
        }
        for command in ["check --config kordon.toml", CHECK] {
            let output = site.kordon(command)?;
            let said = output.said();
            if output.code != Some(69) || !said.contains("write \\\"br0\\\" instead") {
                return Err(format!("{interfaces:?}: `{command}` {said}"));
            }
        }
        if rules::snapshot()? != before {
            return Err("a refused start changed the rules".to_owned());
        }
    }
    // The bridge itself is fine, and so is an interface that is not yet a port.
    ip("link set port0 nomaster")?;
    let site = Site::new(with(&["cam0", "port0", "lo"]))?;
    let mut daemon = site.start()?;
    bench.lab.passes(ALLOWED, N)?;
    ip("link set port0 master br0")?;
    let status = || site.kordon_ok("status --config kordon.toml");
    if !wait_until(PATIENCE, || status().is_ok_and(|text| text.contains("NOT HELD"))) {
        return Err(format!(
            "a camera's interface became a port, and the status says:\n{}",
            status()?
        ));
    }
    let present = daemon.metrics()?.get("kordon_rules_present", &[])?;
    let (ready, said) = daemon.get("/readyz")?;
    // The log has a thread of its own.
    let logged = wait_until(PATIENCE, || daemon.log().contains("packets of cameras are not held"));
    if present != 0 || ready != 503 || !said.contains("br0") || !logged {
        return Err(format!(
            "kordon_rules_present {present}, /readyz {ready}: {said}{}",
            daemon.log()
        ));
    }
    if !daemon.is_alive() {
        return Err("a port of a bridge ended the daemon".to_owned());
    }
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.blocked(BLOCKED, N)?;
    verified(&site, 1, &["in force", "NOT HELD: port0 is a port of bridge br0"])?;
    ip("link set port0 nomaster")?;
    verified(&site, 0, &["in force"])?;
    let ready = || daemon.get("/readyz").is_ok_and(|(code, _)| code == 200);
    match wait_until(PATIENCE, ready) {
        true => Ok(()),
        false => Err("no port any more, and still not ready".to_owned()),
    }
}

/// A camera interface that gets another name is a camera interface no more; the log says so.
pub(super) fn renamed(bench: &Bench<'_>) -> Res {
    let result = with_renamed(bench);
    for link in ["port0", "port9"] {
        // One of them is there.
        let _ = ip(&format!("link delete {link}"));
    }
    result
}

fn with_renamed(bench: &Bench<'_>) -> Res {
    ip("link add port0 type veth peer name port1")?;
    let site = Site::new(Setup { interfaces: vec!["cam0", "port0"], ..bench.setup() })?;
    let daemon = site.start()?;
    let told = |text: &str| wait_until(PATIENCE, || daemon.log().contains(text));
    // The control: past its first look it calls nothing missing.
    std::thread::sleep(Duration::from_millis(500));
    if daemon.log().contains("is not there") {
        return Err(format!("an interface that is there is called missing:\n{}", daemon.log()));
    }
    ip("link set port0 name port9")?;
    let gone = told("camera interface port0 is not there");
    ip("link set port9 name port0")?;
    match (gone, told("camera interface port0 is there")) {
        (true, true) => Ok(()),
        told => Err(format!("an interface got another name, told {told:?}:\n{}", daemon.log())),
    }
}

/// A tool that hangs is killed and named; it holds up neither packets nor the daemon's end.
pub(super) fn hung_tool(bench: &Bench<'_>) -> Res {
    let folder = std::env::temp_dir().join(format!("kordon-hung-{}", std::process::id()));
    std::fs::create_dir_all(&folder).context("a folder for the tools")?;
    let result = with_hung_tool(bench, &folder);
    let _ = std::fs::remove_dir_all(&folder);
    result
}

fn with_hung_tool(bench: &Bench<'_>, folder: &std::path::Path) -> Res {
    let path = std::env::var("PATH").context("PATH")?;
    let hang = folder.join("hang");
    for name in ["nft", "iptables-nft", "ip6tables-nft"] {
        let found =
            std::env::split_paths(&path).map(|place| place.join(name)).find(|p| p.is_file());
        let real = found.ok_or_else(|| format!("no {name}"))?;
        let script = format!(
            "#!/bin/sh\ntest -e {} && sleep 60\nexec {} \"$@\"\n",
            hang.display(),
            real.display()
        );
        let place = folder.join(name);
        std::fs::write(&place, script).context(name)?;
        std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o755)).context(name)?;
    }
    let mut setup = bench.setup();
    setup.environment = vec![("PATH", format!("{}:{path}", folder.display()))];
    let site = Site::new(setup)?;
    let mut daemon = site.start()?;
    bench.lab.passes(ALLOWED, N)?;
    std::fs::write(&hang, "").context("hang")?;
    // Somebody commits something, and the daemon looks.
    rules::both("-w -t nat -A PREROUTING -i nowhere -j ACCEPT")?;
    let began = Instant::now();
    if !wait_until(Duration::from_secs(20), || daemon.log().contains("hung: no end within 10 s")) {
        return Err(format!("a tool hangs, and the log says:\n{}", daemon.log()));
    }
    if began.elapsed() < Duration::from_secs(8) {
        return Err(format!("called hung after {:?}", began.elapsed()));
    }
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.blocked(BLOCKED, N)?;
    let ending = Instant::now();
    daemon.signal(Signal::SIGTERM)?;
    daemon.wait_end()?;
    match ending.elapsed() {
        took if took < Duration::from_secs(5) => Ok(()),
        took => Err(format!("with a tool that hangs the end took {took:?}")),
    }
}
