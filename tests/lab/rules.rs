//! Other people's netfilter rules on the gateway, and surgery on kordon's.

use super::Res;
use super::process::tool;

/// Both families' tools, by the names that cannot mean the old ones.
pub(crate) const IPTABLES: [&str; 2] = ["iptables-nft", "ip6tables-nft"];

/// Removes every rule of every table and family.
pub(crate) fn flush_everything() -> Res {
    tool("nft", &["flush", "ruleset"]).map(drop)
}

/// Runs iptables for IPv4 and IPv6; `arguments` are separated by spaces.
pub(crate) fn both(arguments: &str) -> Res {
    IPTABLES.into_iter().try_for_each(|program| {
        tool(program, &arguments.split_whitespace().collect::<Vec<_>>()).map(drop)
    })
}

/// Whether kordon's rules are in its nftables table (and not in iptables' chains).
fn in_nftables() -> bool {
    tool("nft", &["list", "table", "inet", "kordon"]).is_ok()
}

/// Empties hold, so that nothing is queued any more; gate stays.
pub(crate) fn flush_hold() -> Res {
    if in_nftables() {
        return tool("nft", &["flush", "chain", "inet", "kordon", "hold"]).map(drop);
    }
    both("-w -t mangle -F FORWARD")
}

/// Empties gate, so that it drops nothing any more.
pub(crate) fn flush_gate() -> Res {
    if in_nftables() {
        return tool("nft", &["flush", "chain", "inet", "kordon", "gate"]).map(drop);
    }
    both("-w -t security -F FORWARD")
}

/// How many packets the rules with this comment have seen, in both families.
pub(crate) fn packets(comment: &str) -> Res<u64> {
    volume(comment).map(|(packets, _)| packets)
}

/// [`packets`], and their bytes.
pub(crate) fn volume(comment: &str) -> Res<(u64, u64)> {
    let (mut packets, mut bytes) = (0, 0);
    for program in ["iptables-nft-save", "ip6tables-nft-save"] {
        // `[12:345] -A POSTROUTING -m comment --comment NAME ...`
        for line in tool(program, &["-c"])?.lines() {
            if line.split_whitespace().any(|word| word == comment) {
                let counts = line.strip_prefix('[').and_then(|rest| rest.split(']').next());
                let counts = counts.and_then(|counts| {
                    let (packets, bytes) = counts.split_once(':')?;
                    Some((packets.parse::<u64>().ok()?, bytes.parse::<u64>().ok()?))
                });
                let counts = counts.ok_or_else(|| format!("{program}: no counter in {line:?}"))?;
                packets += counts.0;
                bytes += counts.1;
            }
        }
    }
    Ok((packets, bytes))
}

/// How many packets the gate has dropped, in both families.
pub(crate) fn gate_dropped() -> Res<u64> {
    let text = if in_nftables() {
        let mut text = String::new();
        for counter in ["gate_ipv4", "gate_ipv6"] {
            text += &tool("nft", &["list", "counter", "inet", "kordon", counter])?;
        }
        text
    } else {
        // As a counter of nftables' is listed: `packets 12 bytes 345`.
        let mut text = String::new();
        for program in ["iptables-nft-save", "ip6tables-nft-save"] {
            for line in tool(program, &["-c", "-t", "security"])?.lines() {
                if line.contains("-A kordon-check ") && line.ends_with("-j DROP") {
                    let counts = line.trim_start_matches('[').split(':').next();
                    text += &format!("packets {} ", counts.unwrap_or_default());
                }
            }
        }
        text
    };
    let mut words = text.split_whitespace();
    let (mut found, mut dropped) = (0, 0);
    while let Some(word) = words.next() {
        if word == "packets" {
            let count = words.next().and_then(|count| count.parse::<u64>().ok());
            dropped += count.ok_or_else(|| format!("no count in {text:?}"))?;
            found += 1;
        }
    }
    match found {
        2 => Ok(dropped),
        n => Err(format!("{n} counters of the gate, not one for each family: {text:?}")),
    }
}

/// How many packets hold's rules on the forward hook have handed to a queue, in both families; nftables' counter has
/// those of the input hook, too.
pub(crate) fn held() -> Res<u64> {
    if in_nftables() {
        let text = tool("nft", &["list", "counter", "inet", "kordon", "held"])?;
        let mut words = text.split_whitespace().skip_while(|word| *word != "packets");
        let count = words.nth(1).and_then(|count| count.parse().ok());
        return count.ok_or_else(|| format!("no count in {text:?}"));
    }
    let (mut found, mut held) = (0, 0);
    for program in ["iptables-nft-save", "ip6tables-nft-save"] {
        // `[12:345] -A kordon-queue -j NFQUEUE --queue-num 40`
        for line in tool(program, &["-c", "-t", "mangle"])?.lines() {
            if line.contains("-A kordon-queue ") && line.contains("-j NFQUEUE") {
                let counts = line.strip_prefix('[').and_then(|rest| rest.split(':').next());
                let count = counts.and_then(|count| count.parse::<u64>().ok());
                held += count.ok_or_else(|| format!("{program}: no counter in {line:?}"))?;
                found += 1;
            }
        }
    }
    match found {
        2 => Ok(held),
        n => Err(format!("{n} rules of hold lead to a queue, not one for each family")),
    }
}

/// All rules of both families, for comparing before and after.
pub(crate) fn snapshot() -> Res<String> {
    let mut text = tool("iptables-nft", &["-w", "-t", "mangle", "-S"])?;
    text += &tool("iptables-nft", &["-w", "-t", "security", "-S"])?;
    text += &tool("ip6tables-nft", &["-w", "-t", "mangle", "-S"])?;
    text += &tool("ip6tables-nft", &["-w", "-t", "security", "-S"])?;
    if in_nftables() {
        text += &tool("nft", &["-s", "list", "table", "inet", "kordon"])?;
    }
    Ok(text)
}
