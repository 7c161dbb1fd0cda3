//! Promises of the list readers, kept against golden files and their nasty twins in `tests/data/lists`.
//!
//! A file `X` there has a file `X.read` with what comes out of it, or `X.refused` with the exact message.
//! The ending of `X` says what it is: `.txt` prefixes, `.asn` AS numbers, `.csv` and `.tsv` origin tables;
//! `wide-allowed` in its name sets `allow_wide`.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use kordon::blocklist::{
    ListErrors, ListFile, Loaded, MAX_FILE_BYTES, OriginTable, Reading, load, parse_asn,
    parse_prefix, read_list,
};
use kordon::config::{Action, Basis, ListConfig, ListKind, OriginConfig, OriginFormat};
use kordon::failure::{ExitStatus, Failure};
use proptest::prelude::*;

const DATA: &str = "tests/data/lists";

fn list(name: &str, path: impl Into<PathBuf>, kind: ListKind) -> ListConfig {
    let (name, path) = (name.to_owned(), path.into());
    let (action, basis) = (Action::Block, Basis::default());
    ListConfig { basis, ..ListConfig::new(name, path, kind, action) }
}

fn origin(name: &str, path: impl Into<PathBuf>, format: OriginFormat) -> OriginConfig {
    OriginConfig { name: name.to_owned(), path: path.into(), format, max_age: None }
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

    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// The message with this folder's path taken out.
    fn say(&self, failure: &Failure) -> String {
        failure.message.replace(&format!("{}/", self.0.display()), "")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn read_prefixes(path: &Path, allow_wide: bool) -> Result<ListFile, Failure> {
    read_list(path, &Reading { allow_wide, ..Reading::plain(ListKind::Prefix) })
}

fn read_asns(path: &Path) -> Result<ListFile, Failure> {
    read_list(path, &Reading::plain(ListKind::Asn))
}

/// What is in a golden file, by its kind.
fn outcome(path: &Path) -> Result<String, Failure> {
    let mut out = String::new();
    let end = |duplicates, unterminated| {
        format!("duplicates {duplicates}, unterminated {unterminated}\n")
    };
    match path.extension().and_then(|e| e.to_str()).unwrap() {
        "txt" => {
            let allow_wide = path.to_string_lossy().contains("wide-allowed");
            let list = read_prefixes(path, allow_wide)?;
            for e in &list.prefixes {
                writeln!(out, "{} {}", e.line, e.prefix).unwrap();
            }
            out += &end(list.duplicates, list.unterminated);
        }
        "asn" => {
            let list = read_asns(path)?;
            for e in &list.asns {
                writeln!(out, "{}:{} AS{}", e.line, e.column, e.what).unwrap();
            }
            out += &end(list.duplicates, list.unterminated);
        }
        kind => {
            let format = if kind == "csv" { OriginFormat::Csv } else { OriginFormat::Iptoasn };
            let wanted = BTreeSet::from([64500, 64501, 64502]);
            let table = OriginTable::read(&[origin("golden", path, format)], &wanted)?;
            for asn in wanted {
                writeln!(out, "AS{asn} {}", table.name_of(asn).unwrap_or("-")).unwrap();
                for p in table.prefixes_of(asn) {
                    writeln!(out, "  {} {}", p.line, p.prefix).unwrap();
                }
            }
            for date in table.dates() {
                writeln!(out, "{} {:?} {:?}", date.source, date.date, date.unix_seconds).unwrap();
            }
        }
    }
    Ok(out)
}

#[test]
fn golden_files_are_read_and_their_nasty_twins_refused_in_exact_words() {
    let mut names: Vec<PathBuf> = fs::read_dir(DATA)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| {
            let end = p.extension().and_then(|e| e.to_str());
            matches!(end, Some("txt" | "asn" | "csv" | "tsv"))
        })
        .collect();
    names.sort();
    assert!(names.len() > 40, "only {} golden files found", names.len());
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

#[test]
fn only_regular_files_are_read_and_opening_never_waits() {
    let folder = Folder::new("irregular");
    let fifo = folder.0.join("fifo.txt");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    let socket = folder.0.join("socket.txt");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for (path, said) in [
        (fifo, "fifo.txt: is a named pipe, not a regular file"),
        (socket, "socket.txt: is a socket or a device, not a regular file"),
        ("/dev/zero".into(), "/dev/zero: is a device, not a regular file"),
        ("/proc".into(), "/proc: is a directory, not a regular file"),
        (folder.0.join("missing.txt"), "missing.txt: no such file"),
    ] {
        let failures = [
            read_prefixes(&path, false).unwrap_err(),
            read_asns(&path).unwrap_err(),
            OriginTable::read(&[origin("o", &path, OriginFormat::Csv)], &BTreeSet::new())
                .unwrap_err(),
        ];
        for failure in failures {
            assert_eq!(folder.say(&failure), said);
            assert_eq!(failure.status, ExitStatus::NoInput, "{said}");
        }
    }
}

#[test]
fn a_file_above_the_limit_is_refused_before_it_is_read() {
    let folder = Folder::new("large");
    let path = folder.file("large.txt", "203.0.113.0/24\n");
    fs::File::options().write(true).open(&path).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
    let failure = read_prefixes(&path, false).unwrap_err();
    assert_eq!(folder.say(&failure), "large.txt: is larger than 536870912 bytes");
    assert_eq!(failure.status, ExitStatus::BadData);
}

#[test]
fn a_missing_permission_has_its_own_status() {
    let folder = Folder::new("permission");
    let path = folder.file("secret.txt", "203.0.113.0/24\n");
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    if fs::File::open(&path).is_ok() {
        // Root opens every file, so only the translation of the error can be asked.
        let error = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        assert_eq!(Failure::reading(&path, &error).status, ExitStatus::NoPermission);
        return;
    }
    let failure = read_prefixes(&path, false).unwrap_err();
    assert_eq!(folder.say(&failure), "secret.txt: permission denied");
    assert_eq!(failure.status, ExitStatus::NoPermission);
}

#[test]
fn asn_lists_resolve_to_the_prefixes_of_all_tables_each_once() {
    let folder = Folder::new("resolve");
    let a = folder.file(
        "a.csv",
        "# date: 2026-06-17\n\
         192.0.2.0,192.0.2.255,64500,Example LLC\n\
         198.51.100.0,198.51.100.191,64501,Other\n\
         203.0.113.0,203.0.113.255,64499,Not wanted\n",
    );
    let b = folder.file(
        "b.tsv",
        "192.0.2.0\t192.0.2.255\t64500\tUA\tEXAMPLE\n\
         192.0.2.0\t192.0.2.255\t64501\tUA\tMOAS\n\
         2001:db8::\t2001:db8:ffff:ffff:ffff:ffff:ffff:ffff\t64500\tUA\tEXAMPLE\n",
    );
    let numbers = folder.file("n.asn", "AS64500\nAS64501 ; x\nAS64500");
    let plain = folder.file("p.txt", "203.0.113.0/24\n203.0.113.0/24\n");
    let origins = [origin("a", a, OriginFormat::Csv), origin("b", b, OriginFormat::Iptoasn)];
    let lists = [list("numbers", numbers, ListKind::Asn), list("plain", plain, ListKind::Prefix)];
    let Loaded { lists, origin_names, origin_dates, .. } = load(&lists, &origins).unwrap();

    let entries = |n: usize| -> Vec<String> {
        let line = |o: Option<u32>| o.map_or("-".to_owned(), |o| o.to_string());
        lists[n]
            .entries
            .iter()
            .map(|e| format!("{} {} {}", e.line, e.prefix, line(e.origin)))
            .collect()
    };
    assert_eq!(
        entries(0),
        [
            "1 192.0.2.0/24 64500",
            "1 2001:db8::/32 64500",
            "2 192.0.2.0/24 64501",
            "2 198.51.100.0/25 64501",
            "2 198.51.100.128/26 64501",
        ]
    );
    assert_eq!(entries(1), ["1 203.0.113.0/24 -"]);
    assert_eq!((lists[0].config, lists[0].asns, lists[0].duplicates), (0, 2, 1));
    assert_eq!((lists[1].config, lists[1].asns, lists[1].duplicates), (1, 0, 1));
    assert_eq!((lists[0].unterminated, lists[1].unterminated), (true, false));
    let names: Vec<_> = origin_names.iter().map(|(n, o)| (*n, o.as_str())).collect();
    assert_eq!(names, [(64500, "Example LLC"), (64501, "Other")]);
    let dates: Vec<_> = origin_dates
        .iter()
        .map(|d| (d.source.as_str(), d.date.as_deref(), d.unix_seconds))
        .collect();
    assert_eq!(dates, [("a", Some("2026-06-17"), Some(1_781_654_400)), ("b", None, None)]);
}

#[test]
fn an_asn_that_resolves_to_nothing_or_too_much_is_refused_at_its_line() {
    let folder = Folder::new("unresolved");
    let a = folder.file("a.csv", "16.0.0.0,31.255.255.255,64500,Wide\n192.0.2.0,192.0.2.255,0,-\n");
    let b = folder.file("b.csv", "::ffff:192.0.2.0,::ffff:192.0.2.255,64501,Mapped\n");
    let numbers = folder.file("x.asn", "# x\n AS64500\nAS64501\n\tAS64502 ; nowhere\n");
    let origins = [origin("a", a, OriginFormat::Csv), origin("b", b, OriginFormat::Csv)];
    let mut lists = [list("x", numbers, ListKind::Asn)];
    let failure = load(&lists, &origins).unwrap_err();
    assert_eq!(failure.status, ExitStatus::BadData);
    let wide = "x.asn:2:2: AS64500 resolves to 16.0.0.0/4 (origin a, line 1), which is wider than /8: \
                set allow_wide = true on this list if it is meant\n";
    let rest = "x.asn:3:1: AS64501 resolves to ::ffff:192.0.2.0/120 (origin b, line 1), which is an \
                IPv4-mapped prefix: write 192.0.2.0/24\n\
                x.asn:4:2: AS64502 resolves to no prefix in any origin table (origin: a, b)";
    assert_eq!(folder.say(&failure), format!("{wide}{rest}"));
    lists[0].allow_wide = true;
    assert_eq!(folder.say(&load(&lists, &origins).unwrap_err()), rest);
}

#[test]
fn an_asn_list_without_any_origin_table_is_a_bad_configuration() {
    let folder = Folder::new("no-origin");
    let numbers = folder.file("x.asn", "AS64500\n");
    let failure = load(&[list("vk", numbers, ListKind::Asn)], &[]).unwrap_err();
    assert_eq!(failure.status, ExitStatus::BadConfig);
    assert_eq!(failure.message, "list vk: kind = \"asn\" needs an origin table: add an [[origin]]");
}

#[test]
fn all_that_is_wrong_in_all_files_is_said_at_once() {
    let folder = Folder::new("gathered");
    let bad = folder.file("bad.txt", "203.0.113.1/24\n".to_owned() + &"x\n".repeat(17));
    let numbers = folder.file("x.asn", "AS64500\nAS0\n");
    let table = folder.file("t.csv", "192.0.2.0\n192.0.2.0,192.0.2.255,64499,x\n");
    let lists = [
        list("bad", bad, ListKind::Prefix),
        list("x", numbers, ListKind::Asn),
        list("gone", folder.0.join("gone.txt"), ListKind::Prefix),
    ];
    let origins = [
        origin("t", table, OriginFormat::Csv),
        origin("none", folder.0.join("none.csv"), OriginFormat::Csv),
    ];
    let failure = load(&lists, &origins).unwrap_err();
    assert_eq!(failure.status, ExitStatus::BadData);
    let said = folder.say(&failure);
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), ListErrors::KEPT + 1);
    assert_eq!(
        lines[0],
        "bad.txt:1:1: 203.0.113.1/24 has host bits set: write 203.0.113.0/24 or 203.0.113.1/32"
    );
    assert_eq!(lines[18], "x.asn:2:1: AS0 is reserved (RFC 7607): no network has this number");
    assert_eq!(lines[19], "gone.txt: no such file");
    // The table's short row and the missing table; AS64500 is not called unknown on half a table.
    assert_eq!(lines[20], "... and 2 more");
}

