//! Which origin tables say that an AS number announces a prefix.

use serde::{Deserialize, Serialize};

use crate::config::ORIGIN_LIMIT;

/// A set of origin tables, by their places in the configuration.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Sources(u8);

const _: () = assert!(ORIGIN_LIMIT <= u8::BITS as usize, "a bit for each origin table");

impl Sources {
    /// No table: a prefix that a list names itself, or one that is kept although no table names it any more.
    pub const NONE: Sources = Sources(0);

    /// The table at this place.
    pub fn one(table: usize) -> Sources {
        match u32::try_from(table) {
            Ok(place) => Sources(1u8.checked_shl(place).unwrap_or(0)),
            Err(_) => Sources::NONE,
        }
    }

    /// The tables of both.
    pub fn and(self, others: Sources) -> Sources {
        Sources(self.0 | others.0)
    }

    /// How many there are.
    pub fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// Their places, ascending.
    pub fn places(self) -> impl Iterator<Item = usize> {
        (0..ORIGIN_LIMIT).filter(move |place| self.0 >> place & 1 == 1)
    }

    /// As it is kept beside an entry.
    pub(crate) fn bits(self) -> u8 {
        self.0
    }

    /// What [`bits`](Self::bits) gave.
    pub(crate) fn from_bits(bits: u8) -> Sources {
        Sources(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_knows_its_tables() {
        let set = Sources::one(0).and(Sources::one(7)).and(Sources::one(0));
        assert_eq!((set.count(), set.places().collect::<Vec<_>>()), (2, vec![0, 7]));
        assert_eq!(Sources::from_bits(set.bits()), set);
        assert_eq!(Sources::one(8), Sources::NONE);
        assert_eq!(Sources::NONE.places().count(), 0);
    }
}
