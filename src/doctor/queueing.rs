//! Judgements about the rules that lead to kordon's queues, whoever wrote them, and about who reads the queues.
//!
//! They hold whether kordon manages the rules or not: what counts is what stands in the kernel.

use std::ops::RangeInclusive;

use super::Finding;
use super::facts::Facts;
use super::listing::{Words, named, nft_rules, program};
use crate::config::{Config, Mode};
use crate::failure::ExitStatus;
use crate::netfilter::Presence;
use crate::verdict::Family;

/// A rule that hands packets to queues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct QueueRule {
    /// Whose packets.
    pub(super) families: &'static [Family],
    /// Where it stands and what it says.
    pub(super) text: String,
    /// The queues.
    pub(super) queues: RangeInclusive<u16>,
    /// What finds no reader is accepted.
    pub(super) bypass: bool,
    /// One of kordon's chains holds it.
    pub(super) kordons: bool,
}

/// The rules that lead to one of kordon's queues.
fn rules(facts: &Facts, config: &Config) -> Vec<QueueRule> {
    let ours = queues(config);
    let mut found = Vec::new();
    for (family, table, lines) in &facts.iptables {
        for line in lines {
            let Some((queues, bypass)) = iptables_queue(line) else { continue };
            let families: &[Family] = match family {
                Family::V4 => &[Family::V4],
                Family::V6 => &[Family::V6],
            };
            let text = format!("{} -t {table} {line}", program(*family));
            let kordons = line.starts_with("-A kordon-");
            found.push(QueueRule { families, text, queues, bypass, kordons });
        }
    }
    for rule in nft_rules(facts) {
        let Some((queues, bypass)) = nft_queue(rule.text) else { continue };
        let text = format!("nft, table {}, chain {}: {}", rule.table, rule.chain, rule.text);
        let (families, kordons) = (rule.families(), rule.is_kordons());
        found.push(QueueRule { families, text, queues, bypass, kordons });
    }
    found.retain(|rule| rule.queues.start() <= ours.end() && ours.start() <= rule.queues.end());
    found
}

fn queues(config: &Config) -> RangeInclusive<u16> {
    let first = config.queue.first;
    first..=first.saturating_add(config.queue.count.saturating_sub(1))
}

/// The queues of a rule of iptables', and whether it says `--queue-bypass`.
pub(super) fn iptables_queue(line: &str) -> Option<(RangeInclusive<u16>, bool)> {
    let rule = Words::of(line)?;
    if rule.target() != Some("NFQUEUE") {
        return None;
    }
    let queues = match rule.after("--queue-balance").and_then(|range| range.split_once(':')) {
        Some((first, last)) => first.parse().ok()?..=last.parse().ok()?,
        None => {
            let number = rule.after("--queue-num").unwrap_or("0").parse().ok()?;
            number..=number
        }
    };
    Some((queues, rule.has("--queue-bypass")))
}

/// The queues of a rule of nftables', and whether it says `bypass`: `queue flags bypass to 40-43`, or, as older
/// versions write it, `queue num 40-43 bypass`.
pub(super) fn nft_queue(rule: &str) -> Option<(RangeInclusive<u16>, bool)> {
    let words: Vec<&str> = rule.split([' ', ',']).collect();
    let place = words.iter().position(|word| *word == "queue")?;
    let rest = words.get(place + 1..).unwrap_or_default();
    let bypass = rest.contains(&"bypass");
    let named = rest.iter().position(|word| *word == "to" || *word == "num");
    let number = named.map_or(Some(&"0"), |place| rest.get(place + 1))?;
    let (first, last) = number.split_once('-').unwrap_or((number, number));
    Some((first.parse().ok()?..=last.parse().ok()?, bypass))
}

/// What to do about rules that are not as planned.
pub(super) fn mend(config: &Config) -> &'static str {
    match config.rules.manage {
        true => "kordon rules apply",
        false => "put in its place what `kordon rules show` prints",
    }
}

/// A rule with `bypass` passes what finds no reader, unless the gate stands.
pub(super) fn bypass(facts: &Facts, findings: &mut Vec<Finding>) {
    const SUBJECT: &str = "bypass";
    let Ok(config) = &facts.config else { return };
    let rules = rules(facts, config);
    let passing: Vec<&QueueRule> = rules.iter().filter(|rule| rule.bypass).collect();
    let texts: Vec<&str> = passing.iter().map(|rule| rule.text.as_str()).collect();
    let gated = |rule: &QueueRule| match &facts.rules {
        Some(Ok(seen)) => {
            rule.families.iter().all(|family| seen.gate[family.index()] == Presence::AsPlanned)
        }
        Some(Err(_)) | None => false,
    };
    findings.push(match (rules.as_slice(), texts.as_slice()) {
        // Whether there should be some is for `rules` and `ipv6` to say.
        ([], _) => return,
        (_, []) => Finding::pass(SUBJECT, "what finds no reader waits, or is dropped"),
        (_, _) if config.is_open() && config.mode == Mode::Monitor => {
            Finding::pass(SUBJECT, "hold bypasses a missing reader, as monitor mode shall")
        }
        (_, _) if config.is_open() => Finding::warn(
            SUBJECT,
            "open by configuration: what finds no reader passes unjudged",
            "set on_failure = \"closed\", then restart kordon",
        ),
        (_, texts) if passing.iter().all(|rule| gated(rule)) => Finding::warn(
            SUBJECT,
            format!(
                "what finds no reader is passed on by hold, and only the gate stops it: {}",
                named(texts)
            ),
            mend(config),
        ),
        (_, texts) => Finding::fail(
            SUBJECT,
            format!("no gate stands, and what finds no reader passes unjudged: {}", named(texts)),
            mend(config),
        ),
    });
}

