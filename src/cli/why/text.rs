//! Answers for people.

use super::super::output::{columns, counted, grouped};
use super::Reply;
use crate::explain::{self, Explanation, Named, OriginExplanation, OriginLine, PrefixExplanation};
use crate::ruleset::{Shares, Space};

/// Entries on a screen; JSON and CSV have more.
const SHOWN: usize = 15;

pub(super) fn text(reply: &Reply) -> String {
    match reply {
        Reply::Address(answer) => address(answer),
        Reply::Prefix(answer) => prefix(answer),
        Reply::Origin(answer) => origin(answer),
    }
}

fn row(label: &str, text: String) -> Vec<String> {
    vec![format!("  {label}"), text]
}

fn address(answer: &Explanation) -> String {
    let outcome = answer.outcome.to_uppercase();
    let reason = match answer.reason.as_str() {
        "no_match" => "no list names it".to_owned(),
        "exempt" => "exempt: an allow list names it".to_owned(),
        "monitored" => "only a monitor list names it".to_owned(),
        "blocked" => "a block list names it".to_owned(),
        _ => answer.said.clone(),
    };
    let mut rows = Vec::new();
    if let Some(camera) = &answer.camera {
        rows.push(row("camera", camera.clone()));
    }
    if let Some(policy) = &answer.policy {
        rows.push(row("policy", policy.clone()));
    }
    if let Some(hidden) = &answer.hidden {
        rows.push(row("embeds", hidden.to_string()));
    }
    if let Some(winner) = &answer.winner {
        rows.extend(details(winner).into_iter().map(|(label, text)| row(label, text)));
    }
    for (index, entry) in answer.also.iter().enumerate() {
        let label = if index == 0 { "also" } else { "" };
        rows.push(row(label, format!("{}, {}", list(entry), entry_prefix(entry))));
        let country = details(entry).into_iter().find(|(label, _)| *label == "country");
        rows.extend(country.map(|(_, text)| row("", format!("  {text}"))));
        rows.extend(entry.remark.iter().map(|remark| row("", format!("  remark: {remark}"))));
    }
    rows.push(source(&answer.source, answer.generation, &answer.mode));
    format!("{}  {outcome}: {reason}\n{}", answer.address, columns(&rows))
}

fn prefix(answer: &PrefixExplanation) -> String {
    let mut rows = shares(&answer.shares);
    if let Some((first, others)) = answer.covering.split_first() {
        rows.extend(details(first).into_iter().map(|(label, text)| row(label, text)));
        rows.extend(compact("also", others));
        rows.extend(more(answer.covering_total, answer.covering.len()));
    }
    let shown = answer.covered.get(..SHOWN).unwrap_or(&answer.covered);
    rows.extend(compact("contains", shown));
    rows.extend(more(answer.covered_total, shown.len()));
    rows.push(source(&answer.source, answer.generation, &answer.mode));
    let outcome = answer.outcome.to_uppercase();
    let why = match (answer.covering_total + answer.covered_total, answer.outcome.as_str()) {
        (0, _) => ": no list names any of it",
        (_, _) => "",
    };
    format!("{}  {outcome}{why}\n{}", answer.prefix, columns(&rows))
}

fn origin(answer: &OriginExplanation) -> String {
    let name = answer.origin_name.as_deref().unwrap_or("");
    let head = format!("AS{} {name}", answer.origin_as);
    let outcome = answer.outcome.to_uppercase();
    if answer.prefixes_total == 0 {
        let rows = [
            row("but", "its prefixes may be on lists of prefixes: ask for one of them".to_owned()),
            source(&answer.source, answer.generation, &answer.mode),
        ];
        return format!("{}  {outcome}: no list names it\n{}", head.trim_end(), columns(&rows));
    }
    let mut rows = shares(&answer.shares);
    for line in &answer.lines {
        rows.extend(named_by(line));
    }
    let shown = answer.prefixes.get(..SHOWN).unwrap_or(&answer.prefixes);
    let cells: Vec<Vec<String>> =
        shown.iter().map(|entry| vec![entry.prefix.clone(), sources(entry)]).collect();
    for (index, line) in columns(&cells).lines().enumerate() {
        rows.push(row(if index == 0 { "prefixes" } else { "" }, line.to_owned()));
    }
    rows.extend(more(answer.prefixes_total, shown.len()));
    rows.push(source(&answer.source, answer.generation, &answer.mode));
    format!("{}  {outcome}\n{}", head.trim_end(), columns(&rows))
}

