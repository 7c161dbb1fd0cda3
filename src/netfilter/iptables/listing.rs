//! What stands in one table of one family, as `iptables -v -S` prints it.

use std::collections::{BTreeMap, BTreeSet};

use super::Presence;
use crate::failure::Failure;
use crate::netfilter::asleep::is_asleep;
use crate::netfilter::input::number_of;
use crate::netfilter::render::{Chains, Half, iptables_program, words};
use crate::netfilter::run::run;
use crate::verdict::Family;

/// One rule as the kernel has it: the words after `-A CHAIN`, without its counters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) words: Vec<String>,
    pub(super) packets: u64,
}

/// The chains of one table of one family.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) chains: BTreeMap<String, Vec<Line>>,
    /// Chains that are listed as if a user had made them: base chains among them hang in no hook.
    pub(super) made: BTreeSet<String>,
    /// The table is switched off.
    pub(super) asleep: bool,
}

impl Listing {
    /// Reads what `-v -S` printed.
    pub(super) fn parse(text: &str) -> Self {
        let mut listing = Listing::default();
        for line in text.lines() {
            let mut rest = split_words(line).into_iter();
            match (rest.next().as_deref(), rest.next()) {
                (Some("-P"), Some(chain)) => {
                    listing.chains.entry(chain).or_default();
                }
                (Some("-N"), Some(chain)) => {
                    listing.made.insert(chain.clone());
                    listing.chains.entry(chain).or_default();
                }
                (Some("-A"), Some(chain)) => {
                    let mut rule = Line { words: Vec::new(), packets: 0 };
                    while let Some(word) = rest.next() {
                        if word == "-c" {
                            rule.packets = rest.next().and_then(|n| n.parse().ok()).unwrap_or(0);
                            rest.next();
                        } else {
                            rule.words.push(word);
                        }
                    }
                    by_number(&mut rule.words);
                    listing.chains.entry(chain).or_default().push(rule);
                }
                (Some(_) | None, Some(_) | None) => {}
            }
        }
        listing
    }

    pub(super) fn ask(half: Half, family: Family) -> Result<Self, Failure> {
        let argv = words(&[iptables_program(family), "-w", "-t", half.table(), "-v", "-S"]);
        let mut listing = Listing::parse(&run(&argv, "")?);
        listing.asleep = is_asleep(family, half.table());
        Ok(listing)
    }

    /// Nothing enters the half's base chain: somebody made it anew, without a hook.
    pub(super) fn is_unhooked(&self, half: Half) -> bool {
        self.made.contains(half.base())
    }

    pub(super) fn chain(&self, name: &str) -> &[Line] {
        self.chains.get(name).map_or(&[], Vec::as_slice)
    }

    /// Packets that a half has handed to its queues.
    pub(super) fn queued(&self, half: Half) -> u64 {
        let to_queue = |line: &&Line| line.words.iter().any(|word| word == "NFQUEUE");
        self.chain(half.body_chain()).iter().filter(to_queue).map(|line| line.packets).sum()
    }

    pub(super) fn says(&self, chain: &str, rules: &[Vec<String>]) -> bool {
        self.chains.contains_key(chain)
            && self.chain(chain).iter().map(|line| &line.words).eq(rules)
    }

    /// Rules outside of kordon's chains that lead into them, other than the plain jump: chain and words.
    pub(super) fn strays(&self, half: Half) -> Vec<(&str, &[String])> {
        let own = [half.criteria_chain(), half.body_chain()];
        let outside = self.chains.iter().filter(|(name, _)| !own.contains(&name.as_str()));
        outside
            .flat_map(|(name, lines)| lines.iter().map(move |line| (name.as_str(), line)))
            .filter(|(_, line)| leads_into(&line.words, &own))
            .filter(|(name, line)| *name != half.base() || !is_jump(half, line))
            .map(|(name, line)| (name, line.words.as_slice()))
            .collect()
    }

