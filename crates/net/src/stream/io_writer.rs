//! The writing half of a stream. Written bytes are queued and sent at the latest when the batch
//! ends.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_io::AsyncWrite;

use crate::buffer::chunk::Chunk;
use crate::socket::tcp_stream::TcpStream;
use crate::stream::pump::Written;
use crate::stream::stream_error::StreamError;
use crate::stream::stream_flags::StreamFlags;
use crate::stream::stream_state::{CloseReason, StreamState};

/// The writing half of an [`IoStream`](crate::IoStream), made by
/// [`IoStream::split`](crate::IoStream::split).
///
/// Each method does what the method of the same name on `IoStream` does. Dropping one half leaves
/// the other half and the connection as they are, and queued bytes are still sent; dropping the
/// second half closes the connection. [`shutdown`](Self::shutdown) tells the peer that no more
/// bytes will come.
pub struct IoWriter<S = TcpStream> {
    pub(crate) state: Rc<StreamState<S>>,
}

impl<S> IoWriter<S> {
    pub(crate) fn new(state: Rc<StreamState<S>>) -> IoWriter<S> {
        IoWriter { state }
    }

    /// As [`IoStream::queued`](crate::IoStream::queued).
    pub fn queued(&self) -> usize {
        self.state.outbox.queued()
    }

    /// Closes the whole stream, as [`IoStream::close`](crate::IoStream::close). Wakes the task that
    /// waits on the other half.
    pub fn close(&mut self) {
        self.state.close(CloseReason::Requested);
    }

    /// As [`IoStream::is_closed`](crate::IoStream::is_closed).
    pub fn is_closed(&self) -> bool {
        self.state.is_closed()
    }
}

impl<S: AsyncWrite + Unpin + 'static> IoWriter<S> {
    /// As [`IoStream::write`](crate::IoStream::write).
    ///
    /// # Errors
    /// As there.
    pub fn write<'a>(&mut self, data: impl Into<Chunk<'a>>) -> Result<(), StreamError> {
        self.queue(data.into())
    }

    fn queue(&mut self, data: Chunk<'_>) -> Result<(), StreamError> {
        let state = &self.state;
        state.check_writable()?;
        let len = data.len();
        if let Some(limit) = state.max_write_buffer_size()
            && state.outbox.queued().saturating_add(len) > limit
        {
            return Err(StreamError::BufferFull { limit });
        }
        if len == 0 {
            return Ok(());
        }
        state.outbox.push(data);
        // The server sends what its handler writes in a poll.
        if !state.outbox.is_scheduled.get() && !state.flags.has_any(StreamFlags::IN_HANDLER) {
            state.schedule_send();
        }
        Ok(())
    }

    /// As [`IoStream::flush`](crate::IoStream::flush).
    ///
    /// # Errors
    /// As there.
    pub fn flush(&mut self) -> impl Future<Output = Result<(), StreamError>> {
        poll_fn(|cx| self.poll_flush(cx))
    }

    /// As [`IoStream::poll_flush`](crate::IoStream::poll_flush).
    ///
    /// # Errors
    /// As there.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        self.state.poll_flush(cx)
    }

    /// As [`IoStream::write_all`](crate::IoStream::write_all).
    ///
    /// # Errors
    /// As there.
    pub fn write_all(&mut self, data: &[u8]) -> impl Future<Output = Result<(), StreamError>> {
        WriteAll { writer: self, data, sent: 0 }
    }

    /// Sends some of `data`, after what is queued. Returns the number of bytes.
    pub(crate) fn poll_write_some(
        &mut self,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<Result<usize, StreamError>> {
        ready!(self.poll_ready_to_write(cx))?;
        ready!(self.state.outbox.budget.poll(cx));
        let written = self.state.poll_write(cx, data);
        self.state.record_write(cx, data.len(), written).map_ok(|(n, _)| n)
    }

    /// Waits until nothing is queued.
    pub(crate) fn poll_ready_to_write(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), StreamError>> {
        if !self.state.outbox.is_idle() {
            ready!(self.poll_flush(cx))?;
        }
        Poll::Ready(self.state.check_writable())
    }

    /// As [`IoStream::shutdown`](crate::IoStream::shutdown).
    ///
    /// # Errors
    /// As there.
    pub fn shutdown(&mut self) -> impl Future<Output = Result<(), StreamError>> {
        poll_fn(|cx| {
            ready!(self.state.poll_flush(cx))?;
            self.state.poll_close(cx)
        })
    }

    /// As [`IoStream::reset`](crate::IoStream::reset).
    pub fn reset(&mut self) {
        self.state.reset();
    }
}

/// The future of [`IoWriter::write_all`].
struct WriteAll<'w, 'd, S> {
    writer: &'w mut IoWriter<S>,
    data: &'d [u8],
    /// The number of bytes that the transport has taken.
    sent: usize,
}

impl<S: AsyncWrite + Unpin + 'static> Future for WriteAll<'_, '_, S> {
    type Output = Result<(), StreamError>;

    #[inline(always)] // the road of every write that is not queued
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (state, data) = (&*self.writer.state, self.data);
        if self.sent > 0 || !state.writes_directly(data) {
            return self.poll_slowly(cx);
        }
        match state.poll_write(cx, data) {
            Written::All => {
                state.outbox.budget.spend(data.len());
                Poll::Ready(Ok(()))
            }
            written => self.conclude(cx, written),
        }
    }
}

impl<S: AsyncWrite + Unpin + 'static> WriteAll<'_, '_, S> {
    /// Goes on after a write that did not complete everything.
    #[cold]
    fn conclude(
        &mut self,
        cx: &mut Context<'_>,
        written: Written,
    ) -> Poll<Result<(), StreamError>> {
        let (n, _) = ready!(self.writer.state.record_write(cx, self.data.len(), written))?;
        self.sent = n;
        let polled = self.poll_rest(cx);
        if polled.is_pending() {
            self.writer.state.outbox.count_begun(true);
        }
        polled
    }

    #[inline(never)] // keeps the writes that complete at once small
    fn poll_slowly(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        let was_begun = self.sent > 0;
        let polled = self.poll_rest(cx);
        // A caller that drops this future now has sent a part for the whole.
        let is_begun = polled.is_pending() && self.sent > 0;
        if is_begun != was_begun {
            self.writer.state.outbox.count_begun(is_begun);
        }
        polled
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        ready!(self.writer.poll_ready_to_write(cx))?;
        while self.sent < self.data.len() {
            let state = &*self.writer.state;
            ready!(state.outbox.budget.poll(cx));
            let rest = &self.data[self.sent..];
            let written = state.poll_write(cx, rest);
            let (n, is_done) = ready!(state.record_write(cx, rest.len(), written))?;
            self.sent += n;
            if is_done {
                return Poll::Ready(Ok(()));
            }
        }
        self.writer.poll_flush(cx)
    }
}

impl<S> Drop for IoWriter<S> {
    fn drop(&mut self) {
        self.state.drop_half();
    }
}

impl<S> fmt::Debug for IoWriter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IoWriter")
            .field("queued", &self.queued())
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
