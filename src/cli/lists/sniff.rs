//! `kordon lists sniff`: what a file looks like, and whether it could be a list as it is.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use serde::Serialize;

use super::super::Format;
use super::super::output::{self, columns, counted, day, grouped};
use super::table::lines;
use crate::blocklist::{ListFile, Reading, in_words, read_list, sniff_list, sniff_origin};
use crate::config::{ListFormat, ListKind};
use crate::failure::{ExitStatus, Failure};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file, packed or not
    file: PathBuf,

    /// What its lines are, if the file alone does not tell
    #[arg(long, value_enum)]
    kind: Option<Kind>,

    /// How to print
    #[arg(long, short, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Prefix,
    Asn,
    Country,
}

/// What was found out about a file.
#[derive(Debug, Default, Serialize)]
struct Report {
    schema: u32,
    file: String,
    /// `list` or `origin table`.
    what: &'static str,
    /// The format and why it is thought to be that one.
    format: String,
    why: String,
    kind: Option<&'static str>,
    packing: Option<&'static str>,
    prefixes: usize,
    asns: usize,
    groups: usize,
    countries: usize,
    duplicates: usize,
    masked: usize,
    remarks: usize,
    serial: Option<u64>,
    dated: Option<u64>,
    credit: Option<String>,
    unterminated: bool,
    /// Wrong lines, and the first hundred with their places.
    wrong: u64,
    wrong_first: Vec<String>,
    /// Why no list can have this file, whatever its `max_rejected`.
    refused: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let report = look(args)?;
    match args.output {
        Format::Table => output::data(&text(&report))?,
        Format::Json => output::json(&report)?,
    }
    Ok(match (report.wrong, &report.refused) {
        (0, None) => ExitCode::SUCCESS,
        (_, _) => ExitCode::from(ExitStatus::BadData.code()),
    })
}

fn look(args: &Args) -> Result<Report, Failure> {
    let kind = args.kind.map(|kind| match kind {
        Kind::Prefix => ListKind::Prefix,
        Kind::Asn => ListKind::Asn,
        Kind::Country => ListKind::Country,
    });
    let mut report =
        Report { schema: 1, file: args.file.display().to_string(), ..Report::default() };
    let guess = match sniff_list(&args.file, kind) {
        Ok(guess) => guess,
        // It may still be the other sort of file.
        Err(failure) => match sniff_origin(&args.file) {
            Ok(origin) if kind.is_none() => {
                report.what = "origin table";
                report.format = origin.format.to_string();
                report.why = origin.because;
                return Ok(report);
            }
            Ok(_) | Err(_) => return Err(failure),
        },
    };
    let kind = kind.unwrap_or(kind_of(guess.format));
    report.what = "list";
    report.format = guess.format.to_string();
    report.why = format!("{}: {}", in_words(guess.format), guess.why);
    report.kind = Some(kind.label());
    let format = guess.format;
    let reading = Reading { kind, format, allow_wide: false, max_rejected: u32::MAX };
    match read_list(&args.file, &reading) {
        Ok(list) => fill(&mut report, list),
        Err(failure) => report.refused = Some(failure.message),
    }
    Ok(report)
}

/// The kind of list that a file of this format is, if nobody says.
fn kind_of(format: ListFormat) -> ListKind {
    match format {
        ListFormat::Asn | ListFormat::SpamhausAsn => ListKind::Asn,
        ListFormat::Country | ListFormat::Delegated => ListKind::Country,
        ListFormat::Auto
        | ListFormat::Cidr
        | ListFormat::Netset
        | ListFormat::Spamhaus
        | ListFormat::SpamhausJson
        | ListFormat::Dshield
        | ListFormat::Ipset
        | ListFormat::Nft
        | ListFormat::P2p => ListKind::Prefix,
    }
}

fn fill(report: &mut Report, list: ListFile) {
    report.packing = Some(list.packing.label());
    report.prefixes = list.prefixes.len();
    report.asns = list.asns.len();
    report.groups = list.groups.len();
    report.countries = list.countries.len();
    report.duplicates = list.duplicates;
    report.masked = list.masked;
    report.remarks = list.remarks.len();
    report.serial = list.metadata.serial;
    report.dated = list.metadata.dated;
    report.credit = list.metadata.credit;
    report.unterminated = list.unterminated;
    report.wrong = list.rejected.total;
    report.wrong_first = list.rejected.first;
}

fn text(report: &Report) -> String {
    let mut rows = Vec::new();
    let mut row = |label: &str, text: String| rows.push(vec![format!("  {label}"), text]);
    row("format", report.format.clone());
    row("because", report.why.clone());
    if let Some(kind) = report.kind {
        row("kind", kind.to_owned());
    }
    if let Some(packing) = report.packing {
        row("packed", if packing == "plain" { "no".to_owned() } else { packing.to_owned() });
        row("entries", entries(report));
    }
    let aside = [
        ("repeated", report.duplicates, ["entry; it is taken once", "entries; each is taken once"]),
        (
            "host bits",
            report.masked,
            ["prefix had some; they are cleared", "prefixes had some; they are cleared"],
        ),
        (
            "remarks",
            report.remarks,
            ["line says something besides the entry", "lines say something besides the entry"],
        ),
    ];
    for (label, count, [one, several]) in aside.iter().filter(|(_, count, _)| *count > 0) {
        row(label, counted(*count as u64, one, several));
    }
    if let Some(serial) = report.serial {
        row("serial", serial.to_string());
    }
    if let Some(dated) = report.dated {
        row("data of", day(dated));
    }
    if let Some(credit) = &report.credit {
        row("credit", credit.clone());
    }
    if report.unterminated {
        row("", "the last line has no line end: is the file whole?".to_owned());
    }
    if report.wrong > 0 {
        row("wrong", lines(report.wrong));
        // Here enough to see what is the matter.
        for line in report.wrong_first.iter().take(5) {
            row("", line.clone());
        }
        if report.wrong > 5 {
            row("", format!("... and {} more (-o json has a hundred)", grouped(report.wrong - 5)));
        }
    }
    for (index, line) in report.refused.iter().flat_map(|text| text.lines()).enumerate() {
        row(if index == 0 { "refused" } else { "" }, line.to_owned());
    }
    format!("{}: looks like a{} {}\n{}", report.file, n(report.what), report.what, columns(&rows))
}

fn n(word: &str) -> &'static str {
    if word.starts_with('o') { "n" } else { "" }
}

fn entries(report: &Report) -> String {
    let counts = [
        (report.prefixes, "prefix", "prefixes"),
        (report.asns, "AS number", "AS numbers"),
        (report.groups, "group", "groups"),
        (report.countries, "country", "countries"),
    ];
    let said: Vec<String> = counts
        .iter()
        .filter(|(count, _, _)| *count > 0)
        .map(|(count, one, many)| {
            format!("{} {}", grouped(*count as u64), if *count == 1 { one } else { many })
        })
        .collect();
    said.join(", ")
}
