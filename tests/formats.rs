//! Promises of the list formats, kept against golden files and their nasty twins in `tests/data/lists/FORMAT`.
//!
//! A file `X` there has a file `X.read` with what comes out of it, or `X.refused` with the exact message. The
//! folder says the format, the ending what kind of list it is. `KORDON_WRITE_GOLDEN=1` writes what was found.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use kordon::blocklist::{ListFile, Reading, read_list, sniff_list};
use kordon::config::{ListFormat, ListKind};
use kordon::failure::{ExitStatus, Failure};

const DATA: &str = "tests/data/lists";

/// The folders, the format of their files, and the kind where the ending does not say it.
const FOLDERS: [(&str, ListFormat, ListKind); 12] = [
    ("text", ListFormat::Auto, ListKind::Prefix),
    ("country", ListFormat::Country, ListKind::Country),
    ("netset", ListFormat::Netset, ListKind::Prefix),
    ("spamhaus", ListFormat::Spamhaus, ListKind::Prefix),
    ("spamhaus-json", ListFormat::SpamhausJson, ListKind::Prefix),
    ("spamhaus-asn", ListFormat::SpamhausAsn, ListKind::Asn),
    ("dshield", ListFormat::Dshield, ListKind::Prefix),
    ("ipset", ListFormat::Ipset, ListKind::Prefix),
    ("nft", ListFormat::Nft, ListKind::Prefix),
    ("p2p", ListFormat::P2p, ListKind::Prefix),
    ("delegated", ListFormat::Delegated, ListKind::Country),
    ("packed", ListFormat::Cidr, ListKind::Prefix),
];

/// The files of a folder that are lists, with how each is read.
fn lists(folder: &str, format: ListFormat, kind: ListKind) -> Vec<(PathBuf, Reading)> {
    let mut files: Vec<PathBuf> = fs::read_dir(Path::new(DATA).join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.extension().is_some_and(|end| end == "read" || end == "refused"))
        .collect();
    files.sort();
    let reading = |path: &PathBuf| match path.extension().and_then(|end| end.to_str()) {
        Some("asn") => Reading::plain(ListKind::Asn),
        Some("cidr") => Reading::plain(ListKind::Prefix),
        _ => Reading { format, ..Reading::plain(kind) },
    };
    files.into_iter().map(|path| (path.clone(), reading(&path))).collect()
}

/// Everything that was read, in words.
fn in_words(list: &ListFile) -> String {
    let mut out = String::new();
    let mut line = |number: u32, column: u32, what: &dyn std::fmt::Display| {
        let column = if column > 0 { format!(":{column}") } else { String::new() };
        let remark = list.remarks.of(number).map(|text| format!("  # {text}")).unwrap_or_default();
        writeln!(out, "{number}{column} {what}{remark}").unwrap();
    };
    list.prefixes.iter().for_each(|e| line(e.line, 0, &e.prefix));
    list.asns.iter().for_each(|e| line(e.line, e.column, &format_args!("AS{}", e.what)));
    list.groups.iter().for_each(|e| line(e.line, e.column, &format_args!("group {}", e.what)));
    list.countries.iter().for_each(|e| line(e.line, e.column, &e.what));
    let meta = &list.metadata;
    let number = |n: Option<u64>| n.map_or("-".to_owned(), |n| n.to_string());
    let packing = list.packing.label();
    writeln!(out, "format {}, {packing}", list.format).unwrap();
    writeln!(out, "serial {}, dated {}", number(meta.serial), number(meta.dated)).unwrap();
    if let Some(credit) = &meta.credit {
        writeln!(out, "credit {credit}").unwrap();
    }
    let (duplicates, masked) = (list.duplicates, list.masked);
    let unterminated = list.unterminated;
    writeln!(out, "duplicates {duplicates}, masked {masked}, unterminated {unterminated}").unwrap();
    out
}

/// What differs from the golden file beside this one.
fn differs(path: &Path, outcome: Result<ListFile, Failure>) -> Option<String> {
    let (ending, other, found) = match outcome {
        Ok(list) => ("read", "refused", in_words(&list)),
        Err(failure) => {
            assert_eq!(failure.status, ExitStatus::BadData, "{failure}");
            ("refused", "read", format!("{failure}\n"))
        }
    };
    let stale = PathBuf::from(format!("{}.{other}", path.display()));
    let golden = PathBuf::from(format!("{}.{ending}", path.display()));
    if std::env::var_os("KORDON_WRITE_GOLDEN").is_some() {
        fs::write(&golden, &found).unwrap();
    }
    if stale.exists() {
        return Some(format!("{} was {ending}:\n{found}", path.display()));
    }
    let expected = fs::read_to_string(&golden).unwrap_or_default();
    (found != expected)
        .then(|| format!("{}\nfound:\n{found}expected:\n{expected}", golden.display()))
}

