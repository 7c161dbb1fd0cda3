//! Where lines are written: stderr, as text, or the journal.

use std::io::{self, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::Level;

use super::entry::Entry;
use super::journal::Journal;
use super::queue::Write;

/// The log's end.
pub(super) struct Sink {
    journal: Option<Journal>,
    colour: bool,
}

impl Sink {
    /// The journal where stderr leads there, otherwise stderr.
    pub(super) fn choose(colour: bool) -> Self {
        Sink { journal: Journal::if_stderr_leads_there(), colour }
    }
}

impl Write for Sink {
    fn write(&mut self, entry: &Entry) -> io::Result<()> {
        if let Some(journal) = &self.journal {
            // While its socket is not there (it is being restarted), stderr still leads to it.
            return journal.write(entry).or_else(|_| stderr(&format!("{}\n", entry.text())));
        }
        stderr(&line(entry, self.colour))
    }
}

fn stderr(text: &str) -> io::Result<()> {
    io::stderr().lock().write_all(text.as_bytes())
}

/// `2026-11-25T02:30:00.123Z  WARN dropped camera=gate-3`
fn line(entry: &Entry, colour: bool) -> String {
    let Some(level) = entry.level else { return format!("{}\n", entry.text()) };
    let shade = match level {
        _ if !colour => None,
        Level::ERROR => Some("31"),
        Level::WARN => Some("33"),
        Level::INFO | Level::DEBUG | Level::TRACE => None,
    };
    let (time, text) = (timestamp(entry.time), entry.text());
    match shade {
        Some(shade) => format!("{time} \x1b[{shade}m{level:>5}\x1b[0m {text}\n"),
        None => format!("{time} {level:>5} {text}\n"),
    }
}

/// A time in UTC as RFC 3339 writes it, with milliseconds.
fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let millis = since.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// A time in seconds since 1970, to the minute: `2026-02-28 23:59 UTC`.
pub fn moment(unix: u64) -> String {
    let (year, month, day) = date(unix / 86_400);
    let (hour, minute) = (unix / 3_600 % 24, unix / 60 % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

/// Year, month and day of a day since 1970-01-01, by counting eras of 400 years from 0000-03-01.
pub fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Months from March, whose lengths repeat with 153 days in five.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + later, month, day)
}

#[cfg(test)]
mod tests {
    use super::super::entry::tests::blocked;
    use super::*;

    #[test]
    fn a_line_begins_with_the_time_and_the_level() {
        let text = blocked().text();
        assert_eq!(line(&blocked(), false), format!("2026-02-28T23:59:59.007Z  WARN {text}\n"));
        let coloured = format!("2026-02-28T23:59:59.007Z \x1b[33m WARN\x1b[0m {text}\n");
        assert_eq!(line(&blocked(), true), coloured);
        assert_eq!(line(&Entry::last_words("kordon: ended"), true), "kordon: ended\n");
    }

    #[test]
    fn every_day_has_its_date() {
        // Counted from the other side: day by day with the rule for leap years.
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..60_000 {
            assert_eq!(date(days), (year, month, day), "day {days}");
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 if leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            (year, month, day) = match (month, day) {
                (12, 31) => (year + 1, 1, 1),
                (month, day) if day == length => (year, month + 1, 1),
                (month, day) => (year, month, day + 1),
            };
        }
    }
}
