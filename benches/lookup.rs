//! One look-up: full and shipped table, listed, unlisted and hot destinations.
//!
//! `hit` and `miss` walk through 65,536 addresses, so that most look-ups find the table's inner nodes out
//! of the first cache levels; `hot` takes eight listed addresses in turn. `miss` needs a table without
//! default routes, so `full-miss` leaves out `0.0.0.0/0` and `::/0`. Look-ups do not wait for one another,
//! as in a batch of held packets.

mod common;

use std::hint::black_box;
use std::net::IpAddr;

use criterion::Criterion;
use kordon::ruleset::Table;

use common::{HOT, Ip, Route, SPREAD};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let full = common::full();
    eprintln!("full table: {} lines; seed {:#x}", full.len(), common::SEED);
    bench_hits(&mut criterion, "full", &full);
    bench_misses(&mut criterion, "full", &common::without_default(&full));
    let shipped = common::shipped(&full);
    eprintln!("shipped: {} lines", shipped.len());
    bench_hits(&mut criterion, "shipped", &shipped);
    bench_misses(&mut criterion, "shipped", &shipped);
    criterion.final_summary();
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
            let mut turn = bits.iter().cycle();
            group.bench_function(id, |b| {
                b.iter(|| turn.next().map(|address| black_box(table.lookup4(*address))));
            });
        }
        Some(IpAddr::V6(_)) => {
            let bits: Vec<_> = addresses.iter().filter_map(v6).collect();
            let mut turn = bits.iter().cycle();
            group.bench_function(id, |b| {
                b.iter(|| turn.next().map(|address| black_box(table.lookup6(*address))));
            });
        }
        None => panic!("{id}: no addresses"),
    }
    group.finish();
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
