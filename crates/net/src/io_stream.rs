//! A stream with a memory: Tornado's IOStream over any transport.
//!
//! Reading: bytes live in the stream's buffer until a read is satisfied, so every read can be dropped and asked again.
//! Writing: bytes are queued, and sent when the batch of the event loop ends; what the kernel does not take then, a task
//! of the stream's own sends as room comes.
//!
//! ```text
//!   read_until ─▶ found in the buffer? ── yes ─▶ taken
//!                       │ no
//!                       └─▶ fill: transport.poll_read into the buffer's spare room, search on
//!
//!   write ─▶ queue ─▶ end of the batch ─▶ transport takes all? ── no ─▶ the pump goes on
//! ```

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_io::{AsyncRead, AsyncWrite};
use squall_executor::timeout;

use crate::chunk::Chunk;
use crate::outbox::Outbox;
use crate::read_buffer::ReadBuffer;
use crate::share::Share;
use crate::stream_config::StreamConfig;
use crate::stream_error::StreamError;
use crate::tcp_stream::TcpStream;

/// A transport with a read buffer and a write queue. Tornado: `IOStream`.
///
/// Every read is cancel safe, because bytes live in the stream: a read that is dropped, fails or exceeds its limit leaves
/// them in place. The end of the peer's stream does not end writing. Dropping a stream closes it: what is queued is tried
/// once and not waited for; [`shutdown`](Self::shutdown) waits.
///
/// ```
/// use squall_net::{IoStream, TcpListener, TcpStream, block_on, spawn};
///
/// block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let address = listener.local_addr()?;
///     let server = spawn(async move {
///         let mut stream = IoStream::new(listener.accept().await?.0);
///         let line = stream.read_until(b"\n").await?;
///         stream.write("you said ")?;
///         stream.write(line)?; // both leave in one system call
///         stream.shutdown().await
///     });
///     let mut client = IoStream::new(TcpStream::connect(address).await?);
///     client.write_all(b"hello\nand more").await?;
///     assert_eq!(client.read_until_close().await?, "you said hello\n");
///     server.await.expect("no panic")
/// })?;
/// # Ok::<(), squall_net::StreamError>(())
/// ```
#[doc(alias = "IOStream")]
pub struct IoStream<S = TcpStream> {
    outbox: Rc<Outbox<S>>,
    read: ReadBuffer,
    /// What may be read in this turn.
    share: Share,
    end: End,
}

/// Whether the peer's stream has come to an end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    NotYet,
    InOrder,
    Failed,
}

impl<S> IoStream<S> {
    /// Gives a transport a memory, with the default limits.
    pub fn new(transport: S) -> IoStream<S> {
        IoStream::with_config(transport, StreamConfig::default())
    }

    /// Gives a transport a memory, with limits.
    pub fn with_config(transport: S, config: StreamConfig) -> IoStream<S> {
        let outbox = Outbox::new(transport, config);
        IoStream { outbox, read: ReadBuffer::default(), share: Share::default(), end: End::NotYet }
    }

    /// Bytes that came and were not read yet.
    pub fn buffer(&self) -> &[u8] {
        self.read.data()
    }

    /// Takes the first `n` bytes of the [`buffer`](Self::buffer) as read.
    ///
    /// # Panics
    /// If there are fewer.
    #[track_caller]
    pub fn consume(&mut self, n: usize) {
        self.read.consume(n);
    }

    /// Bytes that were written and that the kernel does not have yet.
    pub fn queued(&self) -> usize {
        self.outbox.queue.borrow().len()
    }

    /// Closes the stream: tries once to send what is queued, does not wait, and drops the transport. What was received
    /// can still be read. Tornado: `IOStream.close`.
    pub fn close(&mut self) {
        self.outbox.close();
    }

    /// Tells whether [`close`](Self::close) was called here.
    pub fn is_closed(&self) -> bool {
        self.outbox.is_closed.get()
    }

    fn limit(&self) -> StreamError {
        StreamError::TooLong { limit: self.outbox.config.max_buffer_size }
    }
}

