//! A stream with a read buffer and a write queue: Tornado's IOStream over any transport.
//!
//! This file lists what a stream can do; the two halves do it. Received bytes stay in the buffer
//! until a read is satisfied, so a read can be dropped and repeated. Written bytes are queued; the
//! stream tries to send them when the loop's current batch ends, and a pump task sends the rest.
//! What a server's handler writes is sent when the handler's poll ends.
//!
//! ```text
//!   read_until ─▶ found in the buffer? ── yes ─▶ return it
//!                       │ no
//!                       └─▶ fill: transport.poll_read into the buffer, then search again
//!
//!   write ─▶ queue ─▶ end of the batch ─▶ the transport accepts all? ── no ─▶ the pump goes on
//! ```

use std::fmt;
use std::future::Future;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_io::{AsyncRead, AsyncWrite};

use crate::buffer::chunk::Chunk;
use crate::socket::tcp_stream::TcpStream;
use crate::stream::close_watcher::Closed;
use crate::stream::io_reader::IoReader;
use crate::stream::io_writer::IoWriter;
use crate::stream::stream_config::StreamConfig;
use crate::stream::stream_error::StreamError;
use crate::stream::stream_state::StreamState;

/// A transport with a read buffer and a write queue. Tornado: `IOStream`.
///
/// Every read is cancel safe: if a read is dropped, fails or exceeds its limit, the bytes stay in
/// the buffer. The end of the peer's stream does not end writing. Dropping a stream closes it: the
/// drop tries once to send what is queued and does not wait; [`shutdown`](Self::shutdown) waits.
///
/// After a write that has failed, what the peer has got is a part at best, so the stream ends in a
/// reset. If the peer or the network was the cause, reads still return what had come before. If this
/// machine was, reads fail too: they would wait for the answer to what was not sent.
///
/// A stream belongs to the loop on which it first has to wait. When that loop is gone, the stream
/// belongs to the next loop that uses it; two live loops cannot use the same stream. Bytes written
/// without a loop are sent with the next write or flush on a loop.
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
    reader: IoReader<S>,
    writer: IoWriter<S>,
}

impl<S> IoStream<S> {
    /// Wraps a transport, with the default limits.
    pub fn new(transport: S) -> IoStream<S> {
        IoStream::with_config(transport, StreamConfig::default())
    }

    /// Wraps a transport, with the limits of `config`.
    pub fn with_config(transport: S, config: StreamConfig) -> IoStream<S> {
        IoStream::with_shared_config(transport, config.shared())
    }

    pub(crate) fn with_shared_config(transport: S, config: Option<Rc<StreamConfig>>) -> Self {
        IoStream::from_state(StreamState::new(transport, config))
    }

    pub(crate) fn from_state(state: Rc<StreamState<S>>) -> IoStream<S> {
        IoStream { reader: IoReader::new(Rc::clone(&state)), writer: IoWriter::new(state) }
    }

    /// Splits the stream, so that two tasks can read and write at the same time. Each half keeps
    /// its buffer. [`IoReader::unsplit`] joins the halves.
    ///
    /// ```
    /// use squall_net::{IoStream, block_on, duplex, spawn};
    ///
    /// block_on(async {
    ///     let (here, there) = duplex(1024);
    ///     let (mut reader, mut writer) = IoStream::new(here).split();
    ///     let echo = spawn(async move {
    ///         let mut there = IoStream::new(there);
    ///         while there.fill().await? > 0 {
    ///             let bytes = there.read_some(usize::MAX).await?;
    ///             there.write(bytes)?;
    ///         }
    ///         there.shutdown().await
    ///     });
    ///     spawn(async move {
    ///         writer.write_all(&[7; 100_000]).await?; // `echo` must make room for it
    ///         writer.shutdown().await
    ///     });
    ///     assert_eq!(reader.read_until_close().await?.len(), 100_000);
    ///     echo.await.expect("no panic")
    /// })?;
    /// # Ok::<(), squall_net::StreamError>(())
    /// ```
    pub fn split(self) -> (IoReader<S>, IoWriter<S>) {
        self.reader.state.split();
        (self.reader, self.writer)
    }

