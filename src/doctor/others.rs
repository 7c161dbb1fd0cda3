//! Judgements about the rules: kordon's own, and those of others that get in their way.

use serde_json::Value;

use super::Finding;
use super::facts::Facts;
use super::listing::{Words, named, nft_rules, program};
use super::queueing::mend;
use crate::config::Config;
use crate::failure::ExitStatus;
use crate::netfilter::{Presence, Tool};

pub(super) fn in_force(facts: &Facts, findings: &mut Vec<Finding>) {
    const SUBJECT: &str = "rules";
    let Ok(config) = &facts.config else { return };
    match &facts.rules {
        None => findings.push(Finding::skip(SUBJECT, "only root can ask how the rules stand")),
        Some(Err(failure)) if failure.status == ExitStatus::NoPermission => {
            findings.push(Finding::skip(SUBJECT, "only root can ask how the rules stand"));
        }
        Some(Err(failure)) => {
            let detail = failure.message.replace('\n', "; ");
            findings.push(Finding::fail(SUBJECT, detail, "kordon rules apply"));
        }
        // Rules under names of the admin's own cannot be compared; kordon's, altered, can.
        Some(Ok(rules))
            if !config.rules.manage
                && rules.hold.iter().chain(&rules.gate).all(|found| *found == Presence::Absent) =>
        {
            findings.push(Finding::skip(SUBJECT, "rules.manage = false: see kordon rules verify"))
        }
        Some(Ok(rules)) if rules.in_force() => {
            let what = if config.is_open() { "hold, open: no gate" } else { "hold and gate" };
            findings.push(Finding::pass(SUBJECT, format!("in force: {what}")));
        }
        Some(Ok(rules)) => {
            let detail = format!("not as planned: {}", rules.faults().join("; "));
            findings.push(Finding::fail(SUBJECT, detail, mend(config)));
        }
    }
}

/// iptables: what stands before hold in its chain may skip it, what stands behind it is skipped.
pub(super) fn around_hold(facts: &Facts, findings: &mut Vec<Finding>) {
    const SUBJECT: &str = "hold";
    if !matches!(facts.tool, Ok(Tool::Iptables)) {
        return;
    }
    let open = facts.config.as_ref().is_ok_and(Config::is_open);
    let mut looked = false;
    let before = findings.len();
    for (family, table, lines) in &facts.iptables {
        if *table != "mangle" {
            continue;
        }
        let rules: Vec<&String> =
            lines.iter().filter(|line| line.starts_with("-A FORWARD ")).collect();
        let Some(hold) = rules.iter().position(|line| line.ends_with("-j kordon-hold")) else {
            continue;
        };
        looked = true;
        let (ahead, behind) = (&rules[..hold], &rules[hold + 1..]);
        let skipping: Vec<&&String> =
            ahead.iter().filter(|line| skips_hold(line, lines, facts)).collect();
        let program = program(*family);
        if !skipping.is_empty() {
            let then = if open { "and it passes: no gate stands" } else { "and the gate drops it" };
            findings.push(Finding::warn(
                SUBJECT,
                format!(
                    "{program}, mangle FORWARD: ahead of hold, so what it accepts is never judged, {then}: {}",
                    named(&skipping)
                ),
                format!("{program} -t mangle -D FORWARD ..., or narrow it to what is no camera's"),
            ));
        }
        if !behind.is_empty() {
            findings.push(Finding::warn(
                SUBJECT,
                format!(
                    "{program}, mangle FORWARD: behind hold, so no accepted packet reaches it: {}",
                    named(behind)
                ),
                "kordon rules apply    # moves hold behind it",
            ));
        }
    }
    if looked && findings.len() == before {
        findings.push(Finding::pass(SUBJECT, "the last rule of its chain, and nothing skips it"));
    }
}

/// Whether a rule of `mangle FORWARD` may end the chain for a camera's packet: by itself, or by where it leads.
fn skips_hold(line: &str, lines: &[String], facts: &Facts) -> bool {
    let Some(rule) = Words::of(line) else { return false };
    if rule.spares_cameras(facts) {
        return false;
    }
    // Behind a `-g` the chain of the caller ends with its policy.
    rule.has("-g")
        || rule.target() == Some("RETURN")
        || accepts(&rule, lines, facts, &mut Vec::new())
}

/// Whether a rule, or what it leads to, accepts or hands to another program.
fn accepts<'a>(
    rule: &Words<'a>,
    lines: &'a [String],
    facts: &Facts,
    seen: &mut Vec<&'a str>,
) -> bool {
    match rule.target() {
        Some("ACCEPT" | "NFQUEUE" | "QUEUE") => true,
        Some(chain) if !seen.contains(&chain) => {
            seen.push(chain);
            lines
                .iter()
                .filter_map(|line| Words::of(line))
                .filter(|inner| inner.chain == chain && !inner.spares_cameras(facts))
                .any(|inner| accepts(&inner, lines, facts, seen))
        }
        Some(_) | None => false,
    }
}

/// Rules that have a packet of a camera's end on the gateway, in a program that speaks for it.
pub(super) fn proxies(facts: &Facts, findings: &mut Vec<Finding>) {
    let found = elsewhere(facts, &["TPROXY", "REDIRECT"], &["tproxy", "redirect"]);
    one_way(
        facts,
        findings,
        "proxy",
        &found,
        "lead what cameras send to a program on the gateway, which then speaks for them, unjudged",
        "rules.hold_input = true judges where a redirected packet goes; to judge where it was meant to go, \
         remove the rule or narrow it to what is no camera's",
        "no rule leads forwarded packets to a program on the gateway",
    );
}

