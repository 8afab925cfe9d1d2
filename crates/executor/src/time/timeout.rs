//! A time limit for any future: polls the future, and a [`Sleep`] beside it.

use std::error::Error;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::io;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;

use crate::time::sleep::{Sleep, sleep, sleep_until};

/// Limits the time of `future` to `duration`, counted from this call. Tornado: `gen.with_timeout`.
///
/// The future is polled before the limit is checked: if it is ready, its output is returned,
/// however late it is. When the time is up, the future is not dropped at once, but together with
/// the returned [`Timeout`]. Pass `&mut future` to keep it.
///
/// # Errors
/// The output is [`Elapsed`] if the time passed first.
#[track_caller]
pub fn timeout<F: IntoFuture>(duration: Duration, future: F) -> Timeout<F::IntoFuture> {
    Timeout { future: future.into_future(), limit: sleep(duration) }
}

/// Limits the time of `future` to end at `deadline`. Otherwise as [`timeout`].
///
/// # Errors
/// The output is [`Elapsed`] if the time passed first.
#[track_caller]
pub fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> Timeout<F::IntoFuture> {
    Timeout { future: future.into_future(), limit: sleep_until(deadline) }
}

pin_project! {
    /// The future of [`timeout`] and [`timeout_at`].
    ///
    /// # Cancel safety
    /// Cancel safe if the limited future is.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        #[pin]
        limit: Sleep,
    }
}

impl<F> Timeout<F> {
    /// As [`timeout_at`]. With `None`, there is no limit.
    pub(crate) fn until(
        deadline: Option<Instant>,
        future: F,
        location: &'static Location<'static>,
    ) -> Timeout<F> {
        Timeout { future, limit: Sleep::until(deadline).made_at(location) }
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        this.limit.poll(cx).map(|()| Err(Elapsed))
    }
}

/// The time limit passed before the future completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time limit passed")
    }
}

impl Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(error: Elapsed) -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, error)
    }
}
