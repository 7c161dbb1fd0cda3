//! A span of time on the command line: `90s`, `10m`, `2h`.

/// Seconds in what was typed.
pub(super) fn seconds(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..) {
        Some("s") => 1,
        Some("m") => 60,
        Some("h") => 3_600,
        Some(_) | None => 0,
    };
    match digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)) {
        Some(seconds @ 1..=86_400) => Ok(seconds),
        Some(_) | None => Err("write a span from 1s to 24h, such as 90s, 10m or 2h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::seconds;

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
}