#[test]
fn golden_files_of_every_format_are_read_and_their_nasty_twins_refused_in_exact_words() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (folder, format, kind) in FOLDERS {
        let files = lists(folder, format, kind);
        let twins = |begin: &str| {
            let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
            files.iter().filter(|(path, _)| name(path).starts_with(begin)).count()
        };
        let pairs = twins("good") > 0 || folder == "text";
        assert!(pairs && twins("nasty") + twins("half") > 0, "{folder} lacks a twin");
        count += files.len();
        for (path, reading) in files {
            wrong.extend(differs(&path, read_list(&path, &reading)));
        }
    }
    assert!(count > 30, "only {count} golden files found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_format_of_every_good_file_is_guessed_and_the_guess_reads_the_same() {
    for (folder, format, kind) in FOLDERS {
        for (path, reading) in lists(folder, format, kind) {
            let Ok(list) = read_list(&path, &reading) else { continue };
            let name = path.display();
            let guessed = read_list(&path, &Reading { format: ListFormat::Auto, ..reading });
            let guessed = guessed.unwrap();
            assert_eq!(guessed.format, list.format, "{name}: {:?}", guessed.guess);
            assert_eq!(in_words(&guessed), in_words(&list), "{name}");
            let guess = guessed.guess.unwrap();
            assert!(!guess.why.is_empty(), "{name}");
            assert_eq!(
                sniff_list(&path, None).unwrap().format,
                list.format,
                "{name}: without a kind"
            );
        }
    }
}

