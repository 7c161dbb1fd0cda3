//! Promises of the origin tables, kept against golden files and their nasty twins in `tests/data/origins`.
//!
//! A file `FORMAT.WHAT` there has a file `FORMAT.WHAT.read` with what comes out of it, or `FORMAT.WHAT.refused`
//! with the exact message.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod mmdb;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kordon::blocklist::{
    Disagreement, Disagreements, Known, Loaded, Memory, OriginTable, Sources, disagreements, load,
    load_knowing, sniff_origin,
};
use kordon::config::{
    Action, Config, Day, Group, ListConfig, ListKind, Mode, OriginConfig, OriginFormat,
};
use kordon::explain::explain;
use kordon::failure::{ExitStatus, Failure};
use kordon::ruleset::{Resolution, Ruleset};
use mmdb::{Side, Tree};
use proptest::prelude::*;

const DATA: &str = "tests/data/origins";

fn origin(name: &str, path: impl Into<PathBuf>, format: OriginFormat) -> OriginConfig {
    let max_age: Option<Duration> = None;
    OriginConfig { name: name.to_owned(), path: path.into(), format, max_age }
}

fn format(name: &str) -> OriginFormat {
    serde_json::from_value(name.into()).unwrap()
}

/// A folder of this test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kordon-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What the table says about three AS numbers, in the format that its name says.
fn outcome(path: &Path) -> Result<String, Failure> {
    let name = path.file_name().unwrap().to_str().unwrap();
    let declared = format(name.split_once('.').unwrap().0);
    let mut out = String::new();
    let wanted = BTreeSet::from([64500, 64501, 64502]);
    let guessed = OriginTable::read(&[origin("golden", path, OriginFormat::Auto)], &wanted);
    if declared == OriginFormat::Auto {
        return guessed.map(|_| out);
    }
    let table = match OriginTable::read(&[origin("golden", path, declared)], &wanted) {
        Ok(table) => table,
        Err(failure) => {
            assert!(guessed.is_err(), "{name}");
            return Err(failure);
        }
    };
    let guess = sniff_origin(path)?;
    writeln!(out, "{}: {}", guess.format, guess.because).unwrap();
    assert_eq!(Ok(&table), guessed.as_ref(), "{name}");
    for asn in wanted {
        writeln!(out, "AS{asn} {}", table.name_of(asn).unwrap_or("-")).unwrap();
        for p in table.prefixes_of(asn) {
            writeln!(out, "  {} {}", p.line, p.prefix).unwrap();
        }
    }
    for date in table.dates() {
        let (day, seconds) = (date.date.as_deref().unwrap_or("-"), date.unix_seconds);
        writeln!(out, "{day} {}", seconds.map_or("-".to_owned(), |s| s.to_string())).unwrap();
    }
    Ok(out)
}

