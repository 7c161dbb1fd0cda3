//! Work on rule sets, aside: each job on a thread of its own, at the lowest ordinary priority.
//!
//! To read, compile or free a full table keeps a processor busy for most of a second, and a packet that comes
//! meanwhile goes first. Not `SCHED_IDLE`, which would be preempted sooner still: at nice 19 a thread gets a
//! share of 15 to 1,024 beside one that never rests (sched(7)), five times as much, so that a reload ends while
//! packet threads are busy for good.
//!
//! Invariants: a lowered thread cannot be raised again without privileges, and those that it starts are as low
//! (sched(7)); so no thread of a pool is lowered, and no job here starts a thread that others need.

use std::sync::Once;

use rustix::process::setpriority_process;
use tokio::sync::oneshot;

use crate::failure::{ExitStatus, Failure};

/// The nice value of the threads here.
pub const NICE: i32 = 19;
/// Their name.
const NAME: &str = "kordon-aside";

/// Does the job aside and waits for what it brings.
///
/// # Errors
/// 1 where no thread can be had; then the job was not begun.
pub(super) async fn aside<T: Send + 'static>(
    job: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let (done, outcome) = oneshot::channel();
    begin(move || {
        // Nobody waits any more when the daemon stops.
        let _unwanted = done.send(job());
    })?;
    outcome.await.map_err(|_| Failure::new(ExitStatus::Failed, "the work was not finished"))
}

/// Does the job aside; nobody waits. Where no thread can be had it is not done, and the log says so.
pub fn leave(job: impl FnOnce() + Send + 'static) {
    if let Err(failure) = begin(job) {
        tracing::error!("{failure}");
    }
}

/// Lowers the priority of the calling thread, for good.
pub(super) fn step_back() {
    // On Linux without an id this is the calling thread, not the process (setpriority(2)).
    if let Err(error) = setpriority_process(None, NICE) {
        static SAID: Once = Once::new();
        SAID.call_once(|| {
            tracing::warn!(
                "reloads cannot be given a low priority (setpriority: {error}): packets may wait for them"
            );
        });
    }
}

fn begin(job: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let lowered = || {
        step_back();
        job();
    };
    std::thread::Builder::new()
        .name(NAME.to_owned())
        .spawn(lowered)
        .map(drop)
        .map_err(|error| Failure::new(ExitStatus::Failed, format!("thread {NAME}: {error}")))
}

#[cfg(test)]
mod tests {
    use rustix::process::getpriority_process;

    use super::*;

    fn nice() -> i32 {
        getpriority_process(None).unwrap()
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_job_aside_has_the_lowest_priority_and_nobody_else_has() {
        let before = nice();
        assert!(before < NICE, "the control: this thread is not as low");
        assert_eq!(aside(nice).await.unwrap(), NICE);
        // Neither who asked, nor a thread that is started afterwards, nor one of the pool.
        assert_eq!(nice(), before);
        assert_eq!(std::thread::spawn(nice).join().unwrap(), before);
        assert_eq!(tokio::task::spawn_blocking(nice).await.unwrap(), before);
        let (say, heard) = oneshot::channel();
        leave(move || say.send(nice()).unwrap());
        assert_eq!(heard.await.unwrap(), NICE);
        assert_eq!(nice(), before);
    }
}
