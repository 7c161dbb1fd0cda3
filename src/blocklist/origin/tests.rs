use proptest::prelude::*;

use super::*;

#[test]
fn a_date_is_read_from_its_comment_only_if_it_is_one() {
    let seconds = |text: &str| date_in(text.as_bytes()).map(|dated| dated.unix);
    assert_eq!(seconds(" date: 2026-06-17"), Some(1_781_654_400));
    assert_eq!(seconds("Date:2026-06-17 "), Some(1_781_654_400));
    for text in [
        " date: 2026-02-29",
        " date: 26-06-17",
        " date: Wed, 17 Jun",
        " date: 2026-06-1\u{e9}",
        " updated: 2026-06-17",
        " date",
        "",
    ] {
        assert_eq!(seconds(text), None, "{text}");
    }
}

/// What tables give to AS64500, each a list of ranges of the last byte in 203.0.113.0/24.
fn given(tables: &[Vec<(u8, u8)>]) -> Vec<OriginPrefix> {
    let address = |byte: u8| std::net::Ipv4Addr::new(203, 0, 113, byte);
    let mut found = Vec::new();
    for (source, ranges) in (0u8..).zip(tables) {
        for (first, last) in ranges {
            let range = row::Range::V4(address(*first), address((*last).max(*first)));
            found.extend(range.prefixes().map(|prefix| Found { prefix, line: 1, source }));
        }
    }
    joined(Holder::Asn(64500), &found, tables.len())
}

fn sources_of(found: &[OriginPrefix], prefix: &str) -> Vec<usize> {
    let prefix: IpNet = prefix.parse().unwrap();
    let one = found.iter().find(|found| found.prefix == prefix);
    one.map_or(Vec::new(), |one| one.sources.places().collect())
}

#[test]
fn a_table_of_ranges_and_one_of_announcements_agree_on_what_both_cover() {
    // One announces the /24; the other has it in two ranges that are no prefixes, and a hole.
    let found = given(&[vec![(0, 255)], vec![(0, 99), (100, 199), (210, 255)]]);
    assert_eq!(sources_of(&found, "203.0.113.0/24"), [0]);
    assert_eq!(sources_of(&found, "203.0.113.0/26"), [0, 1]);
    assert_eq!(sources_of(&found, "203.0.113.100/30"), [0, 1]);
    // Without the hole it covers the whole, in whatever pieces.
    let found = given(&[vec![(0, 255)], vec![(0, 99), (100, 255)]]);
    assert_eq!(sources_of(&found, "203.0.113.0/24"), [0, 1]);
    // A more specific prefix of one table lies in a wider one of the other.
    let found = given(&[vec![(0, 255)], vec![(64, 127)]]);
    assert_eq!(sources_of(&found, "203.0.113.0/24"), [0]);
    assert_eq!(sources_of(&found, "203.0.113.64/26"), [0, 1]);
}

proptest! {
    /// The rule in other words: an address stays exactly if so many tables give it, however they cut.
    #[test]
    fn at_least_keeps_exactly_the_addresses_that_so_many_tables_give(
        tables in prop::collection::vec(prop::collection::vec((any::<u8>(), any::<u8>()), 0..5), 1..=4),
        at_least in 1u32..=4,
    ) {
        let found = given(&tables);
        let kept: Vec<&OriginPrefix> =
            found.iter().filter(|found| found.sources.count() >= at_least).collect();
        for byte in 0..=255u8 {
            let gives = |table: &&Vec<(u8, u8)>| {
                table.iter().any(|(first, last)| (*first..=(*last).max(*first)).contains(&byte))
            };
            let by = tables.iter().filter(gives).count();
            let address = std::net::IpAddr::from([203, 0, 113, byte]);
            let stays = kept.iter().any(|found| found.prefix.contains(&address));
            prop_assert_eq!(stays, by >= at_least as usize, "{}: {} tables", address, by);
        }
    }
}
