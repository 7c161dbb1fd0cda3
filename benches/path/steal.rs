//! Processor time that the hypervisor took away: a measurement with much of it says nothing.

use super::lab::{Context, Res};

/// Measurements that may be repeated, for each one that counts.
const REPEATS: usize = 2;

/// Repeats measurements that were disturbed, as long as the account lasts.
pub(super) struct Undisturbed {
    processor: usize,
    left: usize,
    repeated: usize,
    kept: usize,
}

impl Undisturbed {
    pub(super) fn new(processor: usize, measurements: usize) -> Self {
        Undisturbed { processor, left: measurements * REPEATS, repeated: 0, kept: 0 }
    }

    /// `measure`'s result; `tolerated` is in hundredths of a second.
    pub(super) fn take<T>(
        &mut self,
        tolerated: u64,
        mut measure: impl FnMut() -> Res<T>,
    ) -> Res<T> {
        loop {
            let before = stolen(self.processor)?;
            let result = measure()?;
            if stolen(self.processor)? - before <= tolerated {
                return Ok(result);
            }
            if self.left == 0 {
                self.kept += 1;
                return Ok(result);
            }
            self.left -= 1;
            self.repeated += 1;
        }
    }

    pub(super) fn report(&self, what: &str) {
        if self.repeated > 0 {
            println!(
                "  ({what}: {} measurements repeated because the hypervisor took the processor away, {} kept)",
                self.repeated, self.kept
            );
        }
    }
}

/// The `steal` column of /proc/stat, in hundredths of a second (proc(5)).
fn stolen(processor: usize) -> Res<u64> {
    let text = std::fs::read_to_string("/proc/stat").context("/proc/stat")?;
    let name = format!("cpu{processor} ");
    text.lines()
        .find_map(|line| line.strip_prefix(name.as_str()))
        .and_then(|counts| counts.split_whitespace().nth(7)?.parse().ok())
        .ok_or_else(|| "/proc/stat has no steal column".to_owned())
}
