//! What a reload does, and the way back.
//!
//! Invariant: a reload that is refused changes nothing. Everything is read, checked and compiled aside
//! ([`super::aside`]); what is wrong is said with file, line and column, and the old rule set stays.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::additions::Additions;
use super::aside::{aside, leave};
use super::message::ReloadReport;
use super::requests::{self, Order, Reloader};
use crate::config::{Config, needs_restart};
use crate::failure::{ExitStatus, Failure};
use crate::log::moment;
use crate::ruleset::{Changes, Outdated, Resolution, Ruleset, Snapshots, alarms, previous, refuse};
use crate::telemetry::Observed;

/// What a reload needs.
pub struct Reloading {
    /// The configuration's file.
    pub path: PathBuf,
    /// The configuration that the daemon runs with.
    pub running: Config,
    /// Where it is published and noted.
    pub observed: Arc<Observed>,
    /// What a successor begins with.
    pub snapshots: Arc<Snapshots>,
    /// What is added to the files by command, and who puts rule sets in force.
    pub additions: Arc<Additions>,
}

/// A way to ask for reloads, and the task that carries them out.
pub fn reloader(reloading: Reloading) -> (Reloader, impl Future<Output = ()>) {
    let (reloader, requests) = requests::requests();
    let reloading = Arc::new(reloading);
    let one = move |order, by| one(Arc::clone(&reloading), order, by);
    (reloader, requests::serve(requests, one))
}

/// Carries out one order, and begins to keep what came of it.
async fn one(reloading: Arc<Reloading>, order: Order, by: String) -> Result<ReloadReport, Failure> {
    let snapshots = Arc::clone(&reloading.snapshots);
    let outcome = aside(move || reloading.carry_out(&order, &by)).await.and_then(|outcome| outcome);
    if outcome.is_ok() {
        leave(move || write_snapshot(&snapshots));
    }
    outcome
}

/// Writes the snapshot that is due; without one there is no way back, and a start has nothing but the lists.
pub fn write_snapshot(snapshots: &Snapshots) {
    if let Err(failure) = snapshots.write() {
        tracing::warn!(
            "the rule set cannot be kept: a start with bad lists will fail, and there is no way back: {failure}"
        );
    }
}

/// Refuses a configuration with another value of a key that only a restart can change.
pub(super) fn keys_stand(
    path: &Path,
    running: &Config,
    config: &Config,
    observed: &Observed,
) -> Result<(), Failure> {
    let mut fixed = needs_restart(running, config);
    // The configuration may say what a command has put in force.
    if config.mode == observed.standing().mode {
        fixed.retain(|key| *key != "mode");
    }
    if fixed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        ExitStatus::BadConfig,
        format!(
            "{}: a reload cannot change {}: that takes `kordon restart`{}",
            path.display(),
            fixed.join(", "),
            if fixed == ["mode"] { " or `kordon mode`" } else { "" }
        ),
    ))
}

impl Reloading {
    fn carry_out(&self, order: &Order, by: &str) -> Result<ReloadReport, Failure> {
        let accept = match order {
            Order::Reload { accept } => accept,
            Order::Undo => return self.undo(by),
        };
        let began = Instant::now();
        match self.attempt(began, accept) {
            Ok(report) => {
                let change = report.text.replace('\n', ";");
                tracing::info!(
                    event = "reload",
                    generation = report.generation,
                    seconds = report.seconds,
                    by,
                    "reloaded: {change}"
                );
                Ok(report)
            }
            Err(failure) => {
                self.observed.reloads.note_rejected(&failure.message, began.elapsed());
                tracing::error!(
                    event = "reload-refused",
                    by,
                    "reload refused, the old rule set stays in force: {failure}"
                );
                Err(failure)
            }
        }
    }

    fn attempt(&self, began: Instant, accept: &BTreeSet<String>) -> Result<ReloadReport, Failure> {
        let observed = &self.observed;
        let config = Config::load(&self.path)?;
        are_lists(accept, &config)?;
        keys_stand(&self.path, &self.running, &config, observed)?;
        let old = observed.rules.current();
        let (entries, number) = self.additions.now();
        let place = |name: &str| observed.lists.place(name);
        let mut next = Ruleset::load_with(&config, place, Some(&old), &entries)?;
        let found = alarms(old.side(), next.side(), &config);
        refuse(&found, accept)?;
        next.resolution.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let memory = next.resolution.memory.take();
        let changes = Changes::between(&old, &next);
        let mut lines = vec![changes.to_string()];
        lines.extend(found.iter().map(|alarm| format!("accepted: {alarm}")));
        for list in &next.lists {
            if list.unterminated {
                let file = list.path.display();
                tracing::warn!("{file}: the last line has no line end: is the file whole?");
            }
            lines.extend(list.carved_in_words());
        }
        let how = match old.side().same_lists(next.side()) {
            true => Outdated::Same,
            false => Outdated::Kept,
        };
        drop(old);
        let at = next.compiled;
        let generation =
            self.additions.publish(next, number, &config, || self.snapshots.outdated(how))?;
        self.snapshots.note(&config, observed.rules.current());
        Resolution::remember(memory, &config.state_folder);
        observed.change_standing(|standing| standing.configured = config.mode);
        let took = began.elapsed();
        observed.reloads.note_done(at, took);
        Ok(report(generation, &changes, &lines, took))
    }

    /// Goes back to the rule set before. Nothing is read but its file, and no guard asked: it was in force.
    fn undo(&self, by: &str) -> Result<ReloadReport, Failure> {
        let (began, observed) = (Instant::now(), &self.observed);
        // The one before may not be on the disk yet.
        self.snapshots.write()?;
        let config = self.additions.config();
        let stored = previous(&config).map_err(|failure| {
            let message = format!(
                "nothing to go back to: no reload has changed the lists, or it was undone already ({failure})"
            );
            Failure::new(failure.status, message)
        })?;
        let (entries, number) = self.additions.now();
        let loaded = stored.loaded();
        let next = stored.complete(&config, &entries, |name| observed.lists.place(name))?;
        let changes = Changes::between(&observed.rules.current(), &next);
        let generation = self
            .additions
            .publish(next, number, &config, || self.snapshots.outdated(Outdated::Undone))?;
        let took = began.elapsed();
        observed.reloads.note_undone(loaded, took, by);
        let lines = [
            changes.to_string(),
            format!("undone: the lists as they were read at {}", moment(loaded)),
            "the files still say otherwise: the next reload or restart puts them in force"
                .to_owned(),
        ];
        let report = report(generation, &changes, &lines, took);
        tracing::warn!(
            event = "undone",
            generation,
            by,
            "went back: {}",
            report.text.replace('\n', ";")
        );
        Ok(report)
    }
}

fn report(generation: u64, changes: &Changes, lines: &[String], took: Duration) -> ReloadReport {
    ReloadReport {
        schema: 1,
        generation,
        added: changes.added,
        removed: changes.removed,
        text: lines.join("\n"),
        seconds: took.as_secs_f64(),
    }
}

/// What somebody accepts is to be a list.
fn are_lists(accept: &BTreeSet<String>, config: &Config) -> Result<(), Failure> {
    let known = |name: &String| config.lists.iter().any(|list| list.name == *name);
    match accept.iter().find(|name| !known(name)) {
        None => Ok(()),
        Some(name) => {
            let names: Vec<&str> = config.lists.iter().map(|list| list.name.as_str()).collect();
            let message = format!("--accept {name}: no such list; there are {}", names.join(", "));
            Err(Failure::new(ExitStatus::Usage, message))
        }
    }
}
