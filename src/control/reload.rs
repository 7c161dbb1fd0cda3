//! Reloads: one at a time, those asked for meanwhile answered together by the next one.
//!
//! Invariant: a reload that is refused changes nothing. Everything is read, checked and compiled aside, on
//! the blocking pool; what is wrong is said with file, line and column, and the old rule set stays.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::message::ReloadReport;
use crate::config::{Config, needs_restart};
use crate::failure::{ExitStatus, Failure};
use crate::ruleset::{Changes, Ruleset, Snapshots};
use crate::telemetry::Observed;

/// Requests that may wait; more are refused (75).
const WAITING: usize = 1024;

type Reply = oneshot::Sender<Result<ReloadReport, Failure>>;

/// Asks for reloads; cheap to clone.
#[derive(Clone)]
pub struct Reloader {
    requests: mpsc::Sender<(String, Option<Reply>)>,
}

impl Reloader {
    /// Asks for a reload and waits for it. `by` is who asks, for the log.
    pub async fn reload(&self, by: &str) -> Result<ReloadReport, Failure> {
        let (reply, answer) = oneshot::channel();
        self.send(by, Some(reply))?;
        answer
            .await
            .unwrap_or_else(|_| Err(Failure::new(ExitStatus::NotRunning, "the daemon is stopping")))
    }

    /// Asks for a reload and does not wait; its outcome goes to the log.
    pub fn request(&self, by: &str) {
        if let Err(failure) = self.send(by, None) {
            tracing::error!("{failure}");
        }
    }

    fn send(&self, by: &str, reply: Option<Reply>) -> Result<(), Failure> {
        self.requests.try_send((by.to_owned(), reply)).map_err(|_| {
            Failure::new(ExitStatus::TryAgain, "too many reloads are waiting; try again")
        })
    }
}

/// What a reload needs.
pub struct Reloading {
    /// The configuration's file.
    pub path: PathBuf,
    /// The configuration that the daemon runs with.
    pub running: Config,
    /// Where it is published and noted.
    pub observed: Arc<Observed>,
    /// Replaced rule sets are being freed; one thread does it, however many reloads there are.
    pub freeing: AtomicBool,
    /// What a successor begins with.
    pub snapshots: Arc<Snapshots>,
}

/// A way to ask for reloads, and the task that carries them out.
pub fn reloader(reloading: Reloading) -> (Reloader, impl Future<Output = ()>) {
    let (requests, waiting) = mpsc::channel(WAITING);
    (Reloader { requests }, carry_out(Arc::new(reloading), waiting))
}

async fn carry_out(
    reloading: Arc<Reloading>,
    mut waiting: mpsc::Receiver<(String, Option<Reply>)>,
) {
    while let Some((by, reply)) = waiting.recv().await {
        let mut replies: Vec<Reply> = reply.into_iter().collect();
        // Whoever asked before the files are read is served by this reading.
        while let Ok((_, reply)) = waiting.try_recv() {
            replies.extend(reply);
        }
        let job = Arc::clone(&reloading);
        let outcome = tokio::task::spawn_blocking(move || job.carry_out(&by))
            .await
            .unwrap_or_else(|error| Err(Failure::new(ExitStatus::Failed, error.to_string())));
        for reply in replies {
            // A client that has gone away does not need its answer.
            let _gone = reply.send(outcome.clone());
        }
        if !reloading.freeing.swap(true, Ordering::AcqRel) {
            let job = Arc::clone(&reloading);
            tokio::task::spawn_blocking(move || {
                job.free_replaced();
                job.freeing.store(false, Ordering::Release);
            });
        }
        if outcome.is_ok() {
            let snapshots = Arc::clone(&reloading.snapshots);
            tokio::task::spawn_blocking(move || write_snapshot(&snapshots));
        }
    }
}

/// Writes the snapshot that is due; without one a restart takes longer, and that is all.
pub fn write_snapshot(snapshots: &Snapshots) {
    if let Err(failure) = snapshots.write() {
        tracing::warn!(
            "the rule set cannot be kept for a restart, which will read the lists instead: {failure}"
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
            "{}: a reload cannot change {}: restart the daemon for that{}",
            path.display(),
            fixed.join(", "),
            if fixed == ["mode"] { ", or use `kordon mode`" } else { "" }
        ),
    ))
}

impl Reloading {
    fn carry_out(&self, by: &str) -> Result<ReloadReport, Failure> {
        let began = Instant::now();
        match self.attempt(began) {
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

    fn attempt(&self, began: Instant) -> Result<ReloadReport, Failure> {
        let observed = &self.observed;
        let config = Config::load(&self.path)?;
        keys_stand(&self.path, &self.running, &config, observed)?;
        let old = observed.rules.current();
        let next = Ruleset::load(&config, |name| observed.lists.place(name), Some(&old))?;
        for list in next.lists.iter().filter(|list| list.unterminated) {
            tracing::warn!(
                "{}: the last line has no line end: is the file whole?",
                list.path.display()
            );
        }
        let changes = Changes::between(&old, &next);
        drop(old);
        let at = next.compiled;
        self.snapshots.outdated();
        let generation = observed.rules.publish(next);
        self.snapshots.note(&config, observed.rules.current());
        observed.change_standing(|standing| standing.configured = config.mode);
        let took = began.elapsed();
        observed.reloads.note_done(at, took);
        Ok(ReloadReport {
            schema: 1,
            generation,
            added: changes.added,
            removed: changes.removed,
            text: changes.to_string(),
            seconds: took.as_secs_f64(),
        })
    }

    /// Frees replaced rule sets as the packet threads let go of them: within one wait for packets.
    fn free_replaced(&self) {
        for _ in 0..40 {
            if self.observed.rules.sweep() == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
