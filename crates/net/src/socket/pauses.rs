//! Pauses between attempts at a Unix socket whose queue is full.
//!
//! The kernel reports no event when the queue of another socket has room again, except to a socket
//! that is connected to it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use squall_executor::{Sleep, sleep};

/// The first pause. Each later one is twice as long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(64);

pub(crate) struct Pauses {
    next: Duration,
    /// The pause that runs now.
    running: Option<Pin<Box<Sleep>>>,
}

impl Default for Pauses {
    fn default() -> Pauses {
        Pauses { next: FIRST_PAUSE, running: None }
    }
}

impl Pauses {
    /// Starts a pause, after an attempt that found the queue full.
    pub(crate) fn start(&mut self) {
        self.running = Some(Box::pin(sleep(self.next)));
        self.next = LONGEST_PAUSE.min(self.next * 2);
    }

    /// Waits for the end of the pause that runs. Ready at once if none does.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(pause) = &mut self.running {
            ready!(pause.as_mut().poll(cx));
            self.running = None;
        }
        Poll::Ready(())
    }
}
