//! The rule set that a daemon begins with: from the lists, or from what its predecessor left.
//!
//! A snapshot is used where packets wait in sockets that the predecessor left, and for nothing else: then each
//! millisecond is one that they are held. The lists are read afterwards, as for a reload. At any other start
//! they are read first, and what is wrong in them is fatal.

use crate::config::Config;
use crate::counters::ListPlaces;
use crate::failure::Failure;
use crate::ruleset::{Ruleset, restore};

/// What to begin with.
pub(super) struct Begin {
    pub(super) rules: Ruleset,
    /// It is a snapshot: the lists are still to be read.
    pub(super) unread: bool,
}

/// Reads the lists, or the snapshot where packets wait (`waiting`).
///
/// # Errors
/// As [`Ruleset::load`], where there is no snapshot of use.
pub(super) fn begin(config: &Config, places: &ListPlaces, waiting: bool) -> Result<Begin, Failure> {
    if waiting {
        match restore(config, |name| places.place(name)) {
            Ok(rules) => return Ok(Begin { rules, unread: true }),
            Err(why) => {
                tracing::warn!("{why}: ignored, the lists are read before packets are judged")
            }
        }
    }
    let rules = Ruleset::load(config, |name| places.place(name), None)?;
    Ok(Begin { rules, unread: false })
}
