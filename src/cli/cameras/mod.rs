//! `kordon cameras`: who sends what, and what a policy would have to let through.

use std::process::ExitCode;

use clap::Subcommand;

use super::{Place, Rows, output};
use crate::config::Config;
use crate::control::cameras::{CamerasAnswer, CamerasOrder, answer};
use crate::control::client;
use crate::control::message::{Answer, Request};
use crate::evidence::cameras::{self, CamerasReport, Proposal};
use crate::failure::{ExitStatus, Failure};
use crate::ruleset::Ruleset;

mod draft;
mod learn;
mod show;
mod stopped;
mod table;

/// What was read without a daemon.
const KEPT: &str = "kept by the last daemon";

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,

    #[command(flatten)]
    reading: Reading,
}

/// How it is printed.
#[derive(Debug, clap::Args)]
struct Reading {
    /// How to print
    #[arg(long, short, value_enum, default_value = "table")]
    output: Rows,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// What one camera sends to
    Show {
        /// Its name or its address
        camera: String,
        #[command(flatten)]
        reading: Reading,
    },
    /// Who tried to reach what and was stopped, by which list and on what basis
    Stopped {
        #[command(flatten)]
        reading: Reading,
    },
    /// Propose an allow list and a policy that drops the rest, from what was seen to pass
    #[command(after_help = "Examples:\n  kordon cameras learn --since 7d gate-3 gate-4\n  \
        sudo kordon cameras learn --since 7d --name gates --write /etc/kordon/conf.d")]
    Learn(learn::Args),
}

pub(super) fn run(place: &Place, args: &Args) -> Result<ExitCode, Failure> {
    match &args.action {
        None => {
            let report = report(place, CamerasOrder::All)?;
            print(&report, &args.reading, &table::text(&report), table::csv)
        }
        Some(Action::Show { camera, reading }) => {
            let report = report(place, CamerasOrder::Show { name: camera.clone() })?;
            print(&report, reading, &show::text(&report), show::csv)
        }
        Some(Action::Stopped { reading }) => {
            let report = report(place, CamerasOrder::Stopped)?;
            print(&report, reading, &stopped::text(&report), show::csv)
        }
        Some(Action::Learn(args)) => learn::run(place, args),
    }
}

fn print(
    report: &CamerasReport,
    reading: &Reading,
    text: &str,
    csv: fn(&CamerasReport) -> String,
) -> Result<ExitCode, Failure> {
    match reading.output {
        Rows::Table => output::data(text)?,
        Rows::Json => output::json(report)?,
        Rows::Csv => output::data(&csv(report))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn report(place: &Place, order: CamerasOrder) -> Result<CamerasReport, Failure> {
    match ask(place, order)? {
        CamerasAnswer::Report(report) => Ok(report),
        CamerasAnswer::Proposal(_) => Err(unexpected()),
    }
}

fn proposal(place: &Place, order: CamerasOrder) -> Result<Proposal, Failure> {
    match ask(place, order)? {
        CamerasAnswer::Proposal(proposal) => Ok(proposal),
        CamerasAnswer::Report(_) => Err(unexpected()),
    }
}

fn unexpected() -> Failure {
    Failure::new(ExitStatus::Failed, "the daemon answered something else than it was asked")
}

/// Asks the running daemon; where none answers, and nobody insisted on one, what the last one kept is read.
fn ask(place: &Place, order: CamerasOrder) -> Result<CamerasAnswer, Failure> {
    match client::ask(&place.socket(), &Request::Cameras { order: order.clone() }) {
        Ok(Answer::Cameras(answer)) => Ok(*answer),
        Ok(other) => Err(other.unexpected()),
        Err(failure) if failure.status == ExitStatus::NotRunning && place.socket.is_none() => {
            output::talk(&format!("{failure}; reading what the last daemon kept"));
            let config = Config::load(place.config())?;
            let rules = Ruleset::load(&config, |_| Some(0), None)?;
            let folder = &config.state_folder;
            let kept = cameras::read(folder)?.ok_or_else(|| {
                let message = format!("{}: no daemon has kept who sends what", folder.display());
                Failure::new(ExitStatus::NoInput, message)
            })?;
            answer(&kept, &rules, &order, KEPT, |_| None)
        }
        Err(failure) => Err(failure),
    }
}
