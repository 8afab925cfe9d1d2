//! Counts the requests of a lane, second by second.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::records::failure::Target;
use crate::records::load_report::Second;

/// What has happened since the last [`Tally::second`].
#[derive(Default)]
pub(crate) struct Tally(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    latencies: Vec<Duration>,
    failures: usize,
}

impl Tally {
    pub(crate) fn count_answer(&self, latency: Duration) {
        self.counts().latencies.push(latency);
    }

    pub(crate) fn count_failure(&self) {
        self.counts().failures += 1;
    }

    /// Ends a second. `None` if nothing has happened in it.
    pub(crate) fn second(&self, at: f64, target: Target) -> Option<Second> {
        let Counts { mut latencies, failures } = std::mem::take(&mut *self.counts());
        if latencies.is_empty() && failures == 0 {
            return None;
        }
        latencies.sort_unstable();
        let quantile = |per_cent: usize| {
            let place = (latencies.len() * per_cent / 100).min(latencies.len().saturating_sub(1));
            latencies.get(place).copied().unwrap_or_default().as_secs_f64()
        };
        let (p50, p99, max) = (quantile(50), quantile(99), quantile(100));
        Some(Second { at, target, answers: latencies.len(), failures, p50, p99, max })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().expect("no holder panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_the_quantiles_of_its_own_answers_only() {
        let tally = Tally::default();
        assert!(tally.second(1.0, Target::Single).is_none());
        (1..=100).rev().for_each(|ms| tally.count_answer(Duration::from_millis(ms)));
        tally.count_failure();
        let second = tally.second(2.0, Target::Single).unwrap();
        assert_eq!((second.answers, second.failures), (100, 1));
        assert_eq!((second.p50, second.p99, second.max), (0.051, 0.1, 0.1));
        assert!(tally.second(3.0, Target::Single).is_none());
    }
}