    /// Borrows both halves at once, so that bytes can go from one to the other without a copy.
    ///
    /// ```
    /// use squall_net::{IoStream, TcpServer};
    ///
    /// let echo = TcpServer::new(async |mut stream: IoStream, _peer| {
    ///     let (reader, writer) = stream.halves();
    ///     while reader.fill().await? > 0 {
    ///         writer.write_all(reader.buffer()).await?;
    ///         reader.consume(reader.buffer().len());
    ///     }
    ///     Ok(())
    /// });
    /// ```
    pub fn halves(&mut self) -> (&mut IoReader<S>, &mut IoWriter<S>) {
        self.reader.state.split();
        (&mut self.reader, &mut self.writer)
    }

    /// As [`halves`](Self::halves), for one task that uses both.
    pub(crate) fn halves_mut(&mut self) -> (&mut IoReader<S>, &mut IoWriter<S>) {
        (&mut self.reader, &mut self.writer)
    }

    pub(crate) fn state(&self) -> &Rc<StreamState<S>> {
        &self.reader.state
    }

    /// Takes the transport out of an idle stream.
    ///
    /// # Errors
    /// Returns the stream if it holds received or queued bytes, is closed, has failed to write, or
    /// if [`closed`](Self::closed) was called: bytes or the end of the stream would be lost.
    pub fn into_inner(self) -> Result<S, IoStream<S>> {
        let is_drained = self.buffer().is_empty();
        if is_drained { self.reader.state.take_transport().ok_or(self) } else { Err(self) }
    }

    /// Calls `f` with the transport; `None` if the stream is closed or the transport has panicked.
    pub fn with_transport<R>(&self, f: impl FnOnce(&S) -> R) -> Option<R>
    where
        S: Unpin,
    {
        self.reader.state.with_transport(|transport| f(&transport))
    }

    /// The bytes that were received and not read yet.
    pub fn buffer(&self) -> &[u8] {
        self.reader.buffer()
    }

    /// Drops the first `n` bytes of the [`buffer`](Self::buffer).
    ///
    /// # Panics
    /// If the buffer holds fewer than `n` bytes.
    #[track_caller]
    pub fn consume(&mut self, n: usize) {
        self.reader.consume(n);
    }

    /// The number of written bytes that the transport has not accepted yet.
    pub fn queued(&self) -> usize {
        self.writer.queued()
    }

    /// Closes the stream: tries once to send the queue, does not wait, and drops the transport.
    /// Received bytes can still be read. Over TLS, `close` announces the end if everything was
    /// sent; a drop does not, so the peer sees a truncated stream. Tornado: `IOStream.close`.
    pub fn close(&mut self) {
        self.reader.close();
    }

    /// Whether this side has called [`close`](Self::close).
    pub fn is_closed(&self) -> bool {
        self.reader.is_closed()
    }
}

