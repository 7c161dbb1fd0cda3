//! The documents say what the code does: metrics, keys, commands and tests are all there, and nothing else.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[path = "documented/mod.rs"]
mod documented;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kordon::telemetry::families::{self, Kind};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every document: path and text.
fn documents() -> Vec<(String, String)> {
    let paths = documented::documents(root()).into_iter();
    paths.map(|path| (path.clone(), read(&path))).collect()
}

/// Runs of these characters, as words.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// The table of metrics as docs/metrics.md has it, from the declarations.
fn table_of_metrics() -> String {
    let mut table = "| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n".to_owned();
    for metric in families::ALL {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let labels: Vec<String> = metric.labels.iter().map(|l| format!("`{l}`")).collect();
        let line =
            format!("| `{}` | {kind} | {} | {} |", metric.name, labels.join(", "), metric.help);
        table += &format!("{line}\n");
    }
    table
}

#[test]
fn the_table_of_metrics_is_the_declared_one() {
    const PATH: &str = "docs/metrics.md";
    let text = read(PATH);
    let begin = text.find("| metric | type |").unwrap();
    let end = begin + text[begin..].find("\n\n").unwrap() + 1;
    let table = table_of_metrics();
    if std::env::var_os("KORDON_WRITE_DOCS").is_some() {
        let new = format!("{}{table}{}", &text[..begin], &text[end..]);
        return fs::write(root().join(PATH), new).unwrap();
    }
    let (written, declared): (Vec<&str>, Vec<&str>) =
        (text[begin..end].lines().collect(), table.lines().collect());
    let missing: Vec<_> = declared.iter().filter(|line| !written.contains(line)).collect();
    let unknown: Vec<_> = written.iter().filter(|line| !declared.contains(line)).collect();
    assert!(
        written == declared,
        "{PATH} does not have the declared metrics; KORDON_WRITE_DOCS=1 cargo test --test docs writes \
         them.\nmissing: {missing:#?}\nunknown: {unknown:#?}"
    );
}

#[test]
fn the_catalog_explains_every_event_of_the_journal_and_no_other() {
    let text = read("systemd/kordon.catalog");
    let mut explained: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("-- ")).collect();
    let mut known: Vec<&str> = kordon::log::events::EVENTS.iter().map(|(_, id)| *id).collect();
    known.sort_unstable();
    known.dedup();
    assert_eq!(known.len(), kordon::log::events::EVENTS.len(), "an id stands for two events");
    explained.sort_unstable();
    assert_eq!(explained, known);
    let events = read("docs/watching.md");
    for (name, _) in kordon::log::events::EVENTS {
        assert!(events.contains(&format!("| `{name}` |")), "docs/watching.md: no event {name}");
    }
}

#[test]
fn every_metric_that_a_document_mentions_exists() {
    let names: Vec<&str> = families::ALL.iter().map(|metric| metric.name).collect();
    for (path, text) in documents() {
        for word in words(&text).filter(|word| word.starts_with("kordon_")) {
            // `kordon_bytes_*` stands for all that begin so.
            let known = names.contains(&word)
                || word.ends_with('_') && names.iter().any(|name| name.starts_with(word));
            assert!(known, "{path}: {word} is not declared");
        }
    }
}

/// The part of docs/configuration.md under the heading of this table.
fn section(table: &str) -> String {
    let text = read("docs/configuration.md");
    let headings = [format!("`[{table}]`"), format!("`[[{table}]]`")];
    let part = text.split("\n### ").find(|part| {
        let heading = part.lines().next().unwrap_or_default();
        headings.iter().any(|wanted| heading == wanted)
            || table.is_empty() && heading == "At the top"
    });
    part.unwrap_or_else(|| panic!("docs/configuration.md has no heading for [{table}]")).to_owned()
}

fn assert_documented(table: &str, key: &str) {
    let row = format!("| `{key}` |");
    assert!(
        section(table).lines().any(|line| line.starts_with(&row)),
        "docs/configuration.md: key `{key}` has no row under [{table}]"
    );
}

