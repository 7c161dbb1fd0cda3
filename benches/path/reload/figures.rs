//! What was measured of reloads, as a table and as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::{RATE, REQUESTS};
use crate::{at_most, round};

/// To reach: how much later the last packet in a thousand comes beside reloads than beside an equal hog.
const SHIFT: Duration = Duration::from_millis(1);

/// What there is beside the packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Beside {
    Nothing,
    EqualHog,
    PlainHog,
    Reloads,
}

impl Beside {
    pub(super) const ALL: [Beside; 4] =
        [Beside::Nothing, Beside::EqualHog, Beside::PlainHog, Beside::Reloads];

    fn label(self) -> &'static str {
        match self {
            Beside::Nothing => "nothing",
            Beside::EqualHog => "hog at nice 19",
            Beside::PlainHog => "hog at nice 0",
            Beside::Reloads => "reloads",
        }
    }

    fn key(self) -> &'static str {
        match self {
            Beside::Nothing => "idle",
            Beside::EqualHog => "hog_nice_19",
            Beside::PlainHog => "hog_nice_0",
            Beside::Reloads => "reloads",
        }
    }
}

/// What became of it all.
pub(crate) struct Figures {
    pub(super) sent: u32,
    pub(super) blocked: u32,
    pub(super) probes: u32,
    pub(super) lost: u32,
    pub(super) wrong: u64,
    pub(super) reloads: Vec<Duration>,
    /// The share of a processor that reloads, and hogs, took.
    pub(super) shares: BTreeMap<Beside, Vec<f64>>,
    /// Held, in ascending order, by round.
    pub(super) held: BTreeMap<Beside, Vec<Vec<Duration>>>,
    /// Resident: before the reloads, after them and before the requests, at most.
    pub(super) memory: [f64; 3],
    pub(super) storm: Option<Storm>,
    /// Processor time in seconds that the hypervisor took away meanwhile.
    pub(super) stolen: f64,
}

/// What a thousand requests did.
pub(super) struct Storm {
    pub(super) within: Duration,
    pub(super) answered: usize,
    pub(super) reloads: u64,
    pub(super) took: Duration,
}

/// So many of ten thousand are not above it, of an ascending sequence.
fn percentile(sorted: &[Duration], of_10_000: usize) -> f64 {
    let place = (sorted.len() * of_10_000).div_ceil(10_000).saturating_sub(1);
    sorted.get(place).map_or(f64::NAN, |one| one.as_secs_f64() * 1e6)
}

const PERCENTILES: [(&str, usize); 3] = [("p50", 5_000), ("p99", 9_900), ("p99.9", 9_990)];

impl Figures {
    pub(super) fn new() -> Self {
        Figures {
            sent: 0,
            blocked: 0,
            probes: 0,
            lost: 0,
            wrong: 0,
            reloads: Vec::new(),
            shares: BTreeMap::new(),
            held: BTreeMap::new(),
            memory: [0.0; 3],
            storm: None,
            stolen: 0.0,
        }
    }

    /// A percentile over all rounds, in microseconds.
    fn held(&self, beside: Beside, of_10_000: usize) -> f64 {
        let mut all: Vec<Duration> =
            self.held.get(&beside).into_iter().flatten().flatten().copied().collect();
        all.sort_unstable();
        percentile(&all, of_10_000)
    }

    /// By how much p99.9 is later than beside something else: the median of the rounds, and the worst; in
    /// microseconds.
    fn shift(&self, than: Beside) -> Option<[f64; 2]> {
        let [reloads, others] = [Beside::Reloads, than].map(|beside| self.held.get(&beside));
        let last = |held: &Vec<Duration>| percentile(held, 9_990);
        let rounds = reloads?.iter().zip(others?);
        let mut shifts: Vec<f64> =
            rounds.map(|(with, without)| last(with) - last(without)).collect();
        shifts.sort_by(f64::total_cmp);
        Some([shifts.get(shifts.len() / 2).copied()?, shifts.last().copied()?])
    }

    fn share(&self, beside: Beside) -> Option<f64> {
        let shares = self.shares.get(&beside).filter(|shares| !shares.is_empty())?;
        Some(shares.iter().sum::<f64>() / shares.len() as f64)
    }