/// Reading.
impl<S: AsyncRead + Unpin> IoStream<S> {
    /// Reads up to and including `delimiter` and returns those bytes.
    ///
    /// Bytes after the delimiter stay in the buffer for the next read. The line, delimiter included, may be at most
    /// [`max_buffer_size`](StreamConfig::max_buffer_size) bytes long. Tornado: `IOStream.read_until`.
    ///
    /// # Errors
    /// - [`StreamError::Closed`]: the peer closed first; what came stays in the [`buffer`](Self::buffer).
    /// - [`StreamError::TooLong`]: the limit was reached without a delimiter; nothing is consumed.
    ///
    /// # Panics
    /// If `delimiter` is empty.
    ///
    /// # Cancel safety
    /// Cancel safe: a dropped read leaves every byte in the buffer.
    ///
    /// # Cost
    /// At most one `recv` per wake-up; each byte is searched once, plus `delimiter.len() - 1` per `recv`.
    pub async fn read_until(&mut self, delimiter: &[u8]) -> Result<Bytes, StreamError> {
        self.read_until_max(delimiter, self.outbox.config.max_buffer_size).await
    }

    /// As [`read_until`](Self::read_until), with `max_bytes` as the limit, delimiter included.
    ///
    /// # Errors
    /// As [`read_until`](Self::read_until).
    ///
    /// # Panics
    /// If `delimiter` is empty.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn read_until_max(
        &mut self,
        delimiter: &[u8],
        max_bytes: usize,
    ) -> Result<Bytes, StreamError> {
        assert!(!delimiter.is_empty(), "a delimiter of no bytes is everywhere");
        let finder = memchr::memmem::Finder::new(delimiter);
        let mut searched = 0;
        self.read_until_match(max_bytes, |data| {
            let found = finder.find(&data[searched..]).map(|at| searched + at + delimiter.len());
            searched = (data.len() + 1).saturating_sub(delimiter.len()).max(searched);
            found
        })
        .await
    }

    /// Reads until `find`, which is shown all that came, at most `max_bytes` of it, tells where the read ends: the number
    /// of bytes that it takes. Tornado: `IOStream.read_until_regex`, without the regex.
    ///
    /// # Errors
    /// As [`read_until`](Self::read_until).
    ///
    /// # Panics
    /// If `find` wants more than it was shown.
    ///
    /// # Cancel safety
    /// Cancel safe, as far as `find` is.
    pub async fn read_until_match(
        &mut self,
        max_bytes: usize,
        mut find: impl FnMut(&[u8]) -> Option<usize>,
    ) -> Result<Bytes, StreamError> {
        let limit = max_bytes.min(self.outbox.config.max_buffer_size);
        loop {
            let data = self.buffer();
            if let Some(end) = find(&data[..data.len().min(limit)]) {
                return Ok(self.read.take(end));
            }
            if data.len() >= limit {
                return Err(StreamError::TooLong { limit });
            }
            self.fill_or_end().await?;
        }
    }

    /// Reads exactly `n` bytes; none, at once, if `n` is 0. Tornado: `IOStream.read_bytes`.
    ///
    /// # Errors
    /// - [`StreamError::Closed`]: the stream ended before; what came stays in the [`buffer`](Self::buffer).
    /// - [`StreamError::TooLong`]: `n` is more than [`max_buffer_size`](StreamConfig::max_buffer_size).
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn read_bytes(&mut self, n: usize) -> Result<Bytes, StreamError> {
        self.fill_to(n).await?;
        Ok(self.read.take(n))
    }

    /// Reads what is there, 1 to `max` bytes, as soon as there is something. Tornado: `read_bytes(partial=True)`.
    ///
    /// # Errors
    /// [`StreamError::Closed`]: the stream has ended.
    ///
    /// # Cancel safety
    /// Cancel safe.
    #[doc(alias = "read_bytes_partial")]
    pub async fn read_some(&mut self, max: usize) -> Result<Bytes, StreamError> {
        if self.read.len() == 0 && max > 0 {
            self.fill_or_end().await?;
        }
        Ok(self.read.take(max.min(self.read.len())))
    }

    /// Fills `into` whole. Tornado: `IOStream.read_into`.
    ///
    /// # Errors
    /// As [`read_bytes`](Self::read_bytes).
    ///
    /// # Cancel safety
    /// Cancel safe: `into` is written only when all of it is there.
    #[doc(alias = "read_into")]
    pub async fn read_exact(&mut self, into: &mut [u8]) -> Result<(), StreamError> {
        self.fill_to(into.len()).await?;
        into.copy_from_slice(&self.buffer()[..into.len()]);
        self.consume(into.len());
        Ok(())
    }

    /// Reads to the end of the stream, which a local [`close`](Self::close) is too. Tornado: `IOStream.read_until_close`.
    ///
    /// # Errors
    /// - [`StreamError::Closed`]: the stream failed, or was read to its end before.
    /// - [`StreamError::TooLong`]: there is more than [`max_buffer_size`](StreamConfig::max_buffer_size).
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn read_until_close(&mut self) -> Result<Bytes, StreamError> {
        if self.read.len() == 0 && (self.end == End::InOrder || self.is_closed()) {
            return Err(StreamError::ended());
        }
        // One more than the limit, to tell an end at the limit from more.
        let most = self.outbox.config.max_buffer_size.saturating_add(1);
        while !self.is_closed() && poll_fn(|cx| self.poll_fill_to(cx, most)).await? > 0 {
            if self.read.len() == most {
                return Err(self.limit());
            }
        }
        Ok(self.read.take(self.read.len()))
    }

    /// Reads once, whatever comes, into the [`buffer`](Self::buffer) and returns how many bytes; 0 at the end of the
    /// stream. With [`consume`](Self::consume) this is reading without a copy.
    ///
    /// # Errors
    /// - [`StreamError::Closed`]: the stream failed, or is closed here.
    /// - [`StreamError::TooLong`]: the buffer is full: consume first.
    ///
    /// # Cancel safety
    /// Cancel safe.
    ///
    /// # Cost
    /// At most one `recv` that brings something and one in vain.
    pub async fn fill(&mut self) -> Result<usize, StreamError> {
        poll_fn(|cx| self.poll_fill(cx)).await
    }

    /// As [`fill`](Self::fill), for futures that are written by hand.
    ///
    /// # Errors
    /// As [`fill`](Self::fill).
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, StreamError>> {
        self.poll_fill_to(cx, self.outbox.config.max_buffer_size)
    }

    /// Reads once, as long as the buffer holds less than `most`.
    fn poll_fill_to(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
    ) -> Poll<Result<usize, StreamError>> {
        match self.end {
            End::NotYet => {}
            End::InOrder => return Poll::Ready(Ok(0)),
            End::Failed => return Poll::Ready(Err(StreamError::ended())),
        }
        let room = most.saturating_sub(self.read.len());
        if room == 0 {
            return Poll::Ready(Err(self.limit()));
        }
        if self.share.is_used_up() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let spare = self.read.spare(room.min(self.outbox.config.read_chunk_size));
        let polled = self.outbox.with_transport(|transport| transport.poll_read(cx, spare));
        match polled {
            Some(Poll::Ready(Ok(n))) if n > 0 => {
                self.read.commit(n);
                self.share.count(n);
                return Poll::Ready(Ok(n));
            }
            _ => self.read.rest(),
        }
        let outcome = match polled {
            None => Err(StreamError::ended()),
            Some(polled) => ready!(polled).map_err(StreamError::from),
        };
        self.end = if outcome.is_ok() { End::InOrder } else { End::Failed };
        Poll::Ready(outcome)
    }

    async fn fill_or_end(&mut self) -> Result<(), StreamError> {
        match self.fill().await? {
            0 => Err(StreamError::ended()),
            _ => Ok(()),
        }
    }

    async fn fill_to(&mut self, n: usize) -> Result<(), StreamError> {
        if n > self.outbox.config.max_buffer_size {
            return Err(self.limit());
        }
        while self.read.len() < n {
            self.fill_or_end().await?;
        }
        Ok(())
    }
}

