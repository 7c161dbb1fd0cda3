//! The compiled table against one hash map per prefix length, on a real BGP table of 1.25 million lines.
//!
//! Origin AS numbers are dealt out to a block, an allow and a monitor list, so that the real nesting of the
//! table tests precedence too.

#[path = "../benches/common/mod.rs"]
mod common;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use common::{Ip, Random, Route};
use ipnet::IpNet;
use kordon::config::Action;
use kordon::ruleset::{Builder, ListId, Table};

const LISTS: [Action; 3] = [Action::Allow, Action::Block, Action::Monitor];
const SEED: u64 = 0x66_75_6c_6c;
/// Prefixes whose edges are probed; each gives six probes.
const PROBED: usize = 10_000;

fn list_of(origin: u32) -> u16 {
    match origin % 11 {
        0 => 0,
        1..=7 => 1,
        _ => 2,
    }
}

/// Length, address bits and family of a prefix.
type Key = (u8, u128, bool);

fn key(prefix: IpNet) -> Key {
    match prefix {
        IpNet::V4(net) => (net.prefix_len(), net.network().to_bits().into(), false),
        IpNet::V6(net) => (net.prefix_len(), net.network().to_bits(), true),
    }
}

/// The first line of each list, if it has one.
type Lines = [Option<u32>; LISTS.len()];

struct Oracle {
    /// By length: address bits and family to what the lists say.
    lengths: Vec<HashMap<(u128, bool), Lines>>,
}

impl Oracle {
    fn new(routes: &[Route]) -> Oracle {
        let mut lengths = vec![HashMap::new(); 129];
        for route in routes {
            let (length, bits, v6) = key(route.prefix);
            let lists = lengths[usize::from(length)].entry((bits, v6)).or_insert([None; 3]);
            lists[usize::from(list_of(route.origin))].get_or_insert(route.line);
        }
        Oracle { lengths }
    }

    /// List, prefix length and line of the winner.
    fn answer(&self, address: IpAddr) -> Option<(u16, u8, u32)> {
        let mut winners = [None; LISTS.len()];
        let longest = if address.is_ipv4() { 32 } else { 128 };
        for length in (0..=longest).rev() {
            if self.lengths[usize::from(length)].is_empty() {
                continue;
            }
            let (_, bits, v6) = key(IpNet::new(address, length).expect("a length").trunc());
            let Some(lists) = self.lengths[usize::from(length)].get(&(bits, v6)) else { continue };
            for (list, line) in lists.iter().enumerate() {
                if let (Some(line), None) = (line, winners[list]) {
                    winners[list] = Some((list as u16, length, *line));
                }
            }
        }
        // The lists stand in the order of precedence.
        winners.into_iter().flatten().next()
    }
}

fn answer(table: &Table, address: IpAddr) -> Option<(u16, u8, u32)> {
    let hit = table.lookup(address)?;
    assert_eq!(hit.action, LISTS[usize::from(hit.list.0)]);
    let from = table.origin_of(address, hit).expect("a hit comes from an entry");
    assert!(from.prefix.contains(&address));
    Some((hit.list.0, from.prefix.prefix_len(), from.line))
}

fn edges(prefix: IpNet) -> [IpAddr; 4] {
    let (first, last) = (prefix.network(), prefix.broadcast());
    [first, last, step(first, -1), step(last, 1)]
}

fn step(address: IpAddr, by: i8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            IpAddr::V4(Ipv4Addr::from_bits(address.to_bits().wrapping_add_signed(by.into())))
        }
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits().wrapping_add_signed(by.into())))
        }
    }
}

#[test]
fn full_table_answers_as_hash_maps_by_length_do() {
    println!("seed {SEED:#x}");
    let routes = common::full();
    assert!(routes.len() > 1_200_000, "{} lines", routes.len());
    let mut builder = Builder::new();
    for action in LISTS {
        builder.list(action);
    }
    for route in &routes {
        builder.add(ListId(list_of(route.origin)), route.prefix, route.line, Some(route.origin));
    }
    let table = builder.compile();
    let oracle = Oracle::new(&routes);
    let distinct: usize = oracle.lengths.iter().map(HashMap::len).sum();
    assert_eq!(table.prefixes().iter().sum::<usize>(), distinct);

    let mut random = Random(SEED);
    let mut check =
        |address| assert_eq!(answer(&table, address), oracle.answer(address), "{address}");
    for ip in Ip::BOTH {
        let mine = ip.of(&routes);
        for _ in 0..PROBED {
            let prefix = mine[random.below(mine.len())].prefix;
            edges(prefix).into_iter().for_each(&mut check);
            check(random.within(prefix));
            check(random.beside(prefix));
        }
    }
}
