//! The origin table that is shipped with kordon, inside the program: what is left where every other table has lost
//! one of the shipped AS numbers.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::origin::{Held, extract};

/// The same as under `/usr/share/kordon/origins`.
const TABLE: &str = include_str!("../../config/origins/vk-digital-network.csv");

/// The prefixes of an AS number in the shipped table, with the date of its data.
pub(super) fn prefixes_of(asn: u32) -> Vec<Held> {
    static PREFIXES: OnceLock<BTreeMap<u32, Vec<Held>>> = OnceLock::new();
    let all = PREFIXES.get_or_init(|| extract(TABLE));
    all.get(&asn).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::prefixes_of;

    #[test]
    fn every_shipped_as_number_has_prefixes_of_a_day() {
        let shipped = [
            28709, 47541, 47542, 47764, 49797, 49988, 57973, 60863, 62243, 207_581, 207_970,
            213_235, 12695, 201_186,
        ];
        let all: usize = shipped.iter().map(|asn| prefixes_of(*asn).len()).sum();
        assert_eq!(all, 276);
        for asn in shipped {
            assert!(prefixes_of(asn).iter().all(|held| held.seen == 1_781_654_400), "AS{asn}");
            assert!(!prefixes_of(asn).is_empty(), "AS{asn}");
        }
        assert!(prefixes_of(64500).is_empty());
    }
}
