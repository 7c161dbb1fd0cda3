//! A configuration file's text, and the places in it.

use std::io::ErrorKind;
use std::path::Path;

use toml::Spanned;

use super::raw::Raw;
use crate::failure::{ExitStatus, Failure};
use crate::regular;

/// The largest configuration file that is read, in bytes.
const FILE_LIMIT: u64 = 4 << 20;

pub(super) fn read(path: &Path) -> Result<String, Failure> {
    let bytes = regular::read(path, FILE_LIMIT).map_err(|error| match error.kind() {
        ErrorKind::FileTooLarge => {
            Failure::new(ExitStatus::BadConfig, format!("{}: {error}", path.display()))
        }
        _ => Failure::reading(path, &error),
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        Failure::new(ExitStatus::BadConfig, format!("{}:{line}: not UTF-8", path.display()))
    })
}

/// One file's text, for turning spans into places.
pub(super) struct Source<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
}

impl Source<'_> {
    /// The file's shape, checked for keys and types.
    pub(super) fn raw(&self) -> Result<Raw, Failure> {
        toml::from_str(self.text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            let key = self.key_before(span.start);
            self.refuse(span, format!("{key}{}", plain(error.message())))
        })
    }

    pub(super) fn refuse(
        &self,
        span: std::ops::Range<usize>,
        message: impl std::fmt::Display,
    ) -> Failure {
        Failure::new(ExitStatus::BadConfig, format!("{}: {message}", self.place(span.start)))
    }

    pub(super) fn place(&self, offset: usize) -> String {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        format!("{}:{line}:{column}", self.path.display())
    }

    /// `mode: ` where the offset is that of the value in `mode = ...`; otherwise empty.
    fn key_before(&self, offset: usize) -> String {
        let before = self.text.get(..offset).unwrap_or("");
        let line = before.rsplit('\n').next().unwrap_or("");
        match line.split_once('=') {
            Some((key, rest)) if rest.trim().is_empty() => format!("{}: ", key.trim()),
            Some(_) | None => String::new(),
        }
    }

    /// A value that `check` turns into another, or refuses with a message.
    pub(super) fn check<T, U, E: std::fmt::Display>(
        &self,
        value: &Spanned<T>,
        check: impl FnOnce(&T) -> Result<U, E>,
    ) -> Result<U, Failure> {
        check(value.get_ref()).map_err(|message| self.refuse(value.span(), message))
    }

    pub(super) fn check_all<T, U, E: std::fmt::Display>(
        &self,
        values: &[Spanned<T>],
        check: impl Fn(&T) -> Result<U, E>,
    ) -> Result<Vec<U>, Failure> {
        values.iter().map(|value| self.check(value, &check)).collect()
    }
}

/// The parser's message without its own jargon.
fn plain(message: &str) -> String {
    message.trim_end().replace("wanted string or table", "expected text in quotes")
}
