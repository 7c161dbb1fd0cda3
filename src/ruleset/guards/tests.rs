use proptest::prelude::*;

use super::cover::{meet, size, union};
use super::*;
use crate::config::ListConfig;
use crate::ruleset::Builder;

/// A rule set of these lists: name, action, prefixes.
fn rules(lists: &[(&str, Action, Vec<String>)]) -> Ruleset {
    let mut builder = Builder::new();
    let infos = lists.iter().map(|(name, action, prefixes)| {
        let id = builder.list(*action);
        for (line, prefix) in (1..).zip(prefixes) {
            builder.add(id, prefix.parse().unwrap(), line, None);
        }
        ListInfo {
            lines: prefixes.len(),
            prefixes: prefixes.len(),
            digest: prefixes.iter().fold(7, |sum, text| {
                text.bytes().fold(sum, |sum: u64, b| sum.wrapping_mul(31).wrapping_add(b.into()))
            }),
            ..ListInfo::named(name, *action, 1)
        }
    });
    let infos = infos.collect();
    Ruleset::new(infos, builder.compile())
}

/// The first so many /24 of 203.0.0.0/8.
fn many(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("203.{}.{}.0/24", n / 256, n % 256)).collect()
}

fn config(lists: &[(&str, Action)]) -> Config {
    let path = std::env::temp_dir().join(format!(
        "kordon-guards-{}-{}.toml",
        std::process::id(),
        lists.iter().map(|(name, _)| *name).collect::<String>()
    ));
    std::fs::write(
        &path,
        "[cameras]\ninterfaces = [\"cam0\"]\n[[list]]\nname = \"x\"\npath = \"x\"\nkind = \"prefix\"\n\
         action = \"block\"\n",
    )
    .unwrap();
    let mut config = Config::load(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    config.lists = lists
        .iter()
        .map(|(name, action)| {
            ListConfig::new((*name).to_owned(), "x".into(), ListKind::Prefix, *action)
        })
        .collect();
    config
}

fn said(old: &Ruleset, new: &Ruleset, config: &Config) -> Vec<String> {
    alarms(old.side(), new.side(), config).iter().map(ToString::to_string).collect()
}

#[test]
fn list_that_shrinks_or_grows_beyond_its_limits_gives_alarm() {
    let config = config(&[("sizes", Action::Block)]);
    let of = |count| rules(&[("sizes", Action::Block, many(count))]);
    for (before, after, expected) in [
        (100, 50, None),
        (100, 49, Some("shrinks from 100 to 49 prefixes, by 51 % (max_shrink = 50)")),
        (100, 1, Some("shrinks from 100 to 1 prefixes, by 99 % (max_shrink = 50)")),
        (100, 400, None),
        (100, 401, Some("grows from 100 to 401 prefixes, by 301 % (max_growth = 300)")),
        // Small ones are edited by hand.
        (10, 1, None),
        (11, 1, None),
        (12, 1, Some("shrinks from 12 to 1 prefixes, by 92 % (max_shrink = 50)")),
        (1, 3, None),
        (1, 101, None),
        (1, 102, Some("grows from 1 to 102 prefixes, by 10100 % (max_growth = 300)")),
        (50, 50, None),
    ] {
        let expected: Vec<String> =
            expected.map(|text| format!("list sizes: {text}")).into_iter().collect();
        assert_eq!(said(&of(before), &of(after), &config), expected, "{before} to {after}");
    }
}

#[test]
fn limits_of_the_list_count() {
    let mut config = config(&[("limits", Action::Block)]);
    let of = |count| rules(&[("limits", Action::Block, many(count))]);
    config.lists[0].max_shrink = 100;
    config.lists[0].max_growth = 10_000;
    assert!(said(&of(100), &of(1), &config).is_empty());
    assert!(said(&of(100), &of(5_000), &config).is_empty());
    config.lists[0].max_shrink = 10;
    assert_eq!(said(&of(200), &of(150), &config).len(), 1);
    // A new list has nothing before it.
    assert!(said(&rules(&[]), &of(5_000), &config).is_empty());
}

#[test]
fn older_serials_and_data_give_alarm_and_newer_ones_do_not() {
    let config = config(&[("serials", Action::Block)]);
    let of = |serial, dated, prefixes: usize| {
        let mut rules = rules(&[("serials", Action::Block, many(prefixes))]);
        (rules.lists[0].serial, rules.lists[0].dated) = (serial, dated);
        rules
    };
    let first = of(Some(7), Some(1_800_000_000), 3);
    for (after, expected) in [
        (of(Some(7), Some(1_800_000_000), 3), None),
        (of(Some(8), Some(1_800_000_001), 4), None),
        (of(None, None, 4), None),
        (of(Some(6), Some(1_800_000_000), 3), Some("serial 6 is older than 7, which was in force")),
        (of(Some(7), None, 4), Some("serial 7 was in force with other prefixes")),
        (
            of(None, Some(1_799_990_000), 3),
            Some(
                "data of 2027-01-15 05:13 UTC are older than those in force, of 2027-01-15 08:00 UTC",
            ),
        ),
    ] {
        let expected: Vec<String> =
            expected.map(|text| format!("list serials: {text}")).into_iter().collect();
        assert_eq!(said(&first, &after, &config), expected);
    }
    // What AS numbers resolve to changes without the list.
    let (mut old, mut new) = (of(Some(7), None, 3), of(Some(7), None, 4));
    (old.lists[0].kind, new.lists[0].kind) = (ListKind::Asn, ListKind::Asn);
    assert!(said(&old, &new, &config).is_empty());
}

#[test]
fn allow_list_that_newly_takes_one_percent_of_the_blocked_space_gives_alarm() {
    let config =
        config(&[("blocks", Action::Block), ("free", Action::Allow), ("also", Action::Allow)]);
    let block = || ("blocks", Action::Block, vec!["203.0.0.0/16".into(), "2001:db8::/32".into()]);
    let allow = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let with = |list: &[&str]| rules(&[block(), ("free", Action::Allow, allow(list))]);
    let none = with(&["198.51.100.0/24"]);
    for (after, expected) in [
        // 512 and 1,024 of 65,536 addresses: 0.8 and 1.6 percent.
        (&["203.0.2.0/23"][..], ""),
        (&["203.0.4.0/22"], "1.6 % of the blocked IPv4 addresses"),
        (&["203.0.2.0/23", "203.0.4.0/24"], "1.2 % of the blocked IPv4 addresses"),
        (&["203.0.0.0/8"], "100.0 % of the blocked IPv4 addresses"),
        (&["198.51.0.0/16"], ""),
        (&["2001:db8::/39"], ""),
        (&["2001:db8::/38"], "1.6 % of the blocked IPv6 addresses"),
        (&["203.0.0.0/17", "2001:db8::/33"], "50.0 % of the blocked IPv4 addresses and 50.0 %"),
    ] {
        let found = said(&none, &with(after), &config);
        assert_eq!(found.is_empty(), expected.is_empty(), "{after:?}: {found:?}");
        assert!(found.iter().all(|text| text.contains(expected)), "{after:?}: {found:?}");
    }
    // What it, or another allow list, had before is not new.
    let before = with(&["203.0.128.0/17"]);
    assert!(said(&before, &with(&["203.0.128.0/17", "203.0.1.0/24"]), &config).is_empty());
    let moved = rules(&[block(), ("also", Action::Allow, allow(&["203.0.128.0/18"]))]);
    assert!(said(&before, &moved, &config).is_empty());
    // A list that turns from block to allow is one.
    let turned = rules(&[block(), ("also", Action::Allow, allow(&["203.0.0.0/18"]))]);
    let was = rules(&[block(), ("also", Action::Block, allow(&["203.0.0.0/18"]))]);
    assert_eq!(said(&was, &turned, &config).len(), 1);
    // A few addresses are always free.
    let small = |list: &[&str]| {
        let block = ("blocks", Action::Block, allow(&["203.0.113.0/27"]));
        rules(&[block, ("free", Action::Allow, allow(list))])
    };
    assert!(said(&small(&["198.51.100.1/32"]), &small(&["203.0.113.0/28"]), &config).is_empty());
    assert_eq!(said(&small(&["198.51.100.1/32"]), &small(&["203.0.113.0/27"]), &config).len(), 1);
}

#[test]
fn refusal_names_the_command_and_acceptance_is_by_list() {
    let alarm = |list: &str| Alarm { list: list.into(), text: "is odd".into() };
    let both = [alarm("b"), alarm("a"), alarm("b")];
    let accepted = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let failure = refuse(&both, &accepted(&[])).unwrap_err();
    assert_eq!(failure.status, ExitStatus::BadData);
    let expected = "list b: is odd\nlist a: is odd\nlist b: is odd\n\
        if that is meant, once: kordon reload --accept a --accept b";
    assert_eq!(failure.message, expected);
    assert!(refuse(&both, &accepted(&["b"])).unwrap_err().message.ends_with("--accept a"));
    assert_eq!(refuse(&both, &accepted(&["a", "b", "c"])), Ok(()));
    assert_eq!(refuse(&[], &accepted(&[])), Ok(()));
}

proptest! {
    /// Counted address by address.
    #[test]
    fn covered_addresses_are_counted_as_a_slow_count_does(
        one in prop::collection::vec((0u32..2048, 22u8..=32), 0..20),
        other in prop::collection::vec((0u32..2048, 22u8..=32), 0..20),
    ) {
        let net = |(bits, length): &(u32, u8)| {
            ipnet::Ipv4Net::new((0xc612_0000 + bits).into(), *length).unwrap().trunc()
        };
        let mut builder = Builder::new();
        let (a, b) = (builder.list(Action::Block), builder.list(Action::Allow));
        one.iter().for_each(|seed| builder.add(a, net(seed).into(), 1, None));
        other.iter().for_each(|seed| builder.add(b, net(seed).into(), 1, None));
        let table = builder.compile();
        let (sorted, _) = table.sorted();
        let holds = |nets: &[(u32, u8)], address: u32| {
            nets.iter().any(|seed| net(seed).contains(&std::net::Ipv4Addr::from(address)))
        };
        let all = 0xc612_0000..0xc612_0000_u32 + 4096;
        let slow = |both: bool| all.clone().filter(|address| {
            holds(&one, *address) && (!both || holds(&other, *address))
        }).count();
        prop_assert_eq!(size(union(sorted, |id| id == 0)), slow(false) as f64);
        let met = meet(union(sorted, |id| id == 0), union(sorted, |id| id == 1));
        prop_assert_eq!(size(met), slow(true) as f64);
    }
}
