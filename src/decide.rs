//! The decision: (rule set, held bytes) to a reason; pure and total.
//!
//! No lock, no allocation, no clock, no I/O, no log. The verdict follows from the reason
//! ([`Reason::verdict`](crate::verdict::Reason::verdict)).

use crate::config::Action;
use crate::packet::{self, Addresses, Headers, Held};
use crate::ruleset::{Hit, Ruleset};
use crate::verdict::{Reason, Verdict};

/// What was decided about one held packet, and by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Why.
    pub reason: Reason,
    /// What the headers say, unless they are unparsable.
    pub headers: Option<Headers>,
    /// The entry that decided, if one did.
    pub hit: Option<Hit>,
}

impl Decision {
    /// The answer that follows from the reason.
    #[inline]
    pub fn verdict(&self) -> Verdict {
        self.reason.verdict()
    }
}

/// Decides about one held packet.
#[inline]
pub fn decide<'a>(rules: &Ruleset, held: impl Into<Held<'a>>) -> Decision {
    let headers = match packet::parse(held.into()) {
        Ok(headers) => headers,
        Err(cause) => {
            return Decision { reason: Reason::Unparsable(cause), headers: None, hit: None };
        }
    };
    let hit = match headers.addresses {
        Addresses::V4 { destination, .. } => rules.table().lookup4(destination),
        Addresses::V6 { destination, .. } => rules.table().lookup6(destination),
    };
    let reason = match hit.map(|hit| hit.action) {
        None => Reason::NoMatch,
        Some(Action::Block) => Reason::Blocked,
        Some(Action::Allow) => Reason::Exempt,
        Some(Action::Monitor) => Reason::Monitored,
    };
    Decision { reason, headers: Some(headers), hit }
}

#[cfg(test)]
mod tests;
