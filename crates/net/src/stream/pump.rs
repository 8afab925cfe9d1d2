//! Sending: at once, at the end of the batch, or by the pump task.
//!
//! ```text
//!   write ─▶ outbox ─▶ end of the batch ─▶ the transport accepts all? ── no ─▶ the pump goes on
//! ```
//!
//! What a server's handler writes in a poll is sent when that poll ends, see
//! [`served_stream`](super::served_stream).
//!
//! These are the methods of the stream state that need a writable transport.

use std::future::poll_fn;
use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use futures_io::AsyncWrite;
use squall_executor::{BatchEnd, at_batch_end, spawn_boxed, turns};

use crate::buffer::write_queue::WriteQueue;
use crate::socket::readiness;
use crate::stream::outbox::Failure;
use crate::stream::read_end::ReadEnd;
use crate::stream::stream_error::{Cause, StreamError};
use crate::stream::stream_flags::StreamFlags;
use crate::stream::stream_state::StreamState;
use crate::stream::turn_budget::MAX_BYTES_AT_ONCE;

impl<S: AsyncWrite + Unpin + 'static> StreamState<S> {
    /// Schedules the queue to be sent at the end of the batch. Does nothing if a pump sends it.
    #[inline]
    pub(crate) fn schedule_send(self: &Rc<Self>) {
        let outbox = &self.outbox;
        if !outbox.has_pump() {
            self.enable_close_hook();
            outbox.is_scheduled.set(at_batch_end(Rc::clone(self) as Rc<dyn BatchEnd>));
        }
    }

    /// Sends what is queued, unless a pump does. Starts the pump if the transport does not accept
    /// everything.
    #[inline]
    pub(crate) fn send_now(self: &Rc<Self>) {
        // An empty queue was flushed already, and another task may wait for the transport now.
        if self.outbox.has_queued()
            && !self.outbox.has_pump()
            && self.poll_send(&mut Context::from_waker(Waker::noop())).is_pending()
        {
            self.start_pump();
        }
    }

    /// Sends what is queued, as much as this turn's budget allows. A failed write is also ready;
    /// the outbox records the failure.
    #[inline]
    pub(crate) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.outbox.budget.is_left() && self.send_at_once(cx) {
            return Poll::Ready(());
        }
        self.poll_send_rest(cx)
    }

    fn poll_send_rest(&self, cx: &mut Context<'_>) -> Poll<()> {
        while self.outbox.has_queued() {
            ready!(self.outbox.budget.poll(cx));
            ready!(self.poll_send_some(cx));
        }
        if self.outbox.is_broken() {
            return Poll::Ready(()); // the transport has told its error, and may tell it only once
        }
        if let Err(error) = ready!(self.poll_transport(|transport| transport.poll_flush(cx))) {
            self.fail_writing(Failure::Original(error.into()));
        }
        Poll::Ready(())
    }

    /// Records that a write has failed. If this machine is the cause, reading ends too: the peer goes
    /// on, so a task that waits for the answer to what was not sent would wait for ever. If the peer
    /// is the cause, reads find the end by themselves, after what the peer has sent before it.
    #[cold]
    pub(crate) fn fail_writing(&self, failure: Failure) {
        let cause = failure.cause();
        self.outbox.fail(failure);
        self.enable_close_hook(); // the close is a reset
        if cause.is_of_peer() || self.read_end() != ReadEnd::NotReached {
            return;
        }
        self.set_read_end(&Err(cause.error()));
        if let Some(watcher) = self.watcher() {
            watcher.stop_reading(self.read_end());
        }
        self.wake_reader();
        self.with_transport(|transport| readiness::wake_waiting(&*transport));
    }

    /// Sends a queue that is in one piece. Returns true if that sent everything; otherwise
    /// [`poll_send_rest`](Self::poll_send_rest) goes on.
    #[inline(always)] // the road of every write that is queued
    fn send_at_once(&self, cx: &mut Context<'_>) -> bool {
        let queue = self.outbox.take_queue();
        let Some(bytes) = queue.single(MAX_BYTES_AT_ONCE) else {
            self.outbox.put_back(queue);
            return false;
        };
        let len = bytes.len();
        match self.poll_write(cx, bytes) {
            Written::All if len == queue.len() => {
                self.outbox.budget.spend(len);
                drop(queue);
                self.outbox.all_sent()
            }
            written => {
                let _ = self.record_sent(queue, len, written); // a pending write is tried once more
                false
            }
        }
    }

    /// Writes once to the transport.
    pub(crate) fn poll_send_some(&self, cx: &mut Context<'_>) -> Poll<()> {
        let queue = self.outbox.take_queue();
        let (given, written) = match queue.single(MAX_BYTES_AT_ONCE) {
            Some(bytes) => (bytes.len(), self.poll_write(cx, bytes)),
            None => {
                let send = |slices: &[IoSlice<'_>]| self.poll_write_slices(cx, slices);
                (queue.len(), queue.with_slices(MAX_BYTES_AT_ONCE, send))
            }
        };
        self.record_sent(queue, given, written)
    }

    /// Records the outcome of a write of the first `given` bytes of the queue.
    fn record_sent(&self, mut queue: WriteQueue, given: usize, written: Written) -> Poll<()> {
        let outbox = &self.outbox;
        let sent = match written {
            Written::All => given,
            Written::Some(n) => n,
            Written::Pending | Written::Failed(_) | Written::NoTransport => 0,
        };
        self.check_sent(sent, queue.len());
        queue.advance(sent);
        outbox.budget.spend(sent);
        // The transport may have woken a waker that closed the stream.
        if self.is_closed() {
            return Poll::Ready(());
        }
        outbox.put_back(queue);
        match written {
            Written::All => {}
            Written::Some(n) if n > 0 => {}
            Written::Pending => return Poll::Pending,
            Written::Some(_) => {
                self.fail_writing(Failure::Original(io::ErrorKind::WriteZero.into()));
            }
            Written::Failed(error) => self.fail_writing(Failure::Original(error)),
            // A read finds it missing too.
            Written::NoTransport => {
                outbox.fail(Failure::Original(self.no_transport_error().into()));
            }
        }
        Poll::Ready(())
    }

    /// Whether `data` can be written directly and at once: it is not empty and not too long, nothing
    /// was written before it that the transport has not taken, and the turn's budget is not used up.
    #[inline]
    pub(crate) fn writes_directly(&self, data: &[u8]) -> bool {
        (1..=MAX_BYTES_AT_ONCE).contains(&data.len())
            && self.outbox.is_unused()
            && self.outbox.budget.is_left()
    }

    /// Writes `data` directly; the queue must be empty.
    ///
    /// The caller passes the outcome to [`record_write`](Self::record_write). After
    /// [`Written::All`], spending the budget is enough.
    #[inline(always)] // on the shortest road of a write
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, data: &[u8]) -> Written {
        let Some(mut lent) = self.transport.lend() else { return Written::NoTransport };
        let written = Written::to(Pin::new(lent.get()), cx, data);
        lent.end();
        self.loan_ended();
        written
    }

    /// Writes `slices` in one call of the transport, and does not flush it. They may hold at most
    /// [`MAX_BYTES_AT_ONCE`] bytes.
    pub(crate) fn poll_write_slices(
        &self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Written {
        let polled = self.with_transport(|transport| transport.poll_write_vectored(cx, slices));
        polled.map_or(Written::NoTransport, Written::some)
    }

    /// Records the outcome of [`poll_write`](Self::poll_write) with `given` bytes. Returns the number
    /// of bytes, and whether that was all and the transport was flushed too.
    pub(crate) fn record_write(
        &self,
        cx: &mut Context<'_>,
        given: usize,
        written: Written,
    ) -> Poll<Result<(usize, bool), StreamError>> {
        let error = match written {
            Written::All => {
                self.outbox.budget.spend(given);
                return Poll::Ready(Ok((given, true)));
            }
            Written::Some(n) if n > 0 => {
                self.check_sent(n, given);
                self.outbox.budget.spend(n);
                return Poll::Ready(Ok((n, false)));
            }
            Written::Pending => {
                self.outbox.add_flush_waker(cx.waker()); // a close by the other half wakes this task
                return Poll::Pending;
            }
            Written::Some(_) => io::ErrorKind::WriteZero.into(),
            Written::Failed(error) => error,
            Written::NoTransport => return Poll::Ready(Err(self.note_missing_transport())),
        };
        self.fail_writing(Failure::Copy(Cause::of(&error)));
        Poll::Ready(Err(error.into()))
    }

    #[cold]
    fn note_missing_transport(&self) -> StreamError {
        let error = self.no_transport_error();
        if let StreamError::Closed { cause: Some(error) } = &error {
            self.outbox.fail(Failure::Copy(Cause::of(error)));
        }
        error
    }

    /// # Panics
    /// If a transport has taken more bytes than it was given. The stream is broken then.
    #[inline]
    fn check_sent(&self, n: usize, given: usize) {
        if n > given {
            self.refuse_transport(n, given);
        }
    }

    #[cold]
    fn refuse_transport(&self, n: usize, given: usize) -> ! {
        let error = io::Error::other("the transport took more bytes than it was given");
        self.outbox.fail(Failure::Original(error));
        panic!("a transport sent {n} of {given} bytes");
    }

    /// Closes the transport's write side, unless that was done before: the kernel refuses it for a
    /// connection that both sides have ended.
    pub(crate) fn poll_close(&self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        if self.flags.has_any(StreamFlags::WRITE_ENDED) && !self.is_closed() {
            return Poll::Ready(Ok(()));
        }
        let polled = self.poll_transport(|transport| transport.poll_close(cx));
        match &polled {
            Poll::Ready(outcome) => self.flags.set(StreamFlags::WRITE_ENDED, outcome.is_ok()),
            Poll::Pending => self.outbox.add_flush_waker(cx.waker()),
        }
        polled
    }

    /// Waits until everything is sent.
    pub(crate) fn poll_flush(
        self: &Rc<Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), StreamError>> {
        self.check_writable()?;
        let outbox = &self.outbox;
        if !outbox.has_pump() {
            ready!(outbox.budget.poll(cx));
            if self.poll_send(cx).is_ready() {
                return Poll::Ready(self.check_writable());
            }
            // Without a loop there is no pump. Then the transport stores the waker of this flush.
            if turns().is_some() {
                self.start_pump();
                if !outbox.has_pump() {
                    let error =
                        io::Error::other("the event loop has ended, so the queue cannot be sent");
                    return Poll::Ready(Err(error.into()));
                }
            }
        }
        outbox.add_flush_waker(cx.waker());
        Poll::Pending
    }

    #[inline]
    pub(crate) fn check_writable(&self) -> Result<(), StreamError> {
        if let Some(failure) = self.outbox.failure() {
            return Err(failure.into());
        }
        if self.is_closed() { Err(StreamError::ended()) } else { Ok(()) }
    }

    /// Starts the pump.
    ///
    /// From here on only the pump polls the transport for writing, because the transport stores
    /// only one waker. So a dropped flush cannot lose the wake-up.
    pub(crate) fn start_pump(self: &Rc<Self>) {
        let pump = Pump { state: Rc::clone(self) };
        let task = spawn_boxed(Box::pin(async move { poll_fn(|cx| pump.poll(cx)).await }));
        if !task.is_finished() {
            self.outbox.set_pump(task);
        }
    }
}

