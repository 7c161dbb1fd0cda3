//! From the plan to what the tools are told; pure, and the same every time.
//!
//! Invariants: nothing here names a table, chain or mark bit that is not kordon's; no base chain is ever
//! deleted or made anew, because the kernel then drops every waiting packet of every queue
//! (`nf_queue_nf_hook_drop`, net/netfilter/nf_queue.c); all halves see the same senders, because all are
//! rendered from the same criteria; a packet meets the body of a half once, because criteria `goto` it and
//! so skip the criteria that follow.

use std::fmt::Write as _;

use ipnet::IpNet;

use super::input;
use super::plan::{Criterion, Plan};
use crate::verdict::Family;

/// The halves of kordon's rules: hold and gate, on the forward hook and, where planned, on the input hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    /// Hands camera packets to the queue.
    Hold,
    /// Drops camera packets that nobody accepted.
    Gate,
    /// Hands camera packets to the queue that are for the gateway itself.
    HoldInput,
    /// Drops camera packets for the gateway itself that nobody accepted, or that wrap others.
    GateInput,
}

impl Half {
    /// All, in the order in which they are put in place: each gate before any hold.
    pub(super) const ALL: [Half; 4] = [Half::Gate, Half::GateInput, Half::Hold, Half::HoldInput];

    /// The word in messages.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Half::Hold => "hold",
            Half::Gate => "gate",
            Half::HoldInput => "input hold",
            Half::GateInput => "input gate",
        }
    }

    /// It drops what hold did not send through.
    pub(super) const fn is_gate(self) -> bool {
        match self {
            Half::Gate | Half::GateInput => true,
            Half::Hold | Half::HoldInput => false,
        }
    }

    /// It looks at what is for the gateway itself.
    pub(super) const fn on_input(self) -> bool {
        match self {
            Half::HoldInput | Half::GateInput => true,
            Half::Hold | Half::Gate => false,
        }
    }

    /// Whether it stands under this plan.
    pub(super) const fn is_planned(self, plan: &Plan) -> bool {
        match self {
            Half::Hold => true,
            Half::Gate => plan.gate,
            Half::HoldInput => plan.hold_input,
            Half::GateInput => plan.gate && (plan.hold_input || plan.drop_tunnels),
        }
    }

    /// iptables' table.
    pub(super) const fn table(self) -> &'static str {
        match self {
            Half::Hold | Half::HoldInput => "mangle",
            Half::Gate | Half::GateInput => "security",
        }
    }

    /// iptables' base chain.
    pub(super) const fn base(self) -> &'static str {
        if self.on_input() { "INPUT" } else { "FORWARD" }
    }

    /// iptables' chain that holds the criteria.
    pub(super) const fn criteria_chain(self) -> &'static str {
        match self {
            Half::Hold => "kordon-hold",
            Half::Gate => "kordon-gate",
            Half::HoldInput => "kordon-hold-in",
            Half::GateInput => "kordon-gate-in",
        }
    }

    /// iptables' chain that holds what is done with a camera's packet.
    pub(super) const fn body_chain(self) -> &'static str {
        match self {
            Half::Hold => "kordon-queue",
            Half::Gate => "kordon-check",
            Half::HoldInput => "kordon-queue-in",
            Half::GateInput => "kordon-check-in",
        }
    }

    /// nftables' base chain, which holds the criteria.
    pub(super) const fn nft_criteria_chain(self) -> &'static str {
        match self {
            Half::Hold => "hold",
            Half::Gate => "gate",
            Half::HoldInput => "hold_input",
            Half::GateInput => "gate_input",
        }
    }

    /// nftables' chain that holds what is done with a camera's packet.
    pub(super) const fn nft_body_chain(self) -> &'static str {
        match self {
            Half::Hold => "queue_camera",
            Half::Gate => "check_camera",
            Half::HoldInput => "queue_input",
            Half::GateInput => "check_input",
        }
    }

    /// The hook of nftables' base chain.
    pub(super) const fn nft_hook(self) -> &'static str {
        if self.on_input() { "input" } else { "forward" }
    }

    /// The priority of nftables' base chain in its hook: after DNAT and before SNAT; the gate
    /// after every filter (`enum nf_ip_hook_priorities`, NF_IP_PRI_MANGLE and NF_IP_PRI_SECURITY). The
    /// `security` table of iptables-nft hangs later, at 150.
    pub(super) const fn nft_priority(self) -> i64 {
        if self.is_gate() { 50 } else { -150 }
    }
}

/// The rules of one half: what stands in its two chains. `R` is one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chains<R> {
    /// Tells camera packets from others.
    pub(super) criteria: Vec<R>,
    /// What is done with a camera's packet.
    pub(super) body: Vec<R>,
}

/// The counter of the gates' drops in nftables' table.
pub(super) const fn nft_counter(family: Family) -> &'static str {
    match family {
        Family::V4 => "gate_ipv4",
        Family::V6 => "gate_ipv6",
    }
}

