//! Yielding to everything else that is ready.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Lets everything that is queued now run first. The loop asks the kernel for events in between
/// when that is due. Tornado: `gen.moment`.
///
/// # Cost
/// No system call and no clock read; in a task, no atomic read-modify-write either.
pub fn yield_now() -> YieldNow {
    YieldNow { yielded: false }
}

/// The future of [`yield_now`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct YieldNow {
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
