//! A stream of equally spaced times.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_core::Stream;

use crate::time::periodic_times::PeriodicTimes;
use crate::time::sleep::{Sleep, now};
use crate::time::turn_clock::whole_nanos;

/// Ticks every `period`, for the first time one period after this call.
///
/// The ticks stay on their grid: who comes late gets one tick at once and skips the others that he missed. Nothing runs between
/// the calls of [`tick`](Interval::tick); for a callback that runs by itself there is
/// [`PeriodicCallback`](crate::PeriodicCallback).
///
/// ```
/// use std::time::{Duration, Instant};
/// use squall_executor::{block_on, interval};
///
/// block_on(async {
///     let mut ticks = interval(Duration::from_millis(1));
///     for _ in 0..3 {
///         assert!(ticks.tick().await <= Instant::now());
///     }
/// });
/// ```
///
/// # Panics
/// If `period` is zero.
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    assert!(!period.is_zero(), "the period of an interval must be longer than zero");
    let origin = now();
    let mut times = PeriodicTimes::starting_at(0, whole_nanos(period));
    times.advance(0);
    Interval { origin, times, sleep: Sleep::until(time_at(origin, times.next())) }
}

/// Equally spaced times; made by [`interval`].
///
/// # Cancel safety
/// Cancel safe: a tick that nobody awaited to its end is given to the next call.
pub struct Interval {
    /// The times are counted from here.
    origin: Instant,
    times: PeriodicTimes,
    sleep: Sleep,
}

impl Interval {
    /// Waits for the next tick and returns the time that it was due.
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// As [`tick`](Self::tick).
    ///
    /// # Panics
    /// If there is no loop on this thread.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        ready!(Pin::new(&mut self.sleep).poll(cx));
        let due = time_at(self.origin, self.times.next());
        self.times.advance(whole_nanos(now().saturating_duration_since(self.origin)));
        self.sleep.set_deadline(time_at(self.origin, self.times.next()));
        Poll::Ready(due.unwrap_or_else(now))
    }
}

/// `None`: never.
fn time_at(origin: Instant, nanos: u64) -> Option<Instant> {
    origin.checked_add(Duration::from_nanos(nanos))
}

impl Stream for Interval {
    type Item = Instant;

    /// Never ends.
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Instant>> {
        self.poll_tick(cx).map(Some)
    }
}

impl fmt::Debug for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interval").field("next", &self.sleep).finish_non_exhaustive()
    }
}
