//! One thing about the rules that is changed, or would be.

use std::fmt;

/// What happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Install,
    Correct,
    Remove,
}

/// What is changed, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    verb: Verb,
    what: String,
}

impl Change {
    pub(super) fn new(verb: Verb, what: impl Into<String>) -> Self {
        Change { verb, what: what.into() }
    }

    /// As a plan: `would install gate for ...`.
    pub fn planned(&self) -> String {
        let verb = match self.verb {
            Verb::Install => "install",
            Verb::Correct => "correct",
            Verb::Remove => "remove",
        };
        format!("would {verb} {}", self.what)
    }
}

/// As done: `installed gate for ...`.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.verb {
            Verb::Install => "installed",
            Verb::Correct => "corrected",
            Verb::Remove => "removed",
        };
        write!(f, "{verb} {}", self.what)
    }
}