#[test]
fn every_key_of_the_shipped_configuration_is_documented() {
    let mut table = String::new();
    let mut keys = 0;
    for line in read("config/kordon.toml").lines() {
        // Keys that are shipped as comments count as well.
        let line = line.trim_start_matches("# ").trim();
        if let Some(name) = line.strip_prefix('[').filter(|_| line.ends_with(']')) {
            let name = name.trim_matches(['[', ']']);
            name.split('.').next().unwrap().clone_into(&mut table);
        } else if let Some((key, value)) = line.split_once(" = ")
            && words(key).count() == 1
            && !value.is_empty()
        {
            assert_documented(&table, key);
            keys += 1;
        }
    }
    assert!(keys >= 25, "only {keys} keys found in config/kordon.toml");
}

#[test]
fn every_tunnel_is_documented_with_its_answers() {
    for tunnel in kordon::verdict::Tunnel::ALL {
        let answers =
            if tunnel.can_be_inspected() { "drop, inspect, accept" } else { "drop, accept" };
        let row = format!("| `{tunnel}` | {answers} |");
        let found = section("tunnels").lines().any(|line| line.starts_with(&row));
        assert!(found, "docs/configuration.md, [tunnels]: no row `{row}`");
        let page = read("docs/man/kordon.toml.5");
        let named = page.lines().any(|line| {
            line.strip_prefix(".It Cm ")
                .is_some_and(|names| names.split(" , ").any(|n| n == tunnel.label()))
        });
        assert!(named, "kordon.toml.5 lacks the tunnel {tunnel}");
    }
}

#[test]
fn every_key_that_the_reader_takes_is_documented() {
    let tables = [
        ("RawCameras", "cameras"),
        ("RawCamera", "camera"),
        ("RawQueue", "queue"),
        ("RawRules", "rules"),
        ("RawMetrics", "metrics"),
        ("RawControl", "control"),
        ("RawState", "state"),
        ("RawReload", "reload"),
        ("RawList", "list"),
        ("RawBasis", "list"),
        ("RawOrigin", "origin"),
        ("RawGroup", "group"),
        ("RawRecorder", "recorder"),
        ("RawLocal", "local"),
        ("RawPackets", "packets"),
        ("RawPolicy", "policy"),
    ];
    let text = read("src/config/raw.rs");
    for part in text.split("pub(super) struct ").skip(1) {
        let name: &str = words(part).next().unwrap();
        let body = part.split("\n}").next().unwrap();
        let fields = body.lines().filter_map(|line| line.trim().strip_prefix("pub(super) "));
        for field in fields.map(|field| field.split(':').next().unwrap()) {
            if let Some((_, table)) = tables.iter().find(|(known, _)| *known == name) {
                assert_documented(table, field);
            } else {
                assert_eq!(name, "Raw", "a table that this test does not know");
                if matches!(field, "mode" | "on_failure" | "default") {
                    assert_documented("", field);
                } else {
                    section(field);
                }
            }
        }
    }
}

#[test]
fn the_readme_begins_with_the_two_commands() {
    let text = read("README.md");
    let mut lines = text.lines().filter(|line| !line.is_empty());
    assert_eq!(lines.next(), Some("# kordon"));
    assert_eq!(lines.next(), Some("```"));
    for command in ["make demo ", "make test "] {
        let line = lines.next().unwrap();
        assert!(line.starts_with(command), "{line:?} instead of {command:?}");
    }
}

fn help(arguments: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_kordon")).args(arguments).arg("--help").output().unwrap();
    assert!(output.status.success(), "kordon {arguments:?} --help failed");
    String::from_utf8(output.stdout).unwrap()
}

