//! The reading half of a stream: bytes live in its buffer until a read is satisfied.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_io::AsyncRead;
use memchr::memmem::Finder;

use crate::io_stream::IoStream;
use crate::io_writer::IoWriter;
use crate::link::{End, Ending, Link};
use crate::read_buffer::ReadBuffer;
use crate::share::Share;
use crate::stream_error::StreamError;
use crate::tcp_stream::TcpStream;
use crate::watch::Closed;

/// The half of an [`IoStream`] that reads, made by [`IoStream::split`].
///
/// Each method is the one of the whole stream, where it is described. Dropping one half leaves the other and the connection
/// as they are; the last one closes it.
pub struct IoReader<S = TcpStream> {
    pub(crate) link: Rc<Link<S>>,
    buffer: ReadBuffer,
    /// What may be read in this turn.
    share: Share,
}

impl<S> IoReader<S> {
    pub(crate) fn new(link: Rc<Link<S>>) -> IoReader<S> {
        IoReader { link, buffer: ReadBuffer::default(), share: Share::default() }
    }

    /// As [`IoStream::buffer`].
    pub fn buffer(&self) -> &[u8] {
        self.buffer.data()
    }

    /// As [`IoStream::consume`].
    ///
    /// # Panics
    /// If there are fewer bytes.
    #[track_caller]
    pub fn consume(&mut self, n: usize) {
        self.buffer.consume(n);
        self.note_taken();
    }

    /// Tells the watch whether there is something left to read.
    #[inline]
    fn note_taken(&self) {
        if let Some(watch) = self.link.watch.get() {
            watch.note_drained(self.buffer.len() == 0, self.link.end.get());
        }
    }

    /// Closes the whole stream, as [`IoStream::close`] does. The other half learns it at once.
    pub fn close(&mut self) {
        self.link.close(Ending::Asked);
    }

    /// As [`IoStream::is_closed`].
    pub fn is_closed(&self) -> bool {
        self.link.is_closed.get()
    }

    /// Puts the halves of one stream together again.
    ///
    /// # Errors
    /// Gives both back if they are not of one stream.
    pub fn unsplit(self, writer: IoWriter<S>) -> Result<IoStream<S>, (IoReader<S>, IoWriter<S>)> {
        if Rc::ptr_eq(&self.link, &writer.link) {
            Ok(IoStream::from_halves(self, writer))
        } else {
            Err((self, writer))
        }
    }
}

impl<S: AsyncRead + Unpin> IoReader<S> {
    /// As [`IoStream::read_until`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// As there.
    pub async fn read_until(&mut self, delimiter: &[u8]) -> Result<Bytes, StreamError> {
        self.read_until_max(delimiter, self.link.config().max_buffer_size).await
    }

    /// As [`IoStream::read_until_max`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// As there.
    pub async fn read_until_max(
        &mut self,
        delimiter: &[u8],
        max_bytes: usize,
    ) -> Result<Bytes, StreamError> {
        assert!(!delimiter.is_empty(), "a delimiter of no bytes is everywhere");
        let finder = Finder::new(delimiter);
        let limit = max_bytes.min(self.link.config().max_buffer_size);
        loop {
            if let Some(end) = self.buffer.find(&finder, limit) {
                return Ok(self.take(end));
            }
            self.fill_within(limit).await?;
        }
    }

    /// As [`IoStream::read_until_match`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// As there.
    pub async fn read_until_match(
        &mut self,
        max_bytes: usize,
        mut find: impl FnMut(&[u8]) -> Option<usize>,
    ) -> Result<Bytes, StreamError> {
        let limit = max_bytes.min(self.link.config().max_buffer_size);
        loop {
            let data = self.buffer.data();
            let shown = &data[..data.len().min(limit)];
            if let Some(end) = find(shown) {
                assert!(end <= shown.len(), "{end} bytes were found in {}", shown.len());
                return Ok(self.take(end));
            }
            self.fill_within(limit).await?;
        }
    }

    /// As [`IoStream::read_bytes`].
    ///
    /// # Errors
    /// As there.
    pub async fn read_bytes(&mut self, n: usize) -> Result<Bytes, StreamError> {
        self.fill_to(n).await?;
        Ok(self.take(n))
    }

    /// As [`IoStream::read_some`].
    ///
    /// # Errors
    /// As there.
    pub async fn read_some(&mut self, max: usize) -> Result<Bytes, StreamError> {
        if self.buffer.len() == 0 && max > 0 {
            self.fill_or_end().await?;
        }
        Ok(self.take(max.min(self.buffer.len())))
    }

    /// As [`IoStream::read_exact`].
    ///
    /// # Errors
    /// As there.
    pub async fn read_exact(&mut self, into: &mut [u8]) -> Result<(), StreamError> {
        self.fill_to(into.len()).await?;
        into.copy_from_slice(&self.buffer.data()[..into.len()]);
        self.consume(into.len());
        Ok(())
    }

