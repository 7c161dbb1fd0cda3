//! One decision as a packet thread makes it: parse, look up, count.
//!
//! The daemon's own packet thread judges batches of 64 from a made-up queue. There are 65,536 destinations;
//! each packet of a batch has a copy of 128 bytes and another destination. Timed is what lies between
//! receiving a batch and answering it, for one packet: parse, look up, count, note the verdict. Putting the
//! destinations into the copies (the kernel's part) and taking events out of their channel (the evidence
//! thread's part) is not. `-hot` takes eight destinations in turn.
//!
//! `full` is the BGP table as one block list: every packet is blocked, counted under its list, and makes an
//! event. `shipped` is what the shipped AS numbers announce; `shipped-miss` are unlisted destinations beside
//! those prefixes, the cheapest case and in practice by far the most frequent.

mod common;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::Criterion;
use etherparse::{Ipv6FragmentHeader, PacketBuilder};
use kordon::config::{Action, Mode, NamedCamera};
use kordon::counters::{self, Account, CameraPlaces, Event, Reported, Shard, Sighting, Sightings};
use kordon::failure::Failure;
use kordon::packet::Held;
use kordon::queue::{BATCH, PacketQueue};
use kordon::ruleset::{Follower, Published};
use kordon::stance::{Stance, Terms};
use kordon::verdict::{Mark, Verdict};
use kordon::worker::Worker;

use common::{HOT, Ip, Route, SPREAD};

/// Bytes of each packet that the queue copies.
const COPY: usize = 128;
/// The packet's length before the copy was cut.
const LENGTH: usize = 1_400;

fn main() {
    common::take_the_units_environment();
    let mut criterion = Criterion::default().configure_from_args();
    let full = common::full();
    let rules = common::published(&full, Action::Block);
    for ip in Ip::BOTH {
        let addresses = common::hits(ip, &full, SPREAD);
        for kind in Kind::ALL {
            let id = format!("{}-{}-full", ip.id(), kind.id());
            bench(&mut criterion, &id, &rules, kind, &addresses);
            bench(&mut criterion, &format!("{id}-hot"), &rules, kind, &addresses[..HOT]);
        }
    }
    let shipped: Vec<Route> = common::shipped(&full);
    let rules = common::published(&shipped, Action::Block);
    for ip in Ip::BOTH {
        let listed = common::hits(ip, &shipped, SPREAD);
        let id = format!("{}-udp-shipped", ip.id());
        bench(&mut criterion, &id, &rules, Kind::Udp, &listed);
        let unlisted = common::misses(ip, &shipped, rules.current().table(), SPREAD);
        bench(&mut criterion, &format!("{id}-miss"), &rules, Kind::Udp, &unlisted);
        bench(&mut criterion, &format!("{id}-miss-hot"), &rules, Kind::Udp, &unlisted[..HOT]);
    }
    criterion.final_summary();
}

#[derive(Clone, Copy)]
enum Kind {
    Udp,
    Tcp,
    /// A later fragment of a UDP datagram: no ports.
    Fragment,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Udp, Kind::Tcp, Kind::Fragment];

    fn id(self) -> &'static str {
        match self {
            Kind::Udp => "udp",
            Kind::Tcp => "tcp",
            Kind::Fragment => "fragment",
        }
    }
}

const CAMERA4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
const CAMERA6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x10);

/// Sends a copied packet somewhere else.
fn redirect(copy: &mut [u8], to: IpAddr) {
    match to {
        IpAddr::V4(to) => copy[16..20].copy_from_slice(&to.octets()),
        IpAddr::V6(to) => copy[24..40].copy_from_slice(&to.octets()),
    }
}

