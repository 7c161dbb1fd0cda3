//! The machine that figures come from, and the one processor that they are taken on.

use std::fmt;

use kordon::clock;
use kordon::config::Day;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::lab::{Context, Res};

/// What figures depend on.
pub(super) struct Machine {
    model: String,
    processors: usize,
    kernel: String,
    date: String,
}

impl Machine {
    pub(super) fn look() -> Res<Self> {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").context("/proc/cpuinfo")?;
        let name =
            |line: &str| Some(line.strip_prefix("model name")?.split_once(':')?.1.to_owned());
        let model = cpuinfo.lines().find_map(name).unwrap_or_else(|| "unknown".to_owned());
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").context("osrelease")?;
        let day = Day::of_unix(clock::now()).ok_or("the clock is out of range")?;
        Ok(Machine {
            model: model.trim().to_owned(),
            processors: std::thread::available_parallelism().context("processors")?.get(),
            kernel: kernel.trim().to_owned(),
            date: day.to_string(),
        })
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "processor": self.model,
            "processors": self.processors,
            "kernel": self.kernel,
            "date": self.date,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { model, processors, kernel, date } = self;
        write!(f, "{model}, {processors} processors, Linux {kernel}, {date}")
    }
}

/// Keeps this thread, and all that it starts, on the last processor that it may use, until dropped.
pub(super) struct Pinned {
    pub(super) processor: usize,
    before: CpuSet,
}

impl Pinned {
    pub(super) fn new() -> Res<Self> {
        let this = Pid::from_raw(0);
        let before = sched_getaffinity(this).context("sched_getaffinity")?;
        let last = (0..CpuSet::count()).rev().find(|cpu| before.is_set(*cpu) == Ok(true));
        let processor = last.ok_or("no processor")?;
        let mut one = CpuSet::new();
        one.set(processor).context("CpuSet")?;
        sched_setaffinity(this, &one).context("sched_setaffinity")?;
        Ok(Pinned { processor, before })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let _ = sched_setaffinity(Pid::from_raw(0), &self.before);
    }
}
