use super::*;
use crate::config::Action;
use crate::ruleset::{Builder, ListInfo, Ruleset};

/// A list: name, action, and its prefixes with their origin AS.
type List<'a> = (&'a str, Action, &'a [(&'a str, Option<u32>)]);

fn rules(lists: &[List<'_>]) -> Ruleset {
    let mut builder = Builder::new();
    let mut infos = Vec::new();
    for (name, action, prefixes) in lists {
        let id = builder.list(*action);
        for (line, (prefix, origin)) in (1..).zip(*prefixes) {
            builder.add(id, prefix.parse().unwrap(), line, *origin);
        }
        infos.push(ListInfo::named(name, *action, 1));
    }
    Ruleset::new(infos, builder.compile())
}

#[test]
fn lists_are_compared_by_name_and_prefix_not_by_place_or_line() {
    let old = rules(&[
        ("a", Action::Block, &[("203.0.113.0/24", None), ("198.51.100.0/24", None)]),
        ("b", Action::Block, &[("203.0.113.0/24", None)]),
    ]);
    let new = rules(&[
        ("b", Action::Block, &[("203.0.113.0/24", None)]),
        ("a", Action::Block, &[("192.0.2.0/25", None), ("203.0.113.0/24", None)]),
    ]);
    let difference = Difference::between(&old, &new);
    let names: Vec<_> = difference.lists.keys().collect();
    assert_eq!(names, ["a"]);
    let change = &difference.lists["a"];
    assert_eq!((change.added.prefixes, change.added.ipv4_addresses), (1, 128));
    assert_eq!((change.removed.prefixes, change.removed.ipv4_addresses), (1, 256));
    assert_eq!(difference.newly_blocked.ipv4_addresses, 128);
    assert_eq!(difference.no_longer_blocked.ipv4_addresses, 256);
    assert_eq!(difference.added[0].prefix.to_string(), "192.0.2.0/25");
    assert_eq!(Difference::between(&old, &old), Difference::default());
}

#[test]
fn a_prefix_that_moves_to_another_origin_is_told_at_both() {
    let old = rules(&[("a", Action::Block, &[("203.0.113.0/24", Some(64500))])]);
    let new = rules(&[("a", Action::Block, &[("203.0.113.0/24", Some(64501))])]);
    let difference = Difference::between(&old, &new);
    assert!(difference.lists.is_empty(), "the list holds what it held");
    assert_eq!(difference.origins[&64500].removed.prefixes, 1);
    assert_eq!(difference.origins[&64501].added.prefixes, 1);
    assert_eq!(difference.newly_blocked, Space::default());
}

#[test]
fn an_exemption_counts_against_what_is_blocked() {
    let block: List<'_> =
        ("a", Action::Block, &[("203.0.113.0/24", None), ("2001:db8::/32", None)]);
    let allow: List<'_> = ("x", Action::Allow, &[("203.0.113.64/26", None)]);
    let (without, with) = (rules(&[block]), rules(&[block, allow]));
    let difference = Difference::between(&without, &with);
    assert_eq!(difference.newly_blocked, Space::default());
    assert_eq!(difference.no_longer_blocked.ipv4_addresses, 64);
    let back = Difference::between(&with, &without);
    assert_eq!(back.newly_blocked.ipv4_addresses, 64);
    let nothing = rules(&[allow]);
    assert_eq!(Difference::between(&nothing, &without).newly_blocked.ipv6_networks, 1 << 32);
}

#[test]
fn an_action_that_changes_shows_in_what_is_blocked() {
    let prefixes: &[(&str, Option<u32>)] = &[("203.0.113.0/24", None)];
    let monitor = rules(&[("a", Action::Monitor, prefixes)]);
    let block = rules(&[("a", Action::Block, prefixes)]);
    let difference = Difference::between(&monitor, &block);
    assert!(difference.lists.is_empty());
    assert_eq!(difference.newly_blocked.ipv4_addresses, 256);
}

#[test]
fn only_the_first_entries_are_named_and_all_are_counted() {
    let prefixes: Vec<String> = (0..100).map(|n| format!("203.0.113.{n}/32")).collect();
    let named: Vec<(&str, Option<u32>)> = prefixes.iter().map(|p| (p.as_str(), None)).collect();
    let difference = Difference::between(
        &rules(&[("a", Action::Block, &named[..1])]),
        &rules(&[("a", Action::Block, &named)]),
    );
    assert_eq!((difference.added.len(), difference.added_total), (NAMED, 99));
    assert_eq!(difference.lists["a"].added.prefixes, 99);
}

#[test]
fn sizes_are_those_of_the_prefixes() {
    let mut extent = Extent::default();
    for prefix in ["0.0.0.0/0", "2001:db8::/48", "2001:db8::1/128", "2001:db8::/64"] {
        extent.add(prefix.parse().unwrap());
    }
    assert_eq!(extent.ipv4_addresses, 1 << 32);
    assert_eq!(extent.ipv6_networks, 65_536 + 2);
    extent.add("::/0".parse().unwrap());
    assert_eq!(extent.ipv6_networks, u64::MAX);
}
