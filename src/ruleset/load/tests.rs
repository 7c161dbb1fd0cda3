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
