//! A thread that takes as much of a processor as reloads do, and nothing else; and what processes take.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use rustix::process::{getpriority_process, setpriority_process};

use crate::lab::{Context, Res};

/// Burns this much processor time in each period, at this nice value, until it is stopped.
pub(super) struct Hog {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Res<f64>>,
}

impl Hog {
    pub(super) fn start(nice: i32, busy: Duration, period: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            setpriority_process(None, nice).context("hog: setpriority")?;
            let began = Instant::now();
            while !told.load(Ordering::Relaxed) {
                let (turn, from) = (Instant::now(), burnt()?);
                while burnt()? < from + busy && !told.load(Ordering::Relaxed) {
                    (0..10_000).for_each(|_| std::hint::spin_loop());
                }
                // One that was kept waiting begins at once, as the next reload does.
                while turn.elapsed() < period && !told.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            Ok(burnt()?.as_secs_f64() / began.elapsed().as_secs_f64())
        });
        Hog { stop, thread }
    }

    /// Stops it; the share of a processor that it got.
    pub(super) fn stop(self) -> Res<f64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| "the hog panicked".to_owned())?
    }
}

/// Processor time that this thread has used.
fn burnt() -> Res<Duration> {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .map(Duration::from)
        .context("the thread's clock")
}

/// The bench may have a raised priority; the daemon, cameras and servers of this part have an ordinary one.
pub(super) struct Ordinary(i32);

impl Ordinary {
    pub(super) fn new() -> Res<Self> {
        let before = getpriority_process(None).context("getpriority")?;
        setpriority_process(None, 0).context("setpriority")?;
        Ok(Ordinary(before))
    }
}

impl Drop for Ordinary {
    fn drop(&mut self) {
        let _ = setpriority_process(None, self.0);
    }
}

/// Processor time in seconds that the daemon's threads aside have used: what the process has, the threads that are
/// gone included, less what those with other names have (proc(5), `stat`).
pub(super) fn used_aside(pid: u32) -> Res<f64> {
    let ticks = |path: String| -> Option<(String, f64)> {
        let text = std::fs::read_to_string(path).ok()?;
        let (name, rest) = text.split_once('(')?.1.rsplit_once(") ")?;
        let mut fields = rest.split(' ').skip(11).map_while(|field| field.parse::<f64>().ok());
        Some((name.to_owned(), fields.next()? + fields.next()?))
    };
    let (_, mut used) = ticks(format!("/proc/{pid}/stat")).ok_or("the daemon has no stat")?;
    let folder = format!("/proc/{pid}/task");
    for task in std::fs::read_dir(&folder).context(&folder)? {
        let path = task.context(&folder)?.path().join("stat").display().to_string();
        if let Some((name, others)) = ticks(path)
            && name != "kordon-aside"
        {
            used -= others;
        }
    }
    // A tick is a hundredth of a second (proc(5), USER_HZ).
    Ok(used / 100.0)
}

/// Processor time in seconds that the hypervisor has taken away so far (proc(5), `/proc/stat`).
pub(super) fn stolen() -> Res<f64> {
    let text = std::fs::read_to_string("/proc/stat").context("/proc/stat")?;
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "));
    let ticks = line.and_then(|counts| counts.split_whitespace().nth(7)?.parse::<f64>().ok());
    ticks.map(|ticks| ticks / 100.0).ok_or_else(|| "/proc/stat has no steal column".to_owned())
}

/// Resident memory in MiB, now and at most (proc(5), `status`).
pub(super) fn memory(pid: u32) -> Res<[f64; 2]> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).context("status")?;
    let of = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        kib.map(|kib| kib / 1024.0).ok_or_else(|| format!("status has no {key}"))
    };
    Ok([of("VmRSS:")?, of("VmHWM:")?])
}
