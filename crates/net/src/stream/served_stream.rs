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
//! like one whose handler has returned `Ok`. So does a handler that gives the whole stream to another
//! task. If one half is still alive after the handler, the result decides when that half is dropped.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::thread;

use futures_io::AsyncWrite;
use pin_project_lite::pin_project;
use squall_executor::{BoxedFuture, is_closing, timeout, try_spawn};

use crate::stream::io_stream::IoStream;
use crate::stream::stream_error::StreamError;
use crate::stream::stream_flags::StreamFlags;
use crate::stream::stream_state::{CloseReason, Control, StreamState};

/// The server's reference to a stream that a handler owns. Its drop means that the handler has
/// panicked or was aborted.
pub(crate) struct ServedStream<S: AsyncWrite + Unpin + 'static> {
    state: Rc<StreamState<S>>,
}

/// Sends what is queued and closes the stream. Boxed, because most connections do not need it.
pub(crate) type Finish = BoxedFuture;

impl<S: AsyncWrite + Unpin + 'static> ServedStream<S> {
    pub(crate) fn new(state: Rc<StreamState<S>>) -> ServedStream<S> {
        state.control.set(Control::Handler);
        state.enable_close_hook();
        ServedStream { state }
    }

    /// The stream for the handler.
    pub(crate) fn stream(&self) -> IoStream<S> {
        IoStream::from_state(Rc::clone(&self.state))
    }

    /// Called after a poll of the handler that was pending. Sends what it has written, unless the end
    /// of the batch will.
    #[inline]
    fn handler_waits(&self) {
        let state = &self.state;
        state.flags.set(StreamFlags::IN_HANDLER, false);
        if state.is_dropped() {
            state.give_up_control();
        } else if !state.outbox.is_unused()
            && !state.outbox.is_scheduled.get()
            && !state.is_forked()
        {
            state.send_now();
        }
    }

    /// Ends the stream as the handler's result says. Returns a future if bytes must be sent first.
    pub(crate) fn end(self, is_ok: bool) -> Option<Finish> {
        let state = &self.state;
        if state.control.get() == Control::None {
            return None; // the handler has given up control
        }
        if state.is_dropped() {
            state.control.set(Control::None);
            if is_ok {
                return state.finish();
            }
            state.fail();
        } else {
            self.state.leave_control(is_ok);
        }
        None
    }
}

impl<S: AsyncWrite + Unpin + 'static> Drop for ServedStream<S> {
    fn drop(&mut self) {
        let state = &self.state;
        if state.control.get() != Control::Handler {
            return;
        }
        // A loop that ends drops its handlers. That says nothing about their answers.
        let has_sent = state.outbox.budget.was_used();
        let has_failed = !is_closing() && (thread::panicking() || has_sent);
        if !state.is_dropped() {
            let control = if has_failed { Control::AfterFailure } else { Control::None };
            state.control.set(control);
            state.schedule_unsent();
        } else if has_failed {
            state.fail();
        } else {
            state.control.set(Control::None);
            state.close(CloseReason::Dropped);
        }
    }
}

pin_project! {
    /// Waits for a handler and returns its result, with the stream. If the handler drops the stream
    /// and goes on, ends the stream without it.
    pub(crate) struct Handling<S, F> {
        // A `ServedStream`; `None` after the handler has returned. Dropped before the handler, so that
        // it decides how the handler's stream ends.
        pub(crate) stream: Option<S>,
        #[pin]
        pub(crate) handler: F,
    }
}

impl<S: AsyncWrite + Unpin + 'static, F: Future> Future for Handling<ServedStream<S>, F> {
    type Output = (F::Output, Option<ServedStream<S>>);

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Some(stream) = &*this.stream {
            stream.state.flags.set(StreamFlags::IN_HANDLER, true);
        }
        let handled = this.handler.poll(cx);
        if handled.is_pending()
            && let Some(stream) = &*this.stream
        {
            stream.handler_waits();
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
    /// Records the result of a handler that has not dropped the whole stream.
    fn leave_control(self: &Rc<Self>, is_ok: bool) {
        self.control.set(match (self.is_half_dropped(), is_ok) {
            (false, _) => Control::None, // another task owns the stream
            (true, true) => Control::AfterOk,
            (true, false) => Control::AfterFailure,
        });
        self.schedule_unsent();
    }

    /// Lets the end of the batch send what a handler wrote in its last poll: another task has the
    /// stream, and goes on.
    #[cold]
    fn schedule_unsent(self: &Rc<Self>) {
        self.flags.set(StreamFlags::IN_HANDLER, false);
        if self.outbox.has_queued() && !self.outbox.is_scheduled.get() {
            self.schedule_send();
        }
    }

    /// Ends the stream of a handler that has dropped it and goes on.
    #[cold]
    fn give_up_control(self: &Rc<Self>) {
        if self.control.get() == Control::Handler {
            self.close_after_flush();
        }
    }

    /// Closes a dropped stream, or returns a future that first sends what is queued.
    #[inline]
    fn finish(self: &Rc<Self>) -> Option<Finish> {
        if self.is_closed() || self.outbox.is_unused() || self.sends_all() {
            self.close(CloseReason::Dropped);
            return None;
        }
        Some(self.flush_then_close())
    }

    /// Tries once to send what is queued. Returns true if nothing is left. Most answers are sent at
    /// once, and need no future.
    fn sends_all(&self) -> bool {
        let outbox = &self.outbox;
        let tries = outbox.has_queued() && !outbox.has_pump() && !self.is_forked();
        let cx = &mut Context::from_waker(Waker::noop());
        (!tries || self.poll_send(cx).is_ready()) && outbox.is_idle()
    }

    #[cold]
    fn flush_then_close(self: &Rc<Self>) -> Finish {
        let state = ClosesOnDrop(Rc::clone(self));
        Box::pin(async move {
            let ClosesOnDrop(state) = &state;
            let deadline = state.config().flush_deadline;
            let _ = timeout(deadline, poll_fn(|cx| state.poll_flush(cx))).await;
        })
    }

    /// As [`finish`](Self::finish), in a task of its own.
    pub(crate) fn flush_and_close(self: &Rc<Self>) {
        if let Some(finish) = self.finish() {
            try_spawn(finish); // without a loop, the drop closes the stream
        }
    }
}

/// Closes a stream when its flush has ended, also when the flush was aborted. If bytes are left, the
/// close is a reset.
struct ClosesOnDrop<S: AsyncWrite + Unpin + 'static>(Rc<StreamState<S>>);

impl<S: AsyncWrite + Unpin + 'static> Drop for ClosesOnDrop<S> {
    fn drop(&mut self) {
        self.0.close(CloseReason::Dropped);
    }
}
