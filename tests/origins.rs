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

use kordon::blocklist::{OriginTable, sniff_origin};
use kordon::config::{OriginConfig, OriginFormat};
use kordon::failure::{ExitStatus, Failure};
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