    /// As [`IoStream::read_until_close`].
    ///
    /// # Errors
    /// As there.
    pub async fn read_until_close(&mut self) -> Result<Bytes, StreamError> {
        if self.link.has_been_read.get() && self.buffer.len() == 0 {
            return Err(StreamError::ended());
        }
        // One more than the limit, to tell an end at the limit from more.
        let most = self.link.config().max_buffer_size.saturating_add(1);
        loop {
            match poll_fn(|cx| self.poll_fill_to(cx, most)).await {
                Ok(0) => break,
                Ok(_) if self.buffer.len() == most => return Err(self.link.too_long()),
                Ok(_) => {}
                Err(_) if self.link.is_closed.get() => break, // here, which is an end like any other
                Err(error) => return Err(error),
            }
        }
        self.link.has_been_read.set(true);
        Ok(self.take(self.buffer.len()))
    }

    /// As [`IoStream::fill`].
    ///
    /// # Errors
    /// As there.
    pub fn fill(&mut self) -> impl Future<Output = Result<usize, StreamError>> {
        poll_fn(|cx| self.poll_fill(cx))
    }

    /// As [`IoStream::poll_fill`].
    ///
    /// # Errors
    /// As there.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, StreamError>> {
        self.poll_fill_to(cx, self.link.config().max_buffer_size)
    }

    /// Reads once, as long as the buffer holds less than `most`.
    fn poll_fill_to(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
    ) -> Poll<Result<usize, StreamError>> {
        let room = most.saturating_sub(self.buffer.len());
        if self.link.watch.get().is_some()
            && let Some(outcome) = self.poll_watch(cx, room)
        {
            return outcome;
        }
        match self.link.end.get() {
            End::NotYet => {}
            End::InOrder if !self.is_closed() => return Poll::Ready(Ok(0)),
            End::InOrder => return Poll::Ready(Err(StreamError::ended())),
            End::Failed(cause) => return Poll::Ready(Err(cause.error().into())),
        }
        if room == 0 {
            return Poll::Ready(Err(self.link.too_long()));
        }
        ready!(self.share.poll(cx));
        let spare = self.buffer.spare(room.min(self.link.config().read_chunk_size));
        match self.link.with_transport(|transport| transport.poll_read(cx, spare)) {
            Some(Poll::Ready(Ok(n))) if n > 0 => {
                self.buffer.commit(n);
                self.share.count(n);
                self.note_taken();
                Poll::Ready(Ok(n))
            }
            Some(Poll::Pending) => {
                self.buffer.rest();
                self.link.note_reader(cx.waker());
                Poll::Pending
            }
            Some(Poll::Ready(read)) => {
                self.buffer.rest();
                Poll::Ready(self.end(read))
            }
            None => {
                self.buffer.rest();
                Poll::Ready(Err(self.link.gone()))
            }
        }
    }

    /// Notes the end of the stream, and passes it on.
    #[cold]
    fn end(&mut self, read: io::Result<usize>) -> Result<usize, StreamError> {
        self.link.end.set(End::of(&read));
        if read.is_err() {
            self.link.outbox.wake_writers();
        }
        self.note_taken();
        Ok(read?)
    }

    /// What the watch has read already, or will; `None` if it does not read and has nothing left.
    fn poll_watch(
        &mut self,
        cx: &mut Context<'_>,
        room: usize,
    ) -> Option<Poll<Result<usize, StreamError>>> {
        let watch = Rc::clone(self.link.watch.get()?);
        let n = watch.take_early(&mut self.buffer, room);
        if n > 0 {
            self.note_taken();
            return Some(Poll::Ready(Ok(n)));
        }
        if let Some(failure) = watch.take_failure() {
            return Some(Poll::Ready(Err(failure.into())));
        }
        if !watch.is_reading() || room == 0 || self.link.is_closed.get() {
            return None;
        }
        self.link.note_reader(cx.waker());
        self.buffer.rest();
        Some(Poll::Pending)
    }

    fn take(&mut self, n: usize) -> Bytes {
        let taken = self.buffer.take(n);
        self.note_taken();
        taken
    }

    /// Reads more, unless what came reaches the limit of a read already.
    async fn fill_within(&mut self, limit: usize) -> Result<(), StreamError> {
        if self.buffer.len() >= limit {
            return Err(StreamError::TooLong { limit });
        }
        self.fill_or_end().await
    }

    async fn fill_or_end(&mut self) -> Result<(), StreamError> {
        match self.fill().await? {
            0 => Err(StreamError::ended()),
            _ => Ok(()),
        }
    }

    async fn fill_to(&mut self, n: usize) -> Result<(), StreamError> {
        if n > self.link.config().max_buffer_size {
            return Err(self.link.too_long());
        }
        while self.buffer.len() < n {
            self.fill_or_end().await?;
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin + 'static> IoReader<S> {
    /// As [`IoStream::closed`].
    ///
    /// # Panics
    /// If there is no loop on this thread.
    #[track_caller]
    pub fn closed(&mut self) -> Closed {
        Closed(self.link.watch_end(self.buffer.len() == 0).ready())
    }

    /// As [`IoStream::set_close_callback`].
    ///
    /// # Panics
    /// If there is no loop on this thread.
    #[track_caller]
    pub fn set_close_callback(&mut self, f: impl FnOnce() + 'static) {
        self.link.watch_end(self.buffer.len() == 0).add_done_callback(move |_| f());
    }
}

impl<S> Drop for IoReader<S> {
    fn drop(&mut self) {
        if let Some(watch) = self.link.watch.get() {
            watch.abandon(self.link.end.get());
        }
        self.link.forget_reader();
        self.link.drop_half();
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
