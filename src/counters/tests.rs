use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::config::Action;
use crate::config::NamedCamera;
use crate::decide::{Memory, decide};
use crate::packet::synthetic;
use crate::ruleset::{Builder, ListInfo};

const LISTS: [(&str, Action, u16, &str, &str); 3] = [
    ("blocked", Action::Block, 3, "203.0.113.0/24", "2001:db8:3::/48"),
    ("exempt", Action::Allow, 7, "203.0.113.64/26", "2001:db8:3:1::/64"),
    ("watched", Action::Monitor, 9, "198.51.100.0/24", "2001:db8:2::/48"),
];

fn rules() -> Ruleset {
    let (mut builder, mut lists) = (Builder::new(), Vec::new());
    for (name, action, counter, v4, v6) in LISTS {
        let id = builder.list(action);
        builder.add(id, v4.parse().unwrap(), 1, None);
        builder.add(id, v6.parse().unwrap(), 2, None);
        lists.push(ListInfo {
            path: name.into(),
            lines: 2,
            prefixes: 2,
            ..ListInfo::named(name, action, counter)
        });
    }
    Ruleset::new(lists, builder.compile())
}

#[test]
fn places_of_reasons_have_the_reasons_labels() {
    use crate::verdict::{Embedding, Forgery, Redirect};
    let stopping = [
        Reason::Blocked,
        Reason::Monitored,
        Reason::Unparsable(Unparsable::Empty),
        Reason::Embedded(Embedding::Nat64),
        Reason::Martian(Embedding::Mapped),
        Reason::Redirected(Redirect::Routing0),
        Reason::Tunnel(Tunnel::Gre),
        Reason::Inside(Tunnel::Gre),
        Reason::Unreadable(Tunnel::Gre),
        Reason::PayloadHidden,
        Reason::Forged(Forgery::Mac),
        Reason::NotAllowed,
    ];
    let mut places: Vec<usize> = stopping.iter().filter_map(|of| stopping_place(*of)).collect();
    places.sort_unstable();
    assert!(places.into_iter().eq(0..STOPPING.len()), "each place is one reason's");
    for reason in stopping {
        assert_eq!(STOPPING[stopping_place(reason).unwrap()], reason.label());
    }
}

fn named(address: &str) -> NamedCamera {
    NamedCamera {
        name: format!("at {address}"),
        addresses: vec![address.parse().unwrap()],
        mac: None,
        site: None,
    }
}

fn account(mode: Mode) -> (Account, Arc<Shard>, Reported<Event>) {
    // `packet_to_` sends from the first two.
    let cameras = [named("192.0.2.1"), named("2001:db8::1"), named("192.0.2.99")];
    let shard = Arc::new(Shard::new(cameras.len()));
    let mut reported = events();
    let places = Arc::new(CameraPlaces::new(&cameras));
    (Account::new(Arc::clone(&shard), places, reported.way(), mode), shard, reported)
}

/// A packet: to an address of either family on every list or none, whole or cut, copied whole or in part,
/// from a named camera or not.
fn packets() -> impl Strategy<Value = (Vec<u8>, u32)> {
    let v4 = (0..4_u8, any::<u8>()).prop_map(|(net, host)| {
        let nets = [[203, 0, 113], [198, 51, 100], [192, 0, 2], [203, 0, 113]];
        let [a, b, c] = nets[usize::from(net)];
        IpAddr::V4(Ipv4Addr::new(a, b, c, host))
    });
    let v6 = (2..5_u16, 0..3_u16, any::<u16>()).prop_map(|(site, net, host)| {
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, site, net, 0, 0, 0, host))
    });
    let bytes = (prop_oneof![v4, v6], 0..60_usize, any::<bool>(), any::<bool>()).prop_map(
        |(to, cut, cuts, stranger)| {
            let mut bytes = synthetic::packet(None, to);
            if stranger {
                bytes[if to.is_ipv4() { 15 } else { 23 }] = 77;
            }
            bytes.truncate(if cuts { cut } else { bytes.len() });
            bytes
        },
    );
    let garbage = proptest::collection::vec(any::<u8>(), 0..60);
    // Some of these are tunnels.
    let protocol = any::<u8>().prop_map(|protocol| {
        let mut bytes = synthetic::packet(None, [192, 0, 2, 9].into());
        bytes[9] = protocol;
        bytes
    });
    (prop_oneof![6 => bytes, 1 => garbage, 1 => protocol], 0..1400_u32)
}

