//! The mode as it stands: in force, by whom, until when, and what the configuration says.

use crate::config::Mode;

/// The mode and what is said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The mode in force; a pause does not change it.
    pub mode: Mode,
    /// Everything passes while nobody judges.
    pub open: bool,
    /// What the configuration says.
    pub configured: Mode,
    /// The command that set the mode, where one did.
    pub set: Option<Set>,
    /// The mode goes back by itself unless somebody confirms it.
    pub unconfirmed: Option<Unconfirmed>,
    /// The mode before went back to this one, because nobody confirmed it; until the next command about the mode.
    pub went_back: Option<WentBack>,
    /// Nothing is dropped for the time being.
    pub paused: Option<Pause>,
}

/// A mode set by command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Who set it.
    pub by: String,
    /// When, in seconds since 1970.
    pub at: u64,
    /// Why; empty if nobody said.
    pub why: String,
}

/// A mode that waits to be confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unconfirmed {
    /// When it goes back, in seconds since 1970.
    pub until: u64,
    /// To what.
    pub back_to: Mode,
}

/// A mode that nobody confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WentBack {
    /// When it went, in seconds since 1970.
    pub at: u64,
    /// The mode that was not confirmed.
    pub from: Mode,
}

/// A pause of the drops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// When it ends, in seconds since 1970.
    pub until: u64,
    /// Who asked for it.
    pub by: String,
    /// Why.
    pub why: String,
}

impl Standing {
    /// The mode of a daemon that starts with this one.
    pub const fn new(mode: Mode, open: bool, configured: Mode, set: Option<Set>) -> Self {
        Standing { mode, open, configured, set, unconfirmed: None, went_back: None, paused: None }
    }

    /// The mode, and loudly what is unusual about it.
    pub fn words(&self) -> String {
        let more = match (&self.paused, &self.unconfirmed) {
            (Some(_), _) => ", PAUSED",
            (None, Some(_)) => ", UNCONFIRMED",
            (None, None) => "",
        };
        format!("{}{more}", self.mode.label())
    }

    /// Blocked packets are dropped now.
    pub fn enforcing(&self) -> bool {
        self.mode == Mode::Enforce && self.paused.is_none()
    }
}
