//! Sending: at once, at the end of the batch, or by the pump.
//!
//! ```text
//!   write ─▶ outbox ─▶ end of the batch ─▶ the transport accepts all? ── no ─▶ the pump goes on, as the transport accepts more
//! ```
//!
//! These are the methods of the stream state that need a transport which can be written to.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use futures_io::AsyncWrite;
use squall_executor::{BatchEnd, at_batch_end, spawn};

use crate::stream::outbox::Failure;
use crate::stream::stream_error::{Cause, StreamError};
use crate::stream::stream_state::{CloseReason, StreamState};
use crate::stream::turn_budget::MAX_BYTES_AT_ONCE;

impl<S: AsyncWrite + Unpin + 'static> StreamState<S> {
    /// Makes sure that the queue is sent when the batch ends.
    pub(crate) fn schedule(self: &Rc<Self>) {
        let outbox = &self.outbox;
        if outbox.is_scheduled.get() || outbox.has_pump() {
            return;
        }
        if self.on_close.get().is_none() {
            self.on_close.set(Some(Self::try_send));
        }
        outbox.is_scheduled.set(at_batch_end(Rc::clone(self) as Rc<dyn BatchEnd>));
    }

    /// Tries once to send the queue of a stream that closes.
    fn try_send(&self, _reason: CloseReason) {
        let cx = &mut Context::from_waker(Waker::noop());
        while !self.outbox.queue.borrow().is_empty() {
            if self.poll_send_some(cx).is_pending() {
                return;
            }
        }
        let _ = self.poll_transport(|transport| transport.poll_flush(cx)); // no caller is left to get the error
    }

    /// As [`try_send`](Self::try_send), for a transport whose end must be announced. Only a requested close is announced: a stream
    /// that is dropped may have been in the middle of a message, and its peer must not take a part for the whole.
    #[cfg(feature = "tls")]
    pub(crate) fn try_send_and_announce(&self, reason: CloseReason) {
        self.try_send(reason);
        if reason == CloseReason::Requested
            && self.outbox.queue.borrow().is_empty()
            && !self.outbox.is_broken()
        {
            let cx = &mut Context::from_waker(Waker::noop());
            let _ = self.poll_transport(|transport| transport.poll_close(cx)); // as above
        }
    }

    /// Sends what is queued, as much as this turn's budget allows. Ready also when writing has failed, which the outbox records.
    pub(crate) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.outbox.queue.borrow().is_empty() {
            ready!(self.outbox.budget.poll(cx));
            ready!(self.poll_send_some(cx));
        }
        if let Err(error) = ready!(self.poll_transport(|transport| transport.poll_flush(cx))) {
            self.outbox.fail(Failure::Original(error.into()));
        }
        Poll::Ready(())
    }

    /// Sends once.
    fn poll_send_some(&self, cx: &mut Context<'_>) -> Poll<()> {
        let outbox = &self.outbox;
        // Taken out, so that no borrow is held while the transport runs.
        let mut queue = outbox.queue.take();
        let polled = self.poll_transport(|transport| match queue.single(MAX_BYTES_AT_ONCE) {
            Some(bytes) => transport.poll_write(cx, bytes),
            None => queue
                .with_slices(MAX_BYTES_AT_ONCE, |slices| transport.poll_write_vectored(cx, slices)),
        });
        if let Poll::Ready(Ok(n)) = polled {
            queue.advance(n);
            outbox.budget.spend(n);
        }
        // A waker that the transport has used may have written meanwhile, or closed the stream.
        let late = outbox.queue.take();
        queue.append(late);
        if self.is_closed.get() {
            return Poll::Ready(());
        }
        drop(outbox.queue.replace(queue));
        match ready!(polled) {
            Ok(0) => outbox.fail(Failure::Original(io::ErrorKind::WriteZero.into())),
            Ok(_) => {}
            Err(error) => outbox.fail(Failure::Original(error.into())),
        }
        Poll::Ready(())
    }

    /// Writes, behind an empty queue. Returns how many bytes, and whether that was all and was flushed too.
    #[inline]
    pub(crate) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<Result<(usize, bool), StreamError>> {
        let polled = self.poll_transport(|mut transport| {
            let shown = &data[..data.len().min(MAX_BYTES_AT_ONCE)];
            let n = ready!(transport.as_mut().poll_write(cx, shown))?;
            let is_done = n == data.len() && transport.poll_flush(cx)?.is_ready();
            Poll::Ready(if n > 0 { Ok((n, is_done)) } else { Err(io::ErrorKind::WriteZero.into()) })
        });
        match &polled {
            Poll::Ready(Ok((n, _))) => self.outbox.budget.spend(*n),
            Poll::Ready(Err(StreamError::Closed { cause: Some(error) })) => {
                self.outbox.fail(Failure::Copy(Cause::of(error)));
            }
            Poll::Ready(Err(_)) => {} // the stream was closed here
            Poll::Pending => self.outbox.set_flusher(cx.waker()), // the other half may close the stream
        }
        polled
    }

    pub(crate) fn poll_close(&self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        let polled = self.poll_transport(|transport| transport.poll_close(cx));
        if polled.is_pending() {
            self.outbox.set_flusher(cx.waker());
        }
        polled
    }

    /// Starts the pump.
    ///
    /// From here on only the pump polls the transport for writing, which remembers one waker: a flush that is dropped
    /// then cannot take the wake-up with it.
    pub(crate) fn start_pump(self: &Rc<Self>) {
        let pump = Pump { state: Rc::clone(self) };
        let task = spawn(async move { poll_fn(|cx| pump.poll(cx)).await });
        if !task.is_finished() {
            self.outbox.set_pump(task);
        }
    }
}

/// The task that sends the rest. However it ends, the task that waits for the flush is woken.
struct Pump<S> {
    state: Rc<StreamState<S>>,
}

impl<S: AsyncWrite + Unpin + 'static> Pump<S> {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.state.poll_send(cx)
    }
}

impl<S> Drop for Pump<S> {
    fn drop(&mut self) {
        let outbox = &self.state.outbox;
        drop(outbox.take_pump());
        // If only the loop has ended, the queue is left to the next loop.
        if !self.state.has_transport() && !self.state.is_closed.get() {
            outbox.fail(Failure::Original(self.state.gone().into()));
        }
        outbox.wake_flusher();
    }
}

impl<S: AsyncWrite + Unpin + 'static> BatchEnd for StreamState<S> {
    fn batch_ended(self: Rc<Self>) {
        self.outbox.is_scheduled.set(false);
        if self.outbox.queue.borrow().is_empty() {
            return; // it was flushed; another task may wait for the transport now
        }
        if !self.outbox.has_pump()
            && self.poll_send(&mut Context::from_waker(Waker::noop())).is_pending()
        {
            self.start_pump();
        }
    }

    fn loop_ended(self: Rc<Self>) {
        self.outbox.is_scheduled.set(false); // the next write, on another loop, schedules again
    }
}