    /// The median and the longest reload, in milliseconds.
    fn took(&self) -> [f64; 2] {
        let mut sorted = self.reloads.clone();
        sorted.sort_unstable();
        let of = |place: usize| sorted.get(place).map_or(f64::NAN, |one| one.as_secs_f64() * 1e3);
        [of(sorted.len() / 2), of(sorted.len().saturating_sub(1))]
    }

    pub(crate) fn print(self) -> Self {
        let [took, longest] = self.took();
        println!(
            "\nreloads of the full table at {RATE} packets/s     held, us:    p50      p99    p99.9   of a processor"
        );
        for beside in self.held.keys() {
            let held = PERCENTILES.map(|(_, of)| self.held(*beside, of));
            let share = self.share(*beside).map_or(String::new(), |share| format!("{share:.2}"));
            println!(
                "  beside {:<48} {:>7.0}  {:>7.0}  {:>7.0}   {share}",
                beside.label(),
                held[0],
                held[1],
                held[2]
            );
        }
        println!(
            "  {} reloads: median {took:.0} ms, longest {longest:.0} ms; {} packets, {} blocked ones, {} probes",
            self.reloads.len(),
            self.sent,
            self.blocked,
            self.probes
        );
        at_most("wrong verdicts", self.wrong as f64, 0.0);
        at_most("lost", f64::from(self.lost), 0.0);
        for (beside, promised) in
            [(Beside::EqualHog, true), (Beside::PlainHog, false), (Beside::Nothing, false)]
        {
            let Some([median, worst]) = self.shift(beside) else { continue };
            let what = format!("p99.9 beside reloads less that beside {}, ms", beside.label());
            match promised {
                true => at_most(&what, median / 1e3, SHIFT.as_secs_f64() * 1e3),
                false => println!("  {what}: {:.3}", median / 1e3),
            }
            println!("    in the worst round: {:.3}", worst / 1e3);
        }
        println!("  the hypervisor took {:.2} s of processor time meanwhile", self.stolen);
        let [before, after, most] = self.memory;
        println!("  resident: {before:.0} MiB before, {after:.0} after, {most:.0} at most");
        if let Some(storm) = &self.storm {
            println!(
                "  {REQUESTS} requests within {:.2} s: {} answered after {:.2} s, {} reloads",
                storm.within.as_secs_f64(),
                storm.answered,
                storm.took.as_secs_f64(),
                storm.reloads
            );
        }
        self
    }

    /// Under this key.
    pub(crate) fn json(&self, key: &str) -> Value {
        let [took, longest] = self.took();
        let held: serde_json::Map<String, Value> = (self.held.keys())
            .map(|beside| {
                let held = PERCENTILES.map(|(name, of)| (name, round(self.held(*beside, of))));
                (beside.key().to_owned(), json!(BTreeMap::from(held)))
            })
            .collect();
        let shares: BTreeMap<_, _> =
            self.shares.keys().map(|one| (one.key(), self.share(*one))).collect();
        let storm = self.storm.as_ref().map(|storm| {
            json!({
                "requests": REQUESTS,
                "within_s": storm.within.as_secs_f64(),
                "answered": storm.answered,
                "answered_after_s": storm.took.as_secs_f64(),
                "reloads": storm.reloads,
            })
        });
        json!({ key: {
            "packets": self.sent,
            "blocked_packets": self.blocked,
            "probes": self.probes,
            "wrong_verdicts": self.wrong,
            "lost": self.lost,
            "reloads": self.reloads.len(),
            "reload_ms_median_and_longest": [round(took), round(longest)],
            "share_of_a_processor": shares,
            "hold_us": held,
            "p99.9_shift_us_median_and_worst": {
                "to_hog_nice_19": self.shift(Beside::EqualHog).map(|shift| shift.map(round)),
                "to_hog_nice_0": self.shift(Beside::PlainHog).map(|shift| shift.map(round)),
                "to_idle": self.shift(Beside::Nothing).map(|shift| shift.map(round)),
            },
            "resident_mib": {
                "before": round(self.memory[0]),
                "after": round(self.memory[1]),
                "at_most": round(self.memory[2]),
            },
            "storm": storm,
            "stolen_s": self.stolen,
        }})
    }
}
