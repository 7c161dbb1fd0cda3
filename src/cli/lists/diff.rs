//! `kordon lists diff`: what a new list file names that an old one does not, and the other way round.
//!
//! Two questions, two answers: which entries came and went, and whether their addresses were named all the
//! same. A wide prefix that was cut in two is two new entries and no new address.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::super::Rows;
use super::super::output::{self, columns, cut, grouped};
use crate::blocklist::{ListFile, Reading, Remarks, read_list, sniff_list};
use crate::config::{Action, ListFormat, ListKind};
use crate::failure::Failure;
use crate::ruleset::{Builder, Difference, ListInfo, Ruleset, Space};

/// The exit status of files that differ under `--exit-code`.
const DIFFER: u8 = 10;
/// Entries of each direction on a screen; JSON and CSV have all.
const SHOWN: usize = 20;
/// A remark is cut behind this many characters, so that a row fits 80 columns.
const REMARK: usize = 28;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file as it was
    old: PathBuf,

    /// The file as it is to be
    new: PathBuf,

    /// What the lines of both are, if the files alone do not tell
    #[arg(long, value_parser = ["prefix", "asn", "country"])]
    kind: Option<String>,

    /// How both are written, if the files alone do not tell
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    format: Option<ListFormat>,

    /// End with 0 if the same is named, 10 if not
    #[arg(long)]
    exit_code: bool,

    /// How to print
    #[arg(long, short, value_enum, default_value = "table")]
    output: Rows,
}

fn format(text: &str) -> Result<ListFormat, String> {
    serde_json::from_value(text.into()).map_err(|error: serde_json::Error| error.to_string())
}

/// The answer.
#[derive(Debug, Serialize)]
struct Report {
    schema: u32,
    old: Side,
    new: Side,
    /// Entries that both have.
    unchanged: usize,
    /// In the order of their addresses or numbers.
    added: Vec<Entry>,
    removed: Vec<Entry>,
    /// Addresses that only the new one names.
    added_space: Space,
    /// Addresses that only the old one names.
    removed_space: Space,
}

/// One of the files.
#[derive(Debug, Serialize)]
struct Side {
    file: String,
    format: &'static str,
    entries: usize,
    /// Lines that are wrong and were left out here.
    rejected: u64,
}

/// What one file has and the other has not.
#[derive(Debug, Serialize)]
struct Entry {
    entry: String,
    line: u32,
    remark: Option<String>,
    /// The other file names all of its addresses, by other entries. Null for AS numbers, groups and countries.
    covered_by_the_other: Option<bool>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let kind = args.kind.as_deref().map(|kind| match kind {
        "asn" => ListKind::Asn,
        "country" => ListKind::Country,
        _ => ListKind::Prefix,
    });
    let old = read(&args.old, kind, args.format)?;
    let new = read(&args.new, kind, args.format)?;
    let report = compare(&args.old, &old, &args.new, &new);
    match args.output {
        Rows::Table => output::data(&text(&report))?,
        Rows::Json => output::json(&report)?,
        Rows::Csv => output::data(&csv(&report))?,
    }
    let same = report.added.is_empty() && report.removed.is_empty();
    Ok(if args.exit_code && !same { ExitCode::from(DIFFER) } else { ExitCode::SUCCESS })
}

/// Nothing of it is put in force, so nothing is too wide, and a wrong line is counted only.
fn read(
    path: &Path,
    kind: Option<ListKind>,
    format: Option<ListFormat>,
) -> Result<ListFile, Failure> {
    let format = match format {
        Some(format) => format,
        None => sniff_list(path, kind)?.format,
    };
    let kind = kind.unwrap_or(format.kind());
    read_list(path, &Reading { kind, format, allow_wide: true, max_rejected: u32::MAX })
}

/// What is named, in an order that people expect, with its line.
type Subjects = BTreeMap<Subject, u32>;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Prefix(ipnet::IpNet),
    Asn(u32),
    Group(String),
    Country(String),
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Subject::Prefix(prefix) => write!(f, "{prefix}"),
            Subject::Asn(asn) => write!(f, "AS{asn}"),
            Subject::Group(name) => write!(f, "group:{name}"),
            Subject::Country(country) => f.write_str(country),
        }
    }
}

