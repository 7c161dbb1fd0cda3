//! What every fuzz target does with its bytes: write them into a file of this process, read it as the daemon
//! would, and hold what comes out against what the readers promise.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;

use kordon::blocklist::{
    ListFile, OriginTable, Reading, guard, read_list, sniff_list, sniff_origin,
};
use kordon::config::{ListFormat, ListKind, OriginConfig, OriginFormat};

thread_local! {
    static PATH: OnceCell<PathBuf> = const { OnceCell::new() };
}

/// These bytes as a file. In memory where the system has a place for that: a disk is slow.
fn file(bytes: &[u8]) -> PathBuf {
    let path = PATH.with(|path| {
        let folder = if std::path::Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" };
        path.get_or_init(|| format!("{folder}/kordon-fuzz-{}", std::process::id()).into()).clone()
    });
    std::fs::write(&path, bytes).expect("the file can be written");
    path
}

/// Reads a list of this format and kind, strictly and with wrong entries left out.
pub fn list(format: ListFormat, kind: ListKind, bytes: &[u8]) {
    let path = file(bytes);
    let strict = Reading { kind, format, allow_wide: false, max_rejected: 0 };
    if let Ok(list) = read_list(&path, &strict) {
        check(&list, false);
        assert_eq!(list.rejected.total, 0);
        // The same file gives the same list.
        assert!(read_list(&path, &strict).is_ok_and(|again| again == list));
    }
    let lenient = Reading { allow_wide: true, max_rejected: u32::MAX, ..strict };
    if let Ok(list) = read_list(&path, &lenient) {
        check(&list, true);
    }
}

/// Guesses the format of a list, and reads it by the guess.
pub fn any_list(bytes: &[u8]) {
    for kind in [ListKind::Prefix, ListKind::Asn, ListKind::Country] {
        list(ListFormat::Auto, kind, bytes);
    }
    let path = file(bytes);
    let _ = sniff_list(&path, None).map(|guess| guess.to_string());
    let _ = sniff_origin(&path);
}

fn check(list: &ListFile, allow_wide: bool) {
    assert!(!list.is_empty());
    let mut seen = HashSet::new();
    for entry in &list.prefixes {
        assert_eq!(entry.prefix, entry.prefix.trunc());
        assert!(guard(entry.prefix, allow_wide).is_ok());
        assert!(entry.line > 0 && seen.insert(entry.prefix));
    }
    assert!(list.prefixes.is_sorted_by_key(|entry| entry.line));
    assert!(list.asns.is_sorted_by_key(|entry| entry.line));
    let asns: HashSet<u32> = list.asns.iter().map(|entry| entry.what).collect();
    assert_eq!(asns.len(), list.asns.len());
    assert!(asns.iter().all(|asn| ![0, 23456, 65535, u32::MAX].contains(asn)));
    assert!(list.rejected.first.len() <= 100);
    assert!(list.rejected.first.len() as u64 <= list.rejected.total);
}

/// Reads an origin table of this format.
pub fn origin(format: OriginFormat, bytes: &[u8]) {
    let path = file(bytes);
    let table = OriginConfig { name: "fuzz".to_owned(), path, format, max_age: None };
    let wanted = (64496..64512).chain([1, 2, 13335]).collect::<BTreeSet<u32>>();
    if let Ok(read) = OriginTable::read(&[table], &wanted) {
        for asn in &wanted {
            for found in read.prefixes_of(*asn) {
                assert_eq!(found.prefix, found.prefix.trunc());
            }
        }
    }
}
