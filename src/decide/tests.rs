use super::*;
use crate::packet::samples::{V4, V6, good};
use crate::ruleset::{Builder, ListInfo, Ruleset};
use crate::verdict::Unparsable;
use std::net::IpAddr;

/// A rule set of these entries: list name, action, prefix.
fn rules(entries: &[(&str, Action, &str)]) -> Ruleset {
    let mut builder = Builder::new();
    let mut lists: Vec<ListInfo> = Vec::new();
    for (line, (name, action, prefix)) in entries.iter().enumerate() {
        let known = lists.iter().position(|list| list.name == *name);
        let id = match known {
            Some(place) => crate::ruleset::ListId(place as u16),
            None => {
                lists.push(ListInfo {
                    path: "list.txt".into(),
                    ..ListInfo::named(name, *action, lists.len() as u16 + 1)
                });
                builder.list(*action)
            }
        };
        builder.add(id, prefix.parse().unwrap(), line as u32 + 1, None);
    }
    Ruleset::new(lists, builder.compile())
}

fn reason(rules: &Ruleset, address: &str) -> Reason {
    let address: IpAddr = address.parse().unwrap();
    decide(rules, packet::synthetic::packet_to(address).as_slice()).reason
}

#[test]
fn every_sample_to_a_blocked_destination_is_dropped_and_to_any_other_passes() {
    let destination4 = IpAddr::from(V4.1).to_string();
    let destination6 = IpAddr::from(V6.1).to_string();
    let blocked = rules(&[
        ("a", Action::Block, &format!("{destination4}/32")),
        ("a", Action::Block, &format!("{destination6}/128")),
    ]);
    let other =
        rules(&[("a", Action::Block, "198.51.100.0/24"), ("a", Action::Block, "2001:db8:9::/48")]);
    for sample in good() {
        let decision = decide(&blocked, sample.bytes.as_slice());
        assert_eq!(decision.reason, Reason::Blocked, "{}", sample.name);
        assert_eq!(decision.verdict(), Verdict::Drop, "{}", sample.name);
        let decision = decide(&other, sample.bytes.as_slice());
        assert_eq!(decision.reason, Reason::NoMatch, "{}", sample.name);
        assert_eq!(decision.verdict(), Verdict::Accept, "{}", sample.name);
    }
}

#[test]
fn every_truncation_of_every_sample_is_decided_and_none_of_a_blocked_one_passes() {
    let rules =
        rules(&[("a", Action::Block, "203.0.113.0/24"), ("a", Action::Block, "2001:db8:3::/48")]);
    for sample in good() {
        for at in 0..=sample.bytes.len() {
            let bytes = &sample.bytes[..at];
            // As a copy cut by the kernel, as a packet that really ends there, and as an aggregate.
            for (length, aggregate) in
                [(sample.bytes.len() as u32, false), (at as u32, false), (200_000, true)]
            {
                let decision = decide(&rules, Held { bytes, length, aggregate });
                assert_eq!(decision.verdict(), Verdict::Drop, "{} cut at {at}", sample.name);
                match decision.reason {
                    Reason::Blocked => assert!(decision.hit.is_some()),
                    Reason::Unparsable(_) => assert_eq!(decision.headers, None),
                    other => panic!("{} cut at {at}: {other}", sample.name),
                }
            }
        }
    }
    let nothing: &[u8] = &[];
    assert_eq!(decide(&rules, nothing).reason, Reason::Unparsable(Unparsable::Empty));
}

#[test]
fn a_batch_is_decided_as_its_packets_are_one_by_one() {
    let rules = rules(&[("block", Action::Block, "0.0.0.0/1"), ("block", Action::Block, "::/1")]);
    let mut decisions = Decisions::for_batches_of(4);
    let packets: Vec<Vec<u8>> = good().into_iter().map(|sample| sample.bytes).collect();
    let truncated = packets.iter().map(|bytes| bytes[..bytes.len() / 2].to_vec());
    let all: Vec<Vec<u8>> = packets.iter().cloned().chain(truncated).collect();
    for batch in all.chunks(5) {
        let held = batch.iter().map(|bytes| Held::from(bytes.as_slice()));
        decide_all(&rules, held, &mut decisions);
        let one_by_one: Vec<_> = batch.iter().map(|b| decide(&rules, b.as_slice())).collect();
        assert_eq!(decisions.iter().collect::<Vec<_>>(), one_by_one);
    }
}

