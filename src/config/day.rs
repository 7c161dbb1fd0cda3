//! A day of the calendar, as configuration and data files write it: `YYYY-MM-DD`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A day that exists, from 1970 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Day {
    year: u16,
    month: u8,
    day: u8,
}

impl Day {
    /// The day with these numbers, if there is one.
    pub fn new(year: u16, month: u8, day: u8) -> Option<Day> {
        let leap =
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let in_month = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 => 28 + u8::from(leap),
            _ => return None,
        };
        ((1970..=9999).contains(&year) && (1..=in_month).contains(&day)).then_some(Day {
            year,
            month,
            day,
        })
    }

    /// `YYYY-MM-DD` and nothing else.
    pub fn parse(text: &str) -> Option<Day> {
        let digits = |from: usize, to: usize| -> Option<u16> {
            let part = text.get(from..to)?;
            part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())?
        };
        let dashes = (text.get(4..5), text.get(7..8)) == (Some("-"), Some("-"));
        if text.len() != 10 || !dashes {
            return None;
        }
        Day::new(digits(0, 4)?, digits(5, 7)?.try_into().ok()?, digits(8, 10)?.try_into().ok()?)
    }

    /// `YYYYMMDD`, as registries write it.
    pub fn parse_compact(text: &str) -> Option<Day> {
        if text.len() != 8 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let number = |from, to| text.get(from..to)?.parse::<u16>().ok();
        Day::new(number(0, 4)?, number(4, 6)?.try_into().ok()?, number(6, 8)?.try_into().ok()?)
    }

    /// The day of this second since 1970 (UTC); `None` after the year 9999.
    pub fn of_unix(seconds: u64) -> Option<Day> {
        // The inverse of [`unix`](Self::unix), in the same calendar that begins in March of the year 0; 146097
        // days are 400 years.
        let days = seconds / 86_400 + 719_468;
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        Day::new(year.try_into().ok()?, month.try_into().ok()?, day.try_into().ok()?)
    }

    /// Its first second, in seconds since 1970 (UTC).
    ///
    /// Counted from a year that begins in March, so that the leap day is the last one
    /// (the proleptic Gregorian calendar of POSIX time).
    pub fn unix(self) -> u64 {
        let month = u64::from(self.month);
        let year = u64::from(self.year) - u64::from(month <= 2);
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + u64::from(self.day) - 1;
        let leap_days = year / 4 - year / 100 + year / 400;
        (365 * year + leap_days + day_of_year - 719_468) * 86_400
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_only_if_they_exist() {
        let unix = |text: &str| Day::parse(text).map(Day::unix);
        assert_eq!(unix("1970-01-01"), Some(0));
        assert_eq!(unix("2000-02-29"), Some(951_782_400));
        assert_eq!(unix("2026-06-17"), Some(1_781_654_400));
        assert_eq!(Day::parse("2026-06-17").unwrap().to_string(), "2026-06-17");
        for text in [
            "2026-02-29",
            "1900-02-29",
            "1969-12-31",
            "2026-13-01",
            "2026-00-01",
            "2026-06-00",
            "2026-06-31",
            "26-06-17",
            "2026/06/17",
            "+026-06-17",
            "2026-06-1\u{e9}",
            "",
        ] {
            assert_eq!(Day::parse(text), None, "{text}");
        }
    }

    #[test]
    fn days_of_registries_and_far_days_are_read_only_if_they_exist() {
        assert_eq!(Day::parse_compact("20261008"), Day::parse("2026-10-08"));
        for text in ["2026100", "202610080", "2026-1-8", "20261308", "00000000"] {
            assert_eq!(Day::parse_compact(text), None, "{text}");
        }
        assert_eq!(Day::of_unix(0), Day::parse("1970-01-01"));
        assert_eq!(Day::of_unix(u64::MAX), None);
    }

    #[test]
    fn each_day_follows_the_one_before() {
        let mut last = Day::new(1970, 1, 1).unwrap().unix();
        for year in 1970..2120 {
            for (month, day) in (1..=12).flat_map(|m| (1..=31).map(move |d| (m, d))) {
                let Some(day) = Day::new(year, month, day) else { continue };
                if day.unix() > 0 {
                    assert_eq!(day.unix(), last + 86_400, "{day}");
                    assert_eq!(Day::of_unix(day.unix()), Some(day));
                    assert_eq!(Day::of_unix(day.unix() + 86_399), Some(day));
                    last = day.unix();
                }
            }
        }
    }
}
