//! One destination of one sender, and what became of what was sent there.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::counters::{Service, Sighting};

/// What a sender sends to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Contact {
    /// The destination.
    pub destination: IpAddr,
    /// IANA protocol number.
    pub protocol: u8,
    /// What the ports are about.
    pub service: Service,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Talk {
    /// When it was first seen, in seconds since 1970.
    pub first: u64,
    /// When it was last seen.
    pub last: u64,
    /// When it last passed by right.
    pub last_passed: Option<u64>,
    /// What it met last.
    pub outcome: Outcome,
    /// The last reason's label.
    pub reason: Cow<'static, str>,
    /// Flow minutes that passed by right.
    pub passed: u64,
    /// Flow minutes that passed because nothing was to be dropped.
    pub would_drop: u64,
    /// Flow minutes that were dropped.
    pub dropped: u64,
}

/// What a packet met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It passed by right.
    Passed,
    /// It passed because nothing was to be dropped: monitor mode, or a pause.
    WouldDrop,
    /// It was dropped.
    Dropped,
}

impl Outcome {
    pub(super) fn of(sighting: &Sighting) -> Outcome {
        match (sighting.reason.passes(), sighting.dropped) {
            (true, _) => Outcome::Passed,
            (false, false) => Outcome::WouldDrop,
            (false, true) => Outcome::Dropped,
        }
    }
}

impl Talk {
    pub(super) fn first(sighting: &Sighting, outcome: Outcome, now: u64) -> Talk {
        let mut talk = Talk {
            first: now,
            last: now,
            last_passed: (outcome == Outcome::Passed).then_some(now),
            outcome,
            reason: Cow::Borrowed(sighting.reason.label()),
            passed: 0,
            would_drop: 0,
            dropped: 0,
        };
        talk.count(outcome);
        talk
    }

    /// Says whether it is the first of its minute.
    pub(super) fn note(&mut self, sighting: &Sighting, outcome: Outcome, now: u64) -> bool {
        let new = outcome != self.outcome || minute(now) != minute(self.last);
        (self.last, self.outcome) = (now, outcome);
        self.reason = Cow::Borrowed(sighting.reason.label());
        if outcome == Outcome::Passed {
            self.last_passed = Some(now);
        }
        if new {
            self.count(outcome);
        }
        new
    }

    /// Something of it was dropped, or would have been.
    pub(super) fn was_stopped(&self) -> bool {
        self.dropped + self.would_drop > 0
    }

    /// A list decided last, and it was not to pass.
    pub(super) fn was_listed(&self) -> bool {
        self.outcome != Outcome::Passed && matches!(self.reason.as_ref(), "blocked" | "embedded")
    }

    fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::WouldDrop => self.would_drop += 1,
            Outcome::Dropped => self.dropped += 1,
        }
    }
}

/// Which minute of the clock this is.
pub(super) fn minute(seconds: u64) -> u64 {
    seconds / 60
}

/// A map whose keys are no words, as a list of pairs.
pub(super) mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::{Contact, Talk};

    pub(in crate::evidence::cameras) fn serialize<S: Serializer>(
        contacts: &BTreeMap<Contact, Talk>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(contacts)
    }

    pub(in crate::evidence::cameras) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<Contact, Talk>, D::Error> {
        Ok(Vec::<(Contact, Talk)>::deserialize(from)?.into_iter().collect())
    }
}
