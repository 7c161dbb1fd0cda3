//! The snapshot's file, and the one of the rule set before: read with suspicion, written aside, never older than
//! what is in force.
//!
//! Invariant: the file of the rule set before is of the one that was in force before the last change, or it is not
//! there.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Flaw, Ruleset, Stored, TemporaryEntry, decode, encode};
use crate::config::Config;
use crate::failure::{ExitStatus, Failure};
use crate::regular::{self, Owner};
use crate::whole::Replacement;

/// The file in the state folder.
const FILE: &str = "ruleset.bin";
/// The file of the rule set before.
const PREVIOUS: &str = "previous.bin";
/// No file beyond this is read: twenty full routing tables.
const LARGEST: u64 = 1 << 30;

/// Who may have written a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// This user or root: it is to be put in force.
    Us,
    /// Whoever owns it: it is only to be compared with.
    Anybody,
}

/// The rule set that the last good load or reload left, for this configuration.
///
/// # Errors
/// Why there is none, with the file's name.
pub fn restore(
    config: &Config,
    temporary: &[TemporaryEntry],
    place: impl Fn(&str) -> Option<u16>,
) -> Result<Ruleset, String> {
    let path = config.state_folder.join(FILE);
    let stored = open(&path, By::Us)?;
    if !stored.is_for(config) {
        return Err(format!("{}: {}", path.display(), Flaw::OtherConfiguration));
    }
    stored.complete(config, temporary, place).map_err(|failure| failure.message)
}

/// The rule set that the last good load or reload left, for whatever configuration: to compare with, not to be put
/// in force.
///
/// # Errors
/// Why there is none, with the file's name.
pub fn last_in_force(config: &Config) -> Result<Stored, String> {
    open(&config.state_folder.join(FILE), By::Anybody)
}

/// The rule set that was in force before the last change.
///
/// # Errors
/// 1 where there is none, saying why.
pub fn previous(config: &Config) -> Result<Stored, Failure> {
    open(&config.state_folder.join(PREVIOUS), By::Us)
        .map_err(|why| Failure::new(ExitStatus::Failed, why))
}

fn open(path: &Path, by: By) -> Result<Stored, String> {
    let name = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let bytes = read(path, by).map_err(|why| name(&why))?;
    decode(&bytes).map_err(|flaw| name(&flaw))
}

fn read(path: &Path, by: By) -> Result<Vec<u8>, String> {
    let said = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => "no such file".to_owned(),
        _ => error.to_string(),
    };
    let file = regular::open(path).map_err(said)?;
    let found = file.metadata().map_err(said)?;
    let us = nix::unistd::geteuid().as_raw();
    if by == By::Us && !Owner::of(&found).is_trusted_by(us) {
        return Err("not a file that only this user and root may write".to_owned());
    }
    regular::read_opened(file, LARGEST).map_err(said)
}

/// Keeps the files of a running daemon in step with the rule set in force.
pub struct Snapshots {
    path: PathBuf,
    previous: PathBuf,
    state: Mutex<State>,
    /// One writes at a time.
    writing: Mutex<()>,
}

/// A rule set and the configuration that it is made by.
type Due = (Config, Arc<Ruleset>);

#[derive(Default)]
struct State {
    /// Counts up with each rule set; what is written for an earlier one is thrown away.
    epoch: u64,
    /// What is to be written.
    due: Option<Due>,
    /// The rule set before, where it was not written when it was replaced.
    previous_due: Option<Due>,
    /// It could not be written the last time, and that was said.
    failed: bool,
}

/// What becomes of the file when a newer rule set is about to be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outdated {
    /// It is kept as the one before.
    Kept,
    /// It is taken away: the new one says the same, so what was before stays what was before.
    Same,
    /// It is taken away, and the one before takes its place: the way back, taken once.
    Undone,
}

impl Snapshots {
    /// For the state folder that this configuration names.
    pub fn new(config: &Config) -> Self {
        Snapshots {
            path: config.state_folder.join(FILE),
            previous: config.state_folder.join(PREVIOUS),
            state: Mutex::default(),
            writing: Mutex::default(),
        }
    }

    /// Takes the file away: a newer rule set is about to be published.
    pub fn outdated(&self, how: Outdated) {
        let mut state = self.lock();
        state.epoch += 1;
        let unwritten = state.due.take();
        match (how, unwritten) {
            (Outdated::Same, _) => self.remove(&self.path),
            (Outdated::Kept, Some(due)) => {
                state.previous_due = Some(due);
                self.remove(&self.path);
                self.remove(&self.previous);
            }
            (Outdated::Kept, None) => {
                state.previous_due = None;
                self.remove(&self.previous);
                self.rename(&self.path, &self.previous);
            }
            (Outdated::Undone, _) => {
                state.previous_due = None;
                self.remove(&self.path);
                self.rename(&self.previous, &self.path);
            }
        }
    }

    fn remove(&self, path: &Path) {
        if let Err(error) = std::fs::remove_file(path)
            && error.kind() != ErrorKind::NotFound
        {
            tracing::error!("{}: an outdated rule set cannot be removed: {error}", path.display());
        }
    }

    fn rename(&self, from: &Path, to: &Path) {
        if let Err(error) = std::fs::rename(from, to) {
            if error.kind() == ErrorKind::NotFound {
                return;
            }
            tracing::error!("{}: cannot be renamed: {error}", from.display());
            self.remove(from);
        }
    }

    /// Notes the rule set in force; [`write`](Self::write) writes it.
    pub fn note(&self, config: &Config, rules: Arc<Ruleset>) {
        self.lock().due = Some((config.clone(), rules));
    }

    /// Writes what was noted last, if anything, and the one before where that is not written. Takes its time: not
    /// for packet threads, nor for the runtime's.
    ///
    /// # Errors
    /// Where the folder is missing or cannot be written, naming the file; the same trouble once.
    pub fn write(&self) -> Result<(), Failure> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let (epoch, outcome) = self.write_due();
        let mut state = self.lock();
        if state.epoch == epoch {
            // Not kept in memory for a disk that may never come back.
            state.previous_due = None;
        }
        let known = std::mem::replace(&mut state.failed, outcome.is_err());
        if known { Ok(()) } else { outcome }
    }

    fn write_due(&self) -> (u64, Result<(), Failure>) {
        let (epoch, due, previous) = {
            let state = self.lock();
            (state.epoch, state.due.clone(), state.previous_due.clone())
        };
        (epoch, self.write_both(epoch, due, previous))
    }

    fn write_both(
        &self,
        epoch: u64,
        due: Option<Due>,
        previous: Option<Due>,
    ) -> Result<(), Failure> {
        if let Some((config, rules)) = previous {
            self.write_one(&self.previous, &config, &rules, epoch)?;
        }
        if let Some((config, rules)) = due {
            self.write_one(&self.path, &config, &rules, epoch)?;
            let mut state = self.lock();
            if state.epoch == epoch {
                state.due = None;
            }
        }
        Ok(())
    }

    fn write_one(
        &self,
        path: &Path,
        config: &Config,
        rules: &Ruleset,
        epoch: u64,
    ) -> Result<(), Failure> {
        let bytes = encode(rules, config)?;
        let refuse = |error| Failure::reading(path, &error);
        let written = Replacement::prepare(path, 0o600, &bytes).map_err(refuse)?;
        let state = self.lock();
        match state.epoch == epoch {
            true => written.put_in_place().map_err(refuse),
            false => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
