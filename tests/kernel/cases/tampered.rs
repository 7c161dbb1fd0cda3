//! Rules that are listed as ever and do nothing: switched off, unhooked, led around.

use std::time::Duration;

use crate::lab::process::tool;
use crate::lab::topology::*;
use crate::lab::{Res, rules, wait_until};
use crate::{Bench, Site};

const N: u32 = 20;
const BOTH: [std::net::IpAddr; 2] = [ALLOWED, ALLOWED6];

fn nft(script: &str) -> Res {
    tool("nft", &[script]).map(drop)
}

/// In both families of iptables' tables.
fn in_both(script: &str) -> Res {
    ["ip", "ip6"].iter().try_for_each(|family| nft(&script.replace("FAMILY", family)))
}

fn switch_off() -> Res {
    in_both("add table FAMILY mangle { flags dormant; }")?;
    in_both("add table FAMILY security { flags dormant; }")
}

/// Makes a base chain anew, without a hook; its rules stay.
fn unhook(table: &str, jump: &str) -> Res {
    in_both(&format!(
        "flush chain FAMILY {table} FORWARD; delete chain FAMILY {table} FORWARD; \
         add chain FAMILY {table} FORWARD; add rule FAMILY {table} FORWARD counter jump {jump}"
    ))
}

fn everything_passes(bench: &Bench<'_>) -> Res {
    BOTH.into_iter().chain([BLOCKED, BLOCKED6]).try_for_each(|to| bench.lab.passes(to, N))
}

fn says(site: &Site, command: &str, code: i32, words: &[&str]) -> Res {
    let output = site.kordon(&format!("{command} --config kordon.toml"))?;
    let said = format!("{}{}", output.stdout, output.stderr);
    match output.code == Some(code) && words.iter().all(|word| said.contains(word)) {
        true => Ok(()),
        false => Err(format!("`{command}`: expected {code} and {words:?}; it {}", output.said())),
    }
}

/// iptables' tables are switched off: every tool lists the rules as ever, and everything passes. The daemon notices
/// and switches them on again; without one, `verify` says so and `apply` mends it.
pub(super) fn switched_off(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    setup.tool = Some("iptables");
    let site = Site::new(setup)?;
    let daemon = site.start()?;
    let before = rules::snapshot()?;
    let rearmed = || daemon.metrics()?.get("kordon_rules_rearmed_total", &[]);
    bench.lab.passes(ALLOWED, N)?;
    switch_off()?;
    let began = std::time::Instant::now();
    let right = || daemon.log().contains("rules are as planned again");
    if !wait_until(Duration::from_secs(5), right) || rearmed()? == 0 {
        return Err(format!("switched off, put back {} times:\n{}", rearmed()?, daemon.log()));
    }
    // A promise of one second; a machine that emulates its processor is given twice that.
    if began.elapsed() > Duration::from_secs(2) {
        return Err(format!("switched on again after {:?}", began.elapsed()));
    }
    if !daemon.log().contains("is switched off (flag dormant)") || rules::snapshot()? != before {
        return Err(format!("switched off, and the log says:\n{}", daemon.log()));
    }
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.blocked(BLOCKED, N)?;
    bench.lab.blocked(BLOCKED6, N)?;
    daemon.kill()?;
    bench.lab.nothing_passes(&BOTH, N)?;
    switch_off()?;
    // The control: nothing looks different, and nothing is kept out.
    everything_passes(bench)?;
    if rules::snapshot()? != before {
        return Err("iptables lists a table that is switched off otherwise".to_owned());
    }
    says(&site, "rules verify", 1, &["table security is switched off", "NOT IN FORCE"])?;
    says(&site, "rules apply --gate-only", 0, &["corrected gate for ipv4", "for ipv6"])?;
    bench.lab.nothing_passes(&BOTH, N)?;
    says(&site, "rules apply", 0, &["corrected hold for ipv4", "for ipv6"])?;
    says(&site, "rules verify", 0, &["in force"])
}

/// A base chain of iptables' was made anew without a hook: kordon's rules are in it, and nothing enters it. What others
/// may have in there is not kordon's to delete; it says what to do.
pub(super) fn unhooked(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    setup.tool = Some("iptables");
    let site = Site::new(setup)?;
    says(&site, "rules apply", 0, &["installed gate for ipv4"])?;
    bench.lab.nothing_passes(&BOTH, N)?;
    unhook("security", "kordon-gate")?;
    rules::flush_hold()?;
    everything_passes(bench)?;
    // What is in the way of the gate does not keep hold from its place: it drops while nobody reads the queue.
    says(&site, "rules apply", 1, &["nft 'flush chain ip security FORWARD; delete chain"])?;
    bench.lab.nothing_passes(&BOTH, N)?;
    unhook("mangle", "kordon-hold")?;
    everything_passes(bench)?;
    says(
        &site,
        "rules verify",
        1,
        &["FORWARD in table security hangs in no hook", "NOT IN FORCE"],
    )?;
    says(&site, "rules apply", 1, &["nft 'flush chain ip security FORWARD; delete chain"])?;
    for table in ["mangle", "security"] {
        in_both(&format!(
            "flush chain FAMILY {table} FORWARD; delete chain FAMILY {table} FORWARD"
        ))?;
    }
    says(&site, "rules apply", 0, &["corrected gate for ipv4", "corrected hold for ipv6"])?;
    says(&site, "rules verify", 0, &["in force"])?;
    bench.lab.nothing_passes(&BOTH, N)
}

