//! A stream with a deadline. The connection waits for its client only here, except in `linger`.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use squall_net::executor::now;
use squall_net::{IoStream, Sleep, StreamError, sleep};

use crate::shutdown::ShutdownWatcher;

/// The stream of a connection, and the client's current deadline.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) stream: IoStream,
    /// One timer as long as the connection lives, reset for each phase and as the client reads.
    deadline: Sleep,
}

/// The outcome of waiting for more bytes.
pub(crate) enum Filled {
    Bytes,
    End,
    TimedOut,
    /// The server is shutting down.
    Shutdown,
}

impl Wire {
    pub(crate) fn new(stream: IoStream) -> Wire {
        Wire { stream, deadline: sleep(Duration::MAX) }
    }

    /// Sets the deadline to `time` from now.
    pub(crate) fn allow(&mut self, time: Duration) {
        // Not from the turn's time: a handler may have computed for long since the turn began.
        match now().checked_add(time) {
            Some(deadline) => self.deadline.reset(deadline),
            None => self.deadline = sleep(Duration::MAX),
        }
    }

    /// Waits until the kernel has every queued byte. Fails with `TimedOut` if the client takes no
    /// byte for `time`.
    pub(crate) async fn flush(&mut self, time: Duration) -> Result<(), StreamError> {
        let mut queued = usize::MAX;
        let mut is_last_chance = false;
        poll_fn(|cx| {
            if let Poll::Ready(outcome) = self.stream.poll_flush(cx) {
                return Poll::Ready(outcome);
            }
            loop {
                if self.stream.queued() < queued {
                    queued = self.stream.queued();
                    is_last_chance = false;
                    self.allow(time);
                }
                ready!(Pin::new(&mut self.deadline).poll(cx));
                // The stream sends queued bytes without waking this task. So the client is late
                // only if nothing was sent since the deadline was set.
                if self.stream.queued() < queued {
                    continue;
                }
                if is_last_chance {
                    let error = io::Error::new(io::ErrorKind::TimedOut, "the client does not read");
                    return Poll::Ready(Err(error.into()));
                }
                // If the loop was held up, the client may have read meanwhile, and the stream has
                // not run yet. It does before the next turn.
                is_last_chance = true;
                self.allow(Duration::ZERO);
            }
        })
        .await
    }

    /// Reads once, before the deadline.
    pub(crate) async fn fill(&mut self) -> Result<Filled, StreamError> {
        self.fill_unless(None).await
    }

    /// Reads once, before the deadline, unless the server shuts down first.
    pub(crate) async fn fill_unless(
        &mut self,
        mut shutdown: Option<&mut ShutdownWatcher>,
    ) -> Result<Filled, StreamError> {
        poll_fn(|cx| {
            if let Poll::Ready(filled) = self.stream.poll_fill(cx) {
                return Poll::Ready(
                    filled.map(|n| if n > 0 { Filled::Bytes } else { Filled::End }),
                );
            }
            if shutdown.as_mut().is_some_and(|shutdown| shutdown.register(cx)) {
                return Poll::Ready(Ok(Filled::Shutdown));
            }
            Pin::new(&mut self.deadline).poll(cx).map(|()| Ok(Filled::TimedOut))
        })
        .await
    }
}