fn subjects(list: &ListFile) -> Subjects {
    let prefixes = list.prefixes.iter().map(|line| (Subject::Prefix(line.prefix), line.line));
    let asns = list.asns.iter().map(|named| (Subject::Asn(named.what), named.line));
    let groups = list.groups.iter().map(|named| (Subject::Group(named.what.clone()), named.line));
    let countries =
        list.countries.iter().map(|named| (Subject::Country(named.what.to_string()), named.line));
    prefixes.chain(asns).chain(groups).chain(countries).collect()
}

fn compare(old_path: &Path, old: &ListFile, new_path: &Path, new: &ListFile) -> Report {
    let (before, after) = (subjects(old), subjects(new));
    let (was, is) = (table(old), table(new));
    let space = Difference::between(&was, &is);
    let only = |these: &Subjects, those: &Subjects, remarks: &Remarks, other: &Ruleset| {
        these
            .iter()
            .filter(|(subject, _)| !those.contains_key(*subject))
            .map(|(subject, line)| Entry {
                entry: subject.to_string(),
                line: *line,
                remark: remarks.of(*line).map(str::to_owned),
                covered_by_the_other: match subject {
                    Subject::Prefix(prefix) => {
                        Some(other.inside(*prefix, 0).shares.unlisted == Space::default())
                    }
                    Subject::Asn(_) | Subject::Group(_) | Subject::Country(_) => None,
                },
            })
            .collect::<Vec<_>>()
    };
    let added = only(&after, &before, &new.remarks, &was);
    Report {
        schema: 1,
        old: side(old_path, old),
        new: side(new_path, new),
        unchanged: after.len() - added.len(),
        removed: only(&before, &after, &old.remarks, &is),
        added,
        added_space: space.newly_blocked,
        removed_space: space.no_longer_blocked,
    }
}

fn side(path: &Path, list: &ListFile) -> Side {
    Side {
        file: path.display().to_string(),
        format: list.format.label(),
        entries: list.len(),
        rejected: list.rejected.total,
    }
}

