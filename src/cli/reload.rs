//! `kordon reload`: waits, and says what changed or what is wrong.

use std::process::ExitCode;

use super::{Format, Place, output};
use crate::control::caller::claimed;
use crate::control::client;
use crate::control::message::{Answer, Request};
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Put this list in force although it shrank, grew or is older than before; this once, may be repeated
    #[arg(long, value_name = "LIST", conflicts_with = "undo")]
    accept: Vec<String>,

    /// Go back to the rule set before the last change; the files stay as they are
    #[arg(long)]
    undo: bool,

    /// How to print
    #[arg(long, short, value_enum, default_value = "table")]
    output: Format,
}

pub(super) fn run(place: &Place, args: &Args) -> Result<ExitCode, Failure> {
    let request = match args.undo {
        true => Request::Undo { sudo_user: claimed() },
        false => Request::Reload { accept: args.accept.clone(), sudo_user: claimed() },
    };
    if let Answer::Reload(report) = client::ask(&place.socket(), &request)? {
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
