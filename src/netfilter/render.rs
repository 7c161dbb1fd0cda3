//! From the plan to what the tools are told; pure, and the same every time.
//!
//! Invariants: nothing here names a table, chain or mark bit that is not kordon's; no base chain is ever
//! deleted or made anew, because the kernel then drops every waiting packet of every queue
//! (`nf_queue_nf_hook_drop`, net/netfilter/nf_queue.c); both halves see the same traffic, because both are
//! rendered from the same criteria; a packet meets the body of a half once, because criteria `goto` it and
//! so skip the criteria that follow.

use std::fmt::Write as _;

use ipnet::IpNet;

use super::plan::{Criterion, Plan};
use crate::verdict::Family;

/// The two halves of kordon's rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    /// Hands camera packets to the queue.
    Hold,
    /// Drops camera packets that nobody accepted.
    Gate,
}

impl Half {
    /// The word in messages.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Half::Hold => "hold",
            Half::Gate => "gate",
        }
    }

    /// iptables' table.
    pub(super) const fn table(self) -> &'static str {
        match self {
            Half::Hold => "mangle",
            Half::Gate => "security",
        }
    }

    /// iptables' chain that holds the criteria.
    pub(super) const fn criteria_chain(self) -> &'static str {
        match self {
            Half::Hold => "kordon-hold",
            Half::Gate => "kordon-gate",
        }
    }

    /// iptables' chain that holds what is done with a camera's packet.
    pub(super) const fn body_chain(self) -> &'static str {
        match self {
            Half::Hold => "kordon-queue",
            Half::Gate => "kordon-check",
        }
    }

    /// nftables' base chain, which holds the criteria.
    pub(super) const fn nft_criteria_chain(self) -> &'static str {
        match self {
            Half::Hold => "hold",
            Half::Gate => "gate",
        }
    }

    /// nftables' chain that holds what is done with a camera's packet.
    pub(super) const fn nft_body_chain(self) -> &'static str {
        match self {
            Half::Hold => "queue_camera",
            Half::Gate => "check_camera",
        }
    }

    /// The priority of nftables' base chain in the forward hook: after DNAT and before SNAT; the gate
    /// after every filter (`enum nf_ip_hook_priorities`, NF_IP_PRI_MANGLE and NF_IP_PRI_SECURITY). The
    /// `security` table of iptables-nft hangs later, at 150.
    pub(super) const fn nft_priority(self) -> i64 {
        match self {
            Half::Hold => -150,
            Half::Gate => 50,
        }
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

/// The counter of the gate's drops in nftables' table.
pub(super) const fn nft_counter(family: Family) -> &'static str {
    match family {
        Family::V4 => "gate_ipv4",
        Family::V6 => "gate_ipv6",
    }
}

/// One half in nftables' language, one string per rule; the gate of a plan without one is empty.
pub(super) fn nft_chains(plan: &Plan, half: Half) -> Chains<String> {
    if half == Half::Gate && !plan.gate {
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
    let clear = if plan.foreign_bits() == 0 {
        "meta mark set 0x00000000".to_owned()
    } else {
        format!("meta mark set meta mark & {:#010x}", plan.foreign_bits())
    };
    let body = match half {
        Half::Hold => vec![clear, nft_queue(plan)],
        Half::Gate => {
            let unmarked = if plan.foreign_bits() == 0 {
                format!("meta mark != {:#010x}", plan.mark.value)
            } else {
                format!("meta mark & {:#010x} != {:#010x}", plan.mark.mask, plan.mark.value)
            };
            let drop = |family: Family| {
                let counter = nft_counter(family);
                format!(
                    "{unmarked} meta nfproto {} counter name \"{counter}\" drop",
                    family.label()
                )
            };
            Family::ALL.into_iter().map(drop).chain([clear]).collect()
        }
    };
    Chains { criteria: criteria.collect(), body }
}

fn nft_queue(plan: &Plan) -> String {
    let flags = if plan.open { " flags bypass" } else { "" };
    if plan.queues > 1 {
        format!("queue{flags} to {}-{}", plan.first_queue, plan.last_queue())
    } else {
        format!("queue{flags} to {}", plan.first_queue)
    }
}

/// A trailing `+` is the wildcard of the configuration (as iptables writes it), `*` that of nftables.
fn nft_name(name: &str) -> String {
    match name.strip_suffix('+') {
        Some(stem) => format!("\"{stem}*\""),
        None => format!("\"{name}\""),
    }
}

/// The transaction that makes `table inet kordon` say what is planned, whatever it said before.
///
/// Declaring what exists changes nothing; rules are flushed and written anew in one step. The base chain
/// of the gate stays, empty, in a plan without one.
pub(super) fn nft_script(plan: &Plan) -> String {
    nft_script_of(plan, &[Half::Gate, Half::Hold])
}

/// The transaction that makes these halves say what is planned and leaves the others as they are.
pub(super) fn nft_script_of(plan: &Plan, halves: &[Half]) -> String {
    let mut text = String::from("table inet kordon {\n");
    for family in Family::ALL {
        let _ = writeln!(text, "\tcounter {} {{ }}", nft_counter(family));
    }
    for &half in halves {
        let (name, priority) = (half.nft_criteria_chain(), half.nft_priority());
        let _ = writeln!(text, "\tchain {} {{ }}", half.nft_body_chain());
        let _ = writeln!(text, "\tchain {name} {{");
        let _ = writeln!(text, "\t\ttype filter hook forward priority {priority}; policy accept;");
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
    let mut text = String::from("table inet kordon {\n");
    for family in Family::ALL {
        let _ = writeln!(text, "\tcounter {} {{ }}", nft_counter(family));
    }
    let halves: &[Half] = if plan.open { &[Half::Hold] } else { &[Half::Gate, Half::Hold] };
    for &half in halves {
        let chains = nft_chains(plan, half);
        let base =
            format!("type filter hook forward priority {}; policy accept;", half.nft_priority());
        let (body, criteria) = (half.nft_body_chain(), half.nft_criteria_chain());
        for (name, first, rules) in
            [(body, None, chains.body), (criteria, Some(base), chains.criteria)]
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
    let (value, mask) = (plan.mark.value, plan.mark.mask);
    let clear = words(&["-j", "MARK", "--set-xmark", &format!("0x0/{mask:#x}")]);
    let body = match half {
        Half::Hold => vec![clear, iptables_queue(plan)],
        Half::Gate => {
            let mark = if mask == u32::MAX {
                format!("{value:#x}")
            } else {
                format!("{value:#x}/{mask:#x}")
            };
            vec![words(&["-m", "mark", "!", "--mark", &mark, "-j", "DROP"]), clear]
        }
    };
    Chains { criteria: criteria.collect(), body }
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