/// Rules of nftables' own in a table of iptables': iptables reads it no more. What it says is passed on with what helps.
pub(super) fn unreadable(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    setup.tool = Some("iptables");
    let site = Site::new(setup)?;
    let daemon = site.start()?;
    in_both("insert rule FAMILY mangle kordon-hold ct mark 3 accept")?;
    let present = || daemon.metrics()?.get("kordon_rules_present", &[]);
    if !wait_until(Duration::from_secs(2), || present() == Ok(0)) {
        return Err("a table that cannot be read is called as planned".to_owned());
    }
    says(
        &site,
        "rules apply",
        1,
        &["a rule or chain of nftables' own", "nft -a list table ip mangle"],
    )?;
    // What can be read again is put right.
    in_both("flush chain FAMILY mangle kordon-hold")?;
    if !wait_until(Duration::from_secs(3), || present() == Ok(1)) {
        return Err(format!("readable again, and the log says:\n{}", daemon.log()));
    }
    bench.lab.passes(ALLOWED, N)?;
    bench.lab.blocked(BLOCKED, N)
}

/// Somebody hangs a chain of kordon's table into a hook that is led into otherwise: it can only be made anew, and is.
pub(super) fn rebuilt(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    // The gate alone needs no `queue` statement.
    setup.tool = Some("nftables");
    let site = Site::new(setup)?;
    const GATE: &str = "rules apply --gate-only";
    says(&site, GATE, 0, &["installed gate for both families"])?;
    bench.lab.nothing_passes(&BOTH, N)?;
    for harm in [
        "flush chain inet kordon gate; delete chain inet kordon check_camera; \
         add chain inet kordon check_camera { type filter hook forward priority 50; }",
        "flush chain inet kordon gate; delete chain inet kordon gate; add chain inet kordon gate; \
         add rule inet kordon gate iifname cam0 goto check_camera",
        "add table inet kordon { flags dormant; }",
        "insert rule inet kordon gate accept",
        "insert rule inet kordon check_camera accept",
    ] {
        nft(harm)?;
        everything_passes(bench).map_err(|why| format!("{harm}: {why}"))?;
        says(&site, GATE, 0, &["gate for both families"])?;
        bench.lab.nothing_passes(&BOTH, N)?;
        says(&site, GATE, 0, &["nothing changed"])?;
    }
    Ok(())
}

/// Somebody accepts cameras' packets ahead of hold: it stands as planned and is passed by. That is an alarm, also where
/// no gate would drop them; the rule is not kordon's to take away.
pub(super) fn passed_by(bench: &Bench<'_>) -> Res {
    let mut setup = bench.setup();
    setup.tool = Some("iptables");
    setup.mode = "monitor";
    let site = Site::new(setup)?;
    let daemon = site.start()?;
    let judged = || daemon.metrics()?.get("kordon_packets_total", &[]);
    let present = |expected: u64| {
        let present = || daemon.metrics()?.get("kordon_rules_present", &[]);
        wait_until(Duration::from_secs(2), || present() == Ok(expected))
    };
    // The control: another's packets may be accepted there.
    rules::both("-w -t mangle -I FORWARD 1 -i wan1 -j ACCEPT")?;
    bench.lab.passes(ALLOWED, N)?;
    says(&site, "rules verify", 0, &["in force"])?;
    if !present(1) {
        return Err(format!("a rule about others is an alarm:\n{}", daemon.log()));
    }
    rules::both("-w -t mangle -I FORWARD 1 -i cam0 -j ACCEPT")?;
    let before = judged()?;
    everything_passes(bench)?;
    if judged()? != before {
        return Err("what was accepted ahead of hold was judged".to_owned());
    }
    if !present(0) || daemon.get("/readyz")?.0 != 503 {
        return Err(format!("packets pass hold by, and the log says:\n{}", daemon.log()));
    }
    const HELP: &str = "`ip6tables-nft -t mangle -D FORWARD 1` takes it away";
    says(&site, "rules verify", 1, &["NOT ALL IS HELD: ipv4: rule 1 of mangle FORWARD", HELP])?;
    rules::both("-t mangle -D FORWARD 1")?;
    if !present(1) {
        return Err(format!("the rule is gone, and the log says:\n{}", daemon.log()));
    }
    says(&site, "rules verify", 0, &["in force"])
}
