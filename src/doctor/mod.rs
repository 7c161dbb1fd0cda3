//! What a doctor sees on a gateway: facts gathered from the system, and judgements over them.
//!
//! Invariants: nothing is changed; a judgement is a pure function of [`Facts`], so that each has a test with a
//! good and a bad case; what could not be looked at is said to be skipped, never passed.

mod facts;
mod listing;
mod marks;
mod network;
mod others;
mod queueing;
mod reading;
mod system;
mod ways;

use serde::Serialize;

use crate::control::message::Status;
use crate::failure::{ExitStatus, Failure};

pub use facts::{Facts, Reader, gather, reader};
pub use network::{Link, Route};
pub use reading::as_reader;

/// How one thing was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// As it should be.
    Pass,
    /// It works, and something is to be known or mended.
    Warn,
    /// kordon does not do what it promises.
    Fail,
    /// It could not be looked at.
    Skip,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about.
    pub subject: &'static str,
    /// How it was found.
    pub result: Outcome,
    /// What was found, in a line.
    pub detail: String,
    /// What mends it, as a command or in words.
    pub fix: Option<String>,
}

impl Finding {
    fn pass(subject: &'static str, detail: impl Into<String>) -> Self {
        Finding { subject, result: Outcome::Pass, detail: detail.into(), fix: None }
    }

    fn warn(subject: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        let fix = Some(fix.into());
        Finding { subject, result: Outcome::Warn, detail: detail.into(), fix }
    }

    fn fail(subject: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        let fix = Some(fix.into());
        Finding { subject, result: Outcome::Fail, detail: detail.into(), fix }
    }

    fn skip(subject: &'static str, why: impl Into<String>) -> Self {
        Finding { subject, result: Outcome::Skip, detail: why.into(), fix: None }
    }
}

/// Everything that can be said about these facts, in the order in which to read it.
pub fn examine(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    daemon(&facts.status, &mut findings);
    system::kernel(facts, &mut findings);
    match &facts.config {
        Ok(_) => {}
        Err(failure) => findings.push(Finding::fail(
            "config",
            failure.message.lines().next().unwrap_or_default(),
            match failure.status == ExitStatus::NoInput {
                true => "kordon setup --interface NAME    # writes one",
                false => "kordon check",
            },
        )),
    }
    system::lists(facts, &mut findings);
    system::readable(facts, &mut findings);
    system::state(facts, &mut findings);
    system::interfaces(facts, &mut findings);
    system::sysctls(facts, &mut findings);
    system::buffers(facts, &mut findings);
    queueing::readers(facts, &mut findings);
    queueing::balance(facts, &mut findings);
    queueing::bypass(facts, &mut findings);
    queueing::ipv6(facts, &mut findings);
    others::in_force(facts, &mut findings);
    others::around_hold(facts, &mut findings);
    others::proxies(facts, &mut findings);
    others::copies(facts, &mut findings);
    marks::marks(facts, &mut findings);
    ways::network(facts, &mut findings);
    others::flowtables(facts, &mut findings);
    others::flushers(facts, &mut findings);
    others::legacy(facts, &mut findings);
    findings
}

/// The running daemon's own account of itself.
fn daemon(status: &Result<Status, Failure>, findings: &mut Vec<Finding>) {
    const SUBJECT: &str = "daemon";
    let status = match status {
        Ok(status) => status,
        Err(failure) if failure.status == ExitStatus::NotRunning => {
            let why = failure.message.clone();
            let fix = "systemctl start kordon; why it ended: journalctl -u kordon -n 20";
            return findings.push(Finding::fail(SUBJECT, why, fix));
        }
        Err(failure) => return findings.push(Finding::skip(SUBJECT, failure.message.clone())),
    };
    let before = findings.len();
    if !status.ready {
        findings.push(Finding::fail(SUBJECT, "not ready", "journalctl -u kordon -n 50"));
    }
    if let Some(stalled) = status.queues.iter().find(|queue| queue.stalled) {
        let detail = format!("the packet thread of queue {} has stalled", stalled.number);
        findings.push(Finding::fail(SUBJECT, detail, "systemctl restart kordon"));
    }
    if let Some(why) = &status.rules.removed {
        let detail = format!("the rules were removed, everything passes: {why}");
        findings.push(Finding::fail(SUBJECT, detail, "kordon rules apply"));
    }
    if status.mode == "monitor" {
        let detail = "monitor mode: nothing is dropped, and everything passes without the daemon";
        findings.push(Finding::warn(SUBJECT, detail, "kordon mode enforce --confirm-within 10m"));
    }
    if let Some(pause) = &status.paused {
        let detail = format!("paused, blocked packets pass: {}", pause.why);
        findings.push(Finding::warn(SUBJECT, detail, "kordon resume"));
    }
    if let Some(unconfirmed) = &status.mode_unconfirmed {
        let detail = format!("the mode is not confirmed: back to {}", unconfirmed.back_to);
        findings.push(Finding::warn(SUBJECT, detail, "kordon mode confirm"));
    }
    if let Some(refused) = &status.last_reload_refused {
        let detail = format!("the last reload was refused: {refused}").replace('\n', "; ");
        findings.push(Finding::warn(SUBJECT, detail, "kordon check, then kordon reload"));
    }
    let lost: u64 = status.queues.iter().map(|queue| queue.lost[0]).sum();
    if lost > 0 {
        let detail = format!("{lost} packets found no room in a queue's buffer since the start");
        let fix = "raise queue.count, or queue.max_held_bytes and with it the buffers";
        findings.push(Finding::warn(SUBJECT, detail, fix));
    }
    if findings.len() == before {
        let detail = format!("ready, {}, process {}", status.mode, status.pid);
        findings.push(Finding::pass(SUBJECT, detail));
    }
}

#[cfg(test)]
mod tests;
