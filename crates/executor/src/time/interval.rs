//! [`interval`]: a stream of equally spaced times. It waits with a [`Sleep`] and needs no timer
//! code of its own.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_core::Stream;

use crate::current;
use crate::time::clock::whole_nanos;
use crate::time::periodic_times::PeriodicTimes;
use crate::time::sleep::{Sleep, now};

/// Ticks every `period`. The first tick is due one period after this call.
///
/// The ticks stay on a fixed grid. A caller that is late gets one tick at once, and skips the
/// others that it missed. Nothing runs between the calls of [`tick`](Interval::tick). To run a
/// callback periodically, use [`PeriodicCallback`](crate::PeriodicCallback).
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
    let mut times = PeriodicTimes::starting_at(0, whole_nanos(period));
    times.advance(0);
    let origin = now();
    let sleep = Sleep::until(time_at(origin, times.next()));
    Interval { origin, is_bound: current::try_get().is_some(), times, sleep }
}

/// A stream of equally spaced times. Returned by [`interval`].
///
/// # Cancel safety
/// Cancel safe: if a call of [`tick`](Self::tick) is dropped before it returns, the next call gets
/// that tick.
pub struct Interval {
    /// The time 0 of `times`.
    origin: Instant,
    /// False if it was made without a loop and not polled since.
    is_bound: bool,
    times: PeriodicTimes,
    sleep: Sleep,
}

impl Interval {
    /// Waits for the next tick and returns the time at which it was due.
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// As [`tick`](Self::tick), as a poll function.
    ///
    /// # Panics
    /// If there is no loop on this thread.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        if !self.is_bound {
            self.bind();
        }
        ready!(Pin::new(&mut self.sleep).poll(cx));
        let due = time_at(self.origin, self.times.next());
        self.times.advance(whole_nanos(now().saturating_duration_since(self.origin)));
        self.sleep.set_deadline(time_at(self.origin, self.times.next()));
        Poll::Ready(due.unwrap_or_else(now))
    }

    /// Begins anew if the loop has a clock that a test moves, on which this call was not made.
    #[cold]
    fn bind(&mut self) {
        self.is_bound = true;
        if current::get().clock.clock().is_simulated() {
            self.origin = now();
            self.sleep.set_deadline(time_at(self.origin, self.times.next()));
        }
    }
}

/// Returns `None` for a time that an `Instant` cannot hold. It never comes.
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
