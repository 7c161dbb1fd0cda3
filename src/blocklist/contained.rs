//! A file on which its reader breaks is refused like one with bad data.

use std::path::Path;

use super::place::Place;
use crate::contain;
use crate::failure::{ExitStatus, Failure};

/// Reads a file. What the reading changed until it broke is worth nothing, as after any other failure.
///
/// # Errors
/// What the reader says; 65 if it breaks.
pub(super) fn contained<T>(
    path: &Path,
    read: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let read = || {
        #[cfg(debug_assertions)]
        break_on_request(path);
        read()
    };
    contain::contained(read).unwrap_or_else(|fault| {
        let message = format!(
            "{}: kordon's reader broke on it ({fault}): refused; please report that, with the file",
            Place::file(path)
        );
        Err(Failure::new(ExitStatus::BadData, message))
    })
}

/// For the test of what becomes of a daemon then (`KORDON_FAULT`, see `src/daemon/fault.rs`).
#[cfg(debug_assertions)]
#[expect(clippy::panic, reason = "a fault on request")]
fn break_on_request(path: &Path) {
    let named = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"breaks"));
    if named && std::env::var_os("KORDON_FAULT").is_some_and(|value| value == "break-readers") {
        panic!("asked to break");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_on_which_the_reader_breaks_is_refused_as_bad_data_by_name() {
        let path = Path::new("lists.d/x.txt");
        let broken: Result<(), _> = contained(path, || panic!("at the sight of it"));
        let failure = broken.unwrap_err();
        assert_eq!(failure.status, ExitStatus::BadData);
        assert!(failure.message.starts_with("lists.d/x.txt: kordon's reader broke on it ("));
        assert!(failure.message.contains("at the sight of it): refused"), "{failure}");
        // The control.
        assert_eq!(contained(path, || Ok(1)), Ok(1));
        let failure = Failure::new(ExitStatus::NoInput, "x");
        assert_eq!(contained::<()>(path, || Err(failure.clone())), Err(failure));
    }
}
