//! Hold and gate by `nft`, in kordon's own `table inet kordon`.
//!
//! Invariants: one transaction per change, so that no packet sees half of it; what the kernel lists is
//! turned back into the words of `render` and compared with them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::change::{Change, Verb};
use super::input;
use super::plan::Plan;
use super::render::{
    Chains, Half, NFT_HELD, nft_chains, nft_counter, nft_halves, nft_script_of, words,
};
use super::run::{attempt, complaint, run};
use super::{Observed, Presence};
use crate::failure::{ExitStatus, Failure};
use crate::verdict::Family;

/// A rule that needs the `queue` statement, in a chain without a hook: even a refused base chain would
/// drop every waiting packet when the kernel takes it back.
const PROBE: &str = "table inet kordon_probe {\n\tchain probe {\n\t\tqueue num 0\n\t}\n}\n";

/// Where nftables' rules are.
const PLACE: &str = "for both families (nftables, table inet kordon)";

/// What the kernel lists of kordon's table.
#[derive(Debug, Default)]
struct Listing {
    /// The rules of each chain that exists, in the words of `render`.
    chains: BTreeMap<String, Vec<String>>,
    /// The base chains that hang where they should.
    hooked: Vec<String>,
    /// The base chains that hang elsewhere, and the other chains that hang anywhere; they cannot be moved, only made anew.
    misplaced: Vec<String>,
    /// The table carries a flag (`dormant` switches it off).
    flagged: bool,
    /// Packets of each named counter.
    counters: BTreeMap<String, u64>,
}

impl Listing {
    /// `None`: no such table.
    fn ask() -> Result<Option<Self>, Failure> {
        // Protocols by number: names differ between versions.
        let argv = words(&["nft", "-j", "-p", "list", "table", "inet", "kordon"]);
        let output = attempt(&argv, "")?;
        if output.success {
            return Listing::parse(&output.stdout).map(Some);
        }
        if output.stderr.trim_start().starts_with("Error: No such file or directory") {
            return Ok(None);
        }
        Err(complaint(&argv, &output.stderr))
    }

    fn parse(text: &str) -> Result<Self, Failure> {
        let unreadable = |why: &str| {
            let message = format!("nft -j list table inet kordon: cannot read its answer: {why}");
            Failure::new(ExitStatus::Failed, message)
        };
        let answer: Value = serde_json::from_str(text).map_err(|e| unreadable(&e.to_string()))?;
        let objects = answer["nftables"].as_array().ok_or_else(|| unreadable("no `nftables`"))?;
        let mut listing = Listing::default();
        for object in objects {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            if let Some(table) = object.get("table") {
                listing.flagged = table.get("flags").is_some();
            } else if let Some(counter) = object.get("counter") {
                let packets = counter["packets"].as_u64().unwrap_or(0);
                listing.counters.insert(text(&counter["name"]), packets);
            } else if let Some(chain) = object.get("chain") {
                listing.add_chain(text(&chain["name"]), chain);
            } else if let Some(rule) = object.get("rule") {
                let expressions = rule["expr"].as_array().map_or(&[][..], Vec::as_slice);
                let words: Vec<String> = expressions.iter().map(statement).collect();
                listing.chains.entry(text(&rule["chain"])).or_default().push(words.join(" "));
            }
        }
        Ok(listing)
    }

    fn add_chain(&mut self, name: String, chain: &Value) {
        for half in Half::ALL {
            if name == half.nft_body_chain() && chain.get("hook").is_some() {
                // Nothing can lead into it, and a transaction that wants that is refused.
                self.misplaced.push(name.clone());
            }
            if name == half.nft_criteria_chain() {
                let placed = chain["type"] == "filter"
                    && chain["hook"] == half.nft_hook()
                    && chain["prio"].as_i64() == Some(half.nft_priority());
                if placed && chain["policy"] == "accept" {
                    self.hooked.push(name.clone());
                } else if !placed {
                    self.misplaced.push(name.clone());
                }
            }
        }
        self.chains.entry(name).or_default();
    }

    fn presence(&self, half: Half, wanted: &Chains<String>) -> Presence {
        let (criteria, body) = (half.nft_criteria_chain(), half.nft_body_chain());
        let rules = |chain: &str| self.chains.get(chain).map_or(&[][..], Vec::as_slice);
        if rules(criteria).is_empty() && rules(body).is_empty() {
            return Presence::Absent;
        }
        let what = if self.flagged {
            "table inet kordon carries a flag that kordon did not set".to_owned()
        } else if self.misplaced.iter().any(|name| name == body) {
            format!("chain {body} in table inet kordon hangs in a hook of its own")
        } else if rules(body) != wanted.body {
            format!("chain {body} in table inet kordon is not as planned")
        } else if rules(criteria) != wanted.criteria {
            format!("chain {criteria} in table inet kordon is not as planned")
        } else if !self.hooked.iter().any(|name| name == criteria) {
            format!("chain {criteria} in table inet kordon has another hook, priority or policy")
        } else {
            return Presence::AsPlanned;
        };
        Presence::Different(what)
    }

