//! The rule set that a daemon begins with: from the lists, or from what its predecessor left.
//!
//! Where packets wait in sockets that the predecessor left, each millisecond is one that they are held: then the
//! snapshot is put in force, and the lists are read afterwards, as for a reload. At any other start they are read
//! first. Where they are refused, the last good rule set for the same configuration is put in force, loudly;
//! where there is none, what is wrong is fatal.

use std::collections::BTreeSet;

use crate::blocklist::temporary::{self, TemporaryEntry};
use crate::clock;
use crate::config::Config;
use crate::counters::ListPlaces;
use crate::failure::Failure;
use crate::ruleset::{Outdated, Resolution, Ruleset, alarms, last_in_force, refuse, restore};

/// What to begin with.
pub(super) struct Begin {
    pub(super) rules: Ruleset,
    /// What is added to the lists by command.
    pub(super) given: Vec<TemporaryEntry>,
    /// It is a snapshot: the lists are still to be read.
    pub(super) unread: bool,
    /// It is the last good one: why the lists are refused.
    pub(super) refused: Option<Failure>,
    /// What becomes of the snapshot, where another rule set is put in force.
    pub(super) outdated: Option<Outdated>,
}

/// Reads the lists, or the snapshot where packets wait (`waiting`).
///
/// # Errors
/// As [`Ruleset::load_with`], where there is no snapshot of use.
pub(super) fn begin(config: &Config, places: &ListPlaces, waiting: bool) -> Result<Begin, Failure> {
    let given = temporary::read(&config.state_folder, clock::now()).unwrap_or_else(|failure| {
        tracing::error!("{failure}; nothing is blocked or allowed by command");
        Vec::new()
    });
    let place = |name: &str| places.place(name);
    if waiting {
        match restore(config, &given, place) {
            Ok(rules) => {
                return Ok(Begin { rules, given, unread: true, refused: None, outdated: None });
            }
            Err(why) => {
                tracing::warn!("{why}: ignored, the lists are read before packets are judged")
            }
        }
    }
    let last = last_in_force(config).ok();
    let loaded = Ruleset::load_with(config, place, None, &given).and_then(|rules| {
        let found = last.as_ref().map_or(Vec::new(), |last| alarms(last.side(), rules.side(), config));
        match refuse(&found, &BTreeSet::new()) {
            Ok(()) => Ok(rules),
            // Edited since: nobody could accept it with a command while no daemon runs.
            Err(failure) if !last.as_ref().is_some_and(|last| last.is_for(config)) => {
                tracing::error!(
                    "put in force nevertheless, for there is no rule set for this configuration: {failure}"
                );
                Ok(rules)
            }
            Err(failure) => Err(failure),
        }
    });
    match loaded {
        Ok(mut rules) => {
            rules.resolution.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
            Resolution::remember(rules.resolution.memory.take(), &config.state_folder);
            let same = last.is_some_and(|last| last.side().same_lists(rules.side()));
            let outdated = Some(if same { Outdated::Same } else { Outdated::Kept });
            Ok(Begin { rules, given, unread: false, refused: None, outdated })
        }
        Err(failure) => match restore(config, &given, place) {
            Ok(rules) => {
                tracing::error!(
                    event = "last-good",
                    "THE LISTS ARE REFUSED, the last good rule set is in force, read at {}: {failure}",
                    crate::log::moment(rules.compiled)
                );
                let refused = Some(failure);
                Ok(Begin { rules, given, unread: false, refused, outdated: None })
            }
            Err(why) => {
                tracing::info!("no last good rule set to start with: {why}");
                Err(failure)
            }
        },
    }
}