/// A rule that spreads packets over queues of which some have no reader.
pub(super) fn balance(facts: &Facts, findings: &mut Vec<Finding>) {
    const SUBJECT: &str = "balance";
    let Ok(config) = &facts.config else { return };
    let Some(table) = &facts.queue_table else { return };
    let read: Vec<u16> = owners(table).iter().map(|(number, _)| *number).collect();
    let before = findings.len();
    let rules = rules(facts, config);
    for rule in &rules {
        let missing: Vec<u16> = rule.queues.clone().filter(|n| !read.contains(n)).collect();
        let all = rule.queues.len();
        if missing.is_empty() || missing.len() == all {
            // All without a reader: there is no daemon, and that is said elsewhere.
            continue;
        }
        let share = match rule.bypass {
            true => "passes unjudged unless the gate stands",
            false => "is dropped",
        };
        findings.push(Finding::fail(
            SUBJECT,
            format!(
                "{} of {all} queues have no reader ({}), so that share of the cameras' traffic {share}: `{}`",
                missing.len(),
                missing.iter().map(u16::to_string).collect::<Vec<_>>().join(", "),
                rule.text
            ),
            match queues(config) == rule.queues {
                true => "systemctl restart kordon",
                false => mend(config),
            },
        ));
    }
    let nobody = !rules.iter().any(|rule| rule.queues.clone().any(|number| read.contains(&number)));
    if rules.is_empty() {
        return;
    }
    if nobody {
        findings.push(Finding::skip(SUBJECT, "nobody reads any of the queues"));
    } else if findings.len() == before {
        findings
            .push(Finding::pass(SUBJECT, "no rule spreads packets over queues without a reader"));
    }
}

/// IPv6 that the gateway forwards and no rule holds.
pub(super) fn ipv6(facts: &Facts, findings: &mut Vec<Finding>) {
    const SUBJECT: &str = "ipv6";
    let Ok(config) = &facts.config else { return };
    let forwards = |interface: &str| {
        let value = facts.sysctls.get(&format!("ipv6/conf/{interface}/forwarding"));
        value.is_some_and(|value| value != "0")
    };
    if !forwards("all") && !facts.interfaces.iter().any(|name| forwards(name)) {
        return;
    }
    let cameras = &config.cameras;
    if cameras.interfaces.is_empty()
        && cameras.trusted_interfaces.is_empty()
        && cameras.networks.iter().all(|net| net.addr().is_ipv4())
    {
        findings.push(Finding::fail(
            SUBJECT,
            "IPv6 is forwarded, and cameras are known by IPv4 networks alone: their IPv6 is not held",
            "name cameras.interfaces, or add their IPv6 networks, or: sysctl -w net.ipv6.conf.all.forwarding=0",
        ));
        return;
    }
    let Some(Ok(seen)) = &facts.rules else { return };
    let standing = |family: Family| match config.rules.manage {
        true => seen.hold[family.index()] == Presence::AsPlanned,
        false => rules(facts, config).iter().any(|rule| rule.families.contains(&family)),
    };
    if standing(Family::V6) {
        findings.push(Finding::pass(SUBJECT, "forwarded, and held"));
    } else if standing(Family::V4) {
        findings.push(Finding::fail(
            SUBJECT,
            "IPv6 is forwarded, and only IPv4 is held: by IPv6 everything passes that no gate stops",
            mend(config),
        ));
    }
}

/// Each queue's number and the netlink port of its owner: often the process's id.
fn owners(table: &str) -> Vec<(u16, u32)> {
    let row = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
    };
    table.lines().filter_map(row).collect()
}

/// Who reads kordon's queues, and which rules of others feed them.
pub(super) fn readers(facts: &Facts, findings: &mut Vec<Finding>) {
    const SUBJECT: &str = "queues";
    let Ok(config) = &facts.config else { return };
    let strangers: Vec<String> = rules(facts, config)
        .into_iter()
        .filter(|rule| config.rules.manage && !rule.kordons)
        .map(|rule| rule.text)
        .collect();
    if !strangers.is_empty() {
        findings.push(Finding::warn(
            SUBJECT,
            format!(
                "rules of others feed kordon's queues, which judge it as cameras': {}",
                named(&strangers)
            ),
            "give the other program another queue, or kordon another queue.first",
        ));
    }
    let wanted = queues(config);
    let Some(table) = &facts.queue_table else {
        return findings.push(Finding::skip(SUBJECT, "only root can read who owns a queue"));
    };
    let owners: Vec<(u16, u32)> =
        owners(table).into_iter().filter(|(number, _)| wanted.contains(number)).collect();
    let foreign = |(number, port): &(u16, u32)| {
        Finding::fail(
            SUBJECT,
            format!(
                "queue {number} belongs to another process (netlink port {port}), which decides what passes"
            ),
            format!("end it (ps -p {port}), or set queue.first to a free number"),
        )
    };
    let count = wanted.len();
    match &facts.status {
        Ok(status) => {
            let stranger =
                owners.iter().find(|(n, _)| !status.queues.iter().any(|queue| queue.number == *n));
            findings.push(match stranger {
                Some(stranger) => foreign(stranger),
                None if owners.len() < count => Finding::fail(
                    SUBJECT,
                    format!("{} of {count} queues have a reader", owners.len()),
                    "systemctl restart kordon",
                ),
                None => Finding::pass(SUBJECT, format!("{count}, read by the daemon")),
            });
        }
        Err(failure) if failure.status == ExitStatus::NotRunning => {
            findings.push(match owners.first() {
                Some(stranger) => foreign(stranger),
                None => Finding::pass(SUBJECT, "free"),
            });
        }
        Err(_) => findings.push(Finding::skip(SUBJECT, "the daemon cannot be asked which are its")),
    }
}
