//! Faults on request, for the tests of what happens then. Release builds have none and refuse to be asked.

use crate::failure::Failure;

/// The variable that asks for a fault.
const VARIABLE: &str = "KORDON_FAULT";

/// A fault that a test asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The first packet thread hangs after its start.
    StallFirstWorker,
    /// The first packet thread ends after its start.
    EndFirstWorker,
}

/// The fault asked for.
///
/// # Errors
/// 2 where the fault is unknown, or the build has none to offer.
pub(super) fn asked() -> Result<Option<Fault>, Failure> {
    let Some(value) = std::env::var_os(VARIABLE) else { return Ok(None) };
    offered(&value.to_string_lossy()).map(Some)
}

#[cfg(debug_assertions)]
fn offered(value: &str) -> Result<Fault, Failure> {
    match value {
        "stall-first-worker" => Ok(Fault::StallFirstWorker),
        "end-first-worker" => Ok(Fault::EndFirstWorker),
        other => Err(Failure::new(
            crate::failure::ExitStatus::Usage,
            format!("{VARIABLE}={other}: no such fault (stall-first-worker, end-first-worker)"),
        )),
    }
}

#[cfg(not(debug_assertions))]
fn offered(value: &str) -> Result<Fault, Failure> {
    Err(Failure::new(
        crate::failure::ExitStatus::Usage,
        format!("{VARIABLE}={value}: this build has no faults to offer; unset it"),
    ))
}