#[test]
fn exempt_inside_blocked_and_blocked_inside_exempt_are_both_accepted() {
    let inside =
        rules(&[("b", Action::Block, "203.0.113.0/24"), ("e", Action::Allow, "203.0.113.7/32")]);
    assert_eq!(reason(&inside, "203.0.113.7"), Reason::Exempt);
    assert_eq!(reason(&inside, "203.0.113.8"), Reason::Blocked);
    let around =
        rules(&[("b", Action::Block, "203.0.113.7/32"), ("e", Action::Allow, "203.0.113.0/24")]);
    assert_eq!(reason(&around, "203.0.113.7"), Reason::Exempt);
    assert_eq!(reason(&around, "203.0.113.8"), Reason::Exempt);
    assert_eq!(reason(&around, "203.0.112.8"), Reason::NoMatch);
    let same =
        rules(&[("b", Action::Block, "2001:db8:3::/48"), ("e", Action::Allow, "2001:db8:3::/48")]);
    assert_eq!(reason(&same, "2001:db8:3::1"), Reason::Exempt);
}

#[test]
fn a_monitor_entry_never_weakens_a_block() {
    let entries =
        [("m", Action::Monitor, "203.0.113.7/32"), ("b", Action::Block, "203.0.113.0/24")];
    let rules = rules(&entries);
    assert_eq!(reason(&rules, "203.0.113.7"), Reason::Blocked);
    let alone = self::rules(&entries[..1]);
    assert_eq!(reason(&alone, "203.0.113.7"), Reason::Monitored);
    assert_eq!(Reason::Monitored.verdict(), Verdict::Accept);
}

#[test]
fn among_blocks_the_longest_prefix_is_named_and_why_names_all() {
    let rules = rules(&[
        ("wide", Action::Block, "203.0.0.0/16"),
        ("narrow", Action::Block, "203.0.113.0/24"),
        ("exempt", Action::Allow, "198.51.100.0/24"),
        ("watch", Action::Monitor, "203.0.113.7/32"),
    ]);
    let address = "203.0.113.7".parse().unwrap();
    let explanation =
        crate::explain::explain(&rules, crate::config::Mode::Enforce, "test", address);
    let winner = explanation.winner.unwrap();
    assert_eq!(
        (winner.list.as_str(), winner.prefix.as_str(), winner.line),
        ("narrow", "203.0.113.0/24", 2)
    );
    let also: Vec<&str> = explanation.also.iter().map(|entry| entry.list.as_str()).collect();
    assert_eq!(also, ["watch", "wide"]);
    assert_eq!((explanation.verdict.as_str(), explanation.outcome.as_str()), ("drop", "dropped"));
    let monitor = crate::explain::explain(&rules, crate::config::Mode::Monitor, "test", address);
    assert_eq!((monitor.verdict.as_str(), monitor.outcome.as_str()), ("drop", "would be dropped"));
}

#[test]
fn an_empty_rule_set_blocks_nothing_but_what_cannot_be_parsed() {
    let rules = rules(&[]);
    for sample in good() {
        assert_eq!(
            decide(&rules, sample.bytes.as_slice()).reason,
            Reason::NoMatch,
            "{}",
            sample.name
        );
    }
    let bytes: &[u8] = &[0x50; 40];
    assert_eq!(decide(&rules, bytes).reason, Reason::Unparsable(Unparsable::Version));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_are_decided(
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
        length in 0_u32..300_000,
        aggregate: bool,
    ) {
        let rules = rules(&[("a", Action::Block, "128.0.0.0/1"), ("e", Action::Allow, "8000::/1")]);
        let decision = decide(&rules, Held { bytes: &bytes, length, aggregate });
        proptest::prop_assert_eq!(decision.verdict(), decision.reason.verdict());
    }
}
