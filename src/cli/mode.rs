//! `kordon mode`, `pause` and `resume`: whether blocked packets are dropped, now and in a running daemon.

use std::process::ExitCode;

use clap::Subcommand;

use super::duration::seconds;
use super::{Place, output};
use crate::config::Mode;
use crate::control::caller::claimed;
use crate::control::client;
use crate::control::message::{Answer, ModeOrder, Request};
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Drop nothing and count what would be dropped; open in every state
    Monitor(Set),
    /// Drop what a block list names
    Enforce(Set),
    /// Keep the mode that was set with --confirm-within
    Confirm,
}

#[derive(Debug, clap::Args)]
struct Set {
    /// Go back by itself after this time unless `kordon mode confirm` came (1s to 24h)
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    confirm_within: Option<u64>,

    /// Why, for the log and the status
    #[arg(long, value_name = "TEXT", default_value = "")]
    why: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct PauseArgs {
    /// For how long (1s to 24h); ends by itself, and with a restart
    #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
    length: u64,

    /// Why, for the log and the status
    #[arg(long, value_name = "TEXT")]
    why: String,
}

pub(super) fn run(place: &Place, args: Args) -> Result<ExitCode, Failure> {
    let set =
        |mode, set: Set| ModeOrder::Set { mode, confirm_within: set.confirm_within, why: set.why };
    match args.action {
        Some(Action::Monitor(how)) => order(place, set(Mode::Monitor, how)),
        Some(Action::Enforce(how)) => order(place, set(Mode::Enforce, how)),
        Some(Action::Confirm) => order(place, ModeOrder::Confirm),
        None => {
            if let Answer::Status(status) = client::ask(&place.socket(), &Request::Status {})? {
                output::data(&output::columns(&super::status::mode(&status)))?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

pub(super) fn pause(place: &Place, args: PauseArgs) -> Result<ExitCode, Failure> {
    order(place, ModeOrder::Pause { seconds: args.length, why: args.why })
}

pub(super) fn resume(place: &Place) -> Result<ExitCode, Failure> {
    order(place, ModeOrder::Resume)
}

fn order(place: &Place, order: ModeOrder) -> Result<ExitCode, Failure> {
    let request = Request::Mode { order, sudo_user: claimed() };
    if let Answer::Mode(changed) = client::ask(&place.socket(), &request)? {
        output::data(&changed)?;
    }
    Ok(ExitCode::SUCCESS)
}
