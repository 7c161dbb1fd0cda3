//! Times as list files write them in words, to seconds since 1970 in UTC.
//!
//! Invariant: what is no date, or has a zone other than UTC, is none; nothing is guessed.

use crate::config::Day;

/// A time in words, the parts in any order: `Thu Oct 31 12:27:36 UTC 2019`, `Thu, 31 Oct 2019 11:36:10 GMT`,
/// `Tue Oct 29 13:15:32 2019 UTC`.
pub(super) fn in_words(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let (mut year, mut month, mut day, mut time) = (None, None, None, None);
    for word in text.split([' ', ',', '\t']).filter(|word| !word.is_empty()) {
        if let Some(at) = MONTHS.iter().position(|name| *name == word) {
            month = u8::try_from(at + 1).ok();
        } else if word.contains(':') {
            time = Some(seconds_of_day(word)?);
        } else if word.len() == 4
            && let Some(found) = number(word)
        {
            year = u16::try_from(found).ok();
        } else if word.len() <= 2
            && let Some(found) = number(word)
        {
            day = u8::try_from(found).ok();
        } else if !DAYS.contains(&word) && !matches!(word, "UTC" | "GMT" | "Z" | "+0000") {
            return None;
        }
    }
    Some(Day::new(year?, month?, day?)?.unix() + time.unwrap_or(0))
}

fn seconds_of_day(text: &str) -> Option<u64> {
    let mut parts = text.split(':').map(number);
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = match parts.next() {
        None => 0,
        Some(second) => second?,
    };
    let known = parts.next().is_none() && hour < 24 && minute < 60 && second < 61;
    known.then_some(hour * 3600 + minute * 60 + second)
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.len() < 10 && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_in_words_is_read_in_any_order_but_only_in_utc() {
        let expected = Some(1_572_524_856);
        assert_eq!(in_words("Thu Oct 31 12:27:36 UTC 2019"), expected);
        assert_eq!(in_words("Thu, 31 Oct 2019 12:27:36 GMT"), expected);
        assert_eq!(in_words("Thu Oct 31 12:27:36 2019 UTC"), expected);
        assert_eq!(in_words("31 Oct 2019"), Some(1_572_480_000));
        for text in [
            "Thu Oct 31 12:27:36 CET 2019",
            "Thu Oct 31 24:27:36 UTC 2019",
            "Oct 2019",
            "31 Oct",
            "Thu Oct 32 12:27:36 UTC 2019",
            "12:27",
            "",
            "Thu Oct 31 12:27:36:1 UTC 2019",
            ":",
            "99999999999999999999",
        ] {
            assert_eq!(in_words(text), None, "{text}");
        }
    }
}