#[test]
fn golden_tables_are_read_and_their_nasty_twins_refused_in_exact_words() {
    let mut names: Vec<PathBuf> = fs::read_dir(DATA)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|p| !matches!(p.extension().and_then(|e| e.to_str()), Some("read" | "refused")))
        .collect();
    names.sort();
    assert!(names.len() >= 24, "only {} golden files found", names.len());
    let mut wrong = Vec::new();
    for path in names {
        let (ending, other, found) = match outcome(&path) {
            Ok(text) => ("read", "refused", text),
            Err(failure) => {
                assert_eq!(failure.status, ExitStatus::BadData, "{failure}");
                ("refused", "read", format!("{failure}\n"))
            }
        };
        let stale = PathBuf::from(format!("{}.{other}", path.display()));
        assert!(!stale.exists(), "{} was {ending}\n{found}", stale.display());
        let golden = PathBuf::from(format!("{}.{ending}", path.display()));
        if std::env::var_os("KORDON_WRITE_GOLDEN").is_some() {
            fs::write(&golden, &found).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        if found != expected {
            wrong.push(format!("{}\nfound:\n{found}expected:\n{expected}", golden.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// IPv4 at `::/96`, as MaxMind has it.
fn v4(a: u8, b: u8, c: u8, length: u8) -> (u128, u8) {
    (u128::from(u32::from_be_bytes([a, b, c, 0])), 96 + length)
}

fn example() -> Tree {
    let v6 = 0x2001_0db8_u128 << 96;
    let ((a, a_length), (b, b_length), (c, c_length)) =
        (v4(192, 0, 2, 24), v4(198, 51, 100, 25), v4(203, 0, 113, 24));
    let mut tree = Tree::of(&[
        (a, a_length, 64500, "Example LLC"),
        (b, b_length, 64501, "Other, Inc."),
        (c, c_length, 0, ""),
        (v6, 33, 64500, "Example LLC"),
        (v6 | 0xffff << 80, 48, 64502, "Third"),
    ]);
    tree.alias((0, 96), (0xffff << 32, 96));
    tree.alias((0, 96), (0x2002 << 112, 16));
    tree
}

#[test]
fn the_committed_database_is_what_the_writer_makes() {
    let path = format!("{DATA}/mmdb.good");
    let made = example().database(1_781_654_400);
    if std::env::var_os("KORDON_WRITE_GOLDEN").is_some() {
        fs::write(&path, &made).unwrap();
    }
    assert_eq!(fs::read(&path).unwrap(), made);
}

#[test]
fn a_database_cut_off_anywhere_is_refused_or_a_smaller_one_and_never_a_panic() {
    let folder = Folder::new("mmdb-cut");
    let whole = example().database(1_781_654_400);
    let read = |bytes: &[u8]| {
        let path = folder.file("t.mmdb", bytes);
        OriginTable::read(&[origin("o", path, OriginFormat::Mmdb)], &BTreeSet::from([64500]))
    };
    assert_eq!(read(&whole).unwrap().prefixes_of(64500).len(), 2, "the control");
    let taken: Vec<usize> = (0..whole.len()).filter(|end| read(&whole[..*end]).is_ok()).collect();
    assert_eq!(taken, [0; 0], "of {}", whole.len());
    for at in 0..whole.len() {
        for bit in [1, 0x10, 0x80] {
            let mut changed = whole.clone();
            changed[at] ^= bit;
            let _ = read(&changed);
        }
    }
}

#[test]
fn a_name_longer_than_a_line_may_be_is_cut() {
    let folder = Folder::new("mmdb-name");
    let (bits, length) = v4(192, 0, 2, 24);
    for (written, kept) in [(4_096, 4_096), (4_097, 4_096), (60_000, 4_096)] {
        let name = "x".repeat(written);
        let bytes = Tree::of(&[(bits, length, 64500, &name)]).database(0);
        let path = folder.file("t.mmdb", bytes);
        let origins = [origin("o", path, OriginFormat::Mmdb)];
        let table = OriginTable::read(&origins, &BTreeSet::from([64500])).unwrap();
        assert_eq!(table.name_of(64500).map(str::len), Some(kept), "of {written}");
    }
}

#[test]
fn a_tree_with_more_paths_than_addresses_is_refused_and_does_not_loop() {
    let folder = Folder::new("mmdb-paths");
    // Each node leads to the next one on both sides: 2^64 paths through 64 nodes.
    let mut tree = example();
    let first = tree.nodes.len();
    for next in first + 1..=first + 64 {
        tree.nodes.push([Side::Node(next); 2]);
    }
    tree.nodes.push([Side::Empty; 2]);
    tree.nodes[0][1] = Side::Node(first);
    let path = folder.file("t.mmdb", tree.database(0));
    let began = std::time::Instant::now();
    let wanted = BTreeSet::from([64500]);
    let failure =
        OriginTable::read(&[origin("o", &path, OriginFormat::Mmdb)], &wanted).unwrap_err();
    assert!(failure.message.contains("this is no tree of addresses"), "{failure}");
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

const DAY: u64 = 86_400;

fn list(path: &Path, kind: ListKind) -> ListConfig {
    ListConfig::new("relays".to_owned(), path.to_path_buf(), kind, Action::Block)
}

fn at(memory: &Memory, now: u64) -> Known<'static> {
    Known { memory: memory.clone(), now, ..Known::default() }
}

/// Prefix, AS number and tables of each entry.
fn entries(loaded: &Loaded) -> Vec<String> {
    let one = |entry: &kordon::blocklist::Entry| {
        let places: Vec<String> = entry.sources.places().map(|place| place.to_string()).collect();
        let origin = entry.origin.map_or(String::new(), |asn| format!(" AS{asn}"));
        format!("{}{origin} {}", entry.prefix, places.join("+"))
    };
    loaded.lists[0].entries.iter().map(one).collect()
}

#[test]
fn a_list_takes_what_enough_tables_give() {
    let folder = Folder::new("at-least");
    let announced =
        folder.file("a", "203.0.113.0/24 64500\n198.51.100.0/24 64500\n192.0.2.0/24 64511\n");
    let ranges = folder.file("b.csv", "203.0.113.0,203.0.113.99,64500,X\n203.0.113.100,203.0.113.255,64500,X\n192.0.2.0,192.0.2.127,64500,X\n");
    let origins =
        [origin("a", announced, OriginFormat::Auto), origin("b", ranges, OriginFormat::Auto)];
    let mut list = list(&folder.file("l", "AS64500\n"), ListKind::Asn);
    let any = load(&[list.clone()], &origins).unwrap();
    let entries_of_any = entries(&any);
    assert!(
        entries_of_any.contains(&"203.0.113.0/24 AS64500 0+1".to_owned()),
        "{entries_of_any:?}"
    );
    assert!(entries_of_any.contains(&"198.51.100.0/24 AS64500 0".to_owned()));
    assert!(entries_of_any.contains(&"192.0.2.0/25 AS64500 1".to_owned()));
    list.at_least = 2;
    let two = entries(&load(&[list.clone()], &origins).unwrap());
    assert!(two.contains(&"203.0.113.0/24 AS64500 0+1".to_owned()), "{two:?}");
    assert!(two.iter().all(|entry| entry.starts_with("203.0.113.") && entry.ends_with(" 0+1")));
    // Not enough for anything, and more than there are.
    let only = folder.file("only", "AS64511\n");
    let other = ListConfig { path: only, ..list.clone() };
    let failure = load(&[other], &origins).unwrap_err();
    assert!(
        failure.message.ends_with(
            "only:1:1: AS64511 has 1 prefixes in the origin tables (a, b), but none that at least 2 of them \
             give to it (at_least = 2)"
        ),
        "{failure}"
    );
    list.at_least = 3;
    let failure = load(&[list], &origins).unwrap_err();
    assert_eq!(failure.status, ExitStatus::BadConfig);
    assert!(failure.message.contains("at_least = 3 needs as many origin tables, and there are 2"));
}

#[test]
fn what_a_table_withdraws_is_held_by_the_list_that_says_so_and_named_as_such() {
    let folder = Folder::new("hold-down");
    let path = folder.file("a", "203.0.113.0/24 64500\n198.51.100.0/24 64500\n");
    let origins = [origin("a", &path, OriginFormat::Auto)];
    let lines = folder.file("l", "AS64500\n");
    let holding = list(&lines, ListKind::Asn);
    let off = ListConfig { hold_down: Duration::ZERO, name: "off".into(), ..holding.clone() };
    let lists = [holding, off];
    let day = |n: u64| 20_000 * DAY + n * DAY;
    let first = load_knowing(&lists, &origins, at(&Memory::default(), day(0))).unwrap();
    assert_eq!((first.lists[0].entries.len(), first.lists[0].withdrawn.len()), (2, 0));

    folder.file("a", "198.51.100.0/24 64500\n");
    let second = load_knowing(&lists, &origins, at(&first.memory, day(1))).unwrap();
    assert_eq!(entries(&second), ["198.51.100.0/24 AS64500 0", "203.0.113.0/24 AS64500 "]);
    assert_eq!(second.lists[0].entries[1].sources, Sources::NONE);
    let [withdrawn] = second.lists[0].withdrawn[..] else { panic!("one is withdrawn") };
    assert_eq!((withdrawn.prefix.to_string(), withdrawn.line), ("203.0.113.0/24".to_owned(), 1));
    assert_eq!(withdrawn.seen, day(0));
    assert_eq!(second.lists[1].entries.len(), 1, "hold_down = \"0s\" holds nothing");
    assert_eq!(second.warnings, [""; 0]);

    // Long enough after, in steps of less than a week, it is gone.
    let mut memory = second.memory;
    for n in [6, 12] {
        let held = load_knowing(&lists, &origins, at(&memory, day(n))).unwrap();
        assert_eq!(held.lists[0].entries.len(), 2, "day {n}");
        memory = held.memory;
    }
    let last = load_knowing(&lists, &origins, at(&memory, day(14))).unwrap();
    assert_eq!(entries(&last), ["198.51.100.0/24 AS64500 0"]);
}

#[test]
fn an_as_number_that_had_prefixes_keeps_them_loudly_and_one_that_never_had_is_refused() {
    let folder = Folder::new("vanished");
    let path = folder.file("a", "203.0.113.0/24 64500\n192.0.2.0/24 64511\n");
    let origins = [origin("a", &path, OriginFormat::Auto)];
    let lines = folder.file("l", "AS64500\n");
    let lists = [ListConfig { hold_down: Duration::ZERO, ..list(&lines, ListKind::Asn) }];
    let now = 20_000 * DAY;
    let first = load_knowing(&lists, &origins, at(&Memory::default(), now)).unwrap();
    folder.file("a", "192.0.2.0/24 64511\n");
    let mut memory = first.memory;
    // For as long as it takes, also without hold_down.
    for year in 1..4 {
        let kept = load_knowing(&lists, &origins, at(&memory, now + year * 365 * DAY)).unwrap();
        assert_eq!(entries(&kept), ["203.0.113.0/24 AS64500 "]);
        assert_eq!(
            kept.warnings,
            [
                "list relays: no longer in the origin tables, so what they said last stays: AS64500 (1 prefixes \
              of 2024-10-04); look at the tables"
            ]
        );
        memory = kept.memory;
    }
    // The control: without memory nothing is known of it.
    let failure = load(&lists, &origins).unwrap_err();
    assert_eq!(failure.status, ExitStatus::BadData);
    assert!(
        failure
            .message
            .ends_with("l:1:1: AS64500 resolves to no prefix in any origin table (origin: a)")
    );
    // The shipped AS numbers are known without it.
    folder.file("l", "AS47764\n");
    let shipped = load(&lists, &origins).unwrap();
    assert!(shipped.lists[0].entries.len() > 50);
    assert!(shipped.warnings[0].contains("so what is shipped with kordon is used: AS47764 ("));
    assert!(shipped.warnings[0].contains(" of 2026-06-17); look at the tables"));
}

#[test]
fn a_country_takes_what_registries_and_tables_say_is_registered_there() {
    let folder = Folder::new("country");
    let registry = folder.file(
        "registry",
        "2|ripencc|20261008|3|19830705|20261007|+0100\n\
         ripencc|RU|ipv4|203.0.113.0|128|20190101|allocated\n\
         ripencc|RU|ipv4|203.0.113.128|128|20190101|allocated\n\
         ripencc|UA|ipv4|192.0.2.0|256|20190101|allocated\n",
    );
    let table = folder.file(
        "table.tsv",
        "203.0.113.0\t203.0.113.127\t64500\tRU\tX\n198.51.100.0\t198.51.100.255\t64501\tRU\tY\n",
    );
    let plain = folder.file("plain", "203.0.113.0/24 64500\n");
    let origins = [
        origin("registry", registry, OriginFormat::Auto),
        origin("table", table, OriginFormat::Auto),
        origin("plain", plain, OriginFormat::Auto),
    ];
    let mut list = list(&folder.file("l", "# the order\nRU\n"), ListKind::Country);
    let any = load(&[list.clone()], &origins).unwrap();
    // What registries cut in two is one prefix; no AS number is named.
    let all = ["198.51.100.0/24 1", "203.0.113.0/24 0", "203.0.113.0/25 0+1"];
    assert_eq!(entries(&any), all);
    assert_eq!(
        any.lists[0].countries.iter().map(|(line, c)| format!("{line} {c}")).collect::<Vec<_>>(),
        ["2 RU"]
    );
    list.at_least = 2;
    assert_eq!(entries(&load(&[list.clone()], &origins).unwrap()), ["203.0.113.0/25 0+1"]);
    list.at_least = 1;
    folder.file("l", "DE\n");
    let failure = load(&[list], &origins).unwrap_err();
    assert!(
        failure.message.ends_with(
            "l:1:1: DE resolves to no prefix in any origin table (origin: registry, table, plain): only tables in \
             the formats iptoasn and delegated name countries"
        ),
        "{failure}"
    );
}

#[test]
fn a_group_stands_for_its_as_numbers_and_may_have_silent_ones_but_not_only_those() {
    let folder = Folder::new("group");
    let path = folder.file("a", "203.0.113.0/24 64500\n198.51.100.0/24 64501\n");
    let origins = [origin("a", &path, OriginFormat::Auto)];
    let lists = [list(&folder.file("l", "AS64501\ngroup:siblings ; all of them\n"), ListKind::Asn)];
    let group = |name: &str, asns: &[u32]| Group {
        name: name.to_owned(),
        title: "Siblings LLC".to_owned(),
        asns: asns.to_vec(),
    };
    let groups = [group("siblings", &[64500, 64501, 64502]), group("silent", &[64503, 64504])];
    let known = || Known { groups: &groups, now: 20_000 * DAY, ..Known::default() };
    let loaded = load_knowing(&lists, &origins, known()).unwrap();
    // A number that a line names before the group belongs to that line.
    assert_eq!(entries(&loaded), ["198.51.100.0/24 AS64501 0", "203.0.113.0/24 AS64500 0"]);
    let lines: Vec<u32> = loaded.lists[0].entries.iter().map(|entry| entry.line).collect();
    assert_eq!((lines, loaded.lists[0].asns), (vec![1, 2], 3));
    assert_eq!(loaded.warnings, ["list relays: of its groups, without a prefix: AS64502"]);
    folder.file("l", "AS64501\ngroup:silent\n group:other\n");
    let failure = load_knowing(&lists, &origins, known()).unwrap_err();
    let said = failure.message.replace(&format!("{}/", folder.0.display()), "");
    let none = "resolves to no prefix in any origin table (origin: a)";
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        [
            "l:3:2: there is no group other: add a [[group]] (there are: siblings, silent)",
            &format!("l:2:1: AS64503 {none}"),
            &format!("l:2:1: AS64504 {none}"),
        ]
    );
}

#[test]
fn tables_that_give_a_prefix_to_different_as_numbers_disagree_and_more_specific_rows_do_not() {
    let folder = Folder::new("disagree");
    let routes = folder.file(
        "routes",
        "203.0.113.0/24 64500\n203.0.113.64/26 64511\n198.51.100.0/24 64500\n192.0.2.0/24 64510\n",
    );
    // The customer's /26 is cut out; 198.51.100.128/25 went to somebody else; 192.0.2.0/24 is nobody's business.
    let ranges = folder.file(
        "ranges",
        "203.0.113.0,203.0.113.63,64500,X\n203.0.113.64,203.0.113.127,64511,X\n\
         203.0.113.128,203.0.113.255,64500,X\n198.51.100.0,198.51.100.127,64500,X\n\
         198.51.100.128,198.51.100.255,64509,X\n192.0.2.0,192.0.2.255,64508,X\n",
    );
    let payloads = folder.file(
        "payloads",
        "ASN,IP Prefix,Max Length,Trust Anchor\nAS64511,203.0.113.0/24,24,x\nAS64500,203.0.113.0/25,25,x\n",
    );
    let origins = [
        origin("routes", routes, OriginFormat::Auto),
        origin("ranges", ranges, OriginFormat::Auto),
        origin("payloads", payloads, OriginFormat::Auto),
    ];
    let asns = BTreeSet::from([64500]);
    let found = disagreements(&origins[..2], &asns).unwrap();
    let said = |found: &Disagreements| -> Vec<String> {
        let one = |d: &Disagreement| {
            format!("{} {}: {} {:?}", d.prefix, d.table, d.other_table, d.others)
        };
        found.first.iter().map(one).collect()
    };
    assert_eq!(said(&found), ["198.51.100.128/25 routes: ranges [64509]"]);
    assert_eq!(found.total, 1);
    // Of payloads all count that cover an address: the lower half may be announced by both.
    let found = disagreements(&origins, &asns).unwrap();
    assert_eq!(
        said(&found),
        [
            "198.51.100.128/25 routes: ranges [64509]",
            "203.0.113.128/25 routes: payloads [64511]",
            "203.0.113.128/25 ranges: payloads [64511]",
            "203.0.113.64/26 payloads: routes [64511]",
            "203.0.113.64/26 payloads: ranges [64511]",
        ]
    );
    assert_eq!(disagreements(&origins[..1], &asns).unwrap().total, 0);
}

#[test]
fn only_who_puts_a_rule_set_in_force_writes_what_tables_said_and_why_names_what_is_kept() {
    let folder = Folder::new("remember");
    let config = folder.file(
        "kordon.toml",
        "[cameras]\ninterfaces = [\"cam0\"]\n[state]\nfolder = \"state\"\n\
         [[list]]\nname = \"l\"\npath = \"l\"\nkind = \"asn\"\naction = \"block\"\n\
         [[list]]\nname = \"c\"\npath = \"c\"\nkind = \"country\"\naction = \"monitor\"\n\
         [[origin]]\nname = \"o\"\npath = \"o\"\n[[origin]]\nname = \"may\"\npath = \"may\"\n",
    );
    let state = folder.0.join("state");
    fs::create_dir(&state).unwrap();
    folder.file("l", "AS47764 ; the first\n");
    folder.file("c", "RU\n");
    let row = "203.0.113.0\t203.0.113.255\t47764\tRU\tX\n";
    folder.file("o", format!("{row}198.51.100.0\t198.51.100.255\t47764\tUA\tX\n"));
    folder.file("may", "ASN,IP Prefix,Max Length,Trust Anchor\nAS47764,203.0.113.0/24,24,x\n");
    let load = || {
        let config = Config::load(&config).unwrap();
        Ruleset::load(&config, |_| Some(0), None).unwrap()
    };
    let why = |rules: &Ruleset, address: &str| {
        explain(rules, Mode::Enforce, "test", address.parse().unwrap(), None).unwrap()
    };
    let mut first = load();
    assert_eq!(fs::read_dir(&state).unwrap().count(), 0, "reading leaves nothing");
    let answer = why(&first, "203.0.113.9");
    let winner = answer.winner.unwrap();
    assert_eq!(winner.origin_sources, Some(vec!["o".to_owned(), "may".to_owned()]));
    assert_eq!((winner.may_announce, winner.last_seen), (vec!["may".to_owned()], None));
    assert_eq!(winner.group.as_deref(), Some("vk: VK"));
    assert_eq!(winner.registered_in, None);
    let country = &answer.also[0];
    assert_eq!(country.registered_in.as_deref(), Some("RU"));
    assert_eq!(country.origin_sources, Some(vec!["o".to_owned()]));
    assert_eq!((country.origin_as, &country.group), (None, &None));

    Resolution::remember(first.resolution.memory.take(), &state);
    let written = fs::read(state.join("origins")).unwrap();
    folder.file("o", row);
    let second = load();
    assert_eq!(fs::read(state.join("origins")).unwrap(), written);
    let kept = why(&second, "198.51.100.9").winner.unwrap();
    assert_eq!(kept.origin_sources, Some(vec![]));
    let today = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert_eq!(kept.last_seen, Day::of_unix(today).map(|day| day.to_string()));

    fs::write(state.join("origins"), b"damaged").unwrap();
    let third = load();
    assert_eq!(why(&third, "198.51.100.9").winner, None);
    let [warning] = &third.resolution.warnings[..] else { panic!("one warning") };
    assert!(warning.contains("/origins: damaged: "), "{warning}");

    // Where that is why a list is refused, it is said beside it.
    folder.file("c", "UA\n");
    let failure = Ruleset::load(&Config::load(&config).unwrap(), |_| Some(0), None).err().unwrap();
    let said: Vec<&str> = failure.message.lines().collect();
    assert!(said[0].contains("c:1:1: UA resolves to no prefix"), "{failure}");
    assert!(said[1].contains("/origins: damaged: "), "{failure}");
}

#[test]
fn a_date_that_is_still_to_come_is_not_believed_and_said() {
    let folder = Folder::new("future");
    let path = folder.file("a", "# date: 2026-06-17\n203.0.113.0/24 64500\n");
    let origins = [origin("a", &path, OriginFormat::Auto)];
    let lists = [list(&folder.file("l", "AS64500\n"), ListKind::Asn)];
    let date = 1_781_654_400;
    for (now, believed) in [(date - DAY, true), (date - DAY - 1, false), (0, false)] {
        let loaded = load_knowing(&lists, &origins, at(&Memory::default(), now)).unwrap();
        assert_eq!(loaded.origin_dates[0].date.is_some(), believed, "{now}");
        assert_eq!(loaded.origin_dates[0].unix_seconds.is_some(), believed);
        assert_eq!(loaded.warnings.is_empty(), believed);
        if !believed {
            assert!(
                loaded.warnings[0].contains("says it is of 2026-06-17, which is still to come")
            );
        }
    }
}

const FORMATS: [&str; 10] = [
    "iptoasn",
    "csv",
    "pfx2as",
    "bgptools",
    "geolite2",
    "mmdb",
    "vrp-json",
    "vrp-csv",
    "prefix-asn",
    "delegated",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_bytes_are_a_table_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let folder = Folder::new("origin-bytes");
        let path = folder.file("t", bytes);
        for name in FORMATS.into_iter().chain(["auto"]) {
            let _ = OriginTable::read(&[origin("o", &path, format(name))], &BTreeSet::from([1]));
        }
    }

    #[test]
    fn any_near_row_is_a_row_or_refused(text in "[0-9a-fAS:./,|_\t\"{}\n ]{0,120}") {
        let folder = Folder::new("origin-near");
        let path = folder.file("t", text);
        for name in FORMATS.into_iter().chain(["auto"]) {
            let _ = OriginTable::read(&[origin("o", &path, format(name))], &BTreeSet::from([1]));
        }
    }

    #[test]
    fn a_golden_table_with_a_changed_byte_is_a_table_or_refused(
        name in prop::sample::select(&FORMATS[..]),
        at in any::<prop::sample::Index>(),
        byte: u8,
    ) {
        let folder = Folder::new("origin-changed");
        let what = if name == "csv" { "num" } else { "good" };
        let mut bytes = fs::read(format!("{DATA}/{name}.{what}")).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let path = folder.file("t", bytes);
        let _ = OriginTable::read(&[origin("o", &path, format(name))], &BTreeSet::from([64500]));
    }
}
