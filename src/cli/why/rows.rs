//! Answers as CSV: a row for each entry that was named, one without an entry where none was.

use super::super::output;
use super::Reply;
use crate::explain::Named;

const HEAD: [&str; 19] = [
    "asked",
    "outcome",
    "role",
    "list",
    "action",
    "prefix",
    "origin_as",
    "origin_name",
    "origin_sources",
    "group",
    "registered_in",
    "file",
    "line",
    "remark",
    "basis",
    "note",
    "review_by",
    "source",
    "generation",
];

pub(super) fn csv(replies: &[Reply]) -> String {
    let mut rows = vec![HEAD.map(str::to_owned).to_vec()];
    for reply in replies {
        let (asked, outcome, source, generation, entries) = parts(reply);
        let mut put = |role: &str, entry: Option<&Named>| {
            let mut row = vec![asked.clone(), outcome.clone(), role.to_owned()];
            row.extend(cells(entry));
            row.extend([source.clone(), generation.to_string()]);
            rows.push(row);
        };
        if entries.is_empty() {
            put("", None);
        }
        for (role, entry) in entries {
            put(role, Some(entry));
        }
    }
    output::csv(&rows)
}

/// What was asked, the outcome, source, generation, and the entries with their roles.
type Parts<'r> = (String, String, String, u64, Vec<(&'static str, &'r Named)>);

fn parts(reply: &Reply) -> Parts<'_> {
    match reply {
        Reply::Address(answer) => {
            let winner = answer.winner.iter().map(|entry| ("decides", entry));
            let also = answer.also.iter().map(|entry| ("also", entry));
            (
                answer.address.to_string(),
                answer.outcome.clone(),
                answer.source.clone(),
                answer.generation,
                winner.chain(also).collect(),
            )
        }
        Reply::Prefix(answer) => {
            let covering = answer.covering.iter().map(|entry| ("covers", entry));
            let covered = answer.covered.iter().map(|entry| ("inside", entry));
            (
                answer.prefix.to_string(),
                answer.outcome.clone(),
                answer.source.clone(),
                answer.generation,
                covering.chain(covered).collect(),
            )
        }
        Reply::Origin(answer) => (
            format!("AS{}", answer.origin_as),
            answer.outcome.clone(),
            answer.source.clone(),
            answer.generation,
            answer.prefixes.iter().map(|entry| ("announced", entry)).collect(),
        ),
    }
}

fn cells(entry: Option<&Named>) -> [String; 14] {
    let Some(entry) = entry else { return Default::default() };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    [
        entry.list.clone(),
        entry.action.clone(),
        entry.prefix.clone(),
        entry.origin_as.map_or(String::new(), |asn| asn.to_string()),
        text(&entry.origin_name),
        entry.origin_sources.as_deref().unwrap_or_default().join(" "),
        text(&entry.group),
        text(&entry.registered_in),
        entry.file.clone(),
        entry.line.to_string(),
        text(&entry.remark),
        entry.basis.clone(),
        text(&entry.note),
        text(&entry.review_by),
    ]
}
