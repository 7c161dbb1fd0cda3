//! All lists on a screen of 80 columns, or as CSV.
//!
//! Two lines for each list: figures, then what it rests on and what wants attention, in capitals.

use super::super::output::{self, columns, day, grouped, span};
use crate::explain::{FILES, ListReport, ListReports};

/// A name longer than this stands on a line of its own, so that the others' figures stay on the screen.
const NAME: usize = 24;

pub(super) fn text(reports: &ListReports) -> String {
    let head = ["LIST", "ACTION", "KIND", "ENTRIES", "PREFIXES", "FILE AGE", "HITS"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for list in &reports.lists {
        let long = list.name.chars().count() > NAME;
        rows.push(vec![
            if long { String::new() } else { list.name.clone() },
            list.action.clone(),
            list.kind.clone(),
            grouped(list.lines as u64),
            grouped(list.prefixes as u64),
            age(list, reports.now),
            list.hits.map_or("-".to_owned(), |hits| grouped(hits.total())),
        ]);
    }
    let mut lines = columns(&rows).lines().map(str::to_owned).collect::<Vec<_>>().into_iter();
    let mut text = lines.next().map_or(String::new(), |line| line + "\n");
    for (list, line) in reports.lists.iter().zip(lines) {
        if list.name.chars().count() > NAME {
            text.push_str(&format!("{}\n", list.name));
        }
        text.push_str(&line);
        text.push('\n');
        for note in notes(list, reports.now) {
            text.push_str(&format!("  {note}\n"));
        }
    }
    text.push_str(&source(reports));
    text
}

/// Where this was read.
pub(super) fn source(reports: &ListReports) -> String {
    match reports.source.as_str() {
        FILES => format!("source: {FILES}\n"),
        running => format!("source: {running} daemon, generation {}\n", reports.generation),
    }
}

pub(super) fn age(list: &ListReport, now: u64) -> String {
    list.written.map_or("-".to_owned(), |at| span(now.saturating_sub(at)))
}

/// What it rests on, and what wants attention.
fn notes(list: &ListReport, now: u64) -> Vec<String> {
    let basis = match list.basis.line.as_str() {
        "" => "NO BASIS",
        line => line,
    };
    let review = match &list.review_by {
        Some(day) if !list.review_due => format!("; review by {day}"),
        Some(_) | None => String::new(),
    };
    let mut notes = vec![format!("{basis}{review}")];
    notes.extend(hits(list).map(|hits| format!("hits: {hits}")));
    notes.extend(warnings(list, now));
    notes
}

/// What packets met because of it, in words; nothing where nothing did.
pub(super) fn hits(list: &ListReport) -> Option<String> {
    let hits = list.hits.filter(|hits| hits.total() > 0)?;
    let named = [
        (hits.dropped, "dropped"),
        (hits.would_drop, "would be dropped"),
        (hits.exempted, "exempted"),
    ];
    let met: Vec<String> = named
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{} {word}", grouped(*count)))
        .collect();
    Some(met.join(", "))
}

/// What somebody should look at.
pub(super) fn warnings(list: &ListReport, now: u64) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(day) = list.review_by.as_ref().filter(|_| list.review_due) {
        warnings.push(format!("REVIEW DUE since {day}"));
    }
    if list.rejected > 0 {
        warnings.push(format!(
            "REJECTED: {}; see: kordon lists failed {}",
            lines(list.rejected),
            list.name
        ));
    }
    if list.carved > 0 {
        warnings.push(format!(
            "LOCAL SPACE left out of {}: see kordon lists show {}",
            entries(list.carved),
            list.name
        ));
    }
    if let Some(kept) = list.origins.as_ref().map(|origins| origins.kept).filter(|kept| *kept > 0) {
        warnings.push(format!(
            "KEPT: {} prefixes that no origin table names any more (hold_down)",
            grouped(kept as u64)
        ));
    }
    if list.stale {
        let limit =
            list.max_age.map_or(String::new(), |limit| format!(" (max_age {})", span(limit)));
        warnings.push(format!("STALE: the file is {} old{limit}", age(list, now)));
    }
    if list.unterminated {
        warnings.push("CUT OFF? The last line has no line end".to_owned());
    }
    warnings
}

/// `1 entry`, `3 entries`.
fn entries(count: u64) -> String {
    format!("{} {}", grouped(count), if count == 1 { "entry" } else { "entries" })
}

/// `1 line`, `3 lines`.
pub(super) fn lines(count: u64) -> String {
    format!("{} {}", grouped(count), if count == 1 { "line" } else { "lines" })
}

pub(super) fn csv(reports: &ListReports) -> String {
    let head = [
        "list",
        "action",
        "kind",
        "format",
        "file",
        "entries",
        "prefixes",
        "duplicates",
        "rejected",
        "carved",
        "file_date",
        "stale",
        "changed",
        "dropped",
        "would_drop",
        "exempted",
        "issuer",
        "number",
        "date",
        "note",
        "review_by",
        "review_due",
        "source",
        "generation",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for list in &reports.lists {
        let hits = |of: fn(&crate::explain::Hits) -> u64| {
            list.hits.as_ref().map_or(String::new(), |hits| of(hits).to_string())
        };
        rows.push(vec![
            list.name.clone(),
            list.action.clone(),
            list.kind.clone(),
            list.format.clone(),
            list.file.clone(),
            list.lines.to_string(),
            list.prefixes.to_string(),
            list.duplicates.to_string(),
            list.rejected.to_string(),
            list.carved.to_string(),
            list.written.map_or(String::new(), day),
            list.stale.to_string(),
            list.changed.map_or(String::new(), day),
            hits(|hits| hits.dropped),
            hits(|hits| hits.would_drop),
            hits(|hits| hits.exempted),
            list.basis.issuer.clone(),
            list.basis.number.clone(),
            list.basis.date.clone().unwrap_or_default(),
            list.basis.note.clone().unwrap_or_default(),
            list.review_by.clone().unwrap_or_default(),
            list.review_due.to_string(),
            reports.source.clone(),
            reports.generation.to_string(),
        ]);
    }
    output::csv(&rows)
}