/// The counter of what hold hands to the queues, on both hooks, in nftables' table. One for both families, which would
/// else have to be told apart for each packet.
pub(super) const NFT_HELD: &str = "held";

/// One half in nftables' language, one string per rule; one that is not planned is empty.
pub(super) fn nft_chains(plan: &Plan, half: Half) -> Chains<String> {
    if !half.is_planned(plan) {
        return Chains { criteria: Vec::new(), body: Vec::new() };
    }
    let body = half.nft_body_chain();
    let criteria = plan.criteria(&Family::ALL).into_iter().map(|criterion| match criterion {
        Criterion::Interface(name) => format!("iifname {} goto {body}", nft_name(name)),
        Criterion::Source(IpNet::V4(net)) => format!("ip saddr {net} goto {body}"),
        Criterion::Source(IpNet::V6(net)) => format!("ip6 saddr {net} goto {body}"),
        Criterion::Trusted(name) => format!("iifname {} return", nft_name(name)),
        Criterion::Rest => format!("goto {body}"),
    });
    let mut rules = Vec::new();
    if half.on_input() {
        // The gateway's own packets to itself may carry a camera network's address.
        rules.push("iifname \"lo\" return".to_owned());
    }
    rules.extend(criteria);
    let clear = if plan.foreign_bits() == 0 {
        "meta mark set 0x00000000".to_owned()
    } else {
        format!("meta mark set meta mark & {:#010x}", plan.foreign_bits())
    };
    let body = match half {
        Half::Hold => vec![clear, nft_queue(plan)],
        Half::HoldInput => [input::nft_spared(), vec![clear, nft_queue(plan)]].concat(),
        Half::Gate => nft_check(plan, clear),
        Half::GateInput => {
            let mut body = Vec::new();
            if plan.drop_tunnels {
                body.extend(input::nft_tunnels());
            }
            if plan.hold_input {
                body.extend(input::nft_spared());
                body.extend(nft_check(plan, clear));
            }
            body
        }
    };
    Chains { criteria: rules, body }
}

/// What has no pass is dropped; what has one loses it.
fn nft_check(plan: &Plan, clear: String) -> Vec<String> {
    let unmarked = if plan.foreign_bits() == 0 {
        format!("meta mark != {:#010x}", plan.mark.value)
    } else {
        format!("meta mark & {:#010x} != {:#010x}", plan.mark.mask, plan.mark.value)
    };
    let drop = |family: Family| {
        let counter = nft_counter(family);
        format!("{unmarked} meta nfproto {} counter name \"{counter}\" drop", family.label())
    };
    Family::ALL.into_iter().map(drop).chain([clear]).collect()
}

fn nft_queue(plan: &Plan) -> String {
    let flags = if plan.open { " flags bypass" } else { "" };
    let count = format!("counter name \"{NFT_HELD}\"");
    if plan.queues > 1 {
        format!("{count} queue{flags} to {}-{}", plan.first_queue, plan.last_queue())
    } else {
        format!("{count} queue{flags} to {}", plan.first_queue)
    }
}

/// A trailing `+` is the wildcard of the configuration (as iptables writes it), `*` that of nftables.
fn nft_name(name: &str) -> String {
    match name.strip_suffix('+') {
        Some(stem) => format!("\"{stem}*\""),
        None => format!("\"{name}\""),
    }
}

/// The halves that a transaction speaks of: those on the forward hook always, those on the input hook where the
/// configuration wants them at all. The base chain of one that is not planned stays, empty.
pub(super) fn nft_halves(plan: &Plan) -> Vec<Half> {
    let configured = |half: &Half| match half {
        Half::Hold | Half::Gate => true,
        Half::HoldInput => plan.hold_input,
        Half::GateInput => plan.hold_input || plan.drop_tunnels,
    };
    Half::ALL.into_iter().filter(configured).collect()
}

fn nft_counters(text: &mut String, halves: &[Half]) {
    for family in Family::ALL {
        let _ = writeln!(text, "\tcounter {} {{ }}", nft_counter(family));
    }
    if halves.contains(&Half::GateInput) {
        for family in Family::ALL {
            let _ = writeln!(text, "\tcounter {} {{ }}", input::nft_counter(family));
        }
    }
    if !halves.iter().all(|half| half.is_gate()) {
        let _ = writeln!(text, "\tcounter {NFT_HELD} {{ }}");
    }
}

fn nft_base(half: Half) -> String {
    format!("type filter hook {} priority {}; policy accept;", half.nft_hook(), half.nft_priority())
}