fn packet(kind: Kind, destination: IpAddr) -> Vec<u8> {
    let builder = match destination {
        IpAddr::V4(to) => PacketBuilder::ipv4(CAMERA4.octets(), to.octets(), 64),
        IpAddr::V6(to) => PacketBuilder::ipv6(CAMERA6.octets(), to.octets(), 64),
    };
    let payload = |headers: usize| vec![0_u8; LENGTH - headers];
    let network = if destination.is_ipv4() { 20 } else { 40 };
    let mut bytes = Vec::with_capacity(LENGTH);
    match kind {
        Kind::Udp => builder.udp(49_152, 443).write(&mut bytes, &payload(network + 8)),
        Kind::Tcp => builder.tcp(49_152, 443, 1, 65_535).write(&mut bytes, &payload(network + 20)),
        Kind::Fragment if destination.is_ipv4() => {
            let written = builder.udp(49_152, 443).write(&mut bytes, &payload(network + 8));
            // Offset 185 * 8 bytes, no more fragments.
            bytes[6..8].copy_from_slice(&185_u16.to_be_bytes());
            written
        }
        Kind::Fragment => {
            let written = builder.udp(49_152, 443).write(&mut bytes, &payload(network + 16));
            let fragment = Ipv6FragmentHeader {
                next_header: etherparse::IpNumber::UDP,
                fragment_offset: etherparse::IpFragOffset::try_new(185).expect("an offset"),
                more_fragments: false,
                identification: 1,
            };
            bytes[6] = etherparse::IpNumber::IPV6_FRAGMENTATION_HEADER.0;
            bytes[4..6].copy_from_slice(&((LENGTH - network) as u16).to_be_bytes());
            bytes.splice(40..40, fragment.to_bytes());
            written
        }
    }
    .expect("a vector takes any packet");
    assert_eq!(bytes.len(), LENGTH);
    bytes
}

fn bench(
    criterion: &mut Criterion,
    id: &str,
    rules: &Arc<Published>,
    kind: Kind,
    destinations: &[IpAddr],
) {
    let (account, events) = account();
    let mut sightings = counters::sightings();
    let sighted = Sightings::new(sightings.way());
    let timed = Arc::new(AtomicU64::new(0));
    let queue = MadeUp {
        slab: packet(kind, destinations[0])[..COPY].repeat(BATCH),
        destinations: destinations.to_vec(),
        next: 0,
        events,
        sightings,
        received: Instant::now(),
        timed: Arc::clone(&timed),
    };
    let (rules, stance) = (Follower::new(Arc::clone(rules)), Arc::new(Stance::new(Terms::CLOSED)));
    let mark = Mark { value: 0x1000_0000, mask: 0x3000_0000 };
    let mut worker = Worker::new(queue, rules, account, sighted, Instant::now(), stance, mark);
    let mut group = criterion.benchmark_group("decide");
    group.bench_function(id, |b| {
        b.iter_custom(|iterations| {
            timed.store(0, Ordering::Relaxed);
            let batches = iterations.div_ceil(BATCH as u64);
            for _ in 0..batches {
                black_box(worker.turn().expect("a made-up queue never fails"));
            }
            let nanos = timed.load(Ordering::Relaxed) as f64;
            Duration::from_nanos(
                (nanos * iterations as f64 / (batches * BATCH as u64) as f64) as u64,
            )
        });
    });
    group.finish();
}

/// A queue that always has a full batch, and takes the time between receiving and answering it.
struct MadeUp {
    slab: Vec<u8>,
    destinations: Vec<IpAddr>,
    next: usize,
    events: Reported<Event>,
    sightings: Reported<Sighting>,
    received: Instant,
    timed: Arc<AtomicU64>,
}

impl PacketQueue for MadeUp {
    fn receive(&mut self) -> Result<usize, Failure> {
        self.events.by_ref().for_each(drop);
        self.sightings.by_ref().for_each(drop);
        for copy in self.slab.chunks_exact_mut(COPY) {
            redirect(copy, self.destinations[self.next]);
            self.next = (self.next + 1) % self.destinations.len();
        }
        self.received = Instant::now();
        Ok(BATCH)
    }

    fn held(&self, index: usize) -> Held<'_> {
        let bytes = self.slab.get(index * COPY..(index + 1) * COPY).unwrap_or_default();
        Held { length: LENGTH as u32, ..Held::from(bytes) }
    }

    fn judge(&mut self, index: usize, verdict: Verdict) {
        black_box((index, verdict));
    }

    fn answer(&mut self) -> Result<(), Failure> {
        let nanos = self.received.elapsed().as_nanos() as u64;
        self.timed.fetch_add(nanos, Ordering::Relaxed);
        Ok(())
    }

    fn change(&mut self, _: Mark, _: bool) {}

    fn changed(&self) -> Result<bool, Failure> {
        Ok(true)
    }
}

/// The account of one packet thread of an enforcing daemon with one declared camera.
fn account() -> (Account, Reported<Event>) {
    let camera = NamedCamera {
        name: "gate".to_owned(),
        addresses: vec![IpAddr::V4(CAMERA4)],
        mac: None,
        site: None,
    };
    let mut events = counters::events();
    let cameras = Arc::new(CameraPlaces::new(&[camera]));
    let account = Account::new(Arc::new(Shard::new(1)), cameras, events.way(), Mode::Enforce);
    (account, events)
}
