use super::*;
use crate::netfilter::samples;

/// The answer of nft 1.0.6 on Linux 6.18 to a closed plan. That kernel has no `queue` statement: its line is
/// written by hand, after `queue_stmt_json` (nftables, src/json.c).
const LISTED: &str = include_str!("listed.json");

fn listed() -> (Plan, Listing) {
    let mut plan = samples::networks();
    plan.interfaces = vec!["cam0".into(), "veth+".into()];
    (plan, Listing::parse(LISTED).unwrap())
}

#[test]
fn what_the_kernel_lists_is_what_was_planned() {
    let (plan, listing) = listed();
    let observed = listing.observed(&plan);
    assert!(observed.in_force(), "{observed}");
    assert_eq!(observed.gate_dropped, [Some(7), Some(3)]);
    assert_eq!(observed.held, [31, 0, 0, 0]);
}

#[test]
fn every_rule_that_is_missing_is_noticed() {
    let (plan, listing) = listed();
    for chain in ["hold", "queue_camera", "gate", "check_camera"] {
        for index in 0..listing.chains[chain].len() {
            let mut listing = Listing::parse(LISTED).unwrap();
            listing.chains.get_mut(chain).unwrap().remove(index);
            assert!(!listing.observed(&plan).in_force(), "rule {index} of {chain}");
        }
    }
}

