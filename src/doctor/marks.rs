//! Judgements about the bits of the packet mark that kordon uses.

use super::Finding;
use super::facts::Facts;
use super::listing::{Words, named, nft_rules, program};
use crate::netfilter::Tool;
use crate::verdict::Mark;

/// Hold's priority on the forward hook.
const HOLD: i64 = -150;

/// A rule of others that uses kordon's bits.
struct Use {
    text: String,
    /// It sets them where only the gate still looks: it may forge kordon's pass.
    forges: bool,
}

/// Rules of others that set or restore kordon's bits of the packet mark, or look for them.
pub(super) fn marks(facts: &Facts, findings: &mut Vec<Finding>) {
    const SUBJECT: &str = "marks";
    const FIX: &str = "set rules.mark and rules.mask to bits that nobody uses, then restart kordon";
    let Ok(config) = &facts.config else { return };
    let mark = config.rules.mark;
    if facts.iptables.is_empty() && facts.nft.is_none() {
        return findings.push(Finding::skip(SUBJECT, "only root can list the rules of others"));
    }
    // The gate's priority, and the tables of iptables whose FORWARD lies between.
    let (gate, tables): (i64, &[&str]) = match &facts.tool {
        Ok(Tool::Nftables) => (50, &["mangle", "filter"]),
        // `mangle FORWARD` ends with hold: what an accepted packet skips.
        Ok(Tool::Iptables) | Err(_) => (150, &["filter"]),
    };
    let mut found: Vec<Use> = Vec::new();
    for (family, table, lines) in &facts.iptables {
        for line in lines.iter().filter(|line| !line.starts_with("-A kordon-")) {
            if !iptables_touches(line, mark) {
                continue;
            }
            let chain = Words::of(line).map_or("", |words| words.chain);
            let passing = !matches!(chain, "PREROUTING" | "INPUT" | "OUTPUT" | "POSTROUTING");
            let sets = line.contains("-j MARK") || line.contains("-j CONNMARK");
            found.push(Use {
                text: format!("{} -t {table} {line}", program(*family)),
                forges: sets && passing && tables.contains(table),
            });
        }
    }
    for rule in nft_rules(facts) {
        if rule.is_kordons() || !nft_touches(rule.text, mark) {
            continue;
        }
        let between = match rule.hook {
            Some((hook, priority)) => hook == "forward" && (HOLD..gate).contains(&priority),
            // Whoever leads to it; a table without a forward hook cannot.
            None => nft_rules(facts).iter().any(|other| {
                other.table == rule.table && other.hook.is_some_and(|h| h.0 == "forward")
            }),
        };
        found.push(Use {
            text: format!("nft, table {}: {}", rule.table, rule.text),
            forges: between && rule.text.contains("mark set"),
        });
    }
    let texts = |forging: bool| -> Vec<&str> {
        found.iter().filter(|one| one.forges == forging).map(|one| one.text.as_str()).collect()
    };
    let (forging, using) = (texts(true), texts(false));
    let mask = mark.mask;
    if !forging.is_empty() {
        findings.push(Finding::fail(
            SUBJECT,
            format!(
                "set between hold and gate, where they forge kordon's pass ({mask:#x}) for packets that \
                 nobody judged: {}",
                named(&forging)
            ),
            FIX,
        ));
    }
    if !using.is_empty() {
        findings.push(Finding::warn(
            SUBJECT,
            format!(
                "used by others, who may forge or destroy kordon's pass ({mask:#x}): {}",
                named(&using)
            ),
            FIX,
        ));
    }
    if found.is_empty() {
        findings.push(Finding::pass(SUBJECT, format!("nobody else uses {mask:#x}")));
    }
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