    fn observed(&self, plan: &Plan) -> Observed {
        let mut observed = Observed::nothing(plan);
        observed.misplaced = !self.misplaced.is_empty();
        for half in Half::ALL {
            let presence = self.presence(half, &nft_chains(plan, half));
            *observed.of_mut(half) = [presence.clone(), presence];
        }
        let count = |name: &str| self.counters.get(name).copied();
        observed.held[0] = count(NFT_HELD).unwrap_or(0);
        for family in Family::ALL {
            observed.gate_dropped[family.index()] = count(nft_counter(family));
            observed.tunnels_dropped[family.index()] = count(input::nft_counter(family));
        }
        observed
    }
}

/// One expression of a rule in the words of `render`; what kordon never writes becomes its JSON.
fn statement(expression: &Value) -> String {
    known(expression).unwrap_or_else(|| expression.to_string())
}

fn known(expression: &Value) -> Option<String> {
    let (kind, value) = expression.as_object()?.iter().next()?;
    match kind.as_str() {
        "drop" | "return" => Some(kind.clone()),
        "goto" => Some(format!("goto {}", value["target"].as_str()?)),
        "counter" => Some(format!("counter name \"{}\"", value.as_str()?)),
        "match" => matching(value),
        "mangle" if value["key"]["meta"]["key"] == "mark" => match value["value"].as_u64() {
            Some(number) => Some(format!("meta mark set {number:#010x}")),
            None => Some(format!("meta mark set {}", masked_mark(&value["value"])?)),
        },
        "queue" => queue(value),
        _ => None,
    }
}

fn matching(value: &Value) -> Option<String> {
    let (left, right) = (&value["left"], &value["right"]);
    let equal = value["op"] == "==";
    if left["meta"]["key"] == "iifname" && equal {
        return Some(format!("iifname \"{}\"", right.as_str()?));
    }
    if left["meta"]["key"] == "nfproto" && equal {
        return Some(format!("meta nfproto {}", right.as_str()?));
    }
    if left["meta"]["key"] == "l4proto" && equal {
        return Some(format!("meta l4proto {}", set(right)?));
    }
    let payload = (left["payload"]["protocol"].as_str(), left["payload"]["field"].as_str());
    match payload {
        (Some("udp"), Some("dport")) if equal => return Some(format!("udp dport {}", set(right)?)),
        (Some("icmpv6"), Some("type")) if equal => {
            return Some(format!("icmpv6 type {}", set(right)?));
        }
        (Some("ip6"), Some("nexthdr")) if equal => {
            return Some(format!("ip6 nexthdr {}", scalar(right)?));
        }
        (_, _) => {}
    }
    if left["payload"]["field"] == "saddr" && equal {
        let protocol = left["payload"]["protocol"].as_str()?;
        let (address, length) = match right.as_str() {
            Some(address) => (address, if protocol == "ip" { 32 } else { 128 }),
            None => (right["prefix"]["addr"].as_str()?, right["prefix"]["len"].as_u64()?),
        };
        return Some(format!("{protocol} saddr {address}/{length}"));
    }
    if value["op"] == "!=" {
        let mark =
            if left["meta"]["key"] == "mark" { "meta mark".to_owned() } else { masked_mark(left)? };
        return Some(format!("{mark} != {:#010x}", right.as_u64()?));
    }
    None
}

/// A set of protocols, ports or types, which may be listed by name.
fn set(value: &Value) -> Option<String> {
    let elements = value["set"].as_array()?;
    let mut numbers = elements.iter().map(scalar).collect::<Option<Vec<u16>>>()?;
    numbers.sort_unstable();
    Some(input::nft_set(numbers))
}

fn scalar(value: &Value) -> Option<u16> {
    match value.as_str() {
        Some(name) => input::number_of(name).map(u16::from),
        None => value.as_u64()?.try_into().ok(),
    }
}

/// `meta mark & N`
fn masked_mark(value: &Value) -> Option<String> {
    match value["&"].as_array()?.as_slice() {
        [mark, number] if mark["meta"]["key"] == "mark" => {
            Some(format!("meta mark & {:#010x}", number.as_u64()?))
        }
        _ => None,
    }
}

/// Flags are one string or, elsewhere, an array of strings.
fn queue(value: &Value) -> Option<String> {
    let numbers = match value["num"].as_u64() {
        Some(number) => number.to_string(),
        None => match value["num"]["range"].as_array()?.as_slice() {
            [first, last] => format!("{}-{}", first.as_u64()?, last.as_u64()?),
            _ => return None,
        },
    };
    let flags = match value.get("flags") {
        None => String::new(),
        Some(Value::String(flag)) => format!(" flags {flag}"),
        Some(several) => {
            let several: Option<Vec<&str>> =
                several.as_array()?.iter().map(Value::as_str).collect();
            format!(" flags {}", several?.join(","))
        }
    };
    Some(format!("queue{flags} to {numbers}"))
}

