//! The compiled table against a linear scan of the same entries, on seeded random tables.
//!
//! The scan is slow and obviously right: it looks at every entry, and puts precedence as the promise is put.
//! Half of the prefixes are made inside or around others, so that nesting is the rule.

#[path = "../benches/common/mod.rs"]
mod common;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use common::Random;
use ipnet::IpNet;
use kordon::config::Action;
use kordon::ruleset::{Builder, ListId, Table};

/// Lists in the order of their ids.
const LISTS: [Action; 4] = [Action::Block, Action::Allow, Action::Monitor, Action::Block];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    prefix: IpNet,
    list: u16,
    line: u32,
}

fn compile(entries: &[Entry]) -> Table {
    let mut builder = Builder::new();
    for action in LISTS {
        builder.list(action);
    }
    for entry in entries {
        builder.add(ListId(entry.list), entry.prefix, entry.line, None);
    }
    builder.compile()
}

/// The promise: exempt beats block beats monitor, whatever the lengths; among equals the longest prefix is
/// named, then the first list, then the first line.
fn scan(entries: &[Entry], address: IpAddr) -> Option<(Action, Entry)> {
    let of = |action: Action| {
        entries
            .iter()
            .filter(|entry| LISTS[usize::from(entry.list)] == action)
            .filter(|entry| entry.prefix.contains(&address))
            .min_by_key(|entry| (128 - entry.prefix.prefix_len(), entry.list, entry.line))
    };
    [Action::Allow, Action::Block, Action::Monitor]
        .into_iter()
        .find_map(|action| of(action).map(|entry| (action, *entry)))
}

fn answer(table: &Table, address: IpAddr) -> Option<(Action, Entry)> {
    let hit = table.lookup(address)?;
    let from = table.origin_of(address, hit).expect("a hit comes from an entry");
    assert_eq!(from.list, hit.list);
    Some((hit.action, Entry { prefix: from.prefix, list: from.list.0, line: from.line }))
}

/// First and last address of a prefix, and their neighbours outside.
fn edges(prefix: IpNet) -> [IpAddr; 4] {
    match prefix {
        IpNet::V4(net) => {
            let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
            [first, last, first.wrapping_sub(1), last.wrapping_add(1)]
                .map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits)))
        }
        IpNet::V6(net) => {
            let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
            [first, last, first.wrapping_sub(1), last.wrapping_add(1)]
                .map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)))
        }
    }
}

const LENGTHS4: [u8; 16] = [8, 12, 14, 15, 16, 17, 19, 20, 21, 22, 24, 24, 24, 24, 29, 32];
const LENGTHS6: [u8; 16] = [16, 20, 28, 29, 32, 32, 33, 36, 40, 44, 48, 48, 56, 64, 96, 128];

fn random_prefix(random: &mut Random, v6: bool, known: &[Entry]) -> IpNet {
    let usual = if v6 { LENGTHS6 } else { LENGTHS4 };
    let longest = if v6 { 128 } else { 32 };
    let length = match random.below(20) {
        0 => random.below(longest + 1) as u8,
        _ => usual[random.below(usual.len())],
    };
    let from = match known.len() {
        0 => None,
        n if random.below(2) == 0 => Some(known[random.below(n)].prefix),
        _ => None,
    };
    // Inside or around a known prefix, or in space that is really announced.
    let address = match (from, v6) {
        (Some(known), _) => random.within(known),
        (None, false) => random.within("0.0.0.0/0".parse().expect("a prefix")),
        (None, true) => random.within("2a00::/12".parse().expect("a prefix")),
    };
    IpNet::new(address, length).expect("a length").trunc()
}

fn random_entries(seed: u64, count: usize, v6: bool) -> Vec<Entry> {
    let mut random = Random(seed);
    let mut entries = Vec::new();
    for line in 1..=count {
        let prefix = random_prefix(&mut random, v6, &entries);
        let list = random.below(LISTS.len()) as u16;
        entries.push(Entry { prefix, list, line: line as u32 });
    }
    entries
}

fn compare(seed: u64, count: usize, v6: bool) {
    let what = format!("seed {seed:#x}, {count} {} prefixes", if v6 { "IPv6" } else { "IPv4" });
    println!("{what}");
    let entries = random_entries(seed, count, v6);
    let table = compile(&entries);
    let mut random = Random(!seed);
    let mut probes: Vec<IpAddr> = entries.iter().flat_map(|entry| edges(entry.prefix)).collect();
    probes.extend(entries.iter().map(|entry| random.within(entry.prefix)));
    probes.extend(entries.iter().map(|entry| random.beside(entry.prefix)));
    for everywhere in ["0.0.0.0/0", "::/0"] {
        let everywhere = everywhere.parse().expect("a prefix");
        probes.extend((0..100).map(|_| random.within(everywhere)));
    }
    for address in probes {
        assert_eq!(answer(&table, address), scan(&entries, address), "{what}: {address}");
    }
}

