use super::*;
use crate::config::Mac;
use crate::config::samples::Folder;
use crate::packet::samples::{V4, V6, good, with_chain, with_options};
use crate::ruleset::{Builder, ListInfo, Ruleset};
use crate::verdict::{Forgery, Redirect, Tunnel, Unparsable};
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

/// The same under a configuration with this text besides.
fn under(text: &str, entries: &[(&str, Action, &str)]) -> Ruleset {
    // Keys of the top level stand first.
    let mut whole = format!("cameras.interfaces = [\"cam0\"]\n{text}\n");
    let mut names: Vec<&str> = entries.iter().map(|(name, ..)| *name).collect();
    names.dedup();
    let names = if names.is_empty() { vec!["none"] } else { names };
    for name in names {
        let list = format!(
            "[[list]]\nname = \"{name}\"\npath = \"x\"\nkind = \"prefix\"\naction = \"block\"\n"
        );
        whole.push_str(&list);
    }
    let config = Folder::new().load(&whole).unwrap();
    rules(entries).governed(&config)
}

/// No list says anything.
fn unlisted(reason: Reason) -> bool {
    matches!(reason, Reason::NoMatch | Reason::TunnelAccepted(_))
}

fn reason(rules: &Ruleset, address: &str) -> Reason {
    let address: IpAddr = address.parse().unwrap();
    decide(rules, &mut Memory::default(), packet::synthetic::packet(None, address).as_slice())
        .reason
}

/// What lets every sample be judged by its destination alone.
fn by_destination(entries: &[(&str, Action, &str)]) -> Ruleset {
    let accept = |tunnel: &Tunnel| format!("{tunnel} = \"accept\"");
    let tunnels: Vec<String> = Tunnel::ALL.iter().map(accept).collect();
    let text =
        format!("packets.mobile_ipv6 = \"accept\"\ntunnels = {{ {} }}\n", tunnels.join(", "));
    under(&text, entries)
}

#[test]
fn every_sample_to_a_blocked_destination_is_dropped_and_to_any_other_passes() {
    let destination4 = IpAddr::from(V4.1).to_string();
    let destination6 = IpAddr::from(V6.1).to_string();
    let blocked = by_destination(&[
        ("a", Action::Block, &format!("{destination4}/32")),
        ("a", Action::Block, &format!("{destination6}/128")),
    ]);
    let other = by_destination(&[
        ("a", Action::Block, "198.51.100.0/24"),
        ("a", Action::Block, "2001:db8:9::/48"),
    ]);
    for sample in good() {
        let decision = decide(&blocked, &mut Memory::default(), sample.bytes.as_slice());
        assert_eq!(decision.reason, Reason::Blocked, "{}", sample.name);
        assert_eq!(decision.verdict(), Verdict::Drop, "{}", sample.name);
        let decision = decide(&other, &mut Memory::default(), sample.bytes.as_slice());
        assert!(unlisted(decision.reason), "{}: {}", sample.name, decision.reason);
        assert_eq!(decision.verdict(), Verdict::Accept, "{}", sample.name);
    }
}

