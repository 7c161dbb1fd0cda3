//! `kordon lists disagreements`: prefixes that one origin table gives to a listed AS number and another to others.

use std::collections::BTreeSet;
use std::process::ExitCode;

use serde::Serialize;

use super::super::output::{self, columns, grouped};
use super::super::{Place, Rows};
use crate::blocklist::{Disagreement, disagreements};
use crate::config::Config;
use crate::failure::{ExitStatus, Failure};
use crate::ruleset::Ruleset;

/// Rows on a screen; JSON and CSV have all that are kept.
const SHOWN: usize = 50;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only the AS numbers of this list
    name: Option<String>,

    /// How to print
    #[arg(long, short, value_enum, default_value = "table")]
    output: Rows,
}

/// The answer.
#[derive(Debug, Serialize)]
struct Report {
    schema: u32,
    /// How many there are; at most 10,000 are named.
    total: u64,
    disagreements: Vec<Disagreement>,
}

pub(super) fn run(place: &Place, args: &Args) -> Result<ExitCode, Failure> {
    let config = Config::load(place.config())?;
    if let Some(name) = &args.name
        && !config.lists.iter().any(|list| list.name == *name)
    {
        let known: Vec<&str> = config.lists.iter().map(|list| list.name.as_str()).collect();
        let message = format!("there is no list {name}; the lists are: {}", known.join(", "));
        return Err(Failure::new(ExitStatus::Usage, message));
    }
    let rules = Ruleset::load(&config, |_| Some(0), None)?;
    let found = disagreements(&config.origins, &listed(&rules, args.name.as_deref()))?;
    let report = Report { schema: 1, total: found.total, disagreements: found.first };
    match args.output {
        Rows::Table => output::data(&text(&report, config.origins.len()))?,
        Rows::Json => output::json(&report)?,
        Rows::Csv => output::data(&csv(&report))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The AS numbers that a list names, or all lists.
pub(in crate::cli) fn listed(rules: &Ruleset, name: Option<&str>) -> BTreeSet<u32> {
    let wanted =
        |list| name.is_none_or(|name| rules.list(list).is_some_and(|list| list.name == name));
    let entries = rules.table().entries().filter(|entry| wanted(entry.list));
    entries.filter_map(|entry| entry.origin).collect()
}

fn text(report: &Report, tables: usize) -> String {
    if report.total == 0 {
        return match tables {
            0 | 1 => {
                "one origin table alone does not disagree: add another [[origin]]\n".to_owned()
            }
            count => format!(
                "none: the {count} origin tables give what is listed to the same AS numbers\n"
            ),
        };
    }
    let head = ["PREFIX", "AS NUMBER", "BY", "BUT", "BY"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(report.disagreements.iter().take(SHOWN).map(cells));
    let mut text = columns(&rows);
    let more = report.total.saturating_sub(SHOWN as u64);
    if more > 0 {
        text.push_str(&format!("and {} more: -o json or -o csv\n", grouped(more)));
    }
    text
}

fn cells(one: &Disagreement) -> Vec<String> {
    let others: Vec<String> = one.others.iter().map(|asn| format!("AS{asn}")).collect();
    vec![
        one.prefix.to_string(),
        format!("AS{}", one.asn),
        one.table.clone(),
        others.join(" "),
        one.other_table.clone(),
    ]
}

fn csv(report: &Report) -> String {
    let head = ["prefix", "asn", "table", "others", "other_table"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(report.disagreements.iter().map(cells));
    output::csv(&rows)
}
