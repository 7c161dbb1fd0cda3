//! `kordon rules apply --gate-only`: the gate at boot, and after others have flushed the rules.
//!
//! Invariant: success means that the gate stands as the configuration wants it, or that the configuration
//! wants none. A configuration that cannot be read does not open the gateway: the plan that was last in
//! force is used, and the failure is reported all the same.

use crate::cli::{Place, output};
use crate::config::{self, Config};
use crate::control::caller::claimed;
use crate::control::client;
use crate::control::message::{Answer, Request, RulesOrder};
use crate::failure::{ExitStatus, Failure};
use crate::netfilter::{self, Plan, Saved, Tool};

/// Puts the gate in place; returns what was done, in words.
pub(super) fn apply(place: &Place) -> Result<String, Failure> {
    netfilter::be_patient();
    // A daemon puts hold back as well, counts what happened, and knows of a removal on purpose.
    let request = Request::Rules { order: RulesOrder::Gate, sudo_user: claimed() };
    match client::ask(&place.socket(), &request) {
        Ok(Answer::Rules(text)) => return Ok(text),
        Ok(_) => {}
        Err(failure) if failure.status == ExitStatus::NotRunning => {}
        Err(failure) => output::talk(&format!("kordon: going on without the daemon: {failure}")),
    }
    match Config::load_in_force(place.config()) {
        Ok(config) => planned(&config),
        Err(failure) => last_in_force(place, &failure),
    }
}

fn planned(config: &Config) -> Result<String, Failure> {
    if !config.rules.manage {
        return Ok("rules.manage = false: the rules are left to you\n".to_owned());
    }
    let plan = Plan::of(config);
    if plan.open {
        return Ok("open by configuration: no gate is put in place\n".to_owned());
    }
    // Where no tool can hold packets, the gate stands all the same.
    let tool = netfilter::choose(config.rules.backend).unwrap_or(Tool::Nftables);
    let applied = netfilter::apply_gate(&plan, tool)
        .map_err(|failure| open(failure.status, &failure.message))?;
    if let Err(failure) = (Saved { plan, tool }).write(&config.state_folder) {
        output::talk(&format!("kordon: the plan is not kept for the next boot: {failure}"));
    }
    Ok(applied.to_string())
}

/// The configuration is broken: the plan that was last in force.
fn last_in_force(place: &Place, broken: &Failure) -> Result<String, Failure> {
    let folder = config::state_folder(place.config());
    let saved = Saved::read(&folder)
        .map_err(|failure| open(broken.status, &format!("{broken}\n{failure}")))?;
    if saved.plan.open {
        let message =
            format!("{broken}\nthe plan that was last in force is open: no gate is put in place");
        return Err(Failure::new(broken.status, message));
    }
    let applied = netfilter::apply_gate(&saved.plan, saved.tool)
        .map_err(|failure| open(broken.status, &format!("{broken}\n{failure}")))?;
    output::data(&applied.to_string())?;
    Err(Failure::new(
        broken.status,
        format!(
            "{broken}\nthe gate of the plan that was last in force ({}) stands: nothing passes until \
             the configuration is mended and kordon runs",
            folder.display()
        ),
    ))
}

fn open(status: ExitStatus, why: &str) -> Failure {
    let message = format!("{why}\nno gate could be put in place: THE GATEWAY MAY BE OPEN");
    Failure::new(status, message)
}
