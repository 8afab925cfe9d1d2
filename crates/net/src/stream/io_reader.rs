//! The reading half of a stream. Bytes stay in its buffer until a read is satisfied.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_io::AsyncRead;

use crate::buffer::read_buffer::ReadBuffer;
use crate::buffer::segment::Segment;
use crate::socket::readiness;
use crate::socket::tcp_stream::TcpStream;
use crate::stream::close_watcher::Closed;
use crate::stream::read_end::ReadEnd;
use crate::stream::stream_error::StreamError;
use crate::stream::stream_flags::StreamFlags;
use crate::stream::stream_state::{CloseReason, StreamState};

/// The reading half of an [`IoStream`](crate::IoStream), made by
/// [`IoStream::split`](crate::IoStream::split).
///
/// Each method does what the method of the same name on `IoStream` does. Dropping one half leaves
/// the other half and the connection as they are; dropping the second half closes the connection.
pub struct IoReader<S = TcpStream> {
    pub(crate) state: Rc<StreamState<S>>,
    buffer: ReadBuffer,
}

impl<S> IoReader<S> {
    pub(crate) fn new(state: Rc<StreamState<S>>) -> IoReader<S> {
        IoReader { state, buffer: ReadBuffer::default() }
    }

    /// As [`IoStream::buffer`](crate::IoStream::buffer).
    pub fn buffer(&self) -> &[u8] {
        self.buffer.data()
    }

    /// As [`IoStream::consume`](crate::IoStream::consume).
    ///
    /// # Panics
    /// If the buffer holds fewer than `n` bytes.
    #[inline(always)] // on the road of every read without a copy
    #[track_caller]
    pub fn consume(&mut self, n: usize) {
        self.buffer.consume(n);
        self.update_watcher();
    }

    /// As [`IoStream::unread`](crate::IoStream::unread).
    pub fn unread(&mut self, bytes: &[u8]) {
        self.buffer.put_in_front(bytes);
        self.update_watcher();
    }

    /// Tells the close watcher whether the buffer is empty.
    #[inline]
    fn update_watcher(&self) {
        if let Some(watcher) = self.state.watcher() {
            watcher.set_drained(self.buffer.len() == 0, self.state.read_end());
        }
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

    #[inline]
    fn take(&mut self, n: usize) -> Bytes {
        let taken = self.buffer.take(n);
        self.update_watcher();
        taken
    }

    /// Takes every byte that was received and not read.
    pub(crate) fn take_all(&mut self) -> Bytes {
        self.take(self.buffer.len())
    }
}

impl<S: AsyncRead + Unpin> IoReader<S> {
    /// As [`IoStream::read_until`](crate::IoStream::read_until).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// As there.
    pub fn read_until(
        &mut self,
        delimiter: &[u8],
    ) -> impl Future<Output = Result<Bytes, StreamError>> {
        self.read_until_max(delimiter, usize::MAX)
    }

    /// As [`IoStream::read_until_max`](crate::IoStream::read_until_max).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// As there.
    pub fn read_until_max(
        &mut self,
        delimiter: &[u8],
        max_bytes: usize,
    ) -> impl Future<Output = Result<Bytes, StreamError>> {
        let mut searched = 0;
        poll_fn(move |cx| {
            assert!(!delimiter.is_empty(), "the delimiter is empty");
            let limit = max_bytes.min(self.state.config().max_buffer_size);
            loop {
                if !self.buffer.is_unallocated()
                    && let Some(end) = self.buffer.find(delimiter, limit, &mut searched)
                {
                    return Poll::Ready(Ok(self.take(end)));
                }
                ready!(self.poll_fill_within(cx, limit))?;
            }
        })
    }

    /// As [`IoStream::read_until_match`](crate::IoStream::read_until_match).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// As there.
    pub fn read_until_match(
        &mut self,
        max_bytes: usize,
        mut find: impl FnMut(&[u8]) -> Option<usize>,
    ) -> impl Future<Output = Result<Bytes, StreamError>> {
        poll_fn(move |cx| {
            let limit = max_bytes.min(self.state.config().max_buffer_size);
            loop {
                let data = self.buffer.data();
                let shown = &data[..data.len().min(limit)];
                if let Some(end) = find(shown) {
                    assert!(end <= shown.len(), "{end} bytes were found in {}", shown.len());
                    return Poll::Ready(Ok(self.take(end)));
                }
                ready!(self.poll_fill_within(cx, limit))?;
            }
        })
    }

    /// As [`IoStream::read_bytes`](crate::IoStream::read_bytes).
    ///
    /// # Errors
    /// As there.
    pub fn read_bytes(&mut self, n: usize) -> impl Future<Output = Result<Bytes, StreamError>> {
        poll_fn(move |cx| {
            ready!(self.poll_fill_until(cx, n))?;
            Poll::Ready(Ok(self.take(n)))
        })
    }

