//! A stream that a server has given to a handler. The handler's result decides how it ends.
//!
//! ```text
//!   Ok     ─▶ what is queued is sent, at most for the flush deadline ─▶ an orderly end
//!   Err    ─▶ a reset, unless the error only says that the peer has ended in order
//!   panic  ─▶ a reset
//!   abort  ─▶ a reset, if the handler has sent something; else an orderly end
//! ```
//!
//! A handler that drops the stream and goes on gives up this control: the stream is flushed and ends
//! like one whose handler has returned `Ok`.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use futures_io::AsyncWrite;
use pin_project_lite::pin_project;
use squall_executor::{is_closing, spawn, timeout};

use crate::stream::io_stream::IoStream;
use crate::stream::stream_error::StreamError;
use crate::stream::stream_state::{CloseReason, StreamState};

/// The time for a flush after a handler that goes on without its stream, and the default of
/// [`Server::flush_deadline`](crate::Server::flush_deadline).
pub(crate) const FLUSH_DEADLINE: Duration = Duration::from_secs(30);

/// The server's reference to a stream that a handler owns. Its drop means that the handler has
/// panicked or was aborted.
pub(crate) struct ServedStream<S: AsyncWrite + Unpin + 'static> {
    state: Rc<StreamState<S>>,
}

/// Sends what is queued and closes the stream. Boxed, because most connections do not need it.
pub(crate) type Finish = Pin<Box<dyn Future<Output = ()>>>;

impl<S: AsyncWrite + Unpin + 'static> ServedStream<S> {
    pub(crate) fn new(state: Rc<StreamState<S>>) -> ServedStream<S> {
        state.is_served.set(true);
        state.enable_close_hook();
        ServedStream { state }
    }

    /// The stream for the handler.
    pub(crate) fn stream(&self) -> IoStream<S> {
        IoStream::from_state(Rc::clone(&self.state))
    }

    /// Ends the stream after its handler, unless the handler has closed it or has given it to
    /// another task. Returns a future if bytes must be sent first, at most for `deadline`.
    pub(crate) fn end(self, is_ok: bool, deadline: Duration) -> Option<Finish> {
        self.state.is_served.set(false);
        if !is_ok {
            self.state.fail();
        } else if self.state.is_dropped() {
            return self.state.finish(deadline);
        }
        None
    }
}

impl<S: AsyncWrite + Unpin + 'static> Drop for ServedStream<S> {
    fn drop(&mut self) {
        if self.state.is_served.replace(false) {
            let has_sent = self.state.outbox.budget.was_used();
            // A loop that ends drops its handlers. That says nothing about their answers.
            if thread::panicking() || (has_sent && !is_closing()) {
                self.state.fail();
            } else if self.state.is_dropped() {
                self.state.close(CloseReason::Dropped);
            }
        }
    }
}

pin_project! {
    /// Waits for a handler and returns its result, with the stream. If the handler drops the stream
    /// and goes on, ends the stream without it.
    pub(crate) struct Handling<S, F> {
        #[pin]
        pub(crate) handler: F,
        // A `ServedStream`; `None` after the handler has returned.
        pub(crate) stream: Option<S>,
    }
}

impl<S: AsyncWrite + Unpin + 'static, F: Future> Future for Handling<ServedStream<S>, F> {
    type Output = (F::Output, Option<ServedStream<S>>);

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let handled = this.handler.poll(cx);
        if handled.is_pending()
            && let Some(stream) = this.stream
            && stream.state.is_postponed()
        {
            stream.state.end_without_handler();
        }
        handled.map(|output| (output, this.stream.take()))
    }
}

/// Whether a handler failed only because its peer has ended the stream in order.
pub(crate) fn is_end_of_peer(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<StreamError>());
    matches!(error, Some(StreamError::Closed { cause: None }))
}

impl<S: AsyncWrite + Unpin + 'static> StreamState<S> {
    /// Closes a dropped stream, or returns a future that first sends what is queued.
    #[inline]
    fn finish(self: &Rc<Self>, deadline: Duration) -> Option<Finish> {
        if self.is_closed.get() || self.outbox.is_idle() {
            self.close(CloseReason::Dropped);
            return None;
        }
        Some(self.flush_and_close(deadline))
    }

    #[cold]
    fn flush_and_close(self: &Rc<Self>, deadline: Duration) -> Finish {
        let state = Rc::clone(self);
        Box::pin(async move {
            let _ = timeout(deadline, poll_fn(|cx| state.poll_flush(cx))).await;
            state.close(CloseReason::Dropped); // a reset, if bytes are left
        })
    }

    /// Resets the stream if its owner has dropped it and has not ended its writing direction.
    fn fail(self: &Rc<Self>) {
        if self.is_dropped() {
            let is_whole = self.is_write_ended.get();
            self.close(if is_whole { CloseReason::Dropped } else { CloseReason::Failed });
        }
    }

    /// Whether the handler has dropped the stream.
    #[inline]
    fn is_postponed(&self) -> bool {
        self.is_dropped() && self.is_served.get()
    }

    /// Ends the stream of a handler that has dropped it and goes on.
    #[cold]
    fn end_without_handler(self: &Rc<Self>) {
        self.is_served.set(false);
        if let Some(finish) = self.finish(FLUSH_DEADLINE) {
            drop(spawn(finish));
        }
    }
}