/// Reading.
impl<S: AsyncRead + Unpin> IoStream<S> {
    /// Reads and returns the bytes up to and including `delimiter`. Tornado: `IOStream.read_until`.
    ///
    /// Bytes after the delimiter stay in the buffer for the next read. The line, delimiter
    /// included, may be at most [`max_buffer_size`](StreamConfig::max_buffer_size) bytes long.
    ///
    /// # Errors
    /// - [`StreamError::Closed`]: the peer closed first; received bytes stay buffered.
    /// - [`StreamError::TooLong`]: the limit was reached without a delimiter; nothing is consumed.
    ///
    /// # Panics
    /// If `delimiter` is empty.
    ///
    /// # Cancel safety
    /// Cancel safe: a dropped read leaves every byte in the buffer.
    ///
    /// # Cost
    /// At most one `recv` per wake-up. Searches each byte once, plus `delimiter.len() - 1` per
    /// `recv`.
    pub fn read_until(
        &mut self,
        delimiter: &[u8],
    ) -> impl Future<Output = Result<Bytes, StreamError>> {
        self.reader.read_until(delimiter)
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
    pub fn read_until_max(
        &mut self,
        delimiter: &[u8],
        max_bytes: usize,
    ) -> impl Future<Output = Result<Bytes, StreamError>> {
        self.reader.read_until_max(delimiter, max_bytes)
    }

    /// Reads until `find` returns a length, and returns that many bytes. `find` sees the buffer, at
    /// most `max_bytes` of it. Tornado: `IOStream.read_until_regex`, without the regex.
    ///
    /// # Errors
    /// As [`read_until`](Self::read_until).
    ///
    /// # Panics
    /// If `find` returns more than the length of its argument.
    ///
    /// # Cancel safety
    /// Cancel safe, except for state that `find` keeps.
    pub fn read_until_match(
        &mut self,
        max_bytes: usize,
        find: impl FnMut(&[u8]) -> Option<usize>,
    ) -> impl Future<Output = Result<Bytes, StreamError>> {
        self.reader.read_until_match(max_bytes, find)
    }

    /// Reads exactly `n` bytes. If `n` is 0, returns at once. Tornado: `IOStream.read_bytes`.
    ///
    /// # Errors
    /// - [`StreamError::Closed`]: the stream ended first; received bytes stay buffered.
    /// - [`StreamError::TooLong`]: `n` exceeds [`max_buffer_size`](StreamConfig::max_buffer_size).
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub fn read_bytes(&mut self, n: usize) -> impl Future<Output = Result<Bytes, StreamError>> {
        self.reader.read_bytes(n)
    }

    /// Reads 1 to `max` bytes, as soon as any are available. Tornado: `read_bytes(partial=True)`.
    ///
    /// # Errors
    /// [`StreamError::Closed`]: the stream has ended.
    ///
    /// # Cancel safety
    /// Cancel safe.
    #[doc(alias = "read_bytes_partial")]
    pub fn read_some(&mut self, max: usize) -> impl Future<Output = Result<Bytes, StreamError>> {
        self.reader.read_some(max)
    }

    /// Fills the whole of `into`. Tornado: `IOStream.read_into`.
    ///
    /// # Errors
    /// As [`read_bytes`](Self::read_bytes).
    ///
    /// # Cancel safety
    /// Cancel safe: `into` is written only when enough bytes were received.
    #[doc(alias = "read_into")]
    pub fn read_exact(&mut self, into: &mut [u8]) -> impl Future<Output = Result<(), StreamError>> {
        self.reader.read_exact(into)
    }

    /// Reads to the stream's end or a local [`close`](Self::close). Tornado: `read_until_close`.
    ///
    /// # Errors
    /// - [`StreamError::Closed`]: the stream failed, or an earlier call read it to its end.
    /// - [`StreamError::TooLong`]: the rest exceeds
    ///   [`max_buffer_size`](StreamConfig::max_buffer_size).
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub fn read_until_close(&mut self) -> impl Future<Output = Result<Bytes, StreamError>> {
        self.reader.read_until_close()
    }

    /// Reads once into the [`buffer`](Self::buffer) and returns the number of bytes; 0 at the end
    /// of the stream. Together with [`consume`](Self::consume), this reads without a copy.
    ///
    /// # Errors
    /// - [`StreamError::Closed`]: the stream failed, or this side closed it.
    /// - [`StreamError::TooLong`]: the buffer is full; consume bytes first.
    ///
    /// # Cancel safety
    /// Cancel safe.
    ///
    /// # Cost
    /// At most one `recv` that returns bytes and one that would block.
    pub fn fill(&mut self) -> impl Future<Output = Result<usize, StreamError>> {
        self.reader.fill()
    }

    /// As [`fill`](Self::fill), for hand-written futures. After a pending poll, a caller that
    /// [splits](Self::split) the stream or calls [`closed`](Self::closed) must poll again.
    ///
    /// # Errors
    /// As [`fill`](Self::fill).
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, StreamError>> {
        self.reader.poll_fill(cx)
    }
}

/// Writing.
impl<S: AsyncWrite + Unpin + 'static> IoStream<S> {
    /// Queues bytes, to be sent at the latest when the current batch ends; many small writes leave
    /// in one system call. Progress needs no [`flush`](Self::flush). Tornado: `IOStream.write`.
    ///
    /// # Errors
    /// - [`StreamError::Closed`]: the stream is closed, or an earlier write failed.
    /// - [`StreamError::BufferFull`]: none of `data` is queued, since the queue would exceed
    ///   [`max_write_buffer_size`](StreamConfig::max_write_buffer_size).
    pub fn write<'a>(&mut self, data: impl Into<Chunk<'a>>) -> Result<(), StreamError> {
        self.writer.write(data)
    }

    /// Waits until the kernel has every written byte.
    ///
    /// # Errors
    /// [`StreamError::Closed`]: the stream is closed, or a write failed.
    ///
    /// # Cancel safety
    /// Cancel safe: the stream continues to send.
    pub fn flush(&mut self) -> impl Future<Output = Result<(), StreamError>> {
        self.writer.flush()
    }

    /// As [`flush`](Self::flush), for hand-written futures. Wakes every task that polled.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        self.writer.poll_flush(cx)
    }

    /// Sends `data`, not copied, after what is queued. Waits until the kernel has every byte.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    ///
    /// # Cancel safety
    /// Not cancel safe: a dropped call does not report how much of `data` was sent.
    /// [`write`](Self::write) followed by [`flush`](Self::flush) is.
    pub fn write_all(&mut self, data: &[u8]) -> impl Future<Output = Result<(), StreamError>> {
        self.writer.write_all(data)
    }

    /// Flushes, then ends the writing direction of the stream (FIN). Reading still works. A second
    /// call does nothing.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    ///
    /// # Cancel safety
    /// Cancel safe: call it again.
    pub fn shutdown(&mut self) -> impl Future<Output = Result<(), StreamError>> {
        self.writer.shutdown()
    }
}