    /// As [`IoStream::read_some`](crate::IoStream::read_some).
    ///
    /// # Errors
    /// As there.
    pub fn read_some(&mut self, max: usize) -> impl Future<Output = Result<Bytes, StreamError>> {
        poll_fn(move |cx| {
            if self.buffer.len() == 0 && max > 0 {
                ready!(self.poll_fill_or_end(cx))?;
            }
            Poll::Ready(Ok(self.take(max.min(self.buffer.len()))))
        })
    }

    /// As [`IoStream::read_exact`](crate::IoStream::read_exact).
    ///
    /// # Errors
    /// As there.
    pub fn read_exact(&mut self, into: &mut [u8]) -> impl Future<Output = Result<(), StreamError>> {
        poll_fn(move |cx| {
            ready!(self.poll_fill_until(cx, into.len()))?;
            into.copy_from_slice(&self.buffer.data()[..into.len()]);
            self.consume(into.len());
            Poll::Ready(Ok(()))
        })
    }

    /// As [`IoStream::read_until_close`](crate::IoStream::read_until_close).
    ///
    /// # Errors
    /// As there.
    pub async fn read_until_close(&mut self) -> Result<Bytes, StreamError> {
        if self.state.flags.has_any(StreamFlags::READ_TO_END) && self.buffer.len() == 0 {
            return Err(StreamError::ended());
        }
        // One byte more than the limit, to distinguish a stream that ends at the limit from a
        // longer one.
        let most = self.state.config().max_buffer_size.saturating_add(1);
        loop {
            match poll_fn(|cx| self.poll_fill_to(cx, most)).await {
                Ok(0) => break,
                Ok(_) if self.buffer.len() == most => return Err(self.state.too_long()),
                Ok(_) => {}
                Err(_) if self.state.is_closed() => break, // a local close is also an end
                Err(error) => return Err(error),
            }
        }
        self.state.flags.set(StreamFlags::READ_TO_END, true);
        Ok(self.take(self.buffer.len()))
    }

    /// As [`IoStream::fill`](crate::IoStream::fill).
    ///
    /// # Errors
    /// As there.
    pub fn fill(&mut self) -> impl Future<Output = Result<usize, StreamError>> {
        Fill(self)
    }

    /// As [`IoStream::poll_fill`](crate::IoStream::poll_fill).
    ///
    /// # Errors
    /// As there.
    #[inline(always)] // the road of every read
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, StreamError>> {
        if !self.reads_whole_segment() {
            return self.poll_fill_to(cx, self.state.config().max_buffer_size);
        }
        let state = &*self.state;
        let Some(mut lent) = state.transport.lend() else { return self.conclude(cx, None) };
        if !readiness::may_read(lent.get()) {
            let polled = readiness::poll_readable(lent.get(), cx);
            lent.end();
            if polled.is_pending() && !state.is_closed() {
                return Poll::Pending; // the other half wakes this task by dropping the socket
            }
            // No loop would wake this task, or a foreign waker has closed the stream.
            state.loan_ended();
            return self.poll_fill_to(cx, self.state.config().max_buffer_size);
        }
        let mut segment = Segment::pooled();
        let polled = Pin::new(lent.get()).poll_read(cx, segment.whole());
        lent.end();
        state.loan_ended();
        if let Poll::Ready(Ok(n)) = polled
            && n > 0
        {
            segment.fill(n);
            self.buffer.adopt(segment);
            state.read_budget.spend(n);
            return Poll::Ready(Ok(n));
        }
        segment.give_back();
        self.conclude(cx, Some(polled))
    }

    /// Whether a read takes what the transport has, at most a segment.
    #[inline]
    fn reads_whole_segment(&self) -> bool {
        !self.state.flags.has_any(StreamFlags::READS_OTHERWISE)
            && self.buffer.is_unallocated()
            && self.state.read_budget.is_left()
    }

    /// Reads once, at most until the buffer holds `most` bytes. Fails if the buffer holds them
    /// already.
    #[inline(never)] // keeps the reads that take a segment small
    fn poll_fill_to(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
    ) -> Poll<Result<usize, StreamError>> {
        let room = most.saturating_sub(self.buffer.len());
        if let Some(outcome) = self.poll_without_transport(cx, room) {
            return outcome;
        }
        ready!(self.state.read_budget.poll(cx));
        if !self.state.may_read() {
            ready!(self.poll_wait(cx));
        }
        let state = &*self.state;
        let most = room.min(state.config().read_chunk_size);
        match self.buffer.receive(most, |spare| state.poll_read(cx, spare)) {
            Some(Poll::Ready(Ok(n))) if n > 0 => {
                state.read_budget.spend(n);
                self.update_watcher();
                Poll::Ready(Ok(n))
            }
            outcome => self.conclude(cx, outcome),
        }
    }

    /// The result of a read that has found no byte. `None` stands for a missing transport.
    #[cold]
    fn conclude(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Option<Poll<io::Result<usize>>>,
    ) -> Poll<Result<usize, StreamError>> {
        match outcome {
            Some(Poll::Pending) => {
                self.state.set_reader_waker(cx.waker());
                Poll::Pending
            }
            Some(Poll::Ready(read)) => Poll::Ready(self.record_end(read)),
            None => Poll::Ready(Err(self.state.no_transport_error())),
        }
    }