/// Sums over all lists: packets and bytes.
fn sum(shard: &Shard, volumes: impl Fn(&ListCounters) -> &[Volume; STOPPING.len()]) -> (u64, u64) {
    let volumes = shard.lists.iter().flat_map(volumes);
    volumes.fold((0, 0), |(p, b), v| (p + v.packets.get(), b + v.bytes.get()))
}

proptest! {
    /// judged = accepted + dropped, in packets and bytes; every packet has a camera; every reason that
    /// stops has its list; what is answered is what is counted.
    #[test]
    fn every_packet_is_accounted_for(
        packets in proptest::collection::vec(packets(), 1..80),
        monitor in any::<bool>(),
    ) {
        let mode = if monitor { Mode::Monitor } else { Mode::Enforce };
        let (mut account, shard, mut receiver) = account(mode);
        let rules = rules();
        let (mut length, mut accepted, mut dropped) = (0, (0, 0), (0, 0));
        let mut reasons = [0_u64; 5];
        // By the place of their list and their reason's, those that no list stops by itself.
        let mut others = BTreeMap::<(usize, usize), u64>::new();
        let mut causes = [0_u64; Unparsable::ALL.len()];
        for (bytes, behind) in &packets {
            let held = Held { length: bytes.len() as u32 + behind, ..Held::from(bytes.as_slice()) };
            let decision = decide(&rules, &mut Memory::default(), held);
            let answer = account.count(&rules, held, &decision);
            prop_assert_eq!(answer, if monitor { Verdict::Accept } else { decision.verdict() });
            let total = match answer {
                Verdict::Accept => &mut accepted,
                Verdict::Drop => &mut dropped,
            };
            *total = (total.0 + 1, total.1 + u64::from(held.length));
            length += u64::from(held.length);
            reasons[match decision.reason {
                Reason::NoMatch => 0,
                Reason::Exempt => 1,
                Reason::Monitored => 2,
                Reason::Unparsable(cause) => {
                    causes[cause.index()] += 1;
                    4
                }
                Reason::Blocked => 3,
                other => {
                    prop_assert!(!other.passes(), "{other}");
                    let list = decision.hit.and_then(|hit| rules.list(hit.list));
                    let place = list.map_or(0, |list| usize::from(list.counter));
                    *others.entry((place, stopping_place(other).unwrap())).or_default() += 1;
                    continue;
                }
            }] += 1;
        }
        let families = |of: fn(&FamilyCounters) -> &Volume| {
            shard.families.iter().map(of).fold((0, 0), |(p, b), v| {
                (p + v.packets.get(), b + v.bytes.get())
            })
        };
        prop_assert_eq!(families(|family| &family.judged), (packets.len() as u64, length));
        prop_assert_eq!(families(|family| &family.accepted), accepted);
        prop_assert_eq!(sum(&shard, |list| &list.dropped), dropped);
        let cameras = shard.cameras.iter().map(|camera| camera.packets.get()).sum::<u64>();
        let refused = shard.cameras.iter().map(|camera| camera.dropped.get()).sum::<u64>();
        prop_assert_eq!((cameras, refused), (packets.len() as u64, dropped.0));
        let would = sum(&shard, |list| &list.would_drop).0;
        let passed = shard.cameras.iter().map(|camera| camera.would_drop.get()).sum::<u64>();
        prop_assert_eq!(passed, would);
        let other: u64 = others.values().sum();
        prop_assert_eq!(would + dropped.0, reasons[2] + reasons[3] + reasons[4] + other);
        for (counter, cause) in shard.unparsable.iter().zip(causes) {
            prop_assert_eq!(counter.get(), cause);
        }

        // At each list's own place, and nowhere else.
        let at = |place: usize, stopping: usize| {
            let list = &shard.lists[place];
            list.dropped[stopping].packets.get() + list.would_drop[stopping].packets.get()
        };
        prop_assert_eq!(shard.lists[7].exempted.get(), reasons[1]);
        prop_assert_eq!((at(3, 0), at(9, 1), at(0, 2)), (reasons[3], reasons[2], reasons[4]));
        for ((place, stopping), count) in others {
            prop_assert_eq!(at(place, stopping), count);
        }
        // A monitor list's own entries pass in either mode.
        prop_assert_eq!(shard.lists[9].dropped[1].packets.get(), 0);

        // One event for each packet to a listed destination that is not exempt, or stopped for another reason.
        let events: Vec<Event> = receiver.by_ref().collect();
        prop_assert_eq!(events.len() as u64, reasons[2] + reasons[3] + other);
        prop_assert!(events.iter().all(|event| event.dropped == (event.list != 9 && !monitor)));
        prop_assert_eq!(shard.suppressed.get(), 0);
    }
}

