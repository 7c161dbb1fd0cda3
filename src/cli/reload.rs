//! `kordon reload`: waits, and says what changed or what is wrong.

use std::process::ExitCode;

use super::{Format, Place, output};
use crate::control::caller::claimed;
use crate::control::client;
use crate::control::message::{Answer, Request};
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How to print
    #[arg(long, short, value_enum, default_value = "table")]
    output: Format,
}

pub(super) fn run(place: &Place, args: &Args) -> Result<ExitCode, Failure> {
    if let Answer::Reload(report) =
        client::ask(&place.socket(), &Request::Reload { sudo_user: claimed() })?
    {
        match args.output {
            Format::Json => output::json(&report)?,
            Format::Table => output::data(&format!(
                "{}\nin force: generation {}, {:.3} s\n",
                report.text, report.generation, report.seconds
            ))?,
        }
    }
    Ok(ExitCode::SUCCESS)
}
