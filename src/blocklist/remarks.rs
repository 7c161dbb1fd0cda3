//! What a list's lines say besides their entries: comments, labels, names. Evidence, so it is kept and shown.
//!
//! Invariant: bounded. All texts of a list lie in one piece of memory of at most [`MAX_BYTES`]; a text is at most
//! [`MAX_TEXT`] bytes long. What finds no room is counted.

use serde::{Deserialize, Serialize};

/// The most bytes of text that are kept for one list.
pub(super) const MAX_BYTES: usize = 32 << 20;
/// The most bytes that are kept of one line.
pub(super) const MAX_TEXT: usize = 400;

/// The remarks of one list, by line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remarks {
    /// Line, and where its text ends; lines ascend.
    ends: Vec<(u32, u32)>,
    texts: String,
    left_out: u64,
}

impl Remarks {
    /// Keeps what a line says. Lines come in the order of the file; what a line says twice is joined.
    pub fn add(&mut self, line: u32, text: &str) {
        let text = cut(text.trim());
        if text.is_empty() {
            return;
        }
        let printing = text.chars().filter(|c| !c.is_control());
        if self.texts.len() + text.len() > MAX_BYTES {
            self.left_out += 1;
            return;
        }
        match self.ends.last().copied() {
            Some((last, _)) if last > line => return,
            Some((last, _)) if last == line => {
                self.ends.pop();
                self.texts.push_str("; ");
            }
            Some(_) | None => {}
        }
        self.texts.extend(printing);
        self.ends.push((line, u32::try_from(self.texts.len()).unwrap_or(u32::MAX)));
    }

    /// What this line says, if it says anything.
    pub fn of(&self, line: u32) -> Option<&str> {
        let at = self.ends.binary_search_by_key(&line, |(line, _)| *line).ok()?;
        let from = at.checked_sub(1).and_then(|before| self.ends.get(before));
        let from = from.map_or(0, |(_, end)| *end) as usize;
        self.texts.get(from..self.ends.get(at)?.1 as usize)
    }

    /// How many lines say something.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// No line says anything.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Texts that found no room.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Gives back memory that is not used.
    pub fn shrink(&mut self) {
        self.ends.shrink_to_fit();
        self.texts.shrink_to_fit();
    }
}

/// At most [`MAX_TEXT`] bytes, without half a character.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_its_own_text() {
        let mut remarks = Remarks::default();
        remarks.add(2, " first ");
        remarks.add(5, "order 01-140/101");
        remarks.add(5, "by \u{1b}oncall");
        remarks.add(7, "  ");
        remarks.add(9, "ж");
        assert_eq!(remarks.of(2), Some("first"));
        assert_eq!(remarks.of(5), Some("order 01-140/101; by oncall"));
        assert_eq!(remarks.of(9), Some("ж"));
        for line in [0, 1, 3, 7, 10] {
            assert_eq!(remarks.of(line), None, "{line}");
        }
        assert_eq!((remarks.len(), remarks.left_out()), (3, 0));
    }

    #[test]
    fn texts_are_cut_and_memory_is_bounded() {
        let mut remarks = Remarks::default();
        let long = "ж".repeat(MAX_TEXT);
        let lines = (MAX_BYTES / MAX_TEXT) as u32 + 10;
        for line in 0..lines {
            remarks.add(line, &long);
        }
        assert_eq!(remarks.of(3).map(str::len), Some(MAX_TEXT));
        assert!(remarks.texts.len() <= MAX_BYTES);
        assert_eq!(remarks.len() as u64 + remarks.left_out(), u64::from(lines));
        assert!(remarks.left_out() > 0);
    }
}
