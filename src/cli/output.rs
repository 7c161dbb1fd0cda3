//! Printing: aligned columns, times and numbers for people, JSON for programs, CSV for tables.

mod csv;
pub(super) mod toml;

use std::io::Write;

use serde::Serialize;

use crate::failure::{ExitStatus, Failure};

pub(super) use csv::csv;

/// Writes data to stdout. A reader that has gone away (`| head`) is no failure.
pub(super) fn data(text: &str) -> Result<(), Failure> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(ExitStatus::Failed, format!("stdout: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes a line to stderr.
pub(super) fn talk(text: &str) {
    // Nowhere is left to say that stderr is closed.
    let _closed = writeln!(std::io::stderr().lock(), "{text}");
}

/// Writes one JSON object on a line.
pub(super) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value)
        .map_err(|error| Failure::new(ExitStatus::Failed, format!("json: {error}")))?;
    data(&format!("{text}\n"))
}

/// Rows as aligned columns, two blanks apart; the last column is not padded.
pub(super) fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let pad = width - cell.chars().count() + 2;
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', pad));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The text, cut behind so many characters; what is cut is seen.
pub(super) fn cut(text: &str, characters: usize) -> String {
    if text.chars().count() <= characters {
        return text.to_owned();
    }
    let kept: String = text.chars().take(characters.saturating_sub(3)).collect();
    format!("{}...", kept.trim_end())
}

/// A number of things, in words: `1 prefix`, `1 204 prefixes`.
pub(super) fn counted(number: u64, one: &str, several: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { several })
}

/// `12 345 678`
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A span of time in words: `4 min`, `2 h 5 min`, `3 d 4 h`.
pub(super) fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// The day of a time in seconds since 1970 (UTC): `2026-11-25`.
pub(super) fn day(seconds: u64) -> String {
    let (year, month, day) = crate::log::date(seconds / 86_400);
    format!("{year:04}-{month:02}-{day:02}")
}

/// A size in binary units.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..=1_023 => format!("{bytes} B"),
        1_024..=1_048_575 => format!("{:.1} KiB", bytes as f64 / 1_024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1 000");
        assert_eq!(grouped(12_345_678), "12 345 678");
    }

    #[test]
    fn spans_are_told_in_words() {
        assert_eq!(span(59), "59 s");
        assert_eq!(span(60), "1 min");
        assert_eq!(span(7_500), "2 h 5 min");
        assert_eq!(span(273_600), "3 d 4 h");
    }

    #[test]
    fn columns_are_aligned_without_trailing_blanks() {
        let rows = [vec!["a".into(), "bb".into()], vec!["ccc".into(), "d".into()]];
        assert_eq!(columns(&rows), "a    bb\nccc  d\n");
    }
}
