//! Everything that is wrong with a set of files, gathered, so that one run shows it all.
//!
//! Invariant: bounded. At most [`ListErrors::KEPT`] problems are kept; the rest are only counted.

use std::fmt;

use super::place::Place;
use crate::failure::{ExitStatus, Failure};

/// The problems found so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListErrors {
    kept: Vec<String>,
    total: usize,
    first_status: Option<ExitStatus>,
}

impl ListErrors {
    /// How many problems are kept in words.
    pub const KEPT: usize = 20;

    /// Nothing wrong yet.
    pub fn new() -> Self {
        ListErrors::default()
    }

    /// Bad data at a place.
    pub fn refuse(&mut self, place: Place<'_>, message: impl fmt::Display) {
        self.add(ExitStatus::BadData, || format!("{place}: {message}"));
    }

    /// So much bad data, of which the first have these words.
    pub fn refuse_all<'a>(&mut self, said: impl Iterator<Item = &'a str>, total: usize) {
        let before = self.total;
        for text in said.take(total) {
            self.add(ExitStatus::BadData, || text.to_owned());
        }
        self.total = before + total;
    }

    /// A failure from elsewhere (a file that cannot be opened), with its own status.
    pub fn absorb(&mut self, failure: Failure) {
        self.add(failure.status, || failure.message);
    }

    /// How many problems there are, kept or not.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// `Ok` if nothing is wrong.
    ///
    /// # Errors
    ///
    /// All problems as one failure, with the status of the first.
    pub fn into_result(self) -> Result<(), Failure> {
        if self.is_empty() { Ok(()) } else { Err(self.into()) }
    }

    fn add(&mut self, status: ExitStatus, line: impl FnOnce() -> String) {
        self.first_status.get_or_insert(status);
        self.total += 1;
        if self.kept.len() < Self::KEPT {
            self.kept.push(line());
        }
    }
}

impl fmt::Display for ListErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kept.join("\n"))?;
        match self.total - self.kept.len() {
            0 => Ok(()),
            more => write!(f, "\n... and {more} more"),
        }
    }
}

impl std::error::Error for ListErrors {}

impl From<ListErrors> for Failure {
    fn from(errors: ListErrors) -> Self {
        Failure::new(errors.first_status.unwrap_or(ExitStatus::BadData), errors.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn twenty_are_kept_and_the_rest_counted() {
        let mut errors = ListErrors::new();
        for line in 1..=20 {
            errors.refuse(Place::at(Path::new("x"), line, 1), "bad");
        }
        assert!(!errors.to_string().contains("more"));
        errors.refuse(Place::at(Path::new("x"), 21, 1), "bad");
        errors.refuse(Place::file(Path::new("x")), "bad");
        let failure = errors.into_result().unwrap_err();
        assert_eq!(failure.status, ExitStatus::BadData);
        let lines: Vec<_> = failure.message.lines().collect();
        assert_eq!(lines.len(), 21);
        assert_eq!((lines[0], lines[20]), ("x:1:1: bad", "... and 2 more"));
    }

    #[test]
    fn the_first_cause_gives_the_status() {
        let mut errors = ListErrors::new();
        errors.absorb(Failure::new(ExitStatus::NoInput, "y: no such file"));
        errors.refuse(Place::at(Path::new("x"), 1, 2), "bad");
        let failure = errors.into_result().unwrap_err();
        assert_eq!(failure.status, ExitStatus::NoInput);
        assert_eq!(failure.message, "y: no such file\nx:1:2: bad");
        assert_eq!(ListErrors::new().into_result(), Ok(()));
    }
}
