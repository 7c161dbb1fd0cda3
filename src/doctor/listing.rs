//! Rules as `iptables -S` and `nft list ruleset` print them, taken apart as far as the doctor asks.

use crate::verdict::Family;

use super::facts::Facts;

/// A rule of nftables', with where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NftRule<'a> {
    /// `FAMILY NAME`.
    pub(super) table: &'a str,
    /// The chain's name.
    pub(super) chain: &'a str,
    /// The chain's hook and priority; `None` where other chains lead to it.
    pub(super) hook: Option<(&'a str, i64)>,
    /// The rule.
    pub(super) text: &'a str,
}

impl NftRule<'_> {
    /// The families whose packets it sees.
    pub(super) fn families(&self) -> &'static [Family] {
        match self.table.split(' ').next() {
            Some("ip") => &[Family::V4],
            Some("ip6") => &[Family::V6],
            _ => &Family::ALL,
        }
    }

    /// In kordon's own table.
    pub(super) fn is_kordons(&self) -> bool {
        self.table == "inet kordon"
    }
}

/// The rules that nft lists, without those of iptables' tables: these are read by iptables.
pub(super) fn nft_rules(facts: &Facts) -> Vec<NftRule<'_>> {
    let of_iptables = |table: &str| {
        facts
            .iptables
            .iter()
            .any(|(family, name, _)| table.split_once(' ') == Some((nft_family(*family), *name)))
    };
    let rules = parse(facts.nft.as_deref().unwrap_or_default());
    rules.into_iter().filter(|rule| !of_iptables(rule.table)).collect()
}

fn parse(text: &str) -> Vec<NftRule<'_>> {
    let (mut table, mut chain, mut hook) = ("", "", None);
    let mut rules = Vec::new();
    for line in text.lines() {
        let words = line.trim();
        if let Some(name) = line.strip_prefix("table ") {
            (table, chain, hook) = (name.trim_end_matches([' ', '{']), "", None);
        } else if let Some(name) = words.strip_prefix("chain ").filter(|name| name.ends_with('{')) {
            (chain, hook) = (name.trim_end_matches([' ', '{']), None);
        } else if words.starts_with("type ") && words.contains(" hook ") {
            hook = hooked(words);
        } else if line.starts_with("\t\t") && !words.is_empty() {
            rules.push(NftRule { table, chain, hook, text: words });
        }
    }
    rules
}

/// `type filter hook forward priority filter + 10; policy accept;`
fn hooked(line: &str) -> Option<(&str, i64)> {
    let mut words = line.split_whitespace();
    let hook = words.find(|word| *word == "hook").and_then(|_| words.next())?;
    words.find(|word| *word == "priority")?;
    let rest: Vec<&str> = words.collect();
    let said = rest.join(" ");
    let said = said.split(';').next().unwrap_or_default();
    let mut parts = said.split(' ');
    let first = parts.next()?;
    // nft(8), "Standard priority names".
    let base = match first {
        "raw" => -300,
        "mangle" => -150,
        "dstnat" => -100,
        "filter" => 0,
        "security" => 50,
        "srcnat" => 100,
        number => number.parse().ok()?,
    };
    let more: i64 = match (parts.next(), parts.next()) {
        (Some("+"), Some(number)) => number.parse().ok()?,
        (Some("-"), Some(number)) => -number.parse::<i64>().ok()?,
        (_, _) => 0,
    };
    Some((hook, base + more))
}

/// A rule of iptables', taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Words<'a> {
    /// The chain that it stands in.
    pub(super) chain: &'a str,
    words: Vec<&'a str>,
}

impl<'a> Words<'a> {
    /// `None` for what is no rule (`-P`, `-N`).
    pub(super) fn of(line: &'a str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (first, chain) = (words.next()?, words.next()?);
        (first == "-A").then(|| Words { chain, words: words.collect() })
    }

    /// What follows an option.
    pub(super) fn after(&self, option: &str) -> Option<&'a str> {
        let place = self.words.iter().position(|word| *word == option)?;
        self.words.get(place + 1).copied()
    }

    /// Whether an option stands there.
    pub(super) fn has(&self, option: &str) -> bool {
        self.words.contains(&option)
    }

    /// Where its packets go: `-j` or `-g`.
    pub(super) fn target(&self) -> Option<&'a str> {
        self.after("-j").or_else(|| self.after("-g"))
    }

    /// It names an interface that packets of cameras do not enter by.
    pub(super) fn spares_cameras(&self, facts: &Facts) -> bool {
        let Ok(config) = &facts.config else { return false };
        let place = self.words.iter().position(|word| *word == "-i");
        let negated = place
            .and_then(|place| self.words.get(place.wrapping_sub(1)))
            .is_some_and(|w| *w == "!");
        match self.after("-i") {
            Some(name) if !negated => {
                let cameras = &config.cameras;
                let wide = !cameras.networks.is_empty() || !cameras.trusted_interfaces.is_empty();
                name == "lo" || (!wide && !fits(&cameras.interfaces, name))
            }
            Some(_) | None => false,
        }
    }
}

/// Whether a list of interfaces covers this one; a `+` at the end of either stands for any ending.
pub(super) fn fits(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| match (pattern.strip_suffix('+'), name.strip_suffix('+')) {
        (None, None) => pattern == name,
        (Some(stem), None) => name.starts_with(stem),
        (None, Some(stem)) => pattern.starts_with(stem),
        (Some(one), Some(other)) => one.starts_with(other) || other.starts_with(one),
    })
}

/// The name of a family's iptables.
pub(super) const fn program(family: Family) -> &'static str {
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

/// The most of others that one finding names.
const NAMED: usize = 3;

/// The first few, and how many more.
pub(super) fn named(things: &[impl std::fmt::Display]) -> String {
    let few: Vec<String> = things.iter().take(NAMED).map(|thing| format!("`{thing}`")).collect();
    match things.len().saturating_sub(NAMED) {
        0 => few.join(", "),
        more => format!("{} and {more} more", few.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_of_nft_is_found_with_its_hook_and_priority() {
        let text = "table inet fw {\n\tset x {\n\t\ttype ipv4_addr\n\t}\n\tchain helper {\n\t\tct state new \
                    accept\n\t}\n\tchain fwd {\n\t\ttype filter hook forward priority filter + 10; policy \
                    drop;\n\t\tmeta mark set ct mark\n\t}\n}\ntable ip x {\n\tchain a {\n\t\ttype filter hook \
                    ingress device \"eth0\" priority -5; policy accept;\n\t\tfwd to \"eth1\"\n\t}\n}\n";
        let found: Vec<_> =
            parse(text).iter().map(|r| (r.table, r.chain, r.hook, r.text)).collect();
        assert_eq!(
            found[found.len() - 3..],
            [
                ("inet fw", "helper", None, "ct state new accept"),
                ("inet fw", "fwd", Some(("forward", 10)), "meta mark set ct mark"),
                ("ip x", "a", Some(("ingress", -5)), "fwd to \"eth1\""),
            ]
        );
    }

    #[test]
    fn an_interface_is_covered_by_its_name_or_a_wildcard() {
        let patterns = ["cam+".to_owned(), "vlan20".to_owned()];
        for (name, covered) in
            [("cam0", true), ("vlan20", true), ("vlan200", false), ("vl+", true), ("eth0", false)]
        {
            assert_eq!(fits(&patterns, name), covered, "{name}");
        }
    }
}