#[test]
fn table_answers_as_a_linear_scan_does() {
    for v6 in [false, true] {
        // Many small tables: all sizes of the first step, all shapes of groups.
        for seed in 0..60 {
            compare(0x1000 + seed, seed as usize, v6);
        }
        for seed in 0..10 {
            compare(0x2000 + seed, 200, v6);
        }
        for seed in 0..2 {
            compare(0x3000 + seed, 2_000, v6);
        }
    }
}

#[test]
fn both_families_in_one_table_stay_apart() {
    let mut entries = random_entries(0x4000, 300, false);
    entries.extend(random_entries(0x4001, 300, true));
    let table = compile(&entries);
    for address in entries.iter().flat_map(|entry| edges(entry.prefix)) {
        assert_eq!(answer(&table, address), scan(&entries, address), "{address}");
    }
}

fn one(prefix: &str, list: u16) -> Entry {
    Entry { prefix: prefix.parse().expect("a prefix"), list, line: u32::from(list) + 1 }
}

fn action_at(entries: &[Entry], address: &str) -> Option<(Action, String)> {
    let address = address.parse().expect("an address");
    answer(&compile(entries), address).map(|(action, entry)| (action, entry.prefix.to_string()))
}

#[test]
fn exempt_prefix_inside_a_blocked_prefix_is_exempt() {
    let entries = [one("198.51.100.0/24", 0), one("198.51.100.64/26", 1)];
    let exempt = Some((Action::Allow, "198.51.100.64/26".to_owned()));
    let block = Some((Action::Block, "198.51.100.0/24".to_owned()));
    assert_eq!(action_at(&entries, "198.51.100.64"), exempt);
    assert_eq!(action_at(&entries, "198.51.100.127"), exempt);
    assert_eq!(action_at(&entries, "198.51.100.63"), block);
    assert_eq!(action_at(&entries, "198.51.100.128"), block);
}

#[test]
fn blocked_prefix_inside_an_exempt_prefix_is_exempt() {
    let entries = [one("2001:db8::/32", 1), one("2001:db8:1::/48", 0)];
    let exempt = Some((Action::Allow, "2001:db8::/32".to_owned()));
    assert_eq!(action_at(&entries, "2001:db8:1::1"), exempt);
}

#[test]
fn monitor_entry_inside_a_blocked_prefix_does_not_weaken_the_block() {
    let entries = [one("2001:db8::/32", 0), one("2001:db8:1::/48", 2)];
    let block = Some((Action::Block, "2001:db8::/32".to_owned()));
    assert_eq!(action_at(&entries, "2001:db8:1::1"), block);
    let monitored = Some((Action::Monitor, "2001:db8:1::/48".to_owned()));
    assert_eq!(action_at(&entries[1..], "2001:db8:1::1"), monitored);
}

#[test]
fn longest_of_several_blocks_is_named() {
    let entries = [one("203.0.113.0/24", 0), one("203.0.113.128/25", 3), one("203.0.0.0/16", 3)];
    let named = |prefix: &str| Some((Action::Block, prefix.to_owned()));
    assert_eq!(action_at(&entries, "203.0.113.200"), named("203.0.113.128/25"));
    assert_eq!(action_at(&entries, "203.0.113.1"), named("203.0.113.0/24"));
    assert_eq!(action_at(&entries, "203.0.112.1"), named("203.0.0.0/16"));
}

#[test]
fn empty_table_finds_nothing() {
    assert_eq!(action_at(&[], "0.0.0.0"), None);
    assert_eq!(action_at(&[], "255.255.255.255"), None);
    assert_eq!(action_at(&[], "::"), None);
    assert_eq!(action_at(&[], "2001:db8::1"), None);
}

/// More blocks of /40 with something longer inside than real tables have.
#[test]
fn many_blocks_with_prefixes_of_their_own_are_answered_all_the_same() {
    let prefix = |n: u32, length: u8, list: u16| {
        let bits = (u128::from(n) << 88) + (0x2001_0000_u128 << 96);
        let address = std::net::Ipv6Addr::from_bits(bits);
        Entry {
            prefix: IpNet::new(address.into(), length).expect("a length"),
            list,
            line: n % 7 + 1,
        }
    };
    let mut entries = Vec::new();
    // 160 groups of 256: 40,960 blocks of /40, each with something longer inside.
    for n in 0..40_960 {
        let list = (n % 3) as u16;
        entries.push(prefix(n, 44, list));
        if n % 5 == 0 {
            entries.push(prefix(n, 52, (list + 1) % 3));
        }
        if n % 256 == 0 {
            entries.push(prefix(n, 33, (list + 2) % 3));
        }
    }
    let table = compile(&entries);
    let mut random = Random(0x5000);
    let mut by_length = std::collections::HashMap::new();
    for entry in &entries {
        by_length.insert(entry.prefix, *entry);
    }
    for entry in entries.iter().filter(|_| random.below(40) == 0).copied().collect::<Vec<_>>() {
        for address in edges(entry.prefix).into_iter().chain([random.within(entry.prefix)]) {
            let covering: Vec<Entry> = [33, 44, 52]
                .into_iter()
                .filter_map(|length| by_length.get(&IpNet::new(address, length).ok()?.trunc()))
                .copied()
                .collect();
            assert_eq!(answer(&table, address), scan(&covering, address), "{address}");
        }
    }
}
