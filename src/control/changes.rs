//! The last change of each kind that somebody asked for: what, when, by whom.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::caller::Caller;
use crate::clock;

/// What a change was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Configuration and lists were read again.
    Reload,
    /// Hold and gate were applied or removed.
    Rules,
    /// The mode was set or confirmed.
    Mode,
    /// A pause began or was ended.
    Pause,
    /// The rule set before was put in force again.
    Undo,
    /// Prefixes were blocked or allowed by command.
    Entries,
}

impl Kind {
    /// The word in status and log.
    pub const fn label(self) -> &'static str {
        match self {
            Kind::Reload => "reload",
            Kind::Rules => "rules",
            Kind::Mode => "mode",
            Kind::Pause => "pause",
            Kind::Undo => "undo",
            Kind::Entries => "entries",
        }
    }
}

/// A change that was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What it was about.
    pub kind: Kind,
    /// What was asked, in words.
    pub what: String,
    /// When it was done, in seconds since 1970.
    pub at: u64,
    /// Who asked.
    pub by: Caller,
}

/// The last change of each kind.
#[derive(Debug, Default)]
pub struct Changes(Mutex<Vec<Change>>);

impl Changes {
    /// Notes a change that was carried out just now; it takes the place of the last one of its kind.
    pub fn note(&self, kind: Kind, what: String, by: Caller) {
        let at = clock::now();
        let mut changes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        changes.retain(|change| change.kind != kind);
        changes.push(Change { kind, what, at, by });
    }

    /// The last change of each kind, the newest first.
    pub fn last(&self) -> Vec<Change> {
        let changes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        changes.iter().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_change_of_each_kind_is_kept_the_newest_first() {
        let changes = Changes::default();
        for (kind, what) in [(Kind::Reload, "one"), (Kind::Rules, "two"), (Kind::Reload, "three")] {
            changes.note(kind, what.to_owned(), Caller::default());
        }
        let last = changes.last();
        let words: Vec<&str> = last.iter().map(|change| change.what.as_str()).collect();
        assert_eq!(words, ["three", "two"]);
    }
}
