//! Countries of registration, by the two letters of ISO 3166-1.
//!
//! Invariant: two upper-case letters. Whether they stand for a country is the tables' matter: registries also
//! use `EU` and `AP`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A country, or what a registry writes in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Country([u8; 2]);

impl Country {
    /// `RU` or `ru`; `ZZ` is none: registries write it for what nobody has.
    pub fn parse(text: &str) -> Option<Country> {
        let letters: [u8; 2] = text.as_bytes().try_into().ok()?;
        let upper = letters.map(|b| b.to_ascii_uppercase());
        (upper.iter().all(u8::is_ascii_uppercase) && upper != *b"ZZ").then_some(Country(upper))
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.0).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::Country;

    #[test]
    fn a_country_is_two_letters() {
        assert_eq!(Country::parse("RU").unwrap().to_string(), "RU");
        assert_eq!(Country::parse("ru"), Country::parse("RU"));
        for text in ["", "R", "RUS", "R1", "None", "ZZ", "*", "Ж", "р"] {
            assert_eq!(Country::parse(text), None, "{text}");
        }
    }
}
