//! How late sleeps end.

use std::time::{Duration, Instant};

use super::runtimes::Timers;

pub(super) const METHOD: &str = "The time from the begin of a sleep until its task runs again, without the time that was asked for; \
                                 of each round the percentiles of all its sleeps. `raw` is a thread that sleeps in `clock_nanosleep`.";

/// Sleeps again and again for `time`, at least once, and returns how late each sleep has ended, in
/// order of size.
pub(super) fn measure<T: Timers>(sleep: Duration, time: Duration) -> Vec<Duration> {
    let mut late = T::block_on(async {
        let mut late = Vec::new();
        let since = Instant::now();
        while late.is_empty() || since.elapsed() < time {
            let begin = Instant::now();
            T::sleep(sleep).await;
            late.push(begin.elapsed().saturating_sub(sleep));
        }
        late
    });
    late.sort_unstable();
    late
}
