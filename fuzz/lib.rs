//! What every fuzz target does with its bytes: write them into a file of this process, read it as the daemon
//! would, and hold what comes out against what the readers promise. Packets need no file.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::path::PathBuf;

use kordon::blocklist::{
    ListFile, OriginTable, Reading, guard, read_list, sniff_list, sniff_origin,
};
use kordon::config::{ListFormat, ListKind, OriginConfig, OriginFormat};
use kordon::decide::FlowMemory;
use kordon::packet::{Headers, Held, Inner, embedded, inner, parse};
use kordon::verdict::Tunnel;

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

/// Unpacks these bytes, for what reads them is fuzzed by itself. A fault in a library that unpacks is contained in the daemon; here
/// it is a finding.
pub fn unpack(bytes: &[u8]) {
    // zstd unless it begins like gzip: of the two it is the one that has asserts on its way.
    let known = [&b"\x28\xb5\x2f\xfd"[..], b"\x1f\x8b"].iter().any(|m| bytes.starts_with(m));
    let bytes = if known { bytes.to_vec() } else { [b"\x28\xb5\x2f\xfd", bytes].concat() };
    // The one format that is taken whole before it is looked at.
    origin(OriginFormat::Mmdb, &bytes);
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

/// Judges packets in a row. Each stands behind four bytes: whether it is an aggregate and the seconds since the one
/// before, how many times sixteen bytes it is longer than its copy, and the length of the copy.
pub fn packets(mut bytes: &[u8]) {
    let mut memory = FlowMemory::new(7);
    let mut now = 0;
    while let Some((&[flags, more, high, low], rest)) = bytes.split_first_chunk::<4>() {
        let length = usize::from(u16::from_be_bytes([high, low])).min(rest.len());
        let (packet, rest) = rest.split_at(length);
        bytes = rest;
        now += u32::from(flags >> 1);
        memory.tick(now);
        let length = (length + usize::from(more) * 16) as u32;
        let held = Held { length, aggregate: flags & 1 != 0, ..Held::from(packet) };
        if let Ok(headers) = parse(held) {
            let found = memory.tunnel(&headers, held);
            // A second look at the same packet says the same, if it said anything.
            if found.is_some() {
                assert!(memory.tunnel(&headers, held).is_some());
            }
            headers_are_read(&headers, held);
            for tunnel in Tunnel::ALL {
                go_inside(tunnel, &headers, held);
            }
        }
    }
}

fn headers_are_read(headers: &Headers, held: Held<'_>) {
    assert!(usize::from(headers.transport) <= held.bytes.len());
    assert!(headers.beyond(held) <= held.length);
    let _ = (headers.lacks_transport(held), headers.hides_payload(held));
    if let IpAddr::V6(destination) = headers.addresses.destination() {
        let configured =
            ["64:ff9b:1::/48", "2001:db8::/32", "2001::/40", "2002:c000::/56", "::/96"];
        let nat64 = configured.map(|prefix| prefix.parse().expect("a prefix"));
        let plain = embedded(destination, &[]);
        assert!(plain.iter().count() <= embedded(destination, &nat64).iter().count() + 4);
    }
}

/// What is inside is a part of what is outside, and less.
fn go_inside(tunnel: Tunnel, headers: &Headers, held: Held<'_>) {
    let (mut headers, mut held) = (*headers, held);
    for _ in 0..64 {
        let Inner::Packet(within) = inner(tunnel, &headers, held) else { return };
        assert!(within.bytes.len() as u32 <= within.length);
        assert!(within.bytes.len() < held.bytes.len());
        let Ok(next) = parse(within) else { return };
        (headers, held) = (next, within);
    }
}
