//! `kordon block` and `kordon allow`: entries given by command, which end by themselves.

use std::io::Read;
use std::process::ExitCode;

use clap::Subcommand;
use ipnet::IpNet;

use super::duration::long_seconds;
use super::{Format, Place, output};
use crate::blocklist::{parse_prefix, temporary};
use crate::config::Action;
use crate::control::caller::claimed;
use crate::control::client;
use crate::control::entries::{EntriesOrder, EntriesReport};
use crate::control::message::{Answer, Request};
use crate::failure::{ExitStatus, Failure};
use crate::log::moment;
use output::{columns, span};

/// The most bytes read from stdin: far more than the daemon takes entries.
const STDIN_LIMIT: u64 = 1 << 20;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Put prefixes in force at once, for a time
    Add(Add),
    /// End entries before their time
    Remove(Remove),
    /// Show the entries given by command
    List(List),
}

#[derive(Debug, clap::Args)]
struct Add {
    /// Prefixes or addresses; `-` reads them from stdin, one a line
    #[arg(required = true, value_name = "PREFIX")]
    prefixes: Vec<String>,

    /// For how long (1s to 90d), such as 24h or 7d
    #[arg(long, value_name = "TIME", value_parser = long_seconds, default_value = "24h")]
    ttl: u64,

    /// Why, for the log and for `kordon why`
    #[arg(long, value_name = "TEXT")]
    why: String,
}

#[derive(Debug, clap::Args)]
struct Remove {
    /// Prefixes or addresses as they were given; `-` reads them from stdin, one a line
    #[arg(required = true, value_name = "PREFIX")]
    prefixes: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct List {
    /// How to print
    #[arg(long, short, value_enum, default_value = "table")]
    output: Format,
}

pub(super) fn run(place: &Place, action: Action, args: Args) -> Result<ExitCode, Failure> {
    match args.action {
        What::Add(Add { prefixes, ttl, why }) => {
            let prefixes = read(&prefixes)?;
            let report = ask(place, EntriesOrder::Add { action, prefixes, seconds: ttl, why })?;
            output::data(&report.text)?;
        }
        What::Remove(Remove { prefixes }) => {
            let prefixes = read(&prefixes)?;
            let report = ask(place, EntriesOrder::Remove { action, prefixes })?;
            output::data(&report.text)?;
        }
        What::List(List { output: format }) => {
            let report = ask(place, EntriesOrder::List { action })?;
            match format {
                Format::Json => output::json(&report)?,
                Format::Table => output::data(&table(&report))?,
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn ask(place: &Place, order: EntriesOrder) -> Result<EntriesReport, Failure> {
    let request = Request::Entries { order, sudo_user: claimed() };
    match client::ask(&place.socket(), &request)? {
        Answer::Entries(report) => Ok(report),
        _ => Err(Failure::new(ExitStatus::Failed, "the daemon answered something else")),
    }
}

/// The prefixes that were typed; where `-` stands, those on stdin.
fn read(words: &[String]) -> Result<Vec<IpNet>, Failure> {
    let mut prefixes = Vec::new();
    let mut wrong = Vec::new();
    for word in words {
        if word == "-" {
            for (number, line) in (1..).zip(stdin()?.lines()) {
                let line = line.split(['#', ';']).next().unwrap_or_default().trim();
                if !line.is_empty() {
                    match parse_prefix(line) {
                        Ok(prefix) => prefixes.push(prefix),
                        Err(flaw) => wrong.push(format!("stdin:{number}: {}", flaw.message)),
                    }
                }
            }
        } else {
            match parse_prefix(word) {
                Ok(prefix) => prefixes.push(prefix),
                Err(flaw) => wrong.push(flaw.message),
            }
        }
    }
    if !wrong.is_empty() {
        let more = wrong.len().saturating_sub(20);
        wrong.truncate(20);
        if more > 0 {
            wrong.push(format!("... and {more} more"));
        }
        return Err(Failure::new(ExitStatus::Usage, wrong.join("\n")));
    }
    prefixes.sort_unstable();
    prefixes.dedup();
    match prefixes.len() {
        0 => Err(Failure::new(ExitStatus::Usage, "no prefix is named")),
        count if count > temporary::LIMIT => Err(Failure::new(
            ExitStatus::Usage,
            format!("{count} prefixes: at most {} by command; use a list", temporary::LIMIT),
        )),
        _ => Ok(prefixes),
    }
}

fn stdin() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(STDIN_LIMIT)
        .read_to_string(&mut text)
        .map_err(|error| Failure::new(ExitStatus::NoInput, format!("stdin: {error}")))?;
    Ok(text)
}

fn table(report: &EntriesReport) -> String {
    if report.entries.is_empty() {
        return "nothing by command\n".to_owned();
    }
    let head = ["PREFIX", "UNTIL", "LEFT", "WHY", "BY"].map(str::to_owned).to_vec();
    let row = |entry: &temporary::TemporaryEntry| {
        vec![
            entry.prefix.to_string(),
            moment(entry.until),
            span(entry.until.saturating_sub(report.now)),
            entry.why.clone(),
            entry.by.clone(),
        ]
    };
    let mut entries = report.entries.clone();
    entries.sort_by_key(|entry| (entry.until, entry.prefix));
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(entries.iter().map(row)).collect();
    columns(&rows)
}
