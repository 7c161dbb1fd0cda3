//! One thing that was said: its text, and its fields by name.

use std::fmt::{Debug, Write};
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::{Event, Level};

/// The field that names the event; it is for the journal, a line has its text.
const EVENT: &str = "event";

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// `None` for last words, which stand as they are.
    pub(super) level: Option<Level>,
    pub(super) time: SystemTime,
    pub(super) event: Option<String>,
    pub(super) message: String,
    /// In the order in which they were said.
    pub(super) fields: Vec<(&'static str, String)>,
}

impl Entry {
    fn new(level: Option<Level>) -> Self {
        let (time, message) = (SystemTime::now(), String::new());
        Entry { level, time, event: None, message, fields: Vec::new() }
    }

    pub(super) fn of(event: &Event<'_>) -> Self {
        let mut entry = Entry::new(Some(*event.metadata().level()));
        event.record(&mut entry);
        entry
    }

    pub(super) fn last_words(text: &str) -> Self {
        let event = Some("failed".to_owned());
        Entry { event, message: text.to_owned(), ..Entry::new(None) }
    }

    pub(super) fn lines_lost(lines: u64) -> Self {
        Entry {
            event: Some("log-lines-lost".to_owned()),
            message: format!("{lines} log lines are lost: the log could not be written in time"),
            fields: vec![("lines", lines.to_string())],
            ..Entry::new(Some(Level::WARN))
        }
    }

    /// The text, then the fields: `dropped camera=gate-3 list=relays basis="NCU 01-140/101"`.
    pub(super) fn text(&self) -> String {
        let mut text = self.message.clone();
        for (name, value) in &self.fields {
            let bare =
                !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || c == '"');
            // Writing to a string does not fail.
            let _written = match bare {
                true => write!(text, " {name}={value}"),
                false => write!(text, " {name}={value:?}"),
            };
        }
        text
    }

    fn add(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            EVENT => self.event = Some(value),
            name => self.fields.push((name, value)),
        }
    }
}

impl Visit for Entry {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.to_owned());
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::log) fn blocked() -> Entry {
        Entry {
            level: Some(Level::WARN),
            time: std::time::UNIX_EPOCH + std::time::Duration::from_millis(1_772_323_199_007),
            event: Some("drop".into()),
            message: "dropped".into(),
            fields: vec![
                ("camera", "gate-3".into()),
                ("source", "192.0.2.10".into()),
                ("port", "443".into()),
                ("basis", "Test Office 1, 2026-01-01".into()),
            ],
        }
    }

    #[test]
    fn a_line_has_the_fields_behind_its_text_and_quotes_those_with_blanks() {
        assert_eq!(
            blocked().text(),
            "dropped camera=gate-3 source=192.0.2.10 port=443 basis=\"Test Office 1, 2026-01-01\""
        );
    }
}