/// The outcome of a direct write.
pub(crate) enum Written {
    /// The transport took all bytes and was flushed.
    All,
    /// The transport took this many bytes. There are more, or it was not flushed.
    Some(usize),
    Pending,
    Failed(io::Error),
    NoTransport,
}

impl Written {
    #[inline(always)] // as `poll_write`
    fn to<S: AsyncWrite>(mut transport: Pin<&mut S>, cx: &mut Context<'_>, data: &[u8]) -> Written {
        let shown = &data[..data.len().min(MAX_BYTES_AT_ONCE)];
        match transport.as_mut().poll_write(cx, shown) {
            Poll::Ready(Ok(n)) if n == data.len() => match transport.poll_flush(cx) {
                Poll::Ready(Ok(())) => Written::All,
                Poll::Ready(Err(error)) => Written::Failed(error),
                Poll::Pending => Written::Some(n),
            },
            polled => Written::some(polled),
        }
    }

    #[inline]
    fn some(polled: Poll<io::Result<usize>>) -> Written {
        match polled {
            Poll::Ready(Ok(n)) => Written::Some(n),
            Poll::Ready(Err(error)) => Written::Failed(error),
            Poll::Pending => Written::Pending,
        }
    }
}

/// The state of the task that sends the rest of the queue. However the task ends, it wakes the tasks
/// that wait for the flush.
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
        // If only the loop has ended, the next loop sends the queue.
        if !self.state.has_transport() && !self.state.is_closed() {
            outbox.fail(Failure::Original(self.state.no_transport_error().into()));
        }
        outbox.wake_flushers();
    }
}

impl<S: AsyncWrite + Unpin + 'static> BatchEnd for StreamState<S> {
    fn batch_ended(self: Rc<Self>) {
        self.outbox.is_scheduled.set(false);
        self.send_now();
    }

    fn loop_ended(self: Rc<Self>) {
        // So the next write, on another loop, schedules again.
        self.outbox.is_scheduled.set(false);
    }
}
