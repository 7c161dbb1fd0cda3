use std::net::IpAddr;

use super::*;
use crate::decide::{Memory, decide};
use crate::packet::synthetic;
use crate::ruleset::{Builder, Ruleset};

fn rules() -> Ruleset {
    Ruleset::new(Vec::new(), Builder::new().compile())
}

struct Bench {
    sightings: Sightings,
    shard: Shard,
    reports: Reported<Sighting>,
    rules: Ruleset,
}

impl Bench {
    fn new() -> Self {
        let mut reports = sightings();
        let sightings = Sightings::new(reports.way());
        Bench { sightings, shard: Shard::new(0), reports, rules: rules() }
    }

    fn note(&mut self, bytes: &[u8], mac: Option<Mac>, answer: Verdict) {
        let held = Held { mac, ..Held::from(bytes) };
        let decision = decide(&self.rules, &mut Memory::default(), held);
        let mark = self.sightings.mark(held, &decision, answer);
        if self.sightings.note(mark) {
            self.sightings.report(&self.shard, held, &decision, answer);
        }
    }

    fn reported(&mut self) -> usize {
        self.reports.by_ref().count()
    }
}

fn to(text: &str) -> Vec<u8> {
    synthetic::packet(Some("192.0.2.1".parse().unwrap()), text.parse().unwrap())
}

/// The same packet with these ports.
fn ports(mut bytes: Vec<u8>, own: u16, other: u16) -> Vec<u8> {
    let udp = if bytes[0] >> 4 == 4 { 20 } else { 40 };
    bytes[udp..udp + 2].copy_from_slice(&own.to_be_bytes());
    bytes[udp + 2..udp + 4].copy_from_slice(&other.to_be_bytes());
    bytes
}

#[test]
fn the_like_of_a_packet_is_reported_once_a_minute() {
    let mut bench = Bench::new();
    for family in ["203.0.113.1", "2001:db8:3::1"] {
        let bytes = to(family);
        for second in 0..180 {
            bench.sightings.tick(second);
            bench.note(&bytes, None, Verdict::Accept);
            bench.note(&bytes, None, Verdict::Accept);
        }
        assert_eq!(bench.reported(), 3, "{family}");
    }
}

#[test]
fn packets_of_one_batch_that_are_alike_are_reported_once() {
    let mut bench = Bench::new();
    let mark = |bench: &Bench, bytes: &[u8]| {
        let held = Held::from(bytes);
        let decision = decide(&bench.rules, &mut Memory::default(), held);
        bench.sightings.mark(held, &decision, Verdict::Accept)
    };
    let marks = ["203.0.113.1", "203.0.113.2", "203.0.113.1"].map(|text| mark(&bench, &to(text)));
    assert_eq!(marks.map(|mark| bench.sightings.note(mark)), [true, true, false]);
    assert!(!bench.sightings.note(mark(&bench, &[])), "nobody's");
}

#[test]
fn another_sender_destination_service_mac_or_answer_is_reported_at_once() {
    let mut bench = Bench::new();
    let first = to("203.0.113.1");
    let mut sender = first.clone();
    sender[15] = 77;
    let mut protocol = first.clone();
    protocol[9] = 132;
    let mac = |last| Some(Mac([2, 0, 0, 0, 0, last]));
    let all: [(&[u8], Option<Mac>, Verdict); 9] = [
        (&first, None, Verdict::Accept),
        (&sender, None, Verdict::Accept),
        (&protocol, None, Verdict::Accept),
        (&to("203.0.113.2"), None, Verdict::Accept),
        (&to("2001:db8:3::1"), None, Verdict::Accept),
        (&ports(first.clone(), 50_000, 444), None, Verdict::Accept),
        (&first, mac(1), Verdict::Accept),
        (&first, mac(2), Verdict::Accept),
        (&first, None, Verdict::Drop),
    ];
    for (bytes, mac, answer) in all {
        bench.note(bytes, mac, answer);
        assert_eq!(bench.reported(), 1, "{mac:?} {answer}");
    }
    // The control: none of them again.
    all.iter().for_each(|(bytes, mac, answer)| bench.note(bytes, *mac, *answer));
    assert_eq!(bench.reported(), 0);
}

#[test]
fn a_thousand_flows_at_once_are_reported_once_each() {
    let mut bench = Bench::new();
    let flows: Vec<_> = (0..1_000).map(|port| ports(to("203.0.113.1"), 50_000, port)).collect();
    for _ in 0..20 {
        flows.iter().for_each(|bytes| bench.note(bytes, None, Verdict::Accept));
    }
    // More than eight in one of 2,048 sets: once in some thousand runs.
    let reported = bench.reported();
    assert!((1_000..1_400).contains(&reported), "{reported}");
}

#[test]
fn answers_to_many_high_ports_are_one_service_and_questions_to_many_are_not() {
    let mut bench = Bench::new();
    for port in 40_000..40_100 {
        bench.note(&ports(to("203.0.113.1"), 554, port), None, Verdict::Accept);
    }
    let seen: Vec<_> = bench.reports.by_ref().map(|one| one.service).collect();
    assert_eq!(seen, [Service::Own(554)]);
    for port in 1_000..1_100 {
        bench.note(&ports(to("203.0.113.1"), 50_000, port), None, Verdict::Accept);
    }
    assert_eq!(bench.reported(), 100);
}

#[test]
fn what_finds_no_room_is_counted_and_nothing_waits() {
    let mut bench = Bench::new();
    let (few, more) = (SIGHTINGS as u32, 50);
    for number in 0..few + more {
        let address = IpAddr::from((0xcb00_7100 + number).to_be_bytes());
        bench.note(&to(&address.to_string()), None, Verdict::Accept);
    }
    assert_eq!(bench.shard.unsighted.get(), u64::from(more));
    assert_eq!(bench.reported(), few as usize);
}

#[test]
fn what_cannot_be_read_is_nobodys() {
    let mut bench = Bench::new();
    bench.note(&to("203.0.113.1")[..12], None, Verdict::Drop);
    assert_eq!(bench.reported(), 0);
    bench.note(&to("203.0.113.1"), None, Verdict::Drop);
    assert_eq!(bench.reported(), 1);
}
