use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::OriginTable;
use super::*;
use crate::config::{OriginConfig, OriginFormat};

const DAY: u64 = 86_400;
const HOLD: u64 = 14 * DAY;
const AS: Holder = Holder::Asn(64500);

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

/// Tables in which AS64500 has these prefixes.
fn table(of_tables: &[&[&str]]) -> OriginTable {
    let folder = std::env::temp_dir().join(format!(
        "kordon-memory-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    std::fs::create_dir_all(&folder).unwrap();
    let origins: Vec<OriginConfig> = (0..)
        .zip(of_tables)
        .map(|(number, prefixes)| {
            let path = folder.join(number.to_string());
            // A table without a row is refused.
            let other = std::iter::once("192.0.2.0/24 64511\n".to_owned());
            let rows = prefixes.iter().map(|prefix| format!("{prefix} 64500\n"));
            std::fs::write(&path, other.chain(rows).collect::<String>()).unwrap();
            let format = OriginFormat::PrefixAsn;
            OriginConfig { name: number.to_string(), path, format, max_age: None }
        })
        .collect();
    let table = OriginTable::read(&origins, &BTreeSet::from([64500])).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    table
}

/// A load at this time; what is held after it.
fn load(memory: &mut Memory, now: u64, of_tables: &[&[&str]]) -> Vec<String> {
    load_for(memory, now, 1, of_tables)
}

fn load_for(memory: &mut Memory, now: u64, at_least: u8, of_tables: &[&[&str]]) -> Vec<String> {
    let table = table(of_tables);
    let aged = memory.clone().aged(now);
    let current: Vec<IpNet> = table
        .held_by(AS)
        .iter()
        .filter(|found| found.sources.count() >= u32::from(at_least))
        .map(|found| found.prefix)
        .collect();
    let held = aged.withdrawn(AS, at_least, HOLD, &current);
    *memory = aged.after(&table, &BTreeMap::from([(AS, HOLD)]), now);
    held.iter().map(|held| format!("{} {}", held.prefix, held.seen / DAY)).collect()
}

const A: &str = "198.51.100.0/24";
const B: &str = "203.0.113.0/24";

#[test]
fn what_no_table_names_any_more_stays_for_hold_down_and_not_longer() {
    let mut memory = Memory::default();
    assert_eq!(load(&mut memory, 100 * DAY, &[&[A, B]]), [""; 0]);
    assert_eq!(load(&mut memory, 101 * DAY, &[&[A]]), [format!("{B} 100")]);
    assert_eq!(load(&mut memory, 107 * DAY, &[&[A]]), [format!("{B} 100")]);
    assert_eq!(load(&mut memory, 114 * DAY - 1, &[&[A]]), [format!("{B} 100")]);
    assert_eq!(load(&mut memory, 114 * DAY, &[&[A]]), [""; 0]);
    assert_eq!(memory.count(), 1, "what is no longer held is forgotten");
    // Seen again in time, it begins anew.
    assert_eq!(load(&mut memory, 120 * DAY, &[&[A, B]]), [""; 0]);
    assert_eq!(load(&mut memory, 126 * DAY, &[&[B]]), [format!("{A} 120")]);
}

#[test]
fn what_is_announced_in_other_pieces_is_not_withdrawn() {
    let mut memory = Memory::default();
    load(&mut memory, 100 * DAY, &[&[A]]);
    let halves: &[&str] = &["198.51.100.0/25", "198.51.100.128/25"];
    assert_eq!(load(&mut memory, 101 * DAY, &[halves]), [""; 0]);
    assert_eq!(memory.count(), 2);
    // One half alone does not cover what was announced as a whole.
    let mut memory = Memory::default();
    load(&mut memory, 100 * DAY, &[&[A]]);
    assert_eq!(load(&mut memory, 101 * DAY, &[&halves[..1]]), [format!("{A} 100")]);
    // A wider announcement does.
    assert_eq!(load(&mut memory, 102 * DAY, &[&["198.51.0.0/16"]]), [""; 0]);
}

#[test]
fn a_list_that_wants_two_tables_holds_what_two_tables_named() {
    let mut memory = Memory::default();
    load(&mut memory, 100 * DAY, &[&[A, B], &[A]]);
    // B was never named by two.
    assert_eq!(load_for(&mut memory, 101 * DAY, 2, &[&[], &[]]), [format!("{A} 100")]);
    // One table is back: for a list that is content with one, nothing is withdrawn.
    let mut one = memory.clone();
    assert_eq!(load_for(&mut one, 102 * DAY, 1, &[&[A], &[]]), [format!("{B} 100")]);
    assert_eq!(load_for(&mut memory, 102 * DAY, 2, &[&[A], &[]]), [format!("{A} 100")]);
    assert_eq!(load_for(&mut memory, 108 * DAY, 2, &[&[A], &[]]), [format!("{A} 100")]);
    assert_eq!(load_for(&mut memory, 114 * DAY, 2, &[&[A], &[]]), [""; 0]);
}

#[test]
fn a_clock_set_back_neither_drops_nor_holds_for_ever() {
    let mut memory = Memory::default();
    load(&mut memory, 20_000 * DAY, &[&[A, B]]);
    load(&mut memory, 20_001 * DAY, &[&[A]]);
    // The clock begins in 1970, as after a boot without a battery; then it is set right.
    for now in [10, 20, 3_600] {
        assert_eq!(load(&mut memory, now, &[&[A]]), [format!("{B} 20000")]);
    }
    assert_eq!(load(&mut memory, 20_002 * DAY, &[&[A]]), [format!("{B} 20000")]);
    let last = 20_013 * DAY;
    assert_eq!(load(&mut memory, 20_008 * DAY, &[&[A]]), [format!("{B} 20000")]);
    assert_eq!(load(&mut memory, last, &[&[A]]), [format!("{B} 20000")], "as without it");
    assert_eq!(load(&mut memory, last + DAY, &[&[A]]), [""; 0]);

    // It was years ahead and is set back for good: days count from there.
    let mut memory = Memory::default();
    load(&mut memory, 30_000 * DAY, &[&[A, B]]);
    let mut days = 0;
    while !load(&mut memory, (20_000 + days) * DAY, &[&[A]]).is_empty() {
        days += 1;
        assert!(days < 20);
    }
    assert_eq!(days, 14);
}

#[test]
fn a_clock_that_jumps_ahead_does_not_drop_all_at_once() {
    let mut memory = Memory::default();
    load(&mut memory, 20_000 * DAY, &[&[A, B]]);
    assert_eq!(load(&mut memory, 25_000 * DAY, &[&[A]]), [format!("{B} 20000")]);
    assert_eq!(load(&mut memory, 25_007 * DAY, &[&[A]]), [""; 0]);
}

#[test]
fn what_an_as_number_had_last_is_kept_as_long_as_it_has_nothing() {
    let mut memory = Memory::default();
    load(&mut memory, 100 * DAY, &[&[A, B]]);
    load(&mut memory, 106 * DAY, &[&[A]]);
    for day in (112..300).step_by(6) {
        load(&mut memory, day * DAY, &[&[]]);
    }
    let last: Vec<IpNet> = memory.last(AS, 1).iter().map(|held| held.prefix).collect();
    assert_eq!(last, [net(A)]);
    assert_eq!(memory.last(AS, 2), []);
    assert_eq!(memory.last(Holder::Asn(64501), 1), []);
    assert_eq!(memory.count(), 1);
}

#[test]
fn what_no_list_wants_is_forgotten() {
    let mut memory = Memory::default();
    load(&mut memory, 100 * DAY, &[&[A]]);
    assert!(!memory.is_empty());
    assert!(memory.after(&table(&[&[A]]), &BTreeMap::new(), 101 * DAY).is_empty());
}

#[test]
fn the_file_gives_back_what_was_written_and_damage_is_seen_in_every_byte() {
    let folder = std::env::temp_dir().join(format!("kordon-memory-file-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    assert_eq!(Memory::read(&folder), Ok(Memory::default()), "no file");
    let mut memory = Memory::default();
    load(&mut memory, 100 * DAY, &[&[A, B, "2001:db8::/32"], &[A]]);
    load(&mut memory, 101 * DAY, &[&[A], &[]]);
    memory.records.insert(
        Holder::Country(crate::blocklist::Country::parse("RU").unwrap()),
        vec![Record { prefix: net(B), tables: 1, seen: 7, age: 9 }],
    );
    memory.write(&folder).unwrap();
    assert_eq!(Memory::read(&folder).as_ref(), Ok(&memory));
    let path = folder.join("origins");
    let whole = std::fs::read(&path).unwrap();
    assert!(String::from_utf8(whole.clone()).unwrap().contains("\nAS64500\n 198.51.100.0/24 "));
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        let said = Memory::read(&folder).unwrap_err();
        assert!(said.contains("/origins: "), "{said}");
        std::fs::write(&path, &whole[..at]).unwrap();
        assert!(Memory::read(&folder).is_err(), "cut to {at}");
    }
    std::fs::write(&path, &whole).unwrap();
    assert!(Memory::read(&folder).is_ok(), "the control");
    let mut open = std::fs::metadata(&path).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut open, 0o666);
    std::fs::set_permissions(&path, open).unwrap();
    assert!(Memory::read(&folder).unwrap_err().contains("may write"));
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(memory.write(&folder).is_err());
}

#[test]
fn a_number_that_announces_nothing_comes_back_like_any_other() {
    let record = Record { prefix: net(A), tables: 1, seen: 7, age: 3 };
    let mut memory = Memory { written: 1, highest: 2, ..Memory::default() };
    for asn in [0, 23_456, 64_500, 65_535, u32::MAX] {
        memory.records.insert(Holder::Asn(asn), vec![record]);
    }
    assert_eq!(file::decode(&file::encode(&memory)), Some(memory));
}

proptest! {
    #[test]
    fn any_text_is_a_memory_or_damaged(text in ".{0,200}") {
        file::decode(&text);
        file::decode(&format!("kordon origins 1\n{text}"));
    }

    #[test]
    fn whatever_the_clock_does_the_age_grows_by_no_more_than_a_step(
        clocks in prop::collection::vec(any::<u64>(), 1..20),
    ) {
        let mut memory = Memory::default();
        let record = Record { prefix: net(A), tables: 1, seen: 0, age: 0 };
        memory.records.insert(AS, vec![record]);
        let mut before = 0;
        for now in clocks {
            memory = memory.aged(now);
            let age = memory.records[&AS][0].age;
            prop_assert!((before..=before + LONGEST_STEP).contains(&age));
            before = age;
        }
    }
}
