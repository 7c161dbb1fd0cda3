//! A span of time on the command line: `90s`, `10m`, `2h`, `7d`.

use crate::blocklist::temporary;

/// Seconds in what was typed, up to a day.
pub(super) fn seconds(text: &str) -> Result<u64, String> {
    match parse(text) {
        Some(seconds @ 1..=86_400) if !text.ends_with('d') => Ok(seconds),
        Some(_) | None => Err("write a span from 1s to 24h, such as 90s, 10m or 2h".to_owned()),
    }
}

/// Seconds in what was typed, up to what an entry may last.
pub(super) fn long_seconds(text: &str) -> Result<u64, String> {
    match parse(text) {
        Some(seconds @ 1..=temporary::LONGEST) => Ok(seconds),
        Some(_) | None => Err("write a span from 1s to 90d, such as 30m, 24h or 7d".to_owned()),
    }
}

fn parse(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..) {
        Some("s") => 1,
        Some("m") => 60,
        Some("h") => 3_600,
        Some("d") => 86_400,
        Some(_) | None => 0,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::{long_seconds, seconds};

    #[test]
    fn spans_have_a_unit_and_end_after_a_day() {
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("10m"), Ok(600));
        assert_eq!(seconds("24h"), Ok(86_400));
        for wrong in
            ["", "10", "0s", "25h", "-1m", "1d", "m", "99999999999999999999h", "1 m", "1m "]
        {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn entries_last_up_to_ninety_days() {
        assert_eq!(long_seconds("24h"), Ok(86_400));
        assert_eq!(long_seconds("7d"), Ok(604_800));
        assert_eq!(long_seconds("90d"), Ok(temporary_limit()));
        for wrong in ["91d", "0d", "d", "7", "2161h"] {
            assert!(long_seconds(wrong).is_err(), "{wrong}");
        }
    }

    fn temporary_limit() -> u64 {
        crate::blocklist::temporary::LONGEST
    }
}