#[test]
fn tables_are_read_even_if_no_list_asks_for_them() {
    let folder = Folder::new("unasked");
    let plain = [list("p", folder.file("p.txt", "203.0.113.0/24\n"), ListKind::Prefix)];
    let missing = [origin("o", folder.0.join("o.csv"), OriginFormat::Csv)];
    assert_eq!(load(&plain, &missing).unwrap_err().status, ExitStatus::NoInput);
    assert_eq!(load(&plain, &[]).unwrap().lists.len(), 1);
}

proptest! {
    #[test]
    fn any_bytes_in_any_file_are_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let folder = Folder::new("any-bytes");
        let path = folder.file("x", &bytes);
        let _ = read_prefixes(&path, true);
        let _ = read_asns(&path);
        for format in [OriginFormat::Csv, OriginFormat::Iptoasn] {
            let _ = OriginTable::read(&[origin("o", &path, format)], &BTreeSet::from([1, 2]));
        }
    }

    #[test]
    fn any_text_is_an_answer(text in "\\PC{0,60}", near in "[0-9a-fAS:./, -]{0,50}") {
        for text in [text, near] {
            let _ = parse_asn(&text);
            if let Ok(prefix) = parse_prefix(&text) {
                prop_assert_eq!(prefix, prefix.trunc());
            }
        }
    }

    #[test]
    fn a_prefix_is_taken_exactly_if_it_is_canonical(address: u32, length in 0u8..=32) {
        let address = std::net::Ipv4Addr::from(address);
        let net = ipnet::Ipv4Net::new(address, length).unwrap();
        let read = parse_prefix(&net.to_string());
        if net.trunc() == net {
            prop_assert_eq!(read, Ok(net.into()));
        } else {
            let said = format!("{net} has host bits set: write {} or {address}/32", net.trunc());
            prop_assert_eq!(read.unwrap_err().message, said);
        }
    }

    #[test]
    fn an_ipv6_prefix_is_taken_exactly_if_it_is_canonical(address: u128, length in 0u8..=128) {
        let net = ipnet::Ipv6Net::new(address.into(), length).unwrap();
        let read = parse_prefix(&net.to_string());
        prop_assert_eq!(read.is_ok(), net.trunc() == net);
        prop_assert_eq!(parse_prefix(&net.trunc().to_string()), Ok(net.trunc().into()));
    }
}
