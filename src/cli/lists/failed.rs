//! `kordon lists failed`: the lines of a list that are wrong.
//!
//! In the running daemon those that were left out; from the files all of them, whatever the list's `max_rejected`,
//! so that a file that a reload refuses can be looked at, too.

use std::process::ExitCode;

use serde::Serialize;

use super::super::output::{self, grouped};
use super::super::{Place, Rows};
use super::{Reading, no_such_list};
use crate::blocklist::{self, read_list};
use crate::config::Config;
use crate::control::client;
use crate::control::message::{Answer, Request};
use crate::explain::FILES;
use crate::failure::Failure;

/// Of one list.
#[derive(Debug, Serialize)]
struct Failed {
    schema: u32,
    /// `running`, or that the files were read.
    source: String,
    list: String,
    /// How many lines may be left out, where the configuration was read.
    max_rejected: Option<u32>,
    /// How many there are.
    total: u64,
    /// The first hundred, each with its place.
    first: Vec<String>,
}

pub(super) fn run(place: &Place, name: &str, reading: &Reading) -> Result<ExitCode, Failure> {
    let failed = place.running_or_files(
        reading.running,
        || of_daemon(place, name),
        || of_file(place, name),
    )?;
    match reading.output {
        Rows::Table => output::data(&text(&failed))?,
        Rows::Json => output::json(&failed)?,
        Rows::Csv => {
            let mut rows = vec![vec!["list".to_owned(), "place_and_cause".to_owned()]];
            rows.extend(failed.first.iter().map(|text| vec![failed.list.clone(), text.clone()]));
            output::data(&output::csv(&rows))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn of_daemon(place: &Place, name: &str) -> Result<Failed, Failure> {
    let reports = match client::ask(&place.socket(), &Request::Lists {})? {
        Answer::Lists(reports) => reports,
        other => return Err(other.unexpected()),
    };
    let known = reports.lists.iter().map(|list| list.name.as_str());
    let Some(list) = reports.lists.iter().find(|list| list.name == name) else {
        return Err(no_such_list(name, known));
    };
    Ok(Failed {
        schema: 1,
        source: reports.source.clone(),
        list: name.to_owned(),
        max_rejected: None,
        total: list.rejected,
        first: list.rejected_first.clone(),
    })
}

fn of_file(place: &Place, name: &str) -> Result<Failed, Failure> {
    let config = Config::load(place.config())?;
    let Some(list) = config.lists.iter().find(|list| list.name == name) else {
        return Err(no_such_list(name, config.lists.iter().map(|list| list.name.as_str())));
    };
    let reading = blocklist::Reading { max_rejected: u32::MAX, ..blocklist::Reading::from(list) };
    let read = read_list(&list.path, &reading)?;
    Ok(Failed {
        schema: 1,
        source: FILES.to_owned(),
        list: name.to_owned(),
        max_rejected: Some(list.max_rejected),
        total: read.rejected.total,
        first: read.rejected.first,
    })
}

fn text(failed: &Failed) -> String {
    let Failed { list, total, first, .. } = failed;
    let mut text = match (total, failed.max_rejected) {
        (0, _) => format!("{list}: no wrong line\n"),
        (_, None) => format!("{list}: {} left out\n", super::table::lines(*total)),
        (_, Some(most)) if *total > u64::from(most) => format!(
            "{list}: {} wrong, more than max_rejected = {most}: the list is refused\n",
            super::table::lines(*total)
        ),
        (_, Some(most)) => format!(
            "{list}: {} wrong and left out (max_rejected = {most})\n",
            super::table::lines(*total)
        ),
    };
    for line in first {
        text.push_str(line);
        text.push('\n');
    }
    let more = total.saturating_sub(first.len() as u64);
    if more > 0 {
        text.push_str(&format!("... and {} more\n", grouped(more)));
    }
    text
}
