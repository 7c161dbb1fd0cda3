//! The gate at boot, and after others have flushed the rules: `kordon rules apply --gate-only`.

use crate::Bench;
use crate::lab::topology::*;
use crate::lab::{Res, rules};

const N: u32 = 20;
const ALL: [std::net::IpAddr; 4] = [ALLOWED, ALLOWED6, BLOCKED, BLOCKED6];
const GATE: &str = "rules apply --gate-only --config kordon.toml";

/// Before the daemon's first start the gate alone stands, and nothing passes; then the daemon takes over.
pub(super) fn gate_first(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let said = site.kordon_ok(GATE)?;
    if !said.contains("installed gate") || said.contains("hold") {
        return Err(format!("the gate alone was asked for, and it says: {said}"));
    }
    bench.lab.nothing_passes(&ALL, N)?;
    let before = rules::snapshot()?;
    let said = site.kordon_ok(GATE)?;
    if !said.contains("nothing changed") || rules::snapshot()? != before {
        return Err(format!("asked twice for the gate, it says: {said}"));
    }
    let daemon = site.start()?;
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.passes(ALLOWED6, N)?;
    bench.lab.blocked(BLOCKED, N)?;
    // Hold that stands is left alone.
    daemon.kill()?;
    let before = rules::snapshot()?;
    site.kordon_ok(GATE)?;
    if rules::snapshot()? != before {
        return Err("the gate was asked for, and hold was touched".to_owned());
    }
    bench.lab.nothing_passes(&ALL, N)
}

/// A configuration that cannot be read at boot does not open the gateway; without a plan it says so.
pub(super) fn broken_configuration(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    site.start()?.kill()?;
    rules::flush_everything()?;
    site.write("kordon.toml", "mode = enforce\n[state]\nfolder = \"state\"\n")?;
    let output = site.kordon(GATE)?;
    if output.code != Some(78)
        || !output.stderr.contains("kordon.toml:1:")
        || !output.stderr.contains("last in force")
    {
        return Err(format!("with a broken configuration the gate {}", output.said()));
    }
    bench.lab.nothing_passes(&ALL, N)?;
    // Without the plan there is nothing to go by: it fails and says what that means.
    std::fs::remove_file(site.folder().join("state/plan.json")).map_err(|e| e.to_string())?;
    rules::flush_everything()?;
    let output = site.kordon(GATE)?;
    if output.code != Some(78) || !output.stderr.contains("OPEN") {
        return Err(format!("without configuration and plan the gate {}", output.said()));
    }
    ALL.into_iter().try_for_each(|to| bench.lab.passes(to, N))
}

/// An open configuration, and one that leaves the rules to others, get no gate.
pub(super) fn open(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    setup.on_failure = "open";
    let site = crate::Site::new(setup)?;
    let before = rules::snapshot()?;
    let said = site.kordon_ok(GATE)?;
    let unmanaged = site.setup().toml().replace("[rules]", "[rules]\nmanage = false");
    site.write("kordon.toml", &unmanaged.replace("on_failure = \"open\"", ""))?;
    let left = site.kordon_ok(GATE)?;
    if !said.contains("open by configuration") || !left.contains("rules.manage = false") {
        return Err(format!("it says: {said}{left}"));
    }
    if rules::snapshot()? != before {
        return Err(format!("rules were put in place:\n{}", rules::snapshot()?));
    }
    ALL.into_iter().try_for_each(|to| bench.lab.passes(to, N))
}

/// With a daemon it goes through the daemon: hold is back as well when the command returns, it is counted,
/// and what was removed on purpose stays removed. A daemon that hangs does not keep the gate away.
pub(super) fn through_the_daemon(bench: &Bench<'_>) -> Res {
    let site = bench.site()?;
    let daemon = site.start()?;
    let before = rules::snapshot()?;
    rules::flush_everything()?;
    site.kordon_ok(GATE)?;
    if rules::snapshot()? != before {
        return Err(format!("other rules than before:\n{}", rules::snapshot()?));
    }
    match daemon.metrics()?.get("kordon_rules_rearmed_total", &[])? {
        1 => {}
        n => return Err(format!("put back once, counted {n}")),
    }
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.blocked(BLOCKED, N)?;

    daemon.freeze()?;
    rules::flush_everything()?;
    site.kordon_ok(GATE)?;
    bench.lab.nothing_passes(&ALL, N)?;
    daemon.thaw()?;
    let restored = || rules::snapshot().is_ok_and(|now| now == before);
    if !crate::lab::wait_until(crate::lab::PATIENCE, restored) {
        return Err(format!("after a pause, other rules:\n{}", rules::snapshot()?));
    }
    bench.lab.passes(ALLOWED, N)?;

    site.kordon_words(&["rules", "remove", "--config", "kordon.toml", "--why", "a fire drill"])?;
    let said = site.kordon_ok(GATE)?;
    if !said.contains("a fire drill") {
        return Err(format!("removed on purpose, and the gate says: {said}"));
    }
    bench.lab.passes(BLOCKED, N)
}
