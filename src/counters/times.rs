//! Sampled decision times, in buckets.

use std::time::Duration;

use super::Counter;

/// Upper bounds of the buckets of the decision time, in nanoseconds.
pub const BUCKETS: [u64; 12] =
    [50, 100, 150, 200, 300, 500, 1_000, 2_000, 5_000, 10_000, 100_000, 1_000_000];

/// Sampled times around `decide`.
#[derive(Debug, Default)]
pub struct DecisionTimes {
    /// Samples at or under each bound of [`BUCKETS`] and above the one before; the last place is beyond all.
    pub buckets: [Counter; BUCKETS.len() + 1],
    /// Sum of all samples, in nanoseconds.
    pub sum: Counter,
}

impl DecisionTimes {
    /// Notes one sample.
    #[inline]
    pub fn note(&self, time: Duration) {
        let nanos = time.as_nanos().min(u128::from(u64::MAX)) as u64;
        let place = BUCKETS.partition_point(|bound| *bound < nanos);
        if let Some(bucket) = self.buckets.get(place) {
            bucket.add(1);
        }
        self.sum.add(nanos);
    }
}
