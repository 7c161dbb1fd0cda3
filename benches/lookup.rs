//! One look-up: full and shipped table, listed, unlisted and hot destinations.
//!
//! `hit` and `miss` walk through 65,536 addresses, so that most look-ups find the table's inner nodes out
//! of the first cache levels; `hot` takes eight listed addresses in turn. `miss` needs a table without
//! default routes, so `full-miss` leaves out `0.0.0.0/0` and `::/0`. Look-ups do not wait for one another,
//! as in a batch of held packets. `iptrie-...` is the `iptrie` crate's compressed trie alone, over the same prefixes
//! and addresses.
//!
//! Before anything is measured, a hundred million random addresses of each family, within and beside the table's
//! prefixes, must get the same answer from both.

mod common;

use std::collections::HashMap;
use std::hint::black_box;
use std::net::IpAddr;
use std::time::Instant;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use ipnet::IpNet;
use iptrie::map::{LCTrieMap, RTrieMap};
use iptrie::{Ipv4Prefix, Ipv6Prefix};
use kordon::ruleset::Table;

use common::{HOT, Ip, Random, Route, SPREAD};

/// Random addresses of each family that are looked up in both.
const COMPARED: usize = 100_000_000;

/// Look-ups in a row: what the bench's own loop takes is shared by as many.
const BATCH: usize = 64;

fn main() {
    common::take_the_units_environment();
    let mut criterion = Criterion::default().configure_from_args();
    let full = common::full();
    eprintln!("full table: {} lines; seed {:#x}", full.len(), common::SEED);
    let tries = Tries::of(&full);
    compare(&tries, &full);
    bench_hits(&mut criterion, "full", &full);
    bench_tries(&mut criterion, &tries, &full);
    bench_misses(&mut criterion, "full", &common::without_default(&full));
    let shipped = common::shipped(&full);
    eprintln!("shipped: {} lines", shipped.len());
    bench_hits(&mut criterion, "shipped", &shipped);
    bench_misses(&mut criterion, "shipped", &shipped);
    criterion.final_summary();
}

/// The table in the tries of the `iptrie` crate: an entry of a prefix is the list of its first line.
struct Tries {
    v4: LCTrieMap<Ipv4Prefix, u32>,
    v6: LCTrieMap<Ipv6Prefix, u32>,
}

/// What a trie answers where nothing is listed.
const NOTHING: u32 = u32::MAX;

impl Tries {
    fn of(routes: &[Route]) -> Tries {
        let (mut v4, mut v6) = (RTrieMap::with_root(NOTHING), RTrieMap::with_root(NOTHING));
        let mut lists: HashMap<IpNet, u32> = HashMap::new();
        for route in routes {
            // Of lists that name the same prefix the first one wins.
            let list = route.origin % common::LISTS;
            lists.entry(route.prefix).and_modify(|known| *known = list.min(*known)).or_insert(list);
        }
        for (prefix, list) in lists {
            match prefix {
                IpNet::V4(net) => {
                    let prefix = Ipv4Prefix::new(net.network(), net.prefix_len());
                    v4.insert(prefix.expect("a length"), list);
                }
                IpNet::V6(net) => {
                    let prefix = Ipv6Prefix::new(net.network(), net.prefix_len());
                    v6.insert(prefix.expect("a length"), list);
                }
            }
        }
        Tries { v4: v4.compress(), v6: v6.compress() }
    }

    fn lookup(&self, address: IpAddr) -> u32 {
        match address {
            IpAddr::V4(address) => *self.v4.lookup(&address).1,
            IpAddr::V6(address) => *self.v6.lookup(&address).1,
        }
    }
}

fn compare(tries: &Tries, routes: &[Route]) {
    let table = common::table(routes);
    let mut random = Random(common::SEED ^ 1);
    for ip in Ip::BOTH {
        let mine = ip.of(routes);
        let check = |address| {
            let found = table.lookup(address).map_or(NOTHING, |hit| hit.list.0.into());
            assert_eq!(found, tries.lookup(address), "{address}");
        };
        for route in &mine {
            check(route.prefix.network());
            check(route.prefix.broadcast());
        }
        for _ in 0..COMPARED / 2 {
            let prefix = mine[random.below(mine.len())].prefix;
            check(random.within(prefix));
            check(random.beside(prefix));
        }
        eprintln!("{}: {COMPARED} addresses and every edge: as the trie", ip.id());
    }
}

fn bench_tries(criterion: &mut Criterion, tries: &Tries, routes: &[Route]) {
    for ip in Ip::BOTH {
        let addresses = common::hits(ip, routes, SPREAD);
        let mut group = criterion.benchmark_group("lookup");
        turns(&mut group, &format!("iptrie-{}-full-hit", ip.id()), &addresses, |a| tries.lookup(a));
        group.finish();
    }
}

fn bench_hits(criterion: &mut Criterion, name: &str, routes: &[Route]) {
    let table = common::table(routes);
    for ip in Ip::BOTH {
        let addresses = common::hits(ip, routes, SPREAD);
        bench(criterion, &format!("{}-{name}-hit", ip.id()), &table, &addresses);
        bench(criterion, &format!("{}-{name}-hot", ip.id()), &table, &addresses[..HOT]);
    }
}

fn bench_misses(criterion: &mut Criterion, name: &str, routes: &[Route]) {
    let table = common::table(routes);
    for ip in Ip::BOTH {
        let addresses = common::misses(ip, routes, &table, SPREAD);
        bench(criterion, &format!("{}-{name}-miss", ip.id()), &table, &addresses);
    }
}

fn bench(criterion: &mut Criterion, id: &str, table: &Table, addresses: &[IpAddr]) {
    let mut group = criterion.benchmark_group("lookup");
    match addresses.first() {
        Some(IpAddr::V4(_)) => {
            let bits: Vec<_> = addresses.iter().filter_map(v4).collect();
            turns(&mut group, id, &bits, |address| table.lookup4(address));
        }
        Some(IpAddr::V6(_)) => {
            let bits: Vec<_> = addresses.iter().filter_map(v6).collect();
            turns(&mut group, id, &bits, |address| table.lookup6(address));
        }
        None => panic!("{id}: no addresses"),
    }
    group.finish();
}

/// Looks addresses up in turn, as many as are asked for.
fn turns<A: Copy, R>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: &str,
    addresses: &[A],
    lookup: impl Fn(A) -> R,
) {
    let batch = addresses.len().min(BATCH);
    let mut turn = addresses.chunks_exact(batch).cycle();
    group.bench_function(id, |b| {
        b.iter_custom(|count| {
            let (began, mut left) = (Instant::now(), count as usize);
            while left > 0 {
                let addresses = turn.next().unwrap_or_default();
                for address in addresses.iter().take(left) {
                    black_box(lookup(*address));
                }
                left = left.saturating_sub(batch);
            }
            began.elapsed()
        });
    });
}

fn v4(address: &IpAddr) -> Option<std::net::Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    }
}

fn v6(address: &IpAddr) -> Option<std::net::Ipv6Addr> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(*address),
    }
}