/// What was counted is no difference; a rule that does not count is.
#[test]
fn hold_counts_what_it_queues() {
    let (plan, _) = listed();
    let more = LISTED.replace(r#""packets": 31"#, r#""packets": 32"#);
    let observed = Listing::parse(&more).unwrap().observed(&plan);
    assert!(observed.in_force() && observed.held[0] == 32, "{observed}");
    let silent = LISTED.replace(r#"{"counter": "held"}, "#, "");
    assert_ne!(silent, LISTED);
    assert!(!Listing::parse(&silent).unwrap().observed(&plan).in_force());
}

#[test]
fn a_queue_with_or_without_bypass_is_told_apart() {
    let (mut plan, listing) = listed();
    plan.open = true;
    let observed = listing.observed(&plan);
    assert!(!observed.in_force());
    assert!(
        matches!(&observed.hold[0], Presence::Different(what) if what.contains("queue_camera"))
    );
    let text = |json: &str| statement(&serde_json::from_str(json).unwrap());
    assert_eq!(text(r#"{"queue": {"num": 40, "flags": "bypass"}}"#), "queue flags bypass to 40");
    assert_eq!(
        text(r#"{"queue": {"num": {"range": [40, 43]}, "flags": ["bypass"]}}"#),
        "queue flags bypass to 40-43"
    );
}

#[test]
fn a_dormant_table_or_a_chain_elsewhere_is_not_in_force() {
    let (plan, _) = listed();
    let dormant = LISTED.replacen(
        r#""name": "kordon", "handle""#,
        r#""name": "kordon", "flags": "x", "handle""#,
        1,
    );
    assert!(!Listing::parse(&dormant).unwrap().observed(&plan).in_force());
    let elsewhere = Listing::parse(&LISTED.replace(r#""prio": 50"#, r#""prio": 0"#)).unwrap();
    assert_eq!(elsewhere.misplaced, ["gate"]);
    assert!(!elsewhere.observed(&plan).in_force());
    // A chain that is led into must hang nowhere, or the kernel refuses whatever leads into it.
    let body = r#""name": "check_camera", "handle""#;
    let hooked = LISTED.replacen(
        body,
        r#""name": "check_camera", "type": "filter", "hook": "forward", "prio": 50, "policy": "accept", "handle""#,
        1,
    );
    assert_ne!(hooked, LISTED);
    let hooked = Listing::parse(&hooked).unwrap();
    assert_eq!(hooked.misplaced, ["check_camera"]);
    let seen = hooked.observed(&plan);
    assert!(!seen.in_force());
    let (_, script) = transaction(&plan, &seen).unwrap();
    assert!(script.starts_with("delete table inet kordon\n"), "{script}");
    let refusing = LISTED.replace(r#""policy": "accept""#, r#""policy": "drop""#);
    assert!(!Listing::parse(&refusing).unwrap().observed(&plan).in_force());
}

#[test]
fn an_answer_that_is_not_json_is_an_error_and_foreign_rules_are_differences() {
    assert!(Listing::parse("table inet kordon {").is_err());
    assert!(Listing::parse("{}").is_err());
    let foreign: Value = serde_json::from_str(r#"{"accept": null}"#).unwrap();
    assert_eq!(statement(&foreign), r#"{"accept":null}"#);
    assert_eq!(statement(&Value::Null), "null");
}

/// The same with the input hook held and tunnels dropped there.
const LISTED_INPUT: &str = include_str!("listed_input.json");

fn input() -> Plan {
    Plan {
        interfaces: vec!["cam0".into(), "veth+".into()],
        networks: vec!["192.0.2.0/24".parse().unwrap()],
        ..samples::input()
    }
}

#[test]
fn what_the_kernel_lists_on_the_input_hook_is_what_was_planned() {
    let observed = Listing::parse(LISTED_INPUT).unwrap().observed(&input());
    assert!(observed.in_force(), "{observed}");
    assert_eq!(observed.tunnels_dropped, [Some(11), Some(0)]);
    assert_eq!(observed.held, [17, 0, 0, 0]);
    let listed = Listing::parse(LISTED_INPUT).unwrap();
    for (chain, rules) in &listed.chains {
        for index in 0..rules.len() {
            let mut listing = Listing::parse(LISTED_INPUT).unwrap();
            listing.chains.get_mut(chain).unwrap().remove(index);
            assert!(!listing.observed(&input()).in_force(), "rule {index} of {chain}");
        }
    }
    for (from, to) in [("[4, 41, 47, 50, 51", "[4, 41, 47, 50, 52"), ("8472, 51820", "8472, 51821")]
    {
        let other = LISTED_INPUT.replace(from, to);
        assert_ne!(other, LISTED_INPUT);
        assert!(!Listing::parse(&other).unwrap().observed(&input()).in_force(), "{to}");
    }
    // Another version may write names, and in another order.
    let named = LISTED_INPUT.replace("[4, 41, 47,", "[\"gre\", \"ipencap\", \"ipv6\",");
    assert_ne!(named, LISTED_INPUT);
    assert!(Listing::parse(&named).unwrap().observed(&input()).in_force());
    let moved = LISTED_INPUT.replace(r#""hook": "input""#, r#""hook": "forward""#);
    assert_eq!(Listing::parse(&moved).unwrap().misplaced, ["gate_input", "hold_input"]);
}

#[test]
fn what_another_plan_left_on_the_input_hook_is_emptied_and_its_base_chains_stay() {
    let listing = Listing::parse(LISTED_INPUT).unwrap();
    let plain = Plan { hold_input: false, drop_tunnels: false, ..input() };
    let seen = listing.observed(&plain);
    assert!(!seen.in_force());
    assert_eq!(seen.faults().len(), 2, "{:?}", seen.faults());
    let (changes, script) = transaction(&plain, &seen).unwrap();
    let said: Vec<String> = changes.iter().map(Change::to_string).collect();
    assert_eq!(
        said,
        [format!("removed input gate {PLACE}"), format!("removed input hold {PLACE}")]
    );
    assert!(script.contains("flush chain inet kordon check_input\n"), "{script}");
    assert!(!script.contains("delete") && !script.contains("l4proto"), "{script}");
    // And back: open, nothing is dropped on the input hook, but it is held as before.
    let open = Plan { open: true, gate: false, ..input() };
    let (changes, _) = transaction(&open, &listing.observed(&open)).unwrap();
    let said: Vec<String> = changes.iter().map(Change::to_string).collect();
    let corrected = |half: &str| format!("corrected {half} {PLACE}");
    let removed = |half: &str| format!("removed {half} {PLACE}");
    assert_eq!(
        said,
        [removed("gate"), removed("input gate"), corrected("hold"), corrected("input hold")]
    );
}