/// The prefixes of a file as one block list.
fn table(list: &ListFile) -> Ruleset {
    let mut builder = Builder::new();
    let id = builder.list(Action::Block);
    for line in &list.prefixes {
        builder.add(id, line.prefix, line.line, None);
    }
    Ruleset::new(vec![ListInfo::named("list", Action::Block, 0)], builder.compile())
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    for (sign, entries) in [('+', &report.added), ('-', &report.removed)] {
        let rows: Vec<Vec<String>> = entries
            .iter()
            .take(SHOWN)
            .map(|entry| {
                let covered = match (entry.covered_by_the_other, sign) {
                    (Some(true), '+') => "was covered",
                    (Some(true), _) => "still covered",
                    (Some(false) | None, _) => "",
                };
                let remark = entry.remark.as_deref().unwrap_or_default();
                vec![
                    format!("{sign} {}", entry.entry),
                    format!("line {}", entry.line),
                    cut(remark, REMARK),
                    covered.to_owned(),
                ]
            })
            .collect();
        text.push_str(&columns(&rows));
        let more = entries.len().saturating_sub(SHOWN);
        if more > 0 {
            text.push_str(&format!("{sign} and {} more: -o csv has all\n", grouped(more as u64)));
        }
    }
    let mut rows = Vec::new();
    for (label, side) in [("old", &report.old), ("new", &report.new)] {
        let rejected = match side.rejected {
            0 => String::new(),
            count => format!(", {} WRONG LINES LEFT OUT", grouped(count)),
        };
        let entries = grouped(side.entries as u64);
        let format = side.format;
        rows.push(vec![
            label.to_owned(),
            format!("{}: {entries} entries, format {format}{rejected}", side.file),
        ]);
    }
    rows.push(vec![
        "entries".to_owned(),
        format!(
            "+ {}, - {}, {} in both",
            grouped(report.added.len() as u64),
            grouped(report.removed.len() as u64),
            grouped(report.unchanged as u64)
        ),
    ]);
    let names_prefixes = [&report.added, &report.removed]
        .iter()
        .any(|entries| entries.iter().any(|entry| entry.covered_by_the_other.is_some()));
    if names_prefixes {
        for (label, space) in
            [("newly named", report.added_space), ("no longer", report.removed_space)]
        {
            rows.push(vec![
                label.to_owned(),
                format!(
                    "{} IPv4 addresses, {} IPv6 networks (/64)",
                    grouped(space.ipv4_addresses),
                    grouped(space.ipv6_networks)
                ),
            ]);
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(&columns(&rows));
    text
}

fn csv(report: &Report) -> String {
    let head = ["change", "entry", "file", "line", "remark", "covered_by_the_other"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let sides = [("added", &report.added, &report.new), ("removed", &report.removed, &report.old)];
    for (change, entries, side) in sides {
        rows.extend(entries.iter().map(|entry| {
            vec![
                change.to_owned(),
                entry.entry.clone(),
                side.file.clone(),
                entry.line.to_string(),
                entry.remark.clone().unwrap_or_default(),
                entry.covered_by_the_other.map_or(String::new(), |covered| covered.to_string()),
            ]
        }));
    }
    output::csv(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("kordon-diff-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path
    }

    fn report(name: &str, old: &str, new: &str, kind: Option<ListKind>) -> Report {
        let (old, new) = (file(&format!("{name}-old"), old), file(&format!("{name}-new"), new));
        let report =
            compare(&old, &read(&old, kind, None).unwrap(), &new, &read(&new, kind, None).unwrap());
        for path in [old, new] {
            std::fs::remove_file(path).unwrap();
        }
        report
    }

    #[test]
    fn a_prefix_cut_in_two_is_two_entries_and_no_address() {
        let report = report(
            "cut",
            "203.0.113.0/24 # all of it\n198.51.100.0/24\n",
            "203.0.113.0/25\n203.0.113.128/25 # the upper half\n198.51.100.0/24\n192.0.2.7\n",
            None,
        );
        let added: Vec<_> = report
            .added
            .iter()
            .map(|e| (e.entry.as_str(), e.line, e.remark.as_deref(), e.covered_by_the_other))
            .collect();
        assert_eq!(
            added,
            [
                ("192.0.2.7/32", 4, None, Some(false)),
                ("203.0.113.0/25", 1, None, Some(true)),
                ("203.0.113.128/25", 2, Some("the upper half"), Some(true)),
            ]
        );
        assert_eq!((report.removed.len(), report.unchanged), (1, 1));
        assert_eq!(report.removed[0].covered_by_the_other, Some(true));
        assert_eq!(report.added_space.ipv4_addresses, 1);
        assert_eq!(report.removed_space, Space::default());
        let text = text(&report);
        assert!(text.contains("+ 203.0.113.128/25  line 2  the upper half  was covered"), "{text}");
    }

    #[test]
    fn as_numbers_are_compared_by_number() {
        let asns = Some(ListKind::Asn);
        let report = report("asn", "AS64500\nAS64501\n", "64501\n64502 ; new\n", asns);
        assert_eq!((report.added[0].entry.as_str(), report.added.len()), ("AS64502", 1));
        assert_eq!(report.added[0].remark.as_deref(), Some("new"));
        assert_eq!((report.removed[0].entry.as_str(), report.unchanged), ("AS64500", 1));
        assert!(!text(&report).contains("IPv4"), "nothing is known about addresses");
    }

    #[test]
    fn the_same_list_in_another_order_is_the_same() {
        let report = report(
            "same",
            "192.0.2.0/24\n203.0.113.0/24\n",
            "203.0.113.0/24\n192.0.2.0/24\n",
            None,
        );
        assert_eq!((report.added.len(), report.removed.len(), report.unchanged), (0, 0, 2));
    }
}
