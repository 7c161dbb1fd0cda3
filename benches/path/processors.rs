//! Which processors a thread runs on.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::lab::{Context, Res};

/// The calling thread.
pub(super) const THIS: Pid = Pid::from_raw(0);

/// Two that the calling thread may use.
pub(super) fn two() -> Res<[usize; 2]> {
    let set = sched_getaffinity(THIS).context("sched_getaffinity")?;
    let mut allowed = (0..CpuSet::count()).filter(|one| set.is_set(*one) == Ok(true));
    match (allowed.next(), allowed.next()) {
        (Some(one), Some(other)) => Ok([one, other]),
        (_, _) => Err("needs two processors".to_owned()),
    }
}

/// Keeps a thread, and what it starts from now on, on these processors.
pub(super) fn keep_on(thread: Pid, processors: &[usize]) -> Res {
    let mut set = CpuSet::new();
    for processor in processors {
        set.set(*processor).context("CpuSet")?;
    }
    sched_setaffinity(thread, &set).context("sched_setaffinity")
}