/// Writing.
impl<S: AsyncWrite + Unpin + 'static> IoStream<S> {
    /// Queues bytes, which leave at the latest when the current batch of the event loop ends; many small writes leave in
    /// one system call. Nobody needs to [`flush`](Self::flush) for progress. Tornado: `IOStream.write`.
    ///
    /// # Errors
    /// - [`StreamError::Closed`]: the stream is closed, or an earlier write failed.
    /// - [`StreamError::BufferFull`]: these bytes and the queued ones together exceed
    ///   [`max_write_buffer_size`](StreamConfig::max_write_buffer_size); nothing of them is queued.
    pub fn write<'a>(&mut self, data: impl Into<Chunk<'a>>) -> Result<(), StreamError> {
        let data = data.into();
        self.check_writable()?;
        if let Some(limit) = self.outbox.config.max_write_buffer_size
            && self.queued() + data.len() > limit
        {
            return Err(StreamError::BufferFull { limit });
        }
        self.outbox.queue.borrow_mut().push(data);
        self.outbox.schedule();
        Ok(())
    }

    /// Waits until the kernel has every byte that was written.
    ///
    /// # Errors
    /// [`StreamError::Closed`]: the stream is closed, or a write failed.
    ///
    /// # Cancel safety
    /// Cancel safe: the stream goes on sending by itself.
    pub async fn flush(&mut self) -> Result<(), StreamError> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// As [`flush`](Self::flush), for futures that are written by hand.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        self.check_writable()?;
        if self.must_wait_for_its_turn(cx) {
            return Poll::Pending;
        }
        if self.outbox.pump.borrow().is_none() {
            match self.outbox.poll_send(cx) {
                Poll::Ready(()) => return Poll::Ready(self.check_writable()),
                Poll::Pending => self.outbox.start_pump(),
            }
            self.check_writable()?; // a loop that ends drops the pump at once
        }
        self.outbox.flusher.set(Some(cx.waker().clone()));
        Poll::Pending
    }

    /// Sends `data`, behind what is queued, and waits until the kernel has every byte. It is not copied.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    ///
    /// # Cancel safety
    /// Not cancel safe: how much of `data` was sent is not told. [`write`](Self::write) and [`flush`](Self::flush) are.
    pub async fn write_all(&mut self, data: &[u8]) -> Result<(), StreamError> {
        self.flush().await?;
        let mut sent = 0;
        while sent < data.len() {
            sent += poll_fn(|cx| {
                if self.must_wait_for_its_turn(cx) {
                    return Poll::Pending;
                }
                self.outbox.poll_write(cx, &data[sent..])
            })
            .await?;
        }
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Flushes, and ends this direction of the stream (FIN). Reading goes on.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    ///
    /// # Cancel safety
    /// Cancel safe: it may be called again.
    pub async fn shutdown(&mut self) -> Result<(), StreamError> {
        self.flush().await?;
        poll_fn(|cx| self.outbox.poll_close(cx)).await
    }

    /// Asks to be polled in another turn if this one has had enough; the pump shares the turns by itself.
    fn must_wait_for_its_turn(&self, cx: &Context<'_>) -> bool {
        let waits = self.outbox.pump.borrow().is_none() && self.outbox.share.is_used_up();
        if waits {
            cx.waker().wake_by_ref();
        }
        waits
    }

    fn check_writable(&self) -> Result<(), StreamError> {
        if self.outbox.is_broken.get() {
            return Err(StreamError::Closed { cause: self.outbox.failure.take() });
        }
        if self.is_closed() { Err(StreamError::ended()) } else { Ok(()) }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> IoStream<S> {
    /// Ends the stream so that the peer gets all of it, even while it is still sending: [shuts down](Self::shutdown), then
    /// reads and forgets what comes, until the peer closes, `max_bytes` came or `limit` has passed in all.
    ///
    /// A socket that is closed with unread bytes in it, or that gets more of them then, sends a reset, which destroys what
    /// the peer has not read yet.
    ///
    /// # Errors
    /// As [`shutdown`](Self::shutdown), and `TimedOut` as the cause if the peer did not take what was queued in time.
    pub async fn linger(&mut self, max_bytes: usize, limit: Duration) -> Result<(), StreamError> {
        let mut is_shut_down = false;
        let act = async {
            self.shutdown().await?;
            is_shut_down = true;
            let mut left = max_bytes;
            while left > 0 {
                self.read.consume(self.read.len());
                match self.fill().await {
                    Ok(n) if n > 0 => left = left.saturating_sub(n),
                    _ => break, // the peer is done, in whatever way
                }
            }
            Ok(())
        };
        match timeout(limit, act).await {
            Ok(outcome) => outcome,
            Err(_) if is_shut_down => Ok(()),
            Err(elapsed) => Err(io::Error::from(elapsed).into()),
        }
    }
}

impl<S> Drop for IoStream<S> {
    fn drop(&mut self) {
        self.outbox.close();
    }
}

impl<S> fmt::Debug for IoStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IoStream")
            .field("buffered", &self.read.len())
            .field("queued", &self.queued())
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