/// The end.
impl<S: AsyncRead + Unpin + 'static> IoStream<S> {
    /// Returns an owned future of the stream's end: a local [`close`](Self::close), or the peer's
    /// end or reset once all bytes before it were read. After an orderly end, writing still works.
    ///
    /// From the first call on, a task on the current loop looks for the end between reads; it reads
    /// at most one chunk ahead. When that loop is gone, the next call or read looks for the end.
    ///
    /// # Panics
    /// If there is no loop on this thread.
    ///
    /// # Cost
    /// One task for the rest of the stream's life; all reads go through it.
    ///
    /// # Examples
    /// ```
    /// use squall_net::{IoStream, block_on, duplex};
    ///
    /// block_on(async {
    ///     let (here, there) = duplex(64);
    ///     let mut stream = IoStream::new(here);
    ///     let closed = stream.closed();
    ///     drop(there);
    ///     closed.await;
    ///     assert!(stream.read_bytes(1).await.is_err());
    /// });
    /// ```
    #[track_caller]
    pub fn closed(&mut self) -> Closed {
        self.reader.closed()
    }

    /// Calls `f` in the batch after the end that [`closed`](Self::closed) describes, or soon if it
    /// has passed. Several callbacks run in order. Tornado: `set_close_callback`.
    ///
    /// # Panics
    /// If there is no loop on this thread.
    #[track_caller]
    pub fn set_close_callback(&mut self, f: impl FnOnce() + 'static) {
        self.reader.set_close_callback(f);
    }
}

impl<S> IoReader<S> {
    /// Joins the halves of a stream.
    ///
    /// # Errors
    /// Returns both halves if they belong to different streams.
    pub fn unsplit(self, writer: IoWriter<S>) -> Result<IoStream<S>, (IoReader<S>, IoWriter<S>)> {
        let is_pair = Rc::ptr_eq(&self.state, &writer.state);
        if is_pair { Ok(IoStream { reader: self, writer }) } else { Err((self, writer)) }
    }
}

impl<S> fmt::Debug for IoStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IoStream")
            .field("buffered", &self.buffer().len())
            .field("queued", &self.queued())
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
