use super::*;
use crate::config::Action;
use crate::ruleset::{Builder, ListId};

fn rules(lists: &[(&str, Action, &[&str])]) -> Ruleset {
    let mut builder = Builder::new();
    let infos = lists
        .iter()
        .map(|(name, action, prefixes)| {
            let id: ListId = builder.list(*action);
            for (line, prefix) in prefixes.iter().enumerate() {
                builder.add(id, prefix.parse().unwrap(), line as u32 + 1, None);
            }
            ListInfo {
                path: "x".into(),
                lines: prefixes.len(),
                prefixes: prefixes.len(),
                ..ListInfo::named(name, *action, 1)
            }
        })
        .collect();
    Ruleset::new(infos, builder.compile())
}

#[test]
fn changes_are_counted_by_list() {
    let old = rules(&[
        ("a", Action::Block, &["192.0.2.0/24", "198.51.100.0/24", "2001:db8::/32"]),
        ("gone", Action::Block, &["203.0.113.0/24"]),
    ]);
    let new = rules(&[
        ("new", Action::Allow, &["203.0.113.0/25", "203.0.113.128/25"]),
        ("a", Action::Monitor, &["192.0.2.0/24", "2001:db8::/32", "2001:db8:1::/48"]),
    ]);
    let changes = Changes::between(&old, &new);
    assert_eq!((changes.added, changes.removed), (3, 2));
    assert_eq!(
        changes.to_string(),
        "+ 3 prefixes, - 2\n  a: + 1, - 1\n  gone: + 0, - 1\n  new: + 2, - 0\n  a: block -> monitor"
    );
}

#[test]
fn the_same_rule_set_changes_nothing() {
    let one = rules(&[("a", Action::Block, &["192.0.2.0/24", "192.0.2.0/24"])]);
    let two = rules(&[("a", Action::Block, &["192.0.2.0/24"])]);
    let changes = Changes::between(&one, &two);
    assert_eq!(changes, Changes::default());
    assert_eq!(changes.to_string(), "+ 0 prefixes, - 0");
}

#[test]
fn one_prefix_is_one_prefix() {
    let one = rules(&[("a", Action::Block, &[])]);
    let two = rules(&[("a", Action::Block, &["192.0.2.0/24"])]);
    assert_eq!(Changes::between(&one, &two).to_string(), "+ 1 prefix, - 0\n  a: + 1, - 0");
}

#[test]
fn a_registrys_own_file_counts_its_prefixes_also_as_a_list_of_countries() {
    use crate::config::{ListFormat, ListKind};
    let mut list = ListInfo::named("a", Action::Block, 1);
    for (kind, format, itself) in [
        (ListKind::Prefix, ListFormat::Cidr, true),
        (ListKind::Country, ListFormat::Delegated, true),
        (ListKind::Country, ListFormat::Country, false),
        (ListKind::Asn, ListFormat::Delegated, false),
    ] {
        (list.kind, list.format) = (kind, format);
        assert_eq!(list.names_prefixes(), itself, "{}, {format}", kind.label());
    }
}

/// Whoever makes this test fail makes every list of a snapshot look changed: count its layout up.
#[test]
fn digest_of_a_list_is_the_one_that_stands_in_snapshots_whatever_the_order() {
    let entry = |prefix: &str, line, origin| Entry {
        prefix: prefix.parse().unwrap(),
        line,
        origin,
        sources: Default::default(),
    };
    let mut entries = vec![
        entry("203.0.113.0/24", 1, None),
        entry("203.0.113.0/25", 2, Some(64500)),
        entry("2001:db8::/32", 3, None),
    ];
    assert_eq!(digest_of(&entries), 0x599f_5ce6_1084_d951);
    entries.reverse();
    assert_eq!(digest_of(&entries), 0x599f_5ce6_1084_d951);
    // The line is not part of it; each of the others is.
    entries[0].line = 9;
    assert_eq!(digest_of(&entries), 0x599f_5ce6_1084_d951);
    let whole = digest_of(&entries);
    for other in [
        entry("203.0.113.0/26", 2, Some(64500)),
        entry("203.0.113.128/25", 2, Some(64500)),
        entry("203.0.113.0/25", 2, Some(64501)),
        entry("::cb00:7100/25", 2, Some(64500)),
    ] {
        let mut changed = entries.clone();
        changed[1] = other;
        assert_ne!(digest_of(&changed), whole, "{other:?}");
    }
}
