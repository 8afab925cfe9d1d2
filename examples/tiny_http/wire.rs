//! A stream with a deadline: the connection's one way to wait for its client.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use squall_net::{IoStream, Sleep, StreamError, sleep, turn_time};

use crate::shutdown::Watch;

/// The stream of a connection, and the time that its client has left.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) stream: IoStream,
    /// One timer for the whole life of the connection, pushed back as the client makes progress.
    deadline: Sleep,
}

/// What waiting for more bytes came to.
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

    /// Gives the client this much time from now.
    pub(crate) fn allow(&mut self, time: Duration) {
        // The clock of the turn: at most a turn old, and free.
        match turn_time().checked_add(time) {
            Some(deadline) => self.deadline.reset(deadline),
            None => self.deadline = sleep(Duration::MAX),
        }
    }

    /// Waits until the kernel has every byte of the answers; cuts a client that takes none for `patience`.
    pub(crate) async fn flush(&mut self, patience: Duration) -> Result<(), StreamError> {
        let mut queued = usize::MAX;
        poll_fn(|cx| {
            if let Poll::Ready(outcome) = self.stream.poll_flush(cx) {
                return Poll::Ready(outcome);
            }
            loop {
                if self.stream.queued() < queued {
                    queued = self.stream.queued();
                    self.allow(patience);
                }
                std::task::ready!(Pin::new(&mut self.deadline).poll(cx));
                // The pump sends without waking us: time is up only if nothing moved since.
                if self.stream.queued() == queued {
                    let late = io::Error::new(io::ErrorKind::TimedOut, "the client does not read");
                    return Poll::Ready(Err(late.into()));
                }
            }
        })
        .await
    }

    /// Reads once, within the time that is left.
    pub(crate) async fn fill(&mut self) -> Result<Filled, StreamError> {
        self.fill_unless(None).await
    }

    /// Reads once, within the time that is left, unless the server shuts down first.
    pub(crate) async fn fill_unless(
        &mut self,
        mut shutdown: Option<&mut Watch>,
    ) -> Result<Filled, StreamError> {
        poll_fn(|cx| {
            if let Poll::Ready(filled) = self.stream.poll_fill(cx) {
                return Poll::Ready(
                    filled.map(|n| if n > 0 { Filled::Bytes } else { Filled::End }),
                );
            }
            if shutdown.as_mut().is_some_and(|shutdown| shutdown.has_begun(cx)) {
                return Poll::Ready(Ok(Filled::Shutdown));
            }
            Pin::new(&mut self.deadline).poll(cx).map(|()| Ok(Filled::TimedOut))
        })
        .await
    }
}
