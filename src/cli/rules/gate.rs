//! `kordon rules apply --gate-only`: the gate at boot, and after others have flushed the rules.
//!
//! Invariant: success means that the gate stands as the configuration wants it, or that the configuration
//! wants none. A configuration that cannot be read does not open the gateway: the plan that was last in
//! force is used, and the failure is reported all the same.

use std::time::{Duration, Instant};

use crate::cli::{Place, output};
use crate::config::{self, Config};
use crate::control::caller::claimed;
use crate::control::client;
use crate::control::message::{Answer, Request, RulesOrder};
use crate::failure::{ExitStatus, Failure};
use crate::netfilter::{self, Plan, Saved, Tool};

/// For how long a gate is tried: with the last try, less than the unit waits (`TimeoutStartSec=` in
/// systemd/kordon-gate.service).
const PATIENCE: Duration = Duration::from_secs(45);
/// The longest pause between two tries.
const PAUSE: Duration = Duration::from_secs(2);

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
    let applied = persistently(PATIENCE, || netfilter::apply_gate(&plan, tool))
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
    let applied = persistently(PATIENCE, || netfilter::apply_gate(&saved.plan, saved.tool))
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

/// A tool that fails, or hangs and is killed, while a busy machine boots is run again: nobody else would do it, and the
/// gateway would stay open. What another try cannot mend (a permission, a facility, a program) is not tried again.
fn persistently<T>(
    patience: Duration,
    mut apply: impl FnMut() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let end = Instant::now() + patience;
    let mut pause = Duration::from_millis(100);
    loop {
        match apply() {
            Err(failure) if failure.status == ExitStatus::Failed && Instant::now() < end => {
                output::talk(&format!("kordon: no gate yet, trying again: {failure}"));
                std::thread::sleep(pause);
                pause = (pause * 2).min(PAUSE);
            }
            result => return result,
        }
    }
}

fn open(status: ExitStatus, why: &str) -> Failure {
    let message = format!("{why}\nno gate could be put in place: THE GATEWAY MAY BE OPEN");
    Failure::new(status, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tries(patience: Duration, status: ExitStatus, failures: u32) -> (Result<u32, Failure>, u32) {
        let mut tried = 0;
        let result = persistently(patience, || {
            tried += 1;
            if tried <= failures { Err(Failure::new(status, "hung")) } else { Ok(tried) }
        });
        (result, tried)
    }

    #[test]
    fn a_gate_that_failed_is_tried_again_until_it_stands() {
        assert_eq!(tries(PATIENCE, ExitStatus::Failed, 0), (Ok(1), 1));
        assert_eq!(tries(PATIENCE, ExitStatus::Failed, 2), (Ok(3), 3));
    }

    #[test]
    fn a_gate_is_not_tried_for_ever_nor_where_trying_cannot_help() {
        let (result, tried) = tries(Duration::ZERO, ExitStatus::Failed, 9);
        assert!(result.is_err() && tried == 1, "{tried}");
        let (result, tried) = tries(PATIENCE, ExitStatus::NoPermission, 9);
        assert!(result.is_err() && tried == 1, "{tried}");
    }
}