/// The names under "Commands:" in a help text.
fn subcommands(help: &str) -> Vec<String> {
    let (_, after) = help.split_once("Commands:\n").unwrap_or(("", ""));
    let lines = after.lines().take_while(|line| !line.is_empty());
    lines.filter_map(|line| words(line).next().map(str::to_owned)).collect()
}

#[test]
fn every_command_and_option_is_documented() {
    let text = read("docs/commands.md");
    let commands = subcommands(&help(&[]));
    assert!(commands.len() >= 6, "{commands:?}");
    for command in commands.iter().filter(|command| *command != "help") {
        let heading = format!("\n## kordon {command}\n");
        assert!(text.contains(&heading), "docs/commands.md has no section for kordon {command}");
        let mut helps = vec![help(&[command])];
        for below in subcommands(&helps[0]).iter().filter(|below| *below != "help") {
            let whole = format!("kordon {command} {below}");
            assert!(text.contains(&whole), "docs/commands.md: {whole} is missing");
            helps.push(help(&[command, below]));
        }
        for option in helps.iter().flat_map(|help| help.split_whitespace()) {
            let option = option.trim_end_matches([',', '.', ')', '\'']);
            let known = ["--help", "--output"].contains(&option) || text.contains(option);
            assert!(!option.starts_with("--") || known, "kordon {command}: {option} is missing");
        }
    }
}

#[test]
fn every_test_that_the_security_document_names_exists() {
    let cases = read("tests/kernel/cases/mod.rs") + &read("tests/machine/cases/mod.rs");
    let pure = [
        "packet/embedded.rs",
        "packet/tests.rs",
        "packet/tunnel/tests.rs",
        "decide/memory/tests.rs",
        "doctor/tests.rs",
        "config/load/sizes.rs",
        "netfilter/nftables/tests.rs",
    ];
    let pure: String = pure.map(|file| read(&format!("src/{file}"))).concat();
    let text = read("docs/security.md");
    let names: Vec<&str> = quoted(&text)
        .filter(|name| words(name).count() == 1 && name.matches('_').count() >= 3)
        .filter(|name| !name.starts_with("kordon_"))
        .collect();
    assert!(names.len() >= 10, "only {} tests named", names.len());
    for name in names {
        let there = cases.contains(&format!("\"{name}\"")) || pure.contains(&format!("fn {name}("));
        assert!(there, "docs/security.md: no test {name}");
    }
}

#[test]
fn every_link_inside_the_repository_leads_somewhere() {
    for (path, text) in documents() {
        let folder = root().join(&path).parent().unwrap().to_owned();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            if !file.contains("://") && !file.is_empty() {
                assert!(folder.join(file).exists(), "{path}: no {file}");
            }
        }
    }
}

