//! Lines of a list that are wrong and were left out.

use serde::{Deserialize, Serialize};

/// How many are kept with their places.
pub(super) const KEPT: usize = 100;

/// The lines that were left out of a list: all counted, the first ones kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// How many there are.
    pub total: u64,
    /// The first [`KEPT`], each with its place and what is wrong.
    pub first: Vec<String>,
}

impl Rejected {
    /// Counts one, and keeps it if there is room.
    pub fn add(&mut self, place_and_cause: impl FnOnce() -> String) {
        self.total += 1;
        if self.first.len() < KEPT {
            self.first.push(place_and_cause());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_kept_and_all_are_counted() {
        let mut rejected = Rejected::default();
        for line in 0..250 {
            rejected.add(|| format!("f:{line}:1: wrong"));
        }
        assert_eq!((rejected.total, rejected.first.len()), (250, KEPT));
        assert_eq!(rejected.first.last().map(String::as_str), Some("f:99:1: wrong"));
    }
}
