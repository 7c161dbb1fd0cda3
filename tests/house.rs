//! The house rules that a program can check: who may import whom, how long a file may be, what never appears.

use std::path::{Path, PathBuf};

/// The rooms, from the top of the house to the bottom. A room may use only those below it.
const ROOMS: [&str; 26] = [
    "main",
    "lib",
    "cli",
    "doctor",
    "daemon",
    "control",
    "netfilter",
    "telemetry",
    "evidence",
    "worker",
    "counters",
    "explain",
    "queue",
    "decide",
    "packet",
    "ruleset",
    "blocklist",
    "config",
    "stance",
    "verdict",
    "log",
    "whole",
    "regular",
    "contain",
    "clock",
    "failure",
];
/// Lines of a source file before its tests.
const LONGEST: usize = 400;

fn sources() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    files.sort();
    files
}

fn collect(folder: &Path, files: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).expect("src can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source file is text");
            files.push((path, text));
        }
    }
}

/// The room that a file stands in: `src/queue/codec.rs` and `src/queue.rs` are in `queue`.
fn room(path: &Path) -> String {
    let inside =
        path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).expect("in src");
    let first =
        inside.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

fn is_test_file(path: &Path) -> bool {
    path.ends_with("tests.rs") || path.ends_with("samples.rs")
}

/// The text before the first `#[cfg(test)]` that begins a `mod tests`.
fn before_tests(text: &str) -> &str {
    let cut = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
    &text[..cut]
}

/// The rooms that a text names in `crate::ROOM`.
fn uses(text: &str) -> Vec<&str> {
    text.split("crate::")
        .skip(1)
        .flat_map(|rest| {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            let one = &rest[..end];
            if one.is_empty() {
                let group = rest.trim_start_matches('{').split('}').next().unwrap_or_default();
                group
                    .split(',')
                    .map(|part| part.trim().split("::").next().unwrap_or_default())
                    .collect()
            } else {
                vec![one]
            }
        })
        .filter(|name| ROOMS.contains(name))
        .collect()
}

/// What is wrong with the imports of a file, if anything.
fn breach(room: &str, text: &str) -> Option<String> {
    let place = ROOMS.iter().position(|known| *known == room)?;
    uses(text).into_iter().find_map(|used| {
        let below = ROOMS.iter().position(|known| *known == used)? > place;
        (!below && used != room).then(|| format!("{room} uses {used}, which is not below it"))
    })
}

#[test]
fn a_room_imports_only_from_rooms_below_it() {
    let mut breaches = Vec::new();
    for (path, text) in sources() {
        let room = room(&path);
        assert!(
            ROOMS.contains(&room.as_str()),
            "{} is in no known room: add it to ROOMS",
            path.display()
        );
        if !is_test_file(&path)
            && let Some(breach) = breach(&room, before_tests(&text))
        {
            breaches.push(format!("{}: {breach}", path.display()));
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
    // The control: the check sees a breach where there is one.
    assert!(breach("queue", "use crate::worker::Worker;").is_some());
    assert!(breach("queue", "use crate::{failure, daemon::run};").is_some());
    assert!(breach("queue", "use crate::packet::Held;").is_none());
}

#[test]
fn no_file_is_longer_than_a_concern() {
    let files = sources().into_iter().filter(|(path, _)| !is_test_file(path));
    let lines = |text: &str| before_tests(text).lines().count();
    let long: Vec<String> = files
        .filter(|(_, text)| lines(text) > LONGEST)
        .map(|(path, text)| format!("{}: {} lines before its tests", path.display(), lines(&text)))
        .collect();
    assert!(long.is_empty(), "split by concern: {}", long.join(", "));
}

#[test]
fn a_file_says_first_what_it_is_for() {
    for (path, text) in sources() {
        assert!(
            is_test_file(&path) || text.starts_with("//! "),
            "{}: the first line does not say what the file is for",
            path.display()
        );
    }
}

#[test]
fn main_is_thin() {
    let main = include_str!("../src/main.rs");
    assert!(main.lines().count() < 60);
}

/// Adopting a descriptor has no safe door; nothing else may do without the compiler's checks.
#[test]
fn the_one_unsafe_file_is_the_only_one() {
    let words = [concat!("uns", "afe "), concat!("uns", "afe_code")];
    let mut found = Vec::new();
    for folder in ["src", "tests", "benches"] {
        let mut files = Vec::new();
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut files);
        let code = |line: &str| !line.trim_start().starts_with("//");
        for (path, text) in files {
            if text.lines().filter(|l| code(l)).any(|l| words.iter().any(|word| l.contains(word))) {
                found.push(path);
            }
        }
    }
    let [only] = &found[..] else { panic!("more than one: {found:?}") };
    assert!(only.ends_with("src/control/inherited.rs"));
    let text = std::fs::read_to_string(only).expect("a source file is text");
    let blocks = text.matches(concat!("uns", "afe {")).count();
    assert_eq!((blocks, text.matches("// SAFETY: ").count()), (1, 1));
}

/// Each external crate has one door.
#[test]
fn external_crates_have_one_door() {
    let doors = [
        ("nfq::", "queue"),
        ("etherparse::", "packet"),
        ("iptrie::", "ruleset"),
        ("toml::", "config"),
        ("prometheus::", "telemetry"),
        ("clap::", "cli"),
        ("flate2::", "blocklist"),
        ("ruzstd::", "blocklist"),
        ("rtrb::", "counters"),
        ("wide::", "ruleset"),
    ];
    for (path, text) in sources() {
        let here = room(&path);
        for (name, door) in doors {
            let used = before_tests(&text).lines().any(|line| {
                let line = line.trim_start();
                !line.starts_with("//")
                    && (line.starts_with(&format!("use {name}"))
                        || line.contains(&format!(" {name}"))
                        || line.contains(&format!("({name}")))
            });
            assert!(
                !used || here == door || is_test_file(&path),
                "{}: {name} belongs to the room {door}",
                path.display()
            );
        }
    }
}

/// `docs/architecture.md` leads through the rooms bottom-up: the table there is the order that holds.
#[test]
fn the_tour_names_every_room_in_its_order() {
    let text = include_str!("../docs/architecture.md");
    let (_, table) = text.split_once("## The rooms, bottom-up").expect("the rooms have a heading");
    let named: Vec<&str> =
        table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    for name in &named {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(name);
        assert!(path.exists(), "docs/architecture.md: there is no src/{name}");
    }
    let rooms: Vec<&str> =
        named.iter().map(|name| name.trim_end_matches('/').trim_end_matches(".rs")).collect();
    // lib.rs names the rooms and holds nothing else.
    let order: Vec<&str> = ROOMS.into_iter().rev().filter(|room| *room != "lib").collect();
    assert_eq!(rooms, order, "docs/architecture.md and ROOMS disagree");
}
