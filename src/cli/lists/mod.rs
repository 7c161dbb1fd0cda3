//! `kordon lists`: what each list holds, how old it is, what it met, and on what it rests.

use std::process::ExitCode;

use clap::Subcommand;

use super::{Place, Rows, output};
use crate::clock;
use crate::config::Config;
use crate::control::client;
use crate::control::message::{Answer, Request};
use crate::explain::{self, ListReports};
use crate::failure::{ExitStatus, Failure};
use crate::ruleset::Ruleset;

mod diff;
mod disagreements;
mod failed;
mod show;
mod sniff;
mod table;

pub(super) use disagreements::listed;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,

    #[command(flatten)]
    reading: Reading,
}

/// What is read and how it is printed.
#[derive(Debug, clap::Args)]
struct Reading {
    /// Ask the running daemon even though --config is given
    #[arg(long)]
    running: bool,

    /// How to print
    #[arg(long, short, value_enum, default_value = "table")]
    output: Rows,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Everything about one list
    Show {
        /// The list's name
        name: String,
        #[command(flatten)]
        reading: Reading,
    },
    /// What a new list file names that an old one does not, and the other way round
    Diff(diff::Args),
    /// What a file looks like: format, kind, entries, and what is wrong with it
    Sniff(sniff::Args),
    /// Lines of a list that are wrong and were left out, or would be
    Failed {
        /// The list's name
        name: String,
        #[command(flatten)]
        reading: Reading,
    },
    /// Prefixes that one origin table gives to a listed AS number and another one to others
    Disagreements(disagreements::Args),
}

pub(super) fn run(place: &Place, args: &Args) -> Result<ExitCode, Failure> {
    match &args.action {
        None => all(place, &args.reading),
        Some(Action::Show { name, reading }) => show::run(place, name, reading),
        Some(Action::Diff(args)) => diff::run(args),
        Some(Action::Sniff(args)) => sniff::run(args),
        Some(Action::Failed { name, reading }) => failed::run(place, name, reading),
        Some(Action::Disagreements(args)) => disagreements::run(place, args),
    }
}

fn all(place: &Place, reading: &Reading) -> Result<ExitCode, Failure> {
    let reports = reports(place, reading)?;
    match reading.output {
        Rows::Table => output::data(&table::text(&reports))?,
        Rows::Json => output::json(&reports)?,
        Rows::Csv => output::data(&table::csv(&reports))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The lists in force in the running daemon, or those of the files where none answers or they are asked for.
fn reports(place: &Place, reading: &Reading) -> Result<ListReports, Failure> {
    place.running_or_files(
        reading.running,
        || match client::ask(&place.socket(), &Request::Lists {})? {
            Answer::Lists(reports) => Ok(reports),
            other => Err(other.unexpected()),
        },
        || {
            let config = Config::load(place.config())?;
            let rules = Ruleset::load(&config, |_| Some(0), None)?;
            Ok(explain::lists(&rules, explain::FILES, clock::now(), |_| None))
        },
    )
}

fn no_such_list<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Failure {
    let known: Vec<&str> = known.collect();
    let message = format!("there is no list {name}; there are: {}", known.join(", "));
    Failure::new(ExitStatus::Usage, message)
}
