//! Faults on request, for the tests of what happens then. Release builds have none and refuse to be asked.

use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::queue::{Around, PacketQueue};

/// The variable that asks for a fault.
const VARIABLE: &str = "KORDON_FAULT";

/// A fault that a test asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(debug_assertions), expect(dead_code, reason = "release builds have no faults"))]
pub(super) enum Fault {
    /// The first packet thread hangs after its start.
    StallFirstWorker,
    /// The first packet thread goes on and hears nothing of what comes.
    DeafFirstWorker,
    /// The first packet thread ends after its start.
    EndFirstWorker,
    /// The first packet thread ends the process with its first batch received and not answered.
    DieWithABatch,
    /// The first packet thread judges no more packets a second than this.
    SlowFirstWorker(u32),
    /// The reader of a list or origin table in a file whose name begins with `breaks` breaks
    /// ([`blocklist`](crate::blocklist) sees to that).
    BreakReaders,
}

/// A queue whose reader dies before it answers.
pub(super) struct Dying<Q>(pub(super) Q);

impl<Q: PacketQueue> Around for Dying<Q> {
    type Inner = Q;

    fn inner(&self) -> &Q {
        &self.0
    }

    fn inner_mut(&mut self) -> &mut Q {
        &mut self.0
    }

    fn answer(&mut self) -> Result<(), Failure> {
        std::process::abort()
    }
}

/// A queue whose reader hears nothing.
pub(super) struct Deaf<Q>(pub(super) Q);

impl<Q: PacketQueue> Around for Deaf<Q> {
    type Inner = Q;

    fn inner(&self) -> &Q {
        &self.0
    }

    fn inner_mut(&mut self) -> &mut Q {
        &mut self.0
    }

    /// As where nothing comes.
    fn receive(&mut self) -> Result<usize, Failure> {
        std::thread::sleep(Duration::from_millis(250));
        Ok(0)
    }
}

/// A queue whose reader judges so many packets a second and no more.
pub(super) struct Slow<Q> {
    queue: Q,
    each: Duration,
    /// When what was received so far has taken its time.
    free: Instant,
}

impl<Q> Slow<Q> {
    pub(super) fn new(queue: Q, rate: u32) -> Self {
        Slow { queue, each: Duration::from_secs(1) / rate.max(1), free: Instant::now() }
    }
}

impl<Q: PacketQueue> Around for Slow<Q> {
    type Inner = Q;

    fn inner(&self) -> &Q {
        &self.queue
    }

    fn inner_mut(&mut self) -> &mut Q {
        &mut self.queue
    }

    /// Nothing is in hand while it sleeps: what was received is answered.
    fn receive(&mut self) -> Result<usize, Failure> {
        std::thread::sleep(self.free.saturating_duration_since(Instant::now()));
        let count = self.queue.receive()?;
        self.free = self.free.max(Instant::now()) + self.each * count as u32;
        Ok(count)
    }
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
        "deaf-first-worker" => Ok(Fault::DeafFirstWorker),
        "end-first-worker" => Ok(Fault::EndFirstWorker),
        "die-with-a-batch" => Ok(Fault::DieWithABatch),
        "break-readers" => Ok(Fault::BreakReaders),
        other => slow(other).ok_or_else(|| {
            Failure::new(
                crate::failure::ExitStatus::Usage,
                format!(
                    "{VARIABLE}={other}: no such fault (stall-first-worker, deaf-first-worker, \
                     end-first-worker, die-with-a-batch, slow-first-worker=PACKETS_PER_SECOND, break-readers)"
                ),
            )
        }),
    }
}

#[cfg(debug_assertions)]
fn slow(value: &str) -> Option<Fault> {
    value.strip_prefix("slow-first-worker=")?.parse().ok().map(Fault::SlowFirstWorker)
}

#[cfg(not(debug_assertions))]
fn offered(value: &str) -> Result<Fault, Failure> {
    Err(Failure::new(
        crate::failure::ExitStatus::Usage,
        format!("{VARIABLE}={value}: this build has no faults to offer; unset it"),
    ))
}
