//! The snapshot's file: read with suspicion, written aside, never older than what is in force.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Ruleset, decode, encode};
use crate::config::Config;
use crate::failure::Failure;

/// The file in the state folder.
const FILE: &str = "ruleset.bin";
/// No file beyond this is read: twenty full routing tables.
const LARGEST: u64 = 1 << 30;

/// The rule set that the last good load or reload left, for this configuration.
///
/// # Errors
/// Why there is none, with the file's name.
pub fn restore(config: &Config, place: impl Fn(&str) -> Option<u16>) -> Result<Ruleset, String> {
    let path = config.state_folder.join(FILE);
    let name = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let bytes = read(&path).map_err(|why| name(&why))?;
    decode(&bytes, config, place).map_err(|flaw| name(&flaw))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut file = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => "no such file".to_owned(),
        _ => error.to_string(),
    })?;
    let found = file.metadata().map_err(|error| error.to_string())?;
    let ours = found.uid() == 0 || found.uid() == nix::unistd::geteuid().as_raw();
    if !found.is_file() || !ours || found.mode() & 0o022 != 0 {
        return Err("not a file that only this user and root may write".to_owned());
    }
    if found.len() > LARGEST {
        return Err(format!("larger than {} MiB", LARGEST >> 20));
    }
    let mut bytes = Vec::with_capacity(found.len() as usize);
    file.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// Keeps the file of a running daemon in step with the rule set in force.
pub struct Snapshots {
    path: PathBuf,
    /// Somebody may begin with it.
    wanted: bool,
    state: Mutex<State>,
    /// One writes at a time.
    writing: Mutex<()>,
}

#[derive(Default)]
struct State {
    /// Counts up with each rule set; what is written for an earlier one is thrown away.
    epoch: u64,
    /// What is to be written.
    due: Option<(Config, Arc<Ruleset>)>,
    /// It could not be written the last time, and that was said.
    failed: bool,
}

impl Snapshots {
    /// For the state folder that this configuration names. Where no successor will begin with it (`wanted`),
    /// nothing is written.
    pub fn new(config: &Config, wanted: bool) -> Self {
        let path = config.state_folder.join(FILE);
        Snapshots { path, wanted, state: Mutex::default(), writing: Mutex::default() }
    }

    /// Takes the file away: a newer rule set is about to be published.
    pub fn outdated(&self) {
        let mut state = self.lock();
        state.epoch += 1;
        state.due = None;
        if let Err(error) = std::fs::remove_file(&self.path)
            && error.kind() != ErrorKind::NotFound
        {
            tracing::error!(
                "{}: an outdated rule set cannot be removed: {error}",
                self.path.display()
            );
        }
    }

    /// Notes the rule set in force; [`write`](Self::write) writes it.
    pub fn note(&self, config: &Config, rules: Arc<Ruleset>) {
        if self.wanted {
            self.lock().due = Some((config.clone(), rules));
        }
    }

    /// Writes what was noted last, if anything. Takes its time: not for packet threads, nor for the runtime's.
    ///
    /// # Errors
    /// Where the folder is missing or cannot be written, naming the file; the same trouble once.
    pub fn write(&self) -> Result<(), Failure> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = self.write_due();
        let known = std::mem::replace(&mut self.lock().failed, outcome.is_err());
        if known { Ok(()) } else { outcome }
    }

    fn write_due(&self) -> Result<(), Failure> {
        let (epoch, due) = {
            let mut state = self.lock();
            (state.epoch, state.due.take())
        };
        let Some((config, rules)) = due else { return Ok(()) };
        let bytes = encode(&rules, &config)?;
        let aside = self.path.with_extension("new");
        let refuse = |error| Failure::reading(&aside, &error);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&aside).map_err(refuse)?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(refuse)?;
        let state = self.lock();
        if state.epoch == epoch {
            std::fs::rename(&aside, &self.path).map_err(refuse)?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
