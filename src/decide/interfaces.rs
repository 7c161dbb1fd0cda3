//! Which interface numbers stand for which senders.
//!
//! The kernel says by which interface a packet came as a number; the configuration says names. Numbers are looked up
//! by the packet thread when it sees one for the first time, and again every few seconds, for names can move.

use crate::ruleset::{Ruleset, Zone};

/// How long a number is taken for the same interface, in seconds.
const FRESH: u32 = 5;

/// The numbers known.
#[derive(Debug, Default)]
pub struct Interfaces {
    known: Vec<(u32, Zone)>,
    /// The rule set that the zones belong to.
    generation: u64,
    learned: u32,
    now: u32,
}

impl Interfaces {
    /// Takes note of the time, in whole seconds since any moment that stays the same.
    pub fn tick(&mut self, now: u32) {
        self.now = now;
    }

    /// Looks up the numbers that are not known, where they matter.
    pub fn learn(
        &mut self,
        rules: &Ruleset,
        numbers: impl Iterator<Item = u32>,
        name: impl Fn(u32) -> Option<String>,
    ) {
        if !rules.senders.differ_by_interface() {
            return;
        }
        if self.generation != rules.generation || self.now.wrapping_sub(self.learned) >= FRESH {
            self.known.clear();
            self.generation = rules.generation;
            self.learned = self.now;
        }
        for number in numbers {
            if !self.known.iter().any(|(known, _)| *known == number) {
                let zone = name(number).map_or(Zone::UNKNOWN, |name| rules.senders.zone(&name));
                self.known.push((number, zone));
            }
        }
    }

    /// The zone of the interface with this number.
    #[inline]
    pub(super) fn zone(&self, rules: &Ruleset, number: u32) -> Zone {
        if !rules.senders.differ_by_interface() {
            return Zone::OTHER;
        }
        let found = self.known.iter().find(|(known, _)| *known == number);
        found.map_or(Zone::UNKNOWN, |(_, zone)| *zone)
    }
}
