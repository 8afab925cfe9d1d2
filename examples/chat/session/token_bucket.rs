//! Limits how often something happens.

use std::time::{Duration, Instant};

/// Allows a burst of events, and then one event after each interval.
///
/// Source: the generic cell rate algorithm (ITU-T I.371), whose whole state is one time.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    /// When the events so far will be forgotten. Each moves it by one interval.
    empty_at: Instant,
    interval: Duration,
    /// How far `empty_at` may lie ahead when an event comes.
    tolerance: Duration,
}

impl TokenBucket {
    /// # Panics
    /// If `burst` is 0.
    pub(crate) fn new(burst: u32, interval: Duration, now: Instant) -> TokenBucket {
        assert!(burst > 0, "a bucket allows at least one event");
        TokenBucket { empty_at: now, interval, tolerance: interval * (burst - 1) }
    }

    /// Counts an event.
    pub(crate) fn count(&mut self, now: Instant) {
        self.empty_at = self.empty_at.max(now) + self.interval;
    }

    /// When the next event is allowed; `None` if that is now.
    pub(crate) fn full_until(&self, now: Instant) -> Option<Instant> {
        let next = self.empty_at.checked_sub(self.tolerance)?;
        (next > now).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_followed_by_one_event_an_interval() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut bucket = TokenBucket::new(3, Duration::from_secs(10), begin);
        for _ in 0..3 {
            assert_eq!(bucket.full_until(begin), None);
            bucket.count(begin);
        }
        assert_eq!(bucket.full_until(at(9)), Some(at(10)));
        assert_eq!(bucket.full_until(at(10)), None);
        bucket.count(at(10));
        assert_eq!(bucket.full_until(at(10)), Some(at(20)));
        // After a long pause, a burst is allowed again, and no more than one.
        for _ in 0..3 {
            assert_eq!(bucket.full_until(at(1000)), None);
            bucket.count(at(1000));
        }
        assert_eq!(bucket.full_until(at(1000)), Some(at(1010)));
    }
}
