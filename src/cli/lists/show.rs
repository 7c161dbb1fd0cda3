//! `kordon lists show`: everything about one list.

use std::process::ExitCode;

use super::super::output::{self, columns, day, grouped, span};
use super::super::{Place, Rows};
use super::{Reading, no_such_list, reports, table};
use crate::explain::{ListReport, ListReports};
use crate::failure::Failure;

/// Entries on a screen from which local space was left out; JSON has a hundred.
const CARVED: usize = 10;

pub(super) fn run(place: &Place, name: &str, reading: &Reading) -> Result<ExitCode, Failure> {
    let mut reports = reports(place, reading)?;
    let known: Vec<String> = reports.lists.iter().map(|list| list.name.clone()).collect();
    reports.lists.retain(|list| list.name == name);
    let Some(list) = reports.lists.first() else {
        return Err(no_such_list(name, known.iter().map(String::as_str)));
    };
    match reading.output {
        Rows::Table => output::data(&text(list, &reports))?,
        Rows::Json => output::json(&reports)?,
        Rows::Csv => output::data(&table::csv(&reports))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn text(list: &ListReport, reports: &ListReports) -> String {
    let mut rows = Vec::new();
    let mut row = |label: &str, text: String| rows.push(vec![format!("  {label}"), text]);
    row("file", list.file.clone());
    row("kind", format!("{}, format {}", list.kind, list.format));
    row("entries", format!("{}, {} prefixes", entries(list), grouped(list.prefixes as u64)));
    let aside = [
        (list.duplicates as u64, "repeated"),
        (list.masked as u64, "with host bits, which were cleared"),
        (list.remarks as u64, "with a remark, which kordon why shows"),
    ];
    for (count, what) in aside.iter().filter(|(count, _)| *count > 0) {
        row("", format!("{} {what}", table::lines(*count)));
    }
    if let Some(origins) = &list.origins {
        for (index, (name, count)) in origins.tables.iter().enumerate() {
            let label = if index == 0 { "origins" } else { "" };
            row(label, format!("{name}: {} prefixes", grouped(*count as u64)));
        }
    }
    if let Some(serial) = list.serial {
        row("serial", serial.to_string());
    }
    if let Some(dated) = list.dated {
        let ago = span(reports.now.saturating_sub(dated));
        row("data of", format!("{}, {ago} ago", day(dated)));
    }
    if let Some(written) = list.written {
        let limit =
            list.max_age.map_or(String::new(), |limit| format!(", stale after {}", span(limit)));
        row("written", format!("{}, {} ago{limit}", day(written), table::age(list, reports.now)));
    }
    if let Some(changed) = list.changed {
        let ago = span(reports.now.saturating_sub(changed));
        row("changed", format!("{}, {ago} ago, or the daemon started then", day(changed)));
    }
    row(
        "basis",
        match list.basis.line.as_str() {
            "" => "NONE: nobody can say later by which order".to_owned(),
            line => line.to_owned(),
        },
    );
    if let Some(note) = &list.basis.note {
        row("note", note.clone());
    }
    if let Some(day) = list.review_by.as_ref().filter(|_| !list.review_due) {
        row("review by", day.clone());
    }
    if let Some(hits) = table::hits(list) {
        row("hits", hits);
    }
    for (index, line) in list.carved_first.iter().take(CARVED).enumerate() {
        row(if index == 0 { "carved" } else { "" }, line.clone());
    }
    let more = list.carved.saturating_sub(CARVED as u64);
    if more > 0 {
        row("", format!("and {} more", grouped(more)));
    }
    // What is carved stands above, one by one.
    let is_told = |warning: &String| warning.starts_with("LOCAL SPACE");
    for warning in table::warnings(list, reports.now).into_iter().filter(|w| !is_told(w)) {
        row("", warning);
    }
    format!("{}  {}\n{}{}", list.name, list.action, columns(&rows), table::source(reports))
}

/// How many entries of what kind: `14 AS numbers`.
fn entries(list: &ListReport) -> String {
    let what = match list.kind.as_str() {
        "asn" => "AS numbers",
        // A registry's own file names prefixes.
        "country" if list.format != "delegated" => "countries",
        _ => "entries",
    };
    format!("{} {what}", grouped(list.lines as u64))
}
