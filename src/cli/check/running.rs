//! `kordon check --against-running`: what a reload would add and remove.

use std::path::Path;
use std::process::ExitCode;

use super::super::output::{self, columns, grouped};
use super::super::{Format, Place};
use crate::control::client;
use crate::control::message::{Answer, Request};
use crate::explain::{Comparison, ListChange, Named};
use crate::failure::Failure;
use crate::ruleset::{Extent, Space};

/// Rows of origin AS's and of single entries on a screen; JSON has more.
const SHOWN: usize = 10;
/// A name of an organisation is cut behind this many characters, so that a row fits 80 columns.
const NAME: usize = 28;

pub(super) fn run(place: &Place, format: Format) -> Result<ExitCode, Failure> {
    let comparison = match client::ask(&place.socket(), &Request::Compare {})? {
        Answer::Compare(comparison) => comparison,
        other => return Err(other.unexpected()),
    };
    if let Some(named) = &place.config
        && !reads(&comparison, named)
    {
        output::talk(&format!(
            "the running daemon reads {}, not {}: that is what was compared",
            comparison.config.join(" + "),
            named.display()
        ));
    }
    match format {
        Format::Json => output::json(&comparison)?,
        Format::Table => output::data(&text(&comparison))?,
    }
    Ok(comparison.refused.map_or(ExitCode::SUCCESS, |refused| ExitCode::from(refused.status)))
}

/// Whether the daemon reads this file.
fn reads(comparison: &Comparison, named: &Path) -> bool {
    let same = |file: &String| match (std::fs::canonicalize(file), std::fs::canonicalize(named)) {
        (Ok(one), Ok(other)) => one == other,
        (_, _) => Path::new(file) == named,
    };
    comparison.config.iter().any(same)
}

fn text(comparison: &Comparison) -> String {
    let mut text = String::new();
    if let Some(refused) = &comparison.refused {
        text.push_str(&format!("A RELOAD WOULD BE REFUSED: {}\n", refused.message));
    }
    if comparison.is_empty() {
        text.push_str(&format!(
            "a reload would change nothing: generation {} is what the files say\n",
            comparison.generation
        ));
        return text;
    }
    text.push_str(&lists(comparison));
    text.push_str(&origins(comparison));
    for (sign, entries, total) in [
        ('+', &comparison.added, comparison.added_total),
        ('-', &comparison.removed, comparison.removed_total),
    ] {
        text.push_str(&single(sign, entries, total));
    }
    let rows = [
        vec!["newly blocked".to_owned(), space(&comparison.newly_blocked)],
        vec!["no longer blocked".to_owned(), space(&comparison.no_longer_blocked)],
        vec![
            "compared".to_owned(),
            format!(
                "{}, not in force, with generation {}",
                comparison.config.join(" + "),
                comparison.generation
            ),
        ],
    ];
    text.push('\n');
    text.push_str(&columns(&rows));
    text
}

fn lists(comparison: &Comparison) -> String {
    let head = ["LIST", "ACTION", "ADDED", "REMOVED"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for list in &comparison.lists {
        rows.push(vec![
            list.name.clone(),
            action(list),
            prefixes('+', &list.added),
            prefixes('-', &list.removed),
        ]);
    }
    columns(&rows)
}

fn action(list: &ListChange) -> String {
    match (&list.action_before, &list.action_after) {
        (Some(before), Some(after)) if before == after => before.clone(),
        (Some(before), Some(after)) => format!("{before} -> {after}"),
        (None, Some(after)) => format!("NEW {after}"),
        (Some(before), None) => format!("GONE {before}"),
        (None, None) => String::new(),
    }
}

fn prefixes(sign: char, extent: &Extent) -> String {
    format!("{sign} {}", grouped(extent.prefixes as u64))
}

fn origins(comparison: &Comparison) -> String {
    if comparison.origins.is_empty() {
        return String::new();
    }
    let head = ["ORIGIN AS", "NAME", "ADDED", "REMOVED"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for origin in comparison.origins.iter().take(SHOWN) {
        rows.push(vec![
            format!("AS{}", origin.origin_as),
            output::cut(origin.origin_name.as_deref().unwrap_or("-"), NAME),
            prefixes('+', &origin.added),
            prefixes('-', &origin.removed),
        ]);
    }
    let more = comparison.origins.len().saturating_sub(SHOWN) + comparison.origins_more;
    let more = if more > 0 { format!("and {more} more origin AS's\n") } else { String::new() };
    format!("\n{}{more}", columns(&rows))
}

fn single(sign: char, entries: &[Named], total: usize) -> String {
    if entries.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = entries
        .iter()
        .take(SHOWN)
        .map(|entry| {
            let origin = entry.origin_as.map_or(String::new(), |asn| format!("AS{asn}"));
            let line = format!("{}:{}", entry.list, entry.line);
            vec![format!("{sign} {}", entry.prefix), line, origin]
        })
        .collect();
    let more = total.saturating_sub(rows.len());
    let more = match more {
        0 => String::new(),
        more => format!("{sign} and {} more\n", grouped(more as u64)),
    };
    format!("\n{}{more}", columns(&rows))
}

fn space(space: &Space) -> String {
    format!(
        "{} IPv4 addresses, {} IPv6 networks (/64)",
        grouped(space.ipv4_addresses),
        grouped(space.ipv6_networks)
    )
}
