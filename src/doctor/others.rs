//! Judgements about the rules: kordon's own, and those of others that get in their way.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Finding;
use super::facts::Facts;
use crate::failure::ExitStatus;
use crate::netfilter::Tool;
use crate::verdict::{Family, Mark};

/// The most rules of others that one finding names.
const NAMED: usize = 3;

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
        Some(Ok(_)) if !config.rules.manage => {
            findings.push(Finding::skip(SUBJECT, "rules.manage = false: see kordon rules verify"))
        }
        Some(Ok(rules)) if rules.in_force() => {
            let what = if config.is_open() { "hold, open: no gate" } else { "hold and gate" };
            findings.push(Finding::pass(SUBJECT, format!("in force: {what}")));
        }
        Some(Ok(rules)) => {
            let detail = format!("not as planned: {}", rules.faults().join("; "));
            findings.push(Finding::fail(SUBJECT, detail, "kordon rules apply"));
        }
    }
}

/// iptables: what stands before hold in its chain may skip it, what stands behind it is skipped.
pub(super) fn around_hold(facts: &Facts, findings: &mut Vec<Finding>) {
    const SUBJECT: &str = "hold";
    if !matches!(facts.tool, Ok(Tool::Iptables)) {
        return;
    }
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
        let accepting: Vec<&&String> = ahead
            .iter()
            .filter(|line| line.ends_with("-j ACCEPT") || line.ends_with("-j RETURN"))
            .collect();
        let program = program(*family);
        if !accepting.is_empty() {
            findings.push(Finding::warn(
                SUBJECT,
                format!(
                    "{program}, mangle FORWARD: ahead of hold, so what it accepts is never judged, and \
                     the gate drops it: {}",
                    named(&accepting)
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

/// Rules of others that set or restore kordon's bits of the packet mark, or look for them.
pub(super) fn marks(facts: &Facts, findings: &mut Vec<Finding>) {
    const SUBJECT: &str = "marks";
    let Ok(config) = &facts.config else { return };
    let mark = config.rules.mark;
    if facts.iptables.is_empty() && facts.nft.is_none() {
        return findings.push(Finding::skip(SUBJECT, "only root can list the rules of others"));
    }
    let mut found: Vec<String> = Vec::new();
    for (family, table, lines) in &facts.iptables {
        for line in lines.iter().filter(|line| !line.starts_with("-A kordon-")) {
            if iptables_touches(line, mark) {
                found.push(format!("{} -t {table} {line}", program(*family)));
            }
        }
    }
    let listed: BTreeSet<(&str, &str)> =
        facts.iptables.iter().map(|(family, table, _)| (nft_family(*family), *table)).collect();
    for (table, line) in nft_lines(facts.nft.as_deref().unwrap_or_default()) {
        let of_iptables = table.split_once(' ').is_some_and(|names| listed.contains(&names));
        if table != "inet kordon" && !of_iptables && nft_touches(line, mark) {
            found.push(format!("nft, table {table}: {line}"));
        }
    }
    findings.push(match found.as_slice() {
        [] => Finding::pass(SUBJECT, format!("nobody else uses {:#x}", mark.mask)),
        some => Finding::warn(
            SUBJECT,
            format!(
                "used by others, who may forge or destroy kordon's pass ({:#x}): {}",
                mark.mask,
                named(some)
            ),
            "set rules.mark and rules.mask to bits that nobody uses, then restart kordon",
        ),
    });
}

/// Whether a rule of iptables sets, restores or looks for some of kordon's bits.
pub(super) fn iptables_touches(rule: &str, mark: Mark) -> bool {
    let words: Vec<&str> = rule.split_whitespace().collect();
    let after = |option: &str| {
        words.iter().position(|word| *word == option).and_then(|place| words.get(place + 1))
    };
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    };
    let pair = |text: &str| -> Option<(u32, u32)> {
        match text.split_once('/') {
            Some((value, mask)) => number(value).zip(number(mask)),
            None => number(text).map(|value| (value, u32::MAX)),
        }
    };
    if words.contains(&"--restore-mark") {
        let mask = after("--nfmask").or_else(|| after("--mask")).and_then(|text| number(text));
        return mask.unwrap_or(u32::MAX) & mark.mask != 0;
    }
    let target = after("-j").copied();
    if target == Some("MARK") {
        let set = ["--set-xmark", "--set-mark"].iter().find_map(|option| after(option));
        return set.and_then(|text| pair(text)).is_some_and(|(v, m)| (v | m) & mark.mask != 0);
    }
    // A match: an exact one sees kordon's bits only between hold and gate; one that asks for them is meant.
    words.windows(2).any(|two| match two {
        ["--mark", text] => pair(text).is_some_and(|(value, _)| value & mark.mask != 0),
        _ => false,
    })
}

/// Whether a rule of nftables' sets or looks for some of kordon's bits of the packet mark.
pub(super) fn nft_touches(rule: &str, mark: Mark) -> bool {
    let numbers = |text: &str| -> Vec<u32> {
        let hex = text.split_whitespace().filter_map(|word| word.strip_prefix("0x"));
        hex.filter_map(|digits| u32::from_str_radix(digits, 16).ok()).collect()
    };
    if let Some((_, set)) = rule.split_once("meta mark set ") {
        let kept = set.starts_with("meta mark") || set.starts_with("mark");
        return match (kept, set.contains('&') || set.contains("and"), numbers(set).as_slice()) {
            // `mark & KEPT | SET`: what is not kept changes, and what is set.
            (true, true, [kept, rest @ ..]) => {
                (!kept | rest.first().copied().unwrap_or(0)) & mark.mask != 0
            }
            // `mark | SET`
            (true, false, [set, ..]) => set & mark.mask != 0,
            // A number, a connection's mark, a map: the whole mark.
            (_, _, _) => true,
        };
    }
    match rule.split_once("meta mark ") {
        Some((_, asked)) => numbers(asked).iter().any(|number| {
            number & mark.mask != 0 && *number != u32::MAX && *number & !mark.mask == 0
        }),
        None => false,
    }
}

/// The rules in a listing of nft's, each with `FAMILY TABLE`.
fn nft_lines(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut table = "";
    text.lines().filter_map(move |line| {
        if let Some(name) = line.strip_prefix("table ") {
            table = name.trim_end_matches([' ', '{']);
        }
        let rule = line.trim();
        (line.starts_with('\t') && !rule.is_empty()).then_some((table, rule))
    })
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
            devices.iter().filter(|device| is_cameras(device, facts)).collect();
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

/// Whether packets of cameras enter by this device: a camera interface, or what one stands on.
fn is_cameras(device: &str, facts: &Facts) -> bool {
    facts.interfaces.iter().any(|name| match name.strip_suffix('+') {
        Some(stem) => device.starts_with(stem),
        None => {
            name == device || facts.lower.get(name).is_some_and(|l| l.iter().any(|d| d == device))
        }
    })
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

const fn program(family: Family) -> &'static str {
    match family {
        Family::V4 => "iptables-nft",
        Family::V6 => "ip6tables-nft",
    }
}

const fn nft_family(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

/// The first few, and how many more.
fn named(rules: &[impl std::fmt::Display]) -> String {
    let few: Vec<String> = rules.iter().take(NAMED).map(|rule| format!("`{rule}`")).collect();
    match rules.len().saturating_sub(NAMED) {
        0 => few.join(", "),
        more => format!("{} and {more} more", few.join(", ")),
    }
}
