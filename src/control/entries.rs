//! What the daemon is asked about entries given by command, and what it answers.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::blocklist::temporary::TemporaryEntry;
use crate::config::Action;

/// What shall happen to entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum EntriesOrder {
    /// Put these in force.
    Add {
        /// Block or allow.
        action: Action,
        /// The prefixes; one that is there already gets the new time and reason.
        prefixes: Vec<IpNet>,
        /// They end after so many seconds.
        seconds: u64,
        /// Why.
        why: String,
    },
    /// End these now.
    Remove {
        /// Block or allow.
        action: Action,
        /// The prefixes, as they were given.
        prefixes: Vec<IpNet>,
    },
    /// Say which there are.
    List {
        /// Block or allow.
        action: Action,
    },
}

impl EntriesOrder {
    /// Changes nothing.
    pub fn only_asks(&self) -> bool {
        matches!(self, EntriesOrder::List { .. })
    }

    /// What is asked, in words.
    pub fn words(&self) -> String {
        match self {
            EntriesOrder::Add { action, prefixes, seconds, why } => {
                format!("{} add {}, for {seconds} s: {why}", action.label(), counted(prefixes))
            }
            EntriesOrder::Remove { action, prefixes } => {
                format!("{} remove {}", action.label(), counted(prefixes))
            }
            EntriesOrder::List { action } => format!("{} list", action.label()),
        }
    }
}

fn counted(prefixes: &[IpNet]) -> String {
    match prefixes {
        [one] => one.to_string(),
        many => format!("{} prefixes", many.len()),
    }
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntriesReport {
    /// Version of this shape.
    pub schema: u32,
    /// Seconds since 1970.
    pub now: u64,
    /// What changed, in words; empty where nothing was to change.
    pub text: String,
    /// The entries that were asked for.
    pub entries: Vec<TemporaryEntry>,
}