/// The transaction that makes these halves of `table inet kordon` say what is planned, whatever they said before, and
/// leaves the others as they are.
///
/// Declaring what exists changes nothing; rules are flushed and written anew in one step.
pub(super) fn nft_script_of(plan: &Plan, halves: &[Half]) -> String {
    let mut text = String::from("table inet kordon {\n");
    nft_counters(&mut text, halves);
    for &half in halves {
        let _ = writeln!(text, "\tchain {} {{ }}", half.nft_body_chain());
        let _ = writeln!(text, "\tchain {} {{", half.nft_criteria_chain());
        let _ = writeln!(text, "\t\t{}", nft_base(half));
        text.push_str("\t}\n");
    }
    text.push_str("}\n");
    for &half in halves {
        let _ = writeln!(text, "flush chain inet kordon {}", half.nft_criteria_chain());
        let _ = writeln!(text, "flush chain inet kordon {}", half.nft_body_chain());
    }
    text.push_str("table inet kordon {\n");
    for &half in halves {
        let chains = nft_chains(plan, half);
        for (name, rules) in
            [(half.nft_body_chain(), chains.body), (half.nft_criteria_chain(), chains.criteria)]
        {
            if rules.is_empty() {
                continue;
            }
            let _ = writeln!(text, "\tchain {name} {{");
            for rule in rules {
                let _ = writeln!(text, "\t\t{rule}");
            }
            text.push_str("\t}\n");
        }
    }
    text.push_str("}\n");
    text
}

/// The table as it stands in a file of the admin's own, which begins with `flush ruleset`.
pub(super) fn nft_table(plan: &Plan) -> String {
    let stands = |half: &Half| half.is_planned(plan) && !(plan.open && half.is_gate());
    let halves: Vec<Half> = Half::ALL.into_iter().filter(stands).collect();
    let mut text = String::from("table inet kordon {\n");
    nft_counters(&mut text, &halves);
    for half in halves {
        let chains = nft_chains(plan, half);
        let (body, criteria) = (half.nft_body_chain(), half.nft_criteria_chain());
        for (name, first, rules) in
            [(body, None, chains.body), (criteria, Some(nft_base(half)), chains.criteria)]
        {
            let _ = writeln!(text, "\tchain {name} {{");
            for line in first.into_iter().chain(rules) {
                let _ = writeln!(text, "\t\t{line}");
            }
            text.push_str("\t}\n");
        }
    }
    text.push_str("}\n");
    text
}

/// The program that speaks for a family. By its full name: plain `iptables` may be the legacy one.
pub(super) const fn iptables_program(family: Family) -> &'static str {
    match family {
        Family::V4 => "iptables-nft",
        Family::V6 => "ip6tables-nft",
    }
}

/// One half and family as iptables rules, each the words after `-A CHAIN`, spelled as `-S` lists them.
pub(super) fn iptables_chains(plan: &Plan, half: Half, family: Family) -> Chains<Vec<String>> {
    let body = half.body_chain();
    let criteria = plan.criteria(&[family]).into_iter().map(|criterion| match criterion {
        Criterion::Interface(name) => words(&["-i", name, "-g", body]),
        Criterion::Source(net) => words(&["-s", &net.to_string(), "-g", body]),
        Criterion::Trusted(name) => words(&["-i", name, "-j", "RETURN"]),
        Criterion::Rest => words(&["-g", body]),
    });
    let mut rules = Vec::new();
    if half.on_input() {
        rules.push(words(&["-i", "lo", "-j", "RETURN"]));
    }
    rules.extend(criteria);
    let mask = plan.mark.mask;
    let clear = words(&["-j", "MARK", "--set-xmark", &format!("0x0/{mask:#x}")]);
    let body = match half {
        Half::Hold => vec![clear, iptables_queue(plan)],
        Half::HoldInput => {
            [input::iptables_spared(family), vec![clear, iptables_queue(plan)]].concat()
        }
        Half::Gate => vec![iptables_check(plan), clear],
        Half::GateInput => {
            let mut body = Vec::new();
            if plan.drop_tunnels {
                body.extend(input::iptables_tunnels(family));
            }
            if plan.hold_input {
                body.extend(input::iptables_spared(family));
                body.extend([iptables_check(plan), clear]);
            }
            body
        }
    };
    Chains { criteria: rules, body }
}

/// What has no pass is dropped.
fn iptables_check(plan: &Plan) -> Vec<String> {
    let (value, mask) = (plan.mark.value, plan.mark.mask);
    let mark =
        if mask == u32::MAX { format!("{value:#x}") } else { format!("{value:#x}/{mask:#x}") };
    words(&["-m", "mark", "!", "--mark", &mark, "-j", "DROP"])
}

fn iptables_queue(plan: &Plan) -> Vec<String> {
    let mut rule = if plan.queues > 1 {
        let range = format!("{}:{}", plan.first_queue, plan.last_queue());
        words(&["-j", "NFQUEUE", "--queue-balance", &range])
    } else {
        words(&["-j", "NFQUEUE", "--queue-num", &plan.first_queue.to_string()])
    };
    if plan.open {
        rule.push("--queue-bypass".to_owned());
    }
    rule
}

pub(super) fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|&word| word.to_owned()).collect()
}

#[cfg(test)]
mod tests;