/// Puts the plan into force in one transaction, where this was seen of it; returns what was changed.
pub(super) fn apply(plan: &Plan, seen: &Observed) -> Result<Vec<Change>, Failure> {
    let Some((changes, script)) = transaction(plan, seen) else { return Ok(Vec::new()) };
    run(&words(&["nft", "-f", "-"]), &script)?;
    Ok(changes)
}

/// What [`apply`] would change, after `nft -c` has taken it.
pub(super) fn check(plan: &Plan) -> Result<Vec<Change>, Failure> {
    let Some((changes, script)) = transaction(plan, &observe(plan)?) else { return Ok(Vec::new()) };
    // As with the probe: a base chain that the kernel takes back costs the packets that wait in its queues.
    let hookless = script.lines().filter(|line| !line.trim_start().starts_with("type filter hook"));
    run(&words(&["nft", "-c", "-f", "-"]), &hookless.collect::<Vec<&str>>().join("\n"))?;
    Ok(changes)
}

/// What is to be changed, and the script that does; `None` if all stands.
fn transaction(plan: &Plan, seen: &Observed) -> Option<(Vec<Change>, String)> {
    if seen.in_force() {
        return None;
    }
    // With what is left on the input hook of another plan.
    let mut halves = nft_halves(plan);
    let left = Half::ALL.into_iter().filter(|half| seen.of(*half)[0] != Presence::Absent);
    halves.extend(left.filter(|half| !nft_halves(plan).contains(half)));
    let script = nft_script_of(plan, &halves);
    // A base chain cannot be moved. Waiting packets die with it, but kordon never made it so.
    let script =
        if seen.misplaced { format!("delete table inet kordon\n{script}") } else { script };
    let mut changes = Vec::new();
    for half in Half::ALL {
        let verb = match (half.is_planned(plan), &seen.of(half)[0]) {
            (false, Presence::Absent) | (true, Presence::AsPlanned) => continue,
            (false, Presence::AsPlanned | Presence::Different(_)) => Verb::Remove,
            (true, Presence::Absent) => Verb::Install,
            (true, Presence::Different(_)) => Verb::Correct,
        };
        changes.push(Change::new(verb, format!("{} {PLACE}", half.label())));
    }
    Some((changes, script))
}

/// Puts the gates alone into force, in one transaction; hold stays as it is. Returns what was changed.
pub(super) fn apply_gate(plan: &Plan) -> Result<Vec<Change>, Failure> {
    let listing = Listing::ask()?.unwrap_or_default();
    let gates: Vec<Half> =
        Half::ALL.into_iter().filter(|half| half.is_gate() && half.is_planned(plan)).collect();
    let mut changes = Vec::new();
    for &half in &gates {
        let verb = match listing.presence(half, &nft_chains(plan, half)) {
            Presence::AsPlanned => continue,
            Presence::Absent => Verb::Install,
            Presence::Different(_) => Verb::Correct,
        };
        changes.push(Change::new(verb, format!("{} {PLACE}", half.label())));
    }
    if changes.is_empty() {
        return Ok(changes);
    }
    let script = nft_script_of(plan, &gates);
    // As in `apply`; hold is put back by the daemon, and until then nothing passes the gate.
    let gate = |name: &String| {
        gates
            .iter()
            .any(|half| [half.nft_criteria_chain(), half.nft_body_chain()].contains(&&**name))
    };
    let misplaced = listing.misplaced.iter().any(gate);
    let script = if misplaced { format!("delete table inet kordon\n{script}") } else { script };
    run(&words(&["nft", "-f", "-"]), &script)?;
    Ok(changes)
}

/// Deletes the table, if there is one; returns what was removed.
///
/// Hold and gate go in one step. Packets that wait in any queue are dropped by the kernel.
pub(super) fn remove() -> Result<Vec<Change>, Failure> {
    if Listing::ask()?.is_none() {
        return Ok(Vec::new());
    }
    run(&words(&["nft", "delete", "table", "inet", "kordon"]), "")?;
    Ok(vec![Change::new(Verb::Remove, format!("hold and gate {PLACE}"))])
}

/// Whether the kernel lets us look at all.
pub(super) fn look() -> Result<(), Failure> {
    Listing::ask().map(drop)
}

/// What stands in the kernel, compared with the plan.
pub(super) fn observe(plan: &Plan) -> Result<Observed, Failure> {
    Ok(Listing::ask()?.map_or_else(|| Observed::nothing(plan), |listing| listing.observed(plan)))
}

/// Asks whether the kernel has the `queue` statement, without changing anything.
///
/// # Errors
/// 69 if `nft` or the statement is missing, 77 without the permission.
pub(super) fn probe() -> Result<(), Failure> {
    let argv = words(&["nft", "-c", "-f", "-"]);
    let output = attempt(&argv, PROBE)?;
    if output.success {
        return Ok(());
    }
    let failure = complaint(&argv, &output.stderr);
    match failure.status {
        ExitStatus::NoPermission => Err(failure),
        _ => Err(Failure::new(
            ExitStatus::Unavailable,
            "the kernel lacks nftables' `queue` statement (module nft_queue)",
        )),
    }
}

#[cfg(test)]
mod tests;
