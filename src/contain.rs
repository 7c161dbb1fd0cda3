//! Panics: the end of the process, except while files from elsewhere are read.
//!
//! A thread that panics and leaves the others running is worse than a restart, so [`end_the_process`] makes
//! every panic the end. Readers of lists and origin tables are the exception: what they are given was written
//! by strangers, some of the code that reads it is not ours (Zstandard, gzip, MaxMind databases, JSON), and a
//! fault in it must refuse the file, not take the daemon down. They run inside [`contained`].
//!
//! Invariants: what runs inside gives nothing away but its result, which is lost with it; no lock is held there.
//! The release profile unwinds for this sake.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};

thread_local! {
    /// Whether this thread is inside [`contained`].
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    /// Where the last contained panic was.
    static WHERE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// From now on a panic of any thread ends the process, after `say` had it; a contained one does not.
pub fn end_the_process(say: fn(&str)) {
    panic::set_hook(Box::new(move |panic| {
        if INSIDE.try_with(Cell::get).unwrap_or(false) {
            note(panic);
            return;
        }
        say(&format!("kordon: {panic}"));
        std::process::abort();
    }));
}

/// What was said, and where, if the work panics.
///
/// # Errors
/// As text that begins with the place, where there is one.
pub fn contained<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let before = INSIDE.replace(true);
    // Whatever the work was about to change is given up with it by the callers.
    let outcome = panic::catch_unwind(AssertUnwindSafe(work));
    INSIDE.set(before);
    outcome.map_err(|payload| {
        let place = WHERE.take();
        let what = said(payload.as_ref()).unwrap_or("no words");
        if place.is_empty() { what.to_owned() } else { format!("{place}: {what}") }
    })
}

/// Only that it happened: the caller says it.
fn note(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let _ = WHERE.try_with(|noted| *noted.borrow_mut() = place);
}

fn said(payload: &(dyn Any + Send)) -> Option<&str> {
    let fixed = payload.downcast_ref::<&str>().copied();
    fixed.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, ExitStatus};

    use super::*;

    /// This test again in a process of its own, in which `VARIABLE` says what to do.
    const VARIABLE: &str = "KORDON_TEST_CONTAIN";
    const TEST: &str = "contain::tests::a_panic_ends_the_process_and_a_contained_one_does_not";

    fn alone(what: &str) -> (ExitStatus, String) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([TEST, "--exact", "--nocapture"]).env(VARIABLE, what);
        let output = command.output().unwrap();
        (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    #[test]
    fn a_panic_ends_the_process_and_a_contained_one_does_not() {
        let fail = || -> u32 { panic!("of {}", "a test") };
        match std::env::var(VARIABLE).as_deref() {
            Ok("contained") => {
                end_the_process(|text| eprintln!("said {text}"));
                let outcome = std::thread::spawn(move || contained(fail)).join().unwrap();
                let text = outcome.unwrap_err();
                assert!(text.starts_with("src/contain.rs:"), "{text}");
                assert!(text.ends_with(": of a test"), "{text}");
                assert_eq!(contained(|| 7), Ok(7), "and the next one is none the worse");
            }
            Ok("loose") => {
                end_the_process(|text| eprintln!("said {text}"));
                // What was contained before contains nothing after it.
                assert!(contained(fail).is_err());
                let _ = std::thread::spawn(fail).join();
            }
            Ok(_) | Err(_) => {
                let (status, text) = alone("contained");
                assert!(status.success(), "{status}: {text}");
                assert!(!text.contains("said "), "{text}");
                let (status, text) = alone("loose");
                assert_eq!(status.signal(), Some(nix::libc::SIGABRT), "{text}");
                assert!(text.contains("said kordon: panicked at src/contain.rs:"), "{text}");
                assert_eq!(text.matches("said ").count(), 1, "{text}");
            }
        }
    }

    #[test]
    fn without_a_hook_of_ours_a_contained_panic_still_says_its_words() {
        assert!(contained(|| panic!("words")).is_err_and(|text: String| text.ends_with("words")));
    }
}