/// What a line that names an AS number says.
fn named_by(line: &OriginLine) -> Vec<Vec<String>> {
    let entry = &line.first;
    let kept = match line.kept {
        0 => String::new(),
        kept => format!(", {} of them KEPT by hold_down", grouped(kept as u64)),
    };
    let count = counted(line.prefixes as u64, "prefix", "prefixes");
    let mut rows =
        vec![row("list", list(entry)), row("", format!("{count} through this line{kept}"))];
    let wanted = ["group", "country", "remark", "basis", "note", "review by"];
    let details = details(entry).into_iter().filter(|(label, _)| wanted.contains(label));
    rows.extend(details.map(|(label, text)| row(label, text)));
    rows
}

/// Entries in a line each, aligned among themselves: prefix, list and line, origin AS.
fn compact(label: &str, entries: &[Named]) -> Vec<Vec<String>> {
    let cells: Vec<Vec<String>> = entries
        .iter()
        .map(|entry| {
            let list = format!("{}:{} ({})", entry.list, entry.line, entry.action);
            let origin = entry.origin_as.map_or(String::new(), |asn| format!("AS{asn}"));
            vec![entry.prefix.clone(), list, origin]
        })
        .collect();
    let lines = columns(&cells);
    let label = |index| if index == 0 { label } else { "" };
    lines.lines().enumerate().map(|(index, line)| row(label(index), line.to_owned())).collect()
}

/// What the addresses meet, a row for each kind that there is.
fn shares(shares: &Shares) -> Vec<Vec<String>> {
    let kinds = [
        ("blocked", shares.blocked),
        ("exempt", shares.exempt),
        ("monitored", shares.monitored),
        ("on no list", shares.unlisted),
    ];
    let there = kinds.iter().filter(|(_, space)| *space != Space::default());
    there.map(|(label, share)| row(label, space(share))).collect()
}

fn space(space: &Space) -> String {
    let mut parts = Vec::new();
    if space.ipv4_addresses > 0 {
        parts.push(format!("{} IPv4 addresses", grouped(space.ipv4_addresses)));
    }
    if space.ipv6_networks > 0 {
        parts.push(format!("{} IPv6 networks (/64)", grouped(space.ipv6_networks)));
    }
    parts.join(", ")
}

fn more(total: usize, shown: usize) -> Option<Vec<String>> {
    let more = total.saturating_sub(shown);
    (more > 0).then(|| row("", format!("and {} more", grouped(more as u64))))
}

fn source(source: &str, generation: u64, mode: &str) -> Vec<String> {
    let text = if source == explain::RUNNING {
        format!("running daemon, generation {generation}, mode {mode}")
    } else {
        format!("{source}, mode {mode}")
    };
    row("source", text)
}

/// All that is known about an entry, a row each.
fn details(entry: &Named) -> Vec<(&'static str, String)> {
    let mut rows = vec![("list", list(entry)), ("prefix", entry_prefix(entry))];
    match (&entry.registered_in, &entry.origin_sources) {
        (None, None) => {}
        (None, Some(_)) => rows.push(("origin by", sources(entry))),
        (Some(country), of_tables) => {
            let by = match of_tables {
                Some(_) => sources(entry),
                None => "the list itself".to_owned(),
            };
            let text = format!(
                "registered in {country} according to {by}; where it is used is not known by this"
            );
            rows.push(("country", text));
        }
    }
    if let Some(group) = &entry.group {
        rows.push(("group", group.clone()));
    }
    if let Some(remark) = &entry.remark {
        rows.push(("remark", remark.clone()));
    }
    if !entry.basis.is_empty() {
        rows.push(("basis", entry.basis.clone()));
    }
    if let Some(note) = &entry.note {
        rows.push(("note", note.clone()));
    }
    if let Some(day) = &entry.review_by {
        let due = if entry.review_due { ", DUE" } else { "" };
        rows.push(("review by", format!("{day}{due}")));
    }
    rows
}

fn sources(entry: &Named) -> String {
    match entry.origin_sources.as_deref() {
        None => String::new(),
        Some([]) => match &entry.last_seen {
            Some(day) => format!("NO TABLE any more, last on {day}: kept"),
            None => "NO TABLE any more: kept".to_owned(),
        },
        Some(names) => {
            let one = |name: &String| match entry.may_announce.contains(name) {
                true => format!("{name} (may announce)"),
                false => name.clone(),
            };
            names.iter().map(one).collect::<Vec<_>>().join(", ")
        }
    }
}

fn list(entry: &Named) -> String {
    let named = format!("{} ({})", entry.list, entry.action);
    match entry.file.as_str() {
        "" => named,
        file => format!("{named}, {file}:{}", entry.line),
    }
}

fn entry_prefix(entry: &Named) -> String {
    match (entry.origin_as, &entry.origin_name) {
        (None, _) => entry.prefix.clone(),
        (Some(asn), None) => format!("{}, origin AS{asn}", entry.prefix),
        (Some(asn), Some(name)) => format!("{}, origin AS{asn} {name}", entry.prefix),
    }
}