/// Rules that copy packets or send them on by themselves: neither meets hold.
pub(super) fn copies(facts: &Facts, findings: &mut Vec<Finding>) {
    let found = elsewhere(facts, &["TEE"], &["dup to", "fwd to"]);
    one_way(
        facts,
        findings,
        "copies",
        &found,
        "copy or send on packets past hold and gate",
        "remove the rule, or narrow it to what is no camera's",
        "no rule copies packets, or sends them on by itself",
    );
}

fn one_way(
    facts: &Facts,
    findings: &mut Vec<Finding>,
    subject: &'static str,
    found: &[String],
    what: &str,
    fix: &str,
    none: &str,
) {
    findings.push(match found {
        _ if facts.iptables.is_empty() && facts.nft.is_none() => {
            Finding::skip(subject, "only root can list the rules of others")
        }
        [] => Finding::pass(subject, none),
        some => Finding::warn(subject, format!("rules of others {what}: {}", named(some)), fix),
    });
}

/// Rules of others with one of these targets (iptables) or statements (nftables).
fn elsewhere(facts: &Facts, targets: &[&str], statements: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (family, table, lines) in &facts.iptables {
        for line in lines {
            let Some(rule) = Words::of(line) else { continue };
            let hit = rule.target().is_some_and(|target| targets.contains(&target));
            if hit && rule.chain != "OUTPUT" && !rule.spares_cameras(facts) {
                found.push(format!("{} -t {table} {line}", program(*family)));
            }
        }
    }
    for rule in nft_rules(facts) {
        let says = |statement: &&str| {
            rule.text
                .strip_prefix(statement)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
                || rule.text.contains(&format!(" {statement} "))
                || rule.text.ends_with(&format!(" {statement}"))
        };
        let outward = rule.hook.is_some_and(|(hook, _)| hook == "output");
        if !outward && statements.iter().any(says) {
            found.push(format!("nft, table {}: {}", rule.table, rule.text));
        }
    }
    found
}

/// Established connections in a flowtable skip the forward hook, and with it hold and gate.
pub(super) fn flowtables(facts: &Facts, findings: &mut Vec<Finding>) {
    const SUBJECT: &str = "flowtables";
    let text = match &facts.flowtables {
        Ok(text) => text,
        Err(failure) if failure.status == ExitStatus::NoPermission => {
            return findings.push(Finding::skip(SUBJECT, "only root can list them"));
        }
        Err(failure) => return findings.push(Finding::skip(SUBJECT, failure.message.clone())),
    };
    let Ok(listed) = serde_json::from_str::<Value>(text) else {
        return findings.push(Finding::skip(SUBJECT, "nft's answer cannot be read"));
    };
    let tables: Vec<&Value> = listed["nftables"]
        .as_array()
        .map_or(&[][..], Vec::as_slice)
        .iter()
        .filter_map(|object| object.get("flowtable"))
        .collect();
    if tables.is_empty() {
        return findings.push(Finding::pass(SUBJECT, "none"));
    }
    for table in tables {
        let name = |key: &str| table[key].as_str().unwrap_or("?").to_owned();
        let (family, of, own) = (name("family"), name("table"), name("name"));
        let devices: Vec<String> = match &table["dev"] {
            Value::String(one) => vec![one.clone()],
            several => several
                .as_array()
                .map_or(&[][..], Vec::as_slice)
                .iter()
                .filter_map(|device| device.as_str().map(str::to_owned))
                .collect(),
        };
        let hardware = table["flags"].to_string().contains("offload");
        let by = if hardware { " in hardware" } else { "" };
        let touched: Vec<&String> =
            devices.iter().filter(|device| facts.carries_cameras(device)).collect();
        let fix = format!(
            "remove the rules with `flow add @{own}`, then: nft delete flowtable {family} {of} {own}"
        );
        findings.push(match touched.as_slice() {
            [] => Finding::warn(
                SUBJECT,
                format!(
                    "{own} ({family} {of}) forwards {}{by}: what cameras send by it is not judged",
                    devices.join(", ")
                ),
                fix,
            ),
            some => Finding::fail(
                SUBJECT,
                format!(
                    "{own} ({family} {of}) forwards{by} past hold and gate what enters by {}",
                    named(some)
                ),
                fix,
            ),
        });
    }
}

/// `/etc/nftables.conf` flushes everything whenever its service starts, reloads or stops.
pub(super) fn flushers(facts: &Facts, findings: &mut Vec<Finding>) {
    const SUBJECT: &str = "flush";
    let flushes = facts.nftables_conf.as_ref().is_some_and(|text| {
        text.lines().any(|line| line.trim_start().starts_with("flush ruleset"))
    });
    findings.push(match (flushes, facts.drop_in) {
        (false, _) => Finding::pass(SUBJECT, "/etc/nftables.conf does not flush kordon's rules"),
        (true, true) => Finding::pass(
            SUBJECT,
            "/etc/nftables.conf flushes all rules; kordon's drop-in puts them back in the same job",
        ),
        (true, false) => Finding::warn(
            SUBJECT,
            "/etc/nftables.conf flushes all rules at each start, reload and stop of nftables.service",
            "install kordon's drop-in: /usr/lib/systemd/system/nftables.service.d/kordon.conf",
        ),
    });
}

pub(super) fn legacy(facts: &Facts, findings: &mut Vec<Finding>) {
    const SUBJECT: &str = "legacy";
    findings.push(match facts.legacy.as_deref() {
        None => Finding::skip(SUBJECT, "only root can see tables of iptables-legacy"),
        Some([]) => Finding::pass(SUBJECT, "no rules of iptables-legacy"),
        Some(rules) => Finding::warn(
            SUBJECT,
            format!("rules of iptables-legacy are in force beside: {}", named(rules)),
            "bring them over to iptables-nft or nft, then: iptables-legacy -F",
        ),
    });
}
