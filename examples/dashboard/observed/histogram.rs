//! A histogram of durations, with buckets that double from 1 µs to 16.8 s.

use std::time::Duration;

/// The number of buckets with an upper bound. Another one has none.
pub(crate) const BOUNDED: usize = 25;

/// How many durations fell into each bucket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Histogram {
    /// Not cumulative. The last bucket is for what is longer than all bounds.
    counts: [u64; BOUNDED + 1],
    sum: Duration,
}

/// The longest duration in bucket number `index`, if it has a bound.
pub(crate) fn bound(index: usize) -> Option<Duration> {
    (index < BOUNDED).then(|| Duration::from_micros(1 << index))
}

impl Histogram {
    pub(crate) fn record(&mut self, duration: Duration) {
        let micros = duration.as_nanos().div_ceil(1_000); // a bound belongs to its bucket
        let index = (micros.max(1) - 1).checked_ilog2().map_or(0, |log| log as usize + 1);
        self.counts[index.min(BOUNDED)] += 1;
        self.sum += duration;
    }

    pub(crate) fn counts(&self) -> &[u64] {
        &self.counts
    }

    pub(crate) fn sum(&self) -> Duration {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_first_bucket_whose_bound_it_does_not_exceed() {
        let bucket_of = |nanos: u64| {
            let mut histogram = Histogram::default();
            histogram.record(Duration::from_nanos(nanos));
            histogram.counts().iter().position(|count| *count == 1)
        };
        let cases = [(0, 0), (1, 0), (1_000, 0), (1_001, 1), (2_000, 1), (2_001, 2), (4_000, 2)];
        for (nanos, bucket) in cases {
            assert_eq!(bucket_of(nanos), Some(bucket), "{nanos} ns");
        }
        for index in 0..BOUNDED {
            let nanos = 1_000 << index;
            assert_eq!(bound(index), Some(Duration::from_nanos(nanos)));
            assert_eq!(bucket_of(nanos), Some(index));
            assert_eq!(bucket_of(nanos + 1), Some(index + 1));
        }
        assert_eq!(bucket_of(u64::MAX), Some(BOUNDED));
        assert_eq!(bound(BOUNDED), None);
    }

    #[test]
    fn the_sum_is_that_of_all_durations() {
        let mut histogram = Histogram::default();
        (1..=4).for_each(|n| histogram.record(Duration::from_secs(n)));
        assert_eq!(histogram.sum(), Duration::from_secs(10));
        assert_eq!(histogram.counts().iter().sum::<u64>(), 4);
    }
}
