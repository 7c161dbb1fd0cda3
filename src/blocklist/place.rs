//! Where in a file something is: `path:line:column`.
//!
//! Lines and columns count from 1; a column counts characters, not bytes, and a byte-order mark is none.

use std::fmt;
use std::path::Path;

/// A place in a file, or the file as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'p> {
    path: &'p Path,
    at: Option<(u32, u32)>,
}

impl<'p> Place<'p> {
    /// The file as a whole.
    pub const fn file(path: &'p Path) -> Self {
        Place { path, at: None }
    }

    /// A line and a column of it, both from 1.
    pub const fn at(path: &'p Path, line: u32, column: u32) -> Self {
        Place { path, at: Some((line, column)) }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            None => write!(f, "{}", self.path.display()),
            Some((line, column)) => write!(f, "{}:{line}:{column}", self.path.display()),
        }
    }
}

/// What is wrong with a piece of text, and how far into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Characters of the text before the offending part.
    pub offset: u32,
    /// What is wrong, for the user.
    pub message: String,
}

impl Flaw {
    /// A flaw after this many characters.
    pub fn new(offset: u32, message: impl Into<String>) -> Self {
        Flaw { offset, message: message.into() }
    }

    /// The same flaw, seen from a text that has this many more characters in front.
    pub fn behind(self, characters: u32) -> Self {
        Flaw { offset: self.offset.saturating_add(characters), message: self.message }
    }

    /// Its place in a line of a file that the text begins.
    pub fn place<'p>(&self, path: &'p Path, line: u32) -> Place<'p> {
        Place::at(path, line, self.offset.saturating_add(1))
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Flaw {}

/// Text from a file, fit for a terminal: what does not print is escaped, what is long is cut.
pub(super) fn shown(text: &str) -> String {
    const LIMIT: usize = 64;
    let mut out = String::new();
    for (n, c) in text.chars().enumerate() {
        if n == LIMIT {
            out.push_str("...");
            break;
        }
        if c.is_ascii_graphic() || c == ' ' || c.is_alphanumeric() {
            out.push(c);
        } else {
            out.extend(c.escape_unicode());
        }
    }
    out
}

/// How many characters these bytes are; a stray byte counts for none or one, it never fails.
pub(super) fn characters(bytes: &[u8]) -> u32 {
    let n = bytes.iter().filter(|b| (**b & 0xc0) != 0x80).count();
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_path_line_column() {
        let path = Path::new("lists.d/x.txt");
        assert_eq!(Place::file(path).to_string(), "lists.d/x.txt");
        assert_eq!(Place::at(path, 3, 7).to_string(), "lists.d/x.txt:3:7");
        assert_eq!(Flaw::new(2, "x").behind(3).place(path, 1).to_string(), "lists.d/x.txt:1:6");
    }

    #[test]
    fn what_is_shown_cannot_steer_a_terminal() {
        assert_eq!(shown("a\u{1b}[2Jb\u{200b}\u{202e}"), "a\\u{1b}[2Jb\\u{200b}\\u{202e}");
        assert_eq!(shown("мережа"), "мережа");
        assert_eq!(shown(&"x".repeat(70)), format!("{}...", "x".repeat(64)));
    }
}