    /// The number of the first rule ahead of hold that lets everything, or all of a criterion, past it: what is accepted
    /// there, or returns to the policy, never comes to hold.
    pub(super) fn past(&self, half: Half, criteria: &[Vec<String>]) -> Option<usize> {
        let ahead = self.chain(half.base()).iter().take_while(|line| !is_jump(half, line));
        let of_all_or_a_criterion = |line: &Line| match line.words.as_slice() {
            [matched @ .., jump, target]
                if jump == "-j" && ["ACCEPT", "RETURN"].contains(&target.as_str()) =>
            {
                let is = |criterion: &Vec<String>| {
                    criterion
                        .split_last_chunk::<2>()
                        .is_some_and(|(words, [goto, _])| goto == "-g" && words == matched)
                };
                matched.is_empty() || criteria.iter().any(is)
            }
            _ => false,
        };
        ahead.enumerate().find(|(_, line)| of_all_or_a_criterion(line)).map(|(index, _)| index + 1)
    }

    pub(super) fn presence(&self, half: Half, wanted: &Chains<Vec<String>>) -> Presence {
        let base = half.base();
        let lines = self.chain(base);
        let jumps = lines.iter().filter(|line| is_jump(half, line)).count();
        let (criteria, body) = (half.criteria_chain(), half.body_chain());
        let here = |chain: &str| self.chains.contains_key(chain);
        if jumps == 0 && !here(criteria) && !here(body) {
            return Presence::Absent;
        }
        let (in_place, place) = match half.is_gate() {
            false => (lines.last(), "last"),
            true => (lines.first(), "first"),
        };
        let table = half.table();
        let what = if self.asleep {
            format!("table {table} is switched off (flag dormant)")
        } else if self.is_unhooked(half) {
            format!("{base} in table {table} hangs in no hook: nothing enters it")
        } else if !self.says(body, &wanted.body) {
            format!("chain {body} in table {table} is not as planned")
        } else if !self.says(criteria, &wanted.criteria) {
            format!("chain {criteria} in table {table} is not as planned")
        } else if jumps == 0 {
            format!("no jump to {criteria} in {table} {base}")
        } else if jumps > 1 {
            format!("{jumps} jumps to {criteria} in {table} {base}")
        } else if !in_place.is_some_and(|line| is_jump(half, line)) {
            format!("the jump to {criteria} is not the {place} rule of {table} {base}")
        } else if let Some((chain, _)) = self.strays(half).first() {
            format!("a rule of others in {table} {chain} leads into kordon's chains")
        } else {
            return Presence::AsPlanned;
        };
        Presence::Different(what)
    }
}

/// A protocol is listed by the name that the machine has for it.
fn by_number(rule: &mut [String]) {
    if let [flag, protocol, ..] = rule
        && flag == "-p"
        && let Some(number) = number_of(protocol)
    {
        *protocol = number.to_string();
    }
}

pub(super) fn is_jump(half: Half, line: &Line) -> bool {
    line.words == ["-j", half.criteria_chain()]
}

pub(super) fn leads_into(rule: &[String], chains: &[&str]) -> bool {
    rule.windows(2).any(|pair| match pair {
        [flag, target] => (flag == "-j" || flag == "-g") && chains.contains(&target.as_str()),
        _ => false,
    })
}

/// Words as iptables quotes them: blanks within double quotes, a backslash before a quote.
pub(super) fn split_words(line: &str) -> Vec<String> {
    let (mut found, mut word, mut quoted, mut begun) = (Vec::new(), String::new(), false, false);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                quoted = !quoted;
                begun = true;
            }
            '\\' if quoted => word.extend(chars.next()),
            ' ' if !quoted => {
                if begun {
                    found.push(std::mem::take(&mut word));
                    begun = false;
                }
            }
            other => {
                word.push(other);
                begun = true;
            }
        }
    }
    if begun {
        found.push(word);
    }
    found
}