#[test]
fn every_truncation_of_every_sample_is_decided_and_none_of_a_blocked_one_passes() {
    let rules = by_destination(&[
        ("a", Action::Block, "203.0.113.0/24"),
        ("a", Action::Block, "2001:db8:3::/48"),
    ]);
    for sample in good() {
        for at in 0..=sample.bytes.len() {
            let bytes = &sample.bytes[..at];
            // As a copy cut by the kernel, as a packet that really ends there, and as an aggregate.
            for (length, aggregate) in
                [(sample.bytes.len() as u32, false), (at as u32, false), (200_000, true)]
            {
                let decision = decide(
                    &rules,
                    &mut Memory::default(),
                    Held { length, aggregate, ..Held::from(bytes) },
                );
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
    assert_eq!(
        decide(&rules, &mut Memory::default(), nothing).reason,
        Reason::Unparsable(Unparsable::Empty)
    );
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
        decide_all(&rules, &mut Memory::default(), held, &mut decisions);
        let one_by_one: Vec<_> =
            batch.iter().map(|b| decide(&rules, &mut Memory::default(), b.as_slice())).collect();
        assert_eq!(decisions.iter().copied().collect::<Vec<_>>(), one_by_one);
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
        crate::explain::explain(&rules, crate::config::Mode::Enforce, "test", address, None)
            .unwrap();
    let winner = explanation.winner.unwrap();
    assert_eq!(
        (winner.list.as_str(), winner.prefix.as_str(), winner.line),
        ("narrow", "203.0.113.0/24", 2)
    );
    let also: Vec<&str> = explanation.also.iter().map(|entry| entry.list.as_str()).collect();
    assert_eq!(also, ["watch", "wide"]);
    assert_eq!((explanation.verdict.as_str(), explanation.outcome.as_str()), ("drop", "dropped"));
    let monitor =
        crate::explain::explain(&rules, crate::config::Mode::Monitor, "test", address, None)
            .unwrap();
    assert_eq!((monitor.verdict.as_str(), monitor.outcome.as_str()), ("drop", "would be dropped"));
}

#[test]
fn an_empty_rule_set_blocks_nothing_but_what_cannot_be_parsed() {
    let rules = by_destination(&[]);
    for sample in good() {
        let reason = decide(&rules, &mut Memory::default(), sample.bytes.as_slice()).reason;
        assert!(unlisted(reason), "{}: {reason}", sample.name);
    }
    let bytes: &[u8] = &[0x50; 40];
    assert_eq!(
        decide(&rules, &mut Memory::default(), bytes).reason,
        Reason::Unparsable(Unparsable::Version)
    );
}

/// What a UDP packet between these meets.
fn between(rules: &Ruleset, source: &str, destination: &str) -> Decision {
    let bytes =
        packet::synthetic::packet(Some(source.parse().unwrap()), destination.parse().unwrap());
    decide(rules, &mut Memory::default(), bytes.as_slice())
}

#[test]
fn a_camera_is_judged_by_the_policy_of_the_longest_network_that_names_it() {
    let text = r#"
        default = "accept"
        camera = [{ name = "gate", address = ["192.0.2.10", "2001:db8:1::10"] }]
        [[policy]]
        name = "closed"
        cameras = ["192.0.2.0/24", "2001:db8:1::/48"]
        default = "drop"
        [[policy]]
        name = "canary"
        cameras = ["gate"]
        mode = "monitor"
        lists = ["b"]
    "#;
    let rules = under(
        text,
        &[
            ("a", Action::Block, "203.0.113.0/25"),
            ("b", Action::Block, "203.0.113.128/25"),
            ("b", Action::Block, "2001:db8:3::/48"),
            ("e", Action::Allow, "198.51.100.1/32"),
            ("m", Action::Monitor, "198.51.100.2/32"),
        ],
    );
    let named = |decision: &Decision| rules.policies.get(decision.policy).unwrap().name.clone();
    let reason = |source, destination| {
        let decision = between(&rules, source, destination);
        (named(&decision), decision.reason)
    };
    let (everybody, closed, canary) = (String::new(), "closed".to_owned(), "canary".to_owned());
    assert_eq!(reason("192.0.3.1", "203.0.113.1"), (everybody.clone(), Reason::Blocked));
    assert_eq!(reason("192.0.3.1", "203.0.114.1"), (everybody, Reason::NoMatch));
    assert_eq!(reason("192.0.2.11", "203.0.113.1"), (closed.clone(), Reason::Blocked));
    assert_eq!(reason("192.0.2.11", "203.0.114.1"), (closed.clone(), Reason::NotAllowed));
    assert_eq!(reason("192.0.2.11", "198.51.100.1"), (closed.clone(), Reason::Exempt));
    assert_eq!(reason("192.0.2.11", "198.51.100.2"), (closed.clone(), Reason::NotAllowed));
    assert_eq!(reason("2001:db8:1::11", "2001:db8:4::1"), (closed, Reason::NotAllowed));
    assert_eq!(
        reason("192.0.2.10", "203.0.113.1"),
        (canary.clone(), Reason::NoMatch),
        "not its list"
    );
    assert_eq!(reason("192.0.2.10", "203.0.113.129"), (canary.clone(), Reason::Blocked));
    assert_eq!(reason("192.0.2.10", "198.51.100.1"), (canary.clone(), Reason::NoMatch));
    assert_eq!(reason("2001:db8:1::10", "2001:db8:3::1"), (canary, Reason::Blocked));
    let monitor = |source| {
        let policy = between(&rules, source, "203.0.113.129").policy;
        rules.policies.get(policy).unwrap().monitor
    };
    assert_eq!((monitor("192.0.2.10"), monitor("192.0.2.11")), (true, false));
}

#[test]
fn an_embedded_address_is_looked_up_whatever_its_form() {
    let rules = under(
        "packets.nat64_prefixes = [\"2001:db8:64::/96\"]\n",
        &[("b", Action::Block, "203.0.113.0/24"), ("e", Action::Allow, "2002::/16")],
    );
    let hidden = |destination| {
        let decision = between(&rules, "2001:db8:1::1", destination);
        (decision.reason.label(), decision.hidden.map(|address| address.to_string()))
    };
    let found = |label| (label, Some("203.0.113.7".to_owned()));
    for embedding in [
        "::ffff:0:203.0.113.7",
        "2002:cb00:7107::1",
        "64:ff9b::203.0.113.7",
        "2001:db8:64::203.0.113.7",
        "2001:0:cb00:7107::",
        "2001:0:c633:6401::34ff:8ef8",
        "2001:db8:9::5efe:203.0.113.7",
        "2001:db8:9::200:5efe:203.0.113.7",
    ] {
        assert_eq!(hidden(embedding), found("embedded"), "{embedding}");
    }
    for embedding in ["::ffff:203.0.113.7", "::203.0.113.7"] {
        assert_eq!(hidden(embedding), found("martian"), "{embedding}");
    }
    // The same forms around an address that nobody blocks.
    assert_eq!(hidden("2002:c633:6401::1"), ("exempt", None));
    assert_eq!(hidden("64:ff9b::198.51.100.1"), ("no_match", None));
    assert_eq!(hidden("2001:db8:65::203.0.113.7"), ("no_match", None), "not a NAT64 prefix");
    assert_eq!(hidden("::ffff:198.51.100.1").0, "martian");
}

#[test]
fn a_header_that_sends_a_packet_elsewhere_is_a_reason_to_drop_it() {
    let plain = packet::synthetic::packet(None, "198.51.100.1".parse().unwrap());
    let listed = rules(&[("e", Action::Allow, "198.51.100.1/32")]);
    let judged =
        |rules: &Ruleset, bytes: &[u8]| decide(rules, &mut Memory::default(), bytes).reason;
    assert_eq!(judged(&listed, &plain), Reason::Exempt);
    for (option, redirect) in
        [(131, Redirect::LooseSourceRoute), (137, Redirect::StrictSourceRoute)]
    {
        let routed = with_options(&plain, &[option, 7, 4, 203, 0, 113, 7, 0]);
        assert_eq!(judged(&listed, &routed), Reason::Redirected(redirect), "exempt or not");
    }
    let plain = packet::synthetic::packet(None, "2001:db8::1".parse().unwrap());
    let mobile = under("packets.mobile_ipv6 = \"accept\"\n", &[]);
    for (kind, redirect) in [
        (0, Redirect::Routing0),
        (2, Redirect::Routing2),
        (3, Redirect::RoutingOther),
        (4, Redirect::Routing4),
    ] {
        let routed = with_chain(&plain, 43, &[17, 0, kind, 0, 0, 0, 0, 0]);
        assert_eq!(judged(&listed, &routed), Reason::Redirected(redirect));
        assert_eq!(judged(&mobile, &routed).passes(), kind == 2, "type {kind}");
    }
}

#[test]
fn a_tunnel_that_may_pass_is_known_whatever_the_lists_say_of_its_destination() {
    let text = "tunnels = { gre = \"accept\" }\n";
    let gre = good().into_iter().find(|sample| sample.name == "v4-gre").unwrap().bytes;
    let to = format!("{}/32", IpAddr::from(V4.1));
    for (action, reason) in [
        (Action::Allow, Reason::Exempt),
        (Action::Monitor, Reason::Monitored),
        (Action::Block, Reason::Blocked),
    ] {
        let decision =
            decide(&under(text, &[("a", action, &to)]), &mut Memory::default(), &gre[..]);
        // What is blocked is not asked what it carries.
        let tunnel = (action != Action::Block).then_some(Tunnel::Gre);
        assert_eq!((decision.reason, decision.tunnel), (reason, tunnel));
    }
    let nowhere = decide(&under(text, &[]), &mut Memory::default(), &gre[..]);
    assert_eq!(nowhere.reason, Reason::TunnelAccepted(Tunnel::Gre));
    let dropped = decide(&rules(&[("a", Action::Allow, &to)]), &mut Memory::default(), &gre[..]);
    assert_eq!(dropped.reason, Reason::Tunnel(Tunnel::Gre), "exempt is the destination alone");
}

#[test]
fn a_forged_sender_is_the_first_thing_that_is_wrong() {
    let rules = under(
        "camera = [{ name = \"gate\", address = \"192.0.2.10\", mac = \"02:00:00:00:00:01\" }]\n\
         cameras.sources.cam0 = [\"192.0.2.0/24\"]\n\
         cameras.networks = [\"192.0.3.0/24\"]\n",
        &[("b", Action::Block, "203.0.113.0/24")],
    );
    let from = |source: &str, interface: u32, mac: u8| {
        let bytes = packet::synthetic::packet(
            Some(source.parse().unwrap()),
            "203.0.113.1".parse().unwrap(),
        );
        let mut memory = Memory::default();
        let name = |number| (number < 9).then(|| format!("cam{number}"));
        memory.interfaces.learn(&rules, [0, 1, 9].into_iter(), name);
        let mac = Some(Mac([2, 0, 0, 0, 0, mac]));
        decide(&rules, &mut memory, Held { interface, mac, ..Held::from(bytes.as_slice()) }).reason
    };
    assert_eq!(from("192.0.2.10", 0, 1), Reason::Blocked);
    assert_eq!(from("192.0.2.10", 0, 2), Reason::Forged(Forgery::Mac));
    assert_eq!(from("192.0.2.11", 0, 1), Reason::Forged(Forgery::Address));
    assert_eq!(from("192.0.2.11", 0, 2), Reason::Blocked);
    assert_eq!(from("192.0.3.11", 0, 2), Reason::Forged(Forgery::Network));
    assert_eq!(from("192.0.3.11", 1, 2), Reason::Blocked, "by another interface");
    assert_eq!(from("192.0.2.11", 1, 2), Reason::Forged(Forgery::Network));
    assert_eq!(from("192.0.2.11", 9, 2), Reason::Blocked, "an interface that has left");
    assert_eq!(from("192.0.4.11", 9, 2), Reason::Forged(Forgery::Network));
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
        let decision = decide(&rules, &mut Memory::default(), Held { length, aggregate, ..Held::from(&bytes[..]) });
        proptest::prop_assert_eq!(decision.verdict(), decision.reason.verdict());
    }
}