    /// Waits until the transport may have something to read.
    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.state.poll_readable(cx).is_ready() {
            return Poll::Ready(());
        }
        if !self.buffer.is_unallocated() {
            self.buffer.shrink();
        }
        self.state.set_reader_waker(cx.waker());
        Poll::Pending
    }

    /// Records the end of the stream, and returns the result of the read that found it.
    fn record_end(&mut self, read: io::Result<usize>) -> Result<usize, StreamError> {
        self.state.set_read_end(&read);
        if read.is_err() {
            self.state.outbox.wake_writers();
        }
        self.update_watcher();
        Ok(read?)
    }

    /// The outcome of a read for which the transport is not asked: the close watcher reads in place
    /// of the stream, the stream has ended, or there is no room. `None` if it has to be asked.
    fn poll_without_transport(
        &mut self,
        cx: &mut Context<'_>,
        room: usize,
    ) -> Option<Poll<Result<usize, StreamError>>> {
        if let Some(outcome) = self.poll_watcher(cx, room) {
            return Some(outcome);
        }
        Some(Poll::Ready(match self.state.read_end() {
            ReadEnd::NotReached if room > 0 => return None,
            ReadEnd::NotReached => Err(self.state.too_long()),
            ReadEnd::Orderly if self.is_closed() => Err(StreamError::ended()),
            ReadEnd::Orderly => Ok(0),
            ReadEnd::Failed(cause) => Err(cause.error().into()),
        }))
    }

    /// Takes bytes or an error from the close watcher, or waits for its task. Returns `None` if
    /// there is nothing to take and nothing to wait for.
    fn poll_watcher(
        &mut self,
        cx: &mut Context<'_>,
        room: usize,
    ) -> Option<Poll<Result<usize, StreamError>>> {
        let watcher = Rc::clone(self.state.watcher()?);
        let n = watcher.take_read_ahead(&mut self.buffer, room);
        if n > 0 {
            self.update_watcher();
            return Some(Poll::Ready(Ok(n)));
        }
        if let Some(failure) = watcher.take_failure() {
            return Some(Poll::Ready(Err(failure.into())));
        }
        if !watcher.is_reading() || room == 0 || self.state.is_closed() {
            return None;
        }
        self.state.set_reader_waker(cx.waker());
        self.buffer.shrink();
        Some(Poll::Pending)
    }

    /// Reads more for a read of at most `limit` bytes. Fails if the buffer holds that many already.
    #[inline(always)]
    fn poll_fill_within(
        &mut self,
        cx: &mut Context<'_>,
        limit: usize,
    ) -> Poll<Result<(), StreamError>> {
        if self.buffer.len() >= limit {
            return Poll::Ready(Err(StreamError::TooLong { limit }));
        }
        self.poll_fill_or_end(cx)
    }

    /// Reads once. The end of the stream is an error.
    #[inline(always)]
    fn poll_fill_or_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        Poll::Ready(match ready!(self.poll_fill(cx))? {
            0 => Err(StreamError::ended()),
            _ => Ok(()),
        })
    }

    /// Reads until the buffer holds `n` bytes.
    fn poll_fill_until(&mut self, cx: &mut Context<'_>, n: usize) -> Poll<Result<(), StreamError>> {
        if n > self.state.config().max_buffer_size {
            return Poll::Ready(Err(self.state.too_long()));
        }
        while self.buffer.len() < n {
            ready!(self.poll_fill_or_end(cx))?;
        }
        Poll::Ready(Ok(()))
    }
}

/// The future of [`IoReader::fill`].
struct Fill<'a, S>(&'a mut IoReader<S>);

impl<S: AsyncRead + Unpin> Future for Fill<'_, S> {
    type Output = Result<usize, StreamError>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_fill(cx)
    }
}

impl<S: AsyncRead + Unpin + 'static> IoReader<S> {
    /// As [`IoStream::closed`](crate::IoStream::closed).
    ///
    /// # Panics
    /// If there is no loop on this thread.
    #[track_caller]
    pub fn closed(&mut self) -> Closed {
        Closed(self.state.watch_end(self.buffer.len() == 0).ready())
    }

    /// As [`IoStream::set_close_callback`](crate::IoStream::set_close_callback).
    ///
    /// # Panics
    /// If there is no loop on this thread.
    #[track_caller]
    pub fn set_close_callback(&mut self, f: impl FnOnce() + 'static) {
        self.state.watch_end(self.buffer.len() == 0).add_done_callback(move |_| f());
    }
}

impl<S> Drop for IoReader<S> {
    fn drop(&mut self) {
        if let Some(watcher) = self.state.watcher() {
            watcher.abandon(self.state.read_end());
        }
        self.state.clear_reader_waker();
        self.state.drop_half();
    }
}

impl<S> fmt::Debug for IoReader<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IoReader")
            .field("buffered", &self.buffer.len())
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