/// The files that git knows; without git, all files outside of target.
fn tracked() -> Vec<PathBuf> {
    let listed = Command::new("git").arg("ls-files").arg("-z").current_dir(root()).output();
    if let Ok(output) = listed
        && output.status.success()
    {
        let text = String::from_utf8(output.stdout).unwrap();
        let names = text.split('\0').filter(|name| !name.is_empty());
        return names.map(|name| root().join(name)).filter(|path| path.is_file()).collect();
    }
    let (mut folders, mut files) = (vec![root().to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_owned();
            if path.is_symlink() || name == ".git" || name == "target" {
                continue;
            }
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
}

/// The project stands for itself: it refers to nothing that only its authors have.
#[test]
fn no_file_refers_to_what_lies_outside_the_repository() {
    // Put together here, or this file would be found.
    let foreign = [concat!("/wo", "rk/"), concat!("shared/", "facts"), concat!("DESI", "GN.md")];
    let files = tracked();
    assert!(files.len() > 50, "only {} files", files.len());
    for path in files {
        let bytes = fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for (number, line) in text.lines().enumerate() {
            for word in foreign {
                let place = format!("{}:{}", path.display(), number + 1);
                assert!(!line.contains(word), "{place}: {word}");
            }
        }
    }
}

/// A command line in a document is one that the kernel tests run, or stands in a file with its reason.
#[test]
fn every_command_line_in_the_documents_is_run_or_has_its_reason() {
    let entries = documented::not_run(root());
    let lines: Vec<_> =
        documents().iter().flat_map(|(path, text)| documented::commands(path, text)).collect();
    assert!(lines.len() > 30, "only {} command lines", lines.len());
    for line in &lines {
        let excused = entries.iter().any(|(entry, _)| documented::means(entry, &line.command));
        let first = line.command.split(' ').next().unwrap();
        let can_run = ["kordon", "promtool"].contains(&first) && line.words().is_some();
        let place = format!("{}: `{}`", line.place, line.command);
        assert!(excused || can_run, "{place} is neither run nor in not-run.txt with its reason");
    }
    for (entry, reason) in &entries {
        assert!(reason.split(' ').count() > 2, "not-run.txt: `{entry}` has no reason");
        let used = lines.iter().any(|line| documented::means(entry, &line.command));
        assert!(used, "not-run.txt: `{entry}` is in no document");
    }
}

#[test]
fn command_lines_are_found_in_blocks_with_and_without_a_prompt() {
    let text = "kordon no\n```\n$ sudo kordon why \"a b\" # c\nkordon: no\nkordon out\n```\n\
                ```\nuseradd a \\\n  -b\nnothing\n```\n";
    let found = documented::commands("x.md", text);
    let shown: Vec<_> =
        found.iter().map(|l| (l.place.as_str(), l.command.as_str(), l.refused)).collect();
    assert_eq!(shown, [("x.md:3", "kordon why \"a b\"", true), ("x.md:8", "useradd a -b", false)]);
    assert_eq!(found[0].words().unwrap(), ["kordon", "why", "a b"]);
}

/// Each row of the failure table names the test that shows it, or says in brackets why there is none.
/// The names that the source gives to threads: what begins with `kordon-` on a line that spawns or names one.
fn threads() -> BTreeSet<String> {
    let sources = tracked().into_iter().filter(|path| path.starts_with(root().join("src")));
    let sources =
        sources.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let texts: Vec<String> = sources.map(|path| fs::read_to_string(path).unwrap()).collect();
    let lines = texts.iter().flat_map(|text| text.lines());
    let naming = lines.filter(|line| {
        ["spawn(\"", "spawn(&format!(\"", ".name(\"", "const NAME: "]
            .iter()
            .any(|word| line.contains(word))
    });
    let names = naming.filter_map(|line| {
        let rest = line.split_once("\"kordon-")?.1;
        let end = rest.find(['"', '{'])?;
        Some(format!("kordon-{}", &rest[..end]))
    });
    names.collect()
}

#[test]
fn every_thread_is_named_in_the_tour() {
    let threads = threads();
    // The control: the one that matters most, and the one whose name is a constant.
    for known in ["kordon-queue-", "kordon-aside"] {
        assert!(threads.contains(known), "{known} is not among {threads:?}");
    }
    let tour = read("docs/architecture.md");
    for thread in &threads {
        assert!(
            tour.contains(&format!("| `{thread}")),
            "docs/architecture.md does not name {thread}"
        );
    }
}

#[test]
fn every_row_of_the_failure_table_names_its_test() {
    let text = read("docs/security.md");
    let (_, table) = text.split_once("## What leaves the gateway").unwrap();
    let rows: Vec<&str> = table.lines().skip_while(|l| !l.starts_with("| state")).skip(2).collect();
    let rows: Vec<&str> = rows.into_iter().take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() > 20, "only {} rows", rows.len());
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [state, _, _, shown] = cells[..] else { panic!("not four cells: {row}") };
        let named = quoted(shown).any(|name| name.matches('_').count() >= 3);
        let excused = shown.starts_with('(') && shown.ends_with(')') && shown.len() > 20;
        assert!(named || excused, "docs/security.md: `{state}` is shown by {shown:?}");
    }
}
