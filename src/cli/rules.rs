//! `kordon rules`: hold and gate, shown, applied or removed.

use std::process::ExitCode;

use clap::Subcommand;

use super::{Place, output};
use crate::config::{Config, RulesBackend};
use crate::control::client;
use crate::control::message::Request;
use crate::failure::{ExitStatus, Failure};
use crate::netfilter::{self, Plan, Tool};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print what `apply` would run
    Show,
    /// Put gate and hold in place (gate first)
    Apply,
    /// Take hold and gate away (hold first): everything passes unjudged from then on
    Remove {
        /// Remove even though a daemon is running
        #[arg(long)]
        force: bool,
    },
}

pub(super) fn run(place: &Place, args: &Args) -> Result<ExitCode, Failure> {
    match args.action {
        Action::Show => {
            let config = Config::load(place.config())?;
            let tool = match config.rules.backend {
                RulesBackend::Nftables => Tool::Nftables,
                RulesBackend::Iptables => Tool::Iptables,
                RulesBackend::Auto => netfilter::choose(RulesBackend::Auto).unwrap_or_else(|why| {
                    output::talk(&format!("the kernel cannot be asked ({why}); for nftables:"));
                    Tool::Nftables
                }),
            };
            output::data(&netfilter::show(&Plan::of(&config), tool))?;
        }
        Action::Apply => {
            let config = Config::load(place.config())?;
            let tool = netfilter::choose(config.rules.backend)?;
            output::data(&netfilter::apply(&Plan::of(&config), tool)?.to_string())?;
        }
        Action::Remove { force } => {
            if !force && client::ask(&place.socket(), &Request::Status {}).is_ok() {
                return Err(Failure::new(
                    ExitStatus::Failed,
                    "a daemon is running: stop it first, or say --force; \
                     without the rules everything passes unjudged",
                ));
            }
            output::data(&netfilter::remove_all()?.to_string())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
