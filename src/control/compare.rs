//! A reload that stops before anything is put in force: what would it change?
//!
//! Invariants: it reads what a reload would read, as the daemon's user, and says what a reload would be
//! refused for; nothing is published, noted or kept. One at a time: it takes a second rule set's memory.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, TryLockError};

use super::reload::keys_stand;
use crate::config::Config;
use crate::explain::{self, Comparison, Refused};
use crate::failure::{ExitStatus, Failure};
use crate::ruleset::{Ruleset, alarms, refuse};
use crate::telemetry::Observed;

/// Compares the files with what is in force.
pub struct Comparer {
    path: PathBuf,
    running: Config,
    observed: Arc<Observed>,
    busy: Mutex<()>,
}

impl Comparer {
    /// For the configuration at this path, in a daemon that runs with this one.
    pub fn new(path: PathBuf, running: Config, observed: Arc<Observed>) -> Self {
        Comparer { path, running, observed, busy: Mutex::default() }
    }

    /// What a reload would change now.
    ///
    /// # Errors
    /// As a reload; 75 while another comparison runs.
    pub(super) fn compare(&self) -> Result<Comparison, Failure> {
        let _alone = match self.busy.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                let message = "another comparison is under way; try again";
                return Err(Failure::new(ExitStatus::TryAgain, message));
            }
        };
        let config = Config::load(&self.path)?;
        let old = self.observed.rules.current();
        // Not the daemon's places: a name that is only tried shall not use one up.
        let new = Ruleset::load(&config, |_| Some(0), Some(&old))?;
        let files = config.files.iter().map(|file| file.display().to_string()).collect();
        let mut comparison = explain::compare(&old, &new, files);
        let found = alarms(old.side(), new.side(), &config);
        let refused = keys_stand(&self.path, &self.running, &config, &self.observed)
            .and_then(|()| refuse(&found, &BTreeSet::new()))
            .err();
        comparison.refused = refused
            .map(|failure| Refused { status: failure.status.code(), message: failure.message });
        Ok(comparison)
    }
}