/// A file of this test's own, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, text: impl AsRef<[u8]>) -> Self {
        let path = std::env::temp_dir().join(format!("kordon-{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        Scratch(path)
    }

    fn read(&self, reading: &Reading) -> Result<ListFile, String> {
        let name = self.0.display().to_string();
        read_list(&self.0, reading).map_err(|failure| failure.message.replace(&name, "f"))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn auto(kind: ListKind) -> Reading {
    Reading { format: ListFormat::Auto, ..Reading::plain(kind) }
}

#[test]
fn two_formats_that_fit_equally_are_refused_and_a_majority_decides() {
    let even = "203.0.113.0/24\nAS64500\n198.51.100.0/24\nAS64501\n";
    let file = Scratch::new("even", even);
    for kind in [ListKind::Prefix, ListKind::Asn] {
        let said = file.read(&auto(kind)).unwrap_err();
        let equal = said.starts_with("f: two formats fit equally: 2 of 4 lines look like ");
        assert!(equal && said.contains("AS numbers as text") && said.ends_with("; set format"));
    }
    // One more, and the reader of that format says what is wrong with the others.
    let file = Scratch::new("uneven", format!("{even}192.0.2.0/24\n"));
    let said = file.read(&auto(ListKind::Prefix)).unwrap_err();
    assert!(said.starts_with("f:2:1: AS64500 is an AS number: this list holds prefixes"), "{said}");
}

#[test]
fn a_guess_that_is_no_list_of_the_kind_is_refused_with_its_reason() {
    let asns = Scratch::new("asns", "AS64500\n# x\nAS64501\n");
    assert_eq!(asns.read(&auto(ListKind::Asn)).unwrap().asns.len(), 2, "the control");
    assert_eq!(
        asns.read(&auto(ListKind::Prefix)).unwrap_err(),
        "f: looks like AS numbers as text (2 of 2 lines looked at), which is no list with \
         kind = \"prefix\"; if the guess is wrong, set format"
    );
    // Said by hand it is read, and each line refused.
    let said = asns.read(&Reading::plain(ListKind::Prefix)).unwrap_err();
    assert!(said.starts_with("f:1:1: AS64500 is an AS number"), "{said}");
    let json = Reading { format: ListFormat::SpamhausJson, ..Reading::plain(ListKind::Asn) };
    assert_eq!(
        asns.read(&json).unwrap_err(),
        "f: format = \"spamhaus-json\" is no format of a list with kind = \"asn\""
    );
}

#[test]
fn bare_numbers_are_as_numbers_only_in_a_list_of_them() {
    let file = Scratch::new("numbers", "64500\n64501\n");
    assert_eq!(file.read(&auto(ListKind::Asn)).unwrap().asns.len(), 2);
    let said = file.read(&auto(ListKind::Prefix)).unwrap_err();
    assert!(said.starts_with("f:1:1: 64500 is not an IPv4 address"), "{said}");
    let guess = sniff_list(&file.0, None).unwrap();
    assert!(guess.why.ends_with("only in a list with kind = \"asn\""), "{}", guess.why);
}

#[test]
fn what_looks_like_nothing_known_is_refused_line_by_line() {
    let file = Scratch::new("nothing", "example.com\nhello world\n");
    let said = file.read(&auto(ListKind::Prefix)).unwrap_err();
    let line = "f:1:1: example.com is neither an IPv4 nor an IPv6 address";
    assert!(said.starts_with(line), "{said}");
    let said = sniff_list(&file.0, None).unwrap_err().message;
    assert!(
        said.ends_with(": no format fits: none of 2 lines looks like a known format"),
        "{said}"
    );
}

#[test]
fn a_few_lines_that_look_like_a_format_are_no_guess() {
    let file = Scratch::new("few", format!("AS64500\n{}", "hello world\n".repeat(2)));
    let said = sniff_list(&file.0, None).unwrap_err().message;
    let few = "only 1 of 3 lines look like one known format (AS numbers as text)";
    assert!(said.ends_with(few), "{said}");
    // With a kind its own reader says what is wrong with each line.
    let said = file.read(&auto(ListKind::Prefix)).unwrap_err();
    assert!(said.starts_with("f:1:1: AS64500 is an AS number"), "{said}");
    // An origin table whose AS number could be the length of a netmask is no DShield list.
    let table = Scratch::new("table", "1.0.1.0\t1.0.3.255\t22\tNone\tx\n");
    assert!(sniff_list(&table.0, None).is_err());
    let dshield = Scratch::new("dshield", "1.0.4.0\t1.0.7.255\t22\t9\tx\n");
    assert_eq!(sniff_list(&dshield.0, None).unwrap().format, ListFormat::Dshield, "the control");
}

#[test]
fn wrong_entries_are_left_out_up_to_the_limit_and_kept_with_their_places() {
    let wrong: String = (0..150).map(|n| format!("x{n}\n")).collect();
    let file = Scratch::new("rejected", format!("203.0.113.0/24\n{wrong}198.51.100.0/24\n"));
    let reading = |max_rejected| Reading { max_rejected, ..Reading::plain(ListKind::Prefix) };
    let list = file.read(&reading(150)).unwrap();
    assert_eq!(
        (list.prefixes.len(), list.rejected.total, list.rejected.first.len()),
        (2, 150, 100)
    );
    let first = &list.rejected.first[0];
    assert!(first.ends_with(":2:1: x0 is neither an IPv4 nor an IPv6 address"), "{first}");

    let said = file.read(&reading(149)).unwrap_err();
    assert_eq!(said.lines().count(), 21);
    assert!(said.ends_with("... and 131 more"), "{said}");
    let said = Scratch::new("one", "x\n203.0.113.0/24\ny\n").read(&reading(1)).unwrap_err();
    let last = said.lines().last().unwrap();
    assert_eq!(last, "f: 2 entries are wrong, more than max_rejected = 1");
    // Nothing is left: that is an empty list, whatever may be left out.
    let said = Scratch::new("all", "x\ny\n").read(&reading(5)).unwrap_err();
    let last = said.lines().last().unwrap();
    assert_eq!((said.lines().count(), last), (3, "f: no entry is right: an empty list is refused"));
}

#[test]
fn what_a_guard_refuses_is_never_left_out() {
    let reading = Reading { max_rejected: 100, ..auto(ListKind::Prefix) };
    for (name, text, said) in [
        ("wide", "203.0.113.0/24\n0.0.0.0/0\nx\n", "f:2:1: 0.0.0.0/0 covers every address"),
        ("mapped", "203.0.113.0/24\n::ffff:0:0/96\n", "f:2:1: ::ffff:0.0.0.0/96 is an IPv4-mapped"),
        (
            "nomatch",
            "create b hash:net family inet\nadd b 203.0.113.0/24\nadd b 203.0.113.9 nomatch\n",
            "f:3:19: nomatch: a list has no exceptions",
        ),
        (
            "cut",
            "add element ip f b { 203.0.113.0/24, 198.51.100.0/24",
            "f:1:1: the brace of line 1 is still open at the end",
        ),
        (
            "count",
            "# ipv4 hash:net ipset\n# Entries : 2 subnets, 256 unique IPs\n203.0.113.0/24\n",
            "f:2:1: the file says Entries 2 and has 1: it may be cut off",
        ),
    ] {
        let refused = Scratch::new(name, text).read(&reading).unwrap_err();
        assert!(refused.starts_with(said), "{name}: {refused}");
        assert_eq!(refused.lines().count(), 1, "{name}: {refused}");
    }
    // The control: the same file with a line that is only wrong.
    assert!(Scratch::new("control", "203.0.113.0/24\nx\n").read(&reading).is_ok());
}

#[test]
fn wrong_entries_count_as_entries_of_a_file_that_says_how_many_it_has() {
    let text = "# ipv4 hash:net ipset\n# Entries : 2 subnets, 257 unique IPs\n203.0.113.0/24\nx\n";
    let reading = Reading { max_rejected: 1, ..auto(ListKind::Prefix) };
    let list = Scratch::new("counted", text).read(&reading).unwrap();
    assert_eq!((list.format, list.len(), list.rejected.total), (ListFormat::Netset, 1, 1));
}
