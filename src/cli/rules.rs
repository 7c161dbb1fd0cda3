//! `kordon rules`: hold and gate, shown, tested, applied, verified or removed.

use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use clap::Subcommand;

use super::{Format, Place, output};
use crate::config::{Config, RulesBackend};
use crate::control::caller::claimed;
use crate::control::client;
use crate::control::message::{Answer, Request, RulesOrder};
use crate::failure::{ExitStatus, Failure};
use crate::netfilter::{self, Plan, Saved, Tool};

mod gate;
mod verify;

/// How long a daemon may take before something is said.
const SOON: Duration = Duration::from_secs(3);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print what `apply` would run, or the lines to paste where the rules are yours
    Show,
    /// Have the kernel's tools test what `apply` would do; nothing is changed
    Check,
    /// Ask the kernel whether what stands is as planned: status 0, otherwise 1
    Verify {
        /// How to print
        #[arg(long, short, value_enum, default_value = "table")]
        output: Format,
    },
    /// Put gate and hold in place (gate first)
    Apply {
        /// Only the gate, as at boot: nothing passes until the daemon runs
        #[arg(long)]
        gate_only: bool,
    },
    /// Take hold and gate away (hold first): everything passes unjudged until `apply`
    Remove {
        /// Why; a running daemon insists on it, logs it and shows it in its status
        #[arg(long, value_name = "TEXT", default_value = "")]
        why: String,
    },
}

pub(super) fn run(place: &Place, args: &Args) -> Result<ExitCode, Failure> {
    match &args.action {
        Action::Show => {
            let config = Config::load_in_force(place.config())?;
            let tool = match config.rules.backend {
                RulesBackend::Nftables => Tool::Nftables,
                RulesBackend::Iptables => Tool::Iptables,
                RulesBackend::Auto => netfilter::choose(RulesBackend::Auto).unwrap_or_else(|why| {
                    output::talk(&format!("the kernel cannot be asked ({why}); for nftables:"));
                    Tool::Nftables
                }),
            };
            let plan = Plan::of(&config);
            output::data(&match config.rules.manage {
                true => netfilter::show(&plan, tool),
                false => netfilter::show_for_pasting(&plan, tool),
            })?;
        }
        Action::Check => output::data(&checked(&Config::load_in_force(place.config())?)?)?,
        Action::Verify { output } => return verify::run(place, *output),
        Action::Apply { gate_only: true } => output::data(&gate::apply(place)?)?,
        Action::Apply { gate_only: false } => match by_daemon(place, RulesOrder::Apply)? {
            Some(changed) => output::data(&changed)?,
            None => {
                let config = Config::load_in_force(place.config())?;
                let (plan, tool) = (Plan::of(&config), netfilter::choose(config.rules.backend)?);
                output::data(&netfilter::apply(&plan, tool)?.to_string())?;
                let word = unjudged(&config, &plan);
                if let Err(failure) = (Saved { plan, tool }).write(&config.state_folder) {
                    output::talk(&format!("the plan is not kept for the next boot: {failure}"));
                }
                if let Some(failure) = unheld(&config)? {
                    return Err(failure);
                }
                output::talk(word);
            }
        },
        Action::Remove { why } => {
            match by_daemon(place, RulesOrder::Remove { why: why.clone() })? {
                Some(changed) => {
                    output::data(&changed)?;
                    output::talk("EVERYTHING PASSES UNJUDGED NOW, until `kordon rules apply`");
                }
                None => {
                    let removed = netfilter::remove_all()?;
                    output::data(&removed.to_string())?;
                    if !removed.changes.is_empty() {
                        output::talk(&format!(
                            "EVERYTHING PASSES UNJUDGED NOW, until `kordon rules apply` or the start of a daemon that \
                             keeps the rules (none answers at {})",
                            place.socket().display()
                        ));
                    }
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What rules are worth that no daemon stands behind.
fn unjudged(config: &Config, plan: &Plan) -> &'static str {
    match (config.rules.manage, plan.open) {
        (false, _) => "the rules are left to you (rules.manage = false): nobody watches these",
        (true, false) => "no daemon answers: nothing of the cameras' passes until one runs",
        (true, true) => "no daemon answers: everything passes unjudged until one runs (open)",
    }
}

/// Which camera interface belongs to another one, so that no rule sees its packets enter.
fn unheld(config: &Config) -> Result<Option<Failure>, Failure> {
    let enslaved = netfilter::enslaved(&config.cameras.interfaces)?;
    let failure = |one| Failure::new(ExitStatus::Unavailable, format!("cameras.interfaces: {one}"));
    Ok(enslaved.first().map(failure))
}

/// What `apply` would do, after the tools have taken it.
fn checked(config: &Config) -> Result<String, Failure> {
    if let Some(failure) = unheld(config)? {
        return Err(failure);
    }
    let tool = netfilter::choose(config.rules.backend)?;
    let changes = netfilter::check(&Plan::of(config), tool)?;
    if changes.is_empty() {
        return Ok(format!("nothing to change: the rules are in force ({tool})\n"));
    }
    let lines: String = changes.iter().map(|change| change.planned() + "\n").collect();
    Ok(format!("{lines}taken by {tool} in a dry run; nothing was changed\n"))
}

/// Has a running daemon do it, which otherwise would put back what it did not do itself; `None` where no
/// daemon runs.
fn by_daemon(place: &Place, order: RulesOrder) -> Result<Option<String>, Failure> {
    // A daemon that leaves the rules to others has no part in this. A configuration that cannot be read
    // must not keep anybody from asking the daemon.
    if Config::load(place.config()).is_ok_and(|config| !config.rules.manage) {
        return Ok(None);
    }
    let socket = place.socket();
    let _word = Impatient::over(&socket);
    match client::ask(&socket, &Request::Rules { order, sudo_user: claimed() }) {
        Ok(Answer::Rules(changed)) => Ok(Some(changed)),
        Ok(_) => Ok(Some(String::new())),
        Err(failure) if failure.status == ExitStatus::NotRunning => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Says so where the daemon takes its time, while it lives.
struct Impatient {
    _done: Sender<()>,
}

impl Impatient {
    fn over(socket: &Path) -> Self {
        let (done, over) = channel();
        let place = socket.display().to_string();
        // Without a thread nothing is said.
        let _thread = std::thread::Builder::new().spawn(move || {
            if over.recv_timeout(SOON) == Err(RecvTimeoutError::Timeout) {
                output::talk(&format!(
                    "kordon: waiting for the daemon at {place}, two minutes at most; an order that is broken off is not \
                     carried out, unless it was begun"
                ));
            }
        });
        Impatient { _done: done }
    }
}