#[test]
fn packets_of_named_cameras_are_theirs_and_the_rest_nobodys() {
    let (mut account, shard, _events) = account(Mode::Enforce);
    let rules = rules();
    let mut send = |to: [u8; 4], from: [u8; 4]| {
        let mut bytes = synthetic::packet(None, IpAddr::from(to));
        bytes[12..16].copy_from_slice(&from);
        let held = Held::from(&bytes[..]);
        account.count(&rules, held, &decide(&rules, &mut Memory::default(), held));
    };
    send([192, 0, 2, 7], [192, 0, 2, 1]);
    send([203, 0, 113, 1], [192, 0, 2, 1]);
    send([203, 0, 113, 1], [192, 0, 2, 99]);
    send([203, 0, 113, 1], [192, 0, 2, 98]);
    // Not to be read: nobody's.
    let held = Held::from(&[0x45][..]);
    account.count(&rules, held, &decide(&rules, &mut Memory::default(), held));
    let found: Vec<_> = shard.cameras.iter().map(|c| (c.packets.get(), c.dropped.get())).collect();
    assert_eq!(found, [(2, 1), (0, 0), (1, 1), (2, 2)]);
}

#[test]
fn events_without_room_are_counted() {
    let shard = Arc::new(Shard::new(0));
    let mut reported = Reported::with_room_for(2);
    let cameras = Arc::new(CameraPlaces::default());
    let mut account = Account::new(Arc::clone(&shard), cameras, reported.way(), Mode::Enforce);
    let (rules, bytes) = (rules(), synthetic::packet(None, [203, 0, 113, 1].into()));
    for _ in 0..5 {
        let held = Held::from(&bytes[..]);
        let decision = decide(&rules, &mut Memory::default(), held);
        assert_eq!(account.count(&rules, held, &decision), Verdict::Drop);
    }
    assert_eq!(shard.suppressed.get(), 3);
    assert_eq!(shard.lists[3].dropped[0].packets.get(), 5);
}

#[test]
fn a_list_keeps_its_place_whatever_comes_and_goes() {
    let places = ListPlaces::default();
    assert_eq!(places.place(""), Some(0));
    assert_eq!(places.place("a"), Some(1));
    assert_eq!(places.place("b"), Some(2));
    assert_eq!(places.place("a"), Some(1));
    // A name that a reload took away and another brings back.
    assert_eq!(places.place("c"), Some(3));
    assert_eq!(places.place("b"), Some(2));
    assert_eq!(places.names(), ["", "a", "b", "c"]);
}

#[test]
fn places_for_lists_end_and_known_names_keep_theirs() {
    let places = ListPlaces::default();
    for number in 1..PLACES {
        assert_eq!(places.place(&format!("list {number}")), Some(number as u16));
    }
    assert_eq!(places.place("one more"), None);
    assert_eq!(places.place("list 7"), Some(7));
    assert_eq!(places.names().len(), PLACES);
}

#[test]
fn camera_places_follow_the_configuration_and_names_their_addresses() {
    let places = CameraPlaces::new(&[named("2001:db8::9"), named("192.0.2.9"), named("192.0.2.3")]);
    let place = |source: &str| {
        let destination = Ipv4Addr::new(198, 51, 100, 1);
        places.place(&match source.parse().unwrap() {
            IpAddr::V4(source) => Addresses::V4 { source, destination },
            IpAddr::V6(source) => Addresses::V6 { source, destination: Ipv6Addr::UNSPECIFIED },
        })
    };
    assert_eq!(
        ["2001:db8::9", "192.0.2.9", "192.0.2.3", "192.0.2.4", "2001:db8::8"].map(place),
        [0, 1, 2, 3, 3]
    );
    assert_eq!(places.name(&[192, 0, 2, 3].into()), Some("at 192.0.2.3"));
    assert_eq!(places.name(&[192, 0, 2, 4].into()), None);
    assert_eq!(places.names().len(), 3);
}

#[test]
fn decision_times_fall_into_the_bucket_whose_bound_they_do_not_exceed() {
    let times = DecisionTimes::default();
    for nanos in [0, 50, 51, 1_000_000, 1_000_001, u64::MAX / 2] {
        times.note(Duration::from_nanos(nanos));
    }
    let counts: Vec<u64> = times.buckets.iter().map(Counter::get).collect();
    assert_eq!(counts, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
    assert_eq!(times.sum.get(), 50 + 51 + 2_000_001 + u64::MAX / 2);
}
