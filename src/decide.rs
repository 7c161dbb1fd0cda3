//! The decision: (rule set, held bytes) to a reason; pure and total.
//!
//! No lock, no allocation, no clock, no I/O, no log. The verdict follows from the reason
//! ([`Reason::verdict`](crate::verdict::Reason::verdict)).

mod memory;

pub use memory::FlowMemory;

use crate::config::Action;
use crate::packet::{self, Addresses, Headers, Held};
use crate::ruleset::{Hit, Ruleset};
use crate::verdict::{Reason, Unparsable, Verdict};

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
    let parsed = packet::parse(held.into());
    conclude(parsed, look_up(rules, &parsed))
}

/// Decides about each packet of a batch, as [`decide`] does, and leaves the outcome in `decisions`.
///
/// All packets are parsed before the first destination is looked up. A look-up in a big table waits for
/// memory; with nothing between them, the processor begins the next look-ups meanwhile.
#[inline]
pub fn decide_all<'a>(
    rules: &Ruleset,
    batch: impl Iterator<Item = Held<'a>>,
    decisions: &mut Decisions,
) {
    decisions.parsed.clear();
    decisions.parsed.extend(batch.map(packet::parse));
    decisions.hits.clear();
    decisions.hits.extend(decisions.parsed.iter().map(|parsed| look_up(rules, parsed)));
}

/// The decisions about one batch; its room is used again for the next.
#[derive(Default)]
pub struct Decisions {
    parsed: Vec<Result<Headers, Unparsable>>,
    hits: Vec<Option<Hit>>,
}

impl Decisions {
    /// Room for batches of up to `packets`.
    pub fn for_batches_of(packets: usize) -> Self {
        Decisions { parsed: Vec::with_capacity(packets), hits: Vec::with_capacity(packets) }
    }

    /// The decisions, in the order of the batch.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = Decision> {
        self.parsed.iter().zip(&self.hits).map(|(parsed, hit)| conclude(*parsed, *hit))
    }
}

#[inline]
fn look_up(rules: &Ruleset, parsed: &Result<Headers, Unparsable>) -> Option<Hit> {
    match parsed.as_ref().ok()?.addresses {
        Addresses::V4 { destination, .. } => rules.table().lookup4(destination),
        Addresses::V6 { destination, .. } => rules.table().lookup6(destination),
    }
}

#[inline]
fn conclude(parsed: Result<Headers, Unparsable>, hit: Option<Hit>) -> Decision {
    let headers = match parsed {
        Ok(headers) => headers,
        Err(cause) => {
            return Decision { reason: Reason::Unparsable(cause), headers: None, hit: None };
        }
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
