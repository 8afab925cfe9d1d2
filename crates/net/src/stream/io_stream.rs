//! A stream with a read buffer and a write queue: Tornado's IOStream over any transport.
//!
//! This file is the list of what a stream can do; the two halves do it. Reading: bytes stay in the buffer until a read is satisfied,
//! so a read can be dropped and repeated. Writing: bytes are queued, and sent when the current batch of the event loop ends. What the
//! kernel does not accept then, a task of the stream sends later.
//!
//! ```text
//!   read_until ─▶ found in the buffer? ── yes ─▶ returned
//!                       │ no
//!                       └─▶ fill: transport.poll_read into the buffer's spare room, then search on
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
/// Every read is cancel safe, because bytes live in the stream: a read that is dropped, fails or exceeds its limit leaves
/// them in place. The end of the peer's stream does not end writing. Dropping a stream closes it: what is queued is tried
/// once and not waited for; [`shutdown`](Self::shutdown) waits.
///
/// A stream belongs to the loop on which it had to wait first, and when that is gone to the next one on which it is used; not to
/// two loops that live at once. What was written without a loop leaves with the next write or flush on one.
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
    /// Gives a transport a memory, with the default limits.
    pub fn new(transport: S) -> IoStream<S> {
        IoStream::with_config(transport, StreamConfig::default())
    }

    /// Gives a transport a memory, with limits.
    pub fn with_config(transport: S, config: StreamConfig) -> IoStream<S> {
        IoStream::with_shared_config(transport, config.shared())
    }

    pub(crate) fn with_shared_config(
        transport: S,
        config: Option<Rc<StreamConfig>>,
    ) -> IoStream<S> {
        IoStream::over(StreamState::new(transport, config))
    }

    pub(crate) fn over(state: Rc<StreamState<S>>) -> IoStream<S> {
        IoStream { reader: IoReader::new(Rc::clone(&state)), writer: IoWriter::new(state) }
    }

    /// Splits the stream into halves that may live in different tasks: the read buffer goes with one, the write queue with the
    /// other. Reading and writing at the same time needs this. [`IoReader::unsplit`] joins them again.
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
    ///             let n = there.buffer().len();
    ///             let bytes = there.read_some(n).await?;
    ///             there.write(bytes)?;
    ///         }
    ///         there.shutdown().await
    ///     });
    ///     spawn(async move {
    ///         writer.write_all(&[7; 100_000]).await?; // more than fits between, so the other task must read
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

    /// Lends both halves at once, so that bytes go from one to the other without a copy.
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

    #[cfg(feature = "tls")]
    pub(crate) fn state(&self) -> &StreamState<S> {
        &self.reader.state
    }

    /// Takes the transport back out of a stream at rest.
    ///
    /// # Errors
    /// Gives the stream back if bytes are in its [`buffer`](Self::buffer) or its queue, if it is closed, or if
    /// [`closed`](Self::closed) was asked for: bytes or news would be lost.
    pub fn into_inner(self) -> Result<S, IoStream<S>> {
        if !self.buffer().is_empty() {
            return Err(self);
        }
        self.reader.state.take_transport().ok_or(self)
    }

    /// Shows the transport to `f`; `None` once the stream is closed.
    pub fn with_transport<R>(&self, f: impl FnOnce(&S) -> R) -> Option<R>
    where
        S: Unpin,
    {
        self.reader.state.with_transport(|transport| f(&transport))
    }

    /// Bytes that came and were not read yet.
    pub fn buffer(&self) -> &[u8] {
        self.reader.buffer()
    }

    /// Takes the first `n` bytes of the [`buffer`](Self::buffer) as read.
    ///
    /// # Panics
    /// If there are fewer.
    #[track_caller]
    pub fn consume(&mut self, n: usize) {
        self.reader.consume(n);
    }

    /// Bytes that were written and that the kernel does not have yet.
    pub fn queued(&self) -> usize {
        self.writer.queued()
    }

    /// Closes the stream: tries once to send what is queued, does not wait, and drops the transport. What was received
    /// can still be read. Over TLS it says that this is the end, if everything could be sent; a drop does not, and the peer takes
    /// what came for cut off. Tornado: `IOStream.close`.
    pub fn close(&mut self) {
        self.reader.close();
    }

    /// Tells whether [`close`](Self::close) was called here.
    pub fn is_closed(&self) -> bool {
        self.reader.is_closed()
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
    /// At most one `recv` per wake-up; each byte is search_position once, plus `delimiter.len() - 1` per `recv`.
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
    pub fn read_until_match(
        &mut self,
        max_bytes: usize,
        find: impl FnMut(&[u8]) -> Option<usize>,
    ) -> impl Future<Output = Result<Bytes, StreamError>> {
        self.reader.read_until_match(max_bytes, find)
    }

    /// Reads exactly `n` bytes; none, at once, if `n` is 0. Tornado: `IOStream.read_bytes`.
    ///
    /// # Errors
    /// - [`StreamError::Closed`]: the stream ended before; what came stays in the [`buffer`](Self::buffer).
    /// - [`StreamError::TooLong`]: `n` is more than [`max_buffer_size`](StreamConfig::max_buffer_size).
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub fn read_bytes(&mut self, n: usize) -> impl Future<Output = Result<Bytes, StreamError>> {
        self.reader.read_bytes(n)
    }

    /// Reads what is there, 1 to `max` bytes, as soon as there is something. Tornado: `read_bytes(partial=True)`.
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

    /// Fills `into` whole. Tornado: `IOStream.read_into`.
    ///
    /// # Errors
    /// As [`read_bytes`](Self::read_bytes).
    ///
    /// # Cancel safety
    /// Cancel safe: `into` is written only when all of it is there.
    #[doc(alias = "read_into")]
    pub fn read_exact(&mut self, into: &mut [u8]) -> impl Future<Output = Result<(), StreamError>> {
        self.reader.read_exact(into)
    }

    /// Reads to the end of the stream, which a local [`close`](Self::close) is too. Tornado: `IOStream.read_until_close`.
    ///
    /// # Errors
    /// - [`StreamError::Closed`]: the stream failed, or was read to its end before.
    /// - [`StreamError::TooLong`]: there is more than [`max_buffer_size`](StreamConfig::max_buffer_size).
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub fn read_until_close(&mut self) -> impl Future<Output = Result<Bytes, StreamError>> {
        self.reader.read_until_close()
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
    pub fn fill(&mut self) -> impl Future<Output = Result<usize, StreamError>> {
        self.reader.fill()
    }

    /// As [`fill`](Self::fill), for futures that are written by hand. Who waits and then [splits](Self::split) the stream, or asks
    /// for its [end](Self::closed), must poll again.
    ///
    /// # Errors
    /// As [`fill`](Self::fill).
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, StreamError>> {
        self.reader.poll_fill(cx)
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
        self.writer.write(data)
    }

    /// Waits until the kernel has every byte that was written.
    ///
    /// # Errors
    /// [`StreamError::Closed`]: the stream is closed, or a write failed.
    ///
    /// # Cancel safety
    /// Cancel safe: the stream goes on sending by itself.
    pub fn flush(&mut self) -> impl Future<Output = Result<(), StreamError>> {
        self.writer.flush()
    }

    /// As [`flush`](Self::flush), for futures that are written by hand.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        self.writer.poll_flush(cx)
    }

    /// Sends `data`, behind what is queued, and waits until the kernel has every byte. It is not copied.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    ///
    /// # Cancel safety
    /// Not cancel safe: how much of `data` was sent is not told. [`write`](Self::write) and [`flush`](Self::flush) are.
    pub fn write_all(&mut self, data: &[u8]) -> impl Future<Output = Result<(), StreamError>> {
        self.writer.write_all(data)
    }

    /// Flushes, and ends this direction of the stream (FIN). Reading goes on.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    ///
    /// # Cancel safety
    /// Cancel safe: it may be called again.
    pub fn shutdown(&mut self) -> impl Future<Output = Result<(), StreamError>> {
        self.writer.shutdown()
    }
}

/// The end.
impl<S: AsyncRead + Unpin + 'static> IoStream<S> {
    /// The end of the stream, as a future that owns what it needs: the peer's end or reset, once everything that came before
    /// it was read, or a [`close`](Self::close) here. After an orderly end of the peer's, writing still works.
    ///
    /// From the first call on the stream looks for its end while nobody reads, at most one chunk ahead, on the loop that runs now.
    /// When that loop is gone, the next call or read goes on.
    ///
    /// # Panics
    /// If there is no loop on this thread.
    ///
    /// # Cost
    /// One task for the rest of the stream's life, through which reads go.
    ///
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

    /// Calls `f` in the batch after the stream has come to its end, which [`closed`](Self::closed) describes; soon, if it has
    /// already. May be used again: each is called, in order. Tornado: `IOStream.set_close_callback`.
    ///
    /// # Panics
    /// If there is no loop on this thread.
    #[track_caller]
    pub fn set_close_callback(&mut self, f: impl FnOnce() + 'static) {
        self.reader.set_close_callback(f);
    }
}

impl<S> IoReader<S> {
    /// Joins the halves of one stream again.
    ///
    /// # Errors
    /// Returns both if they are not of one stream.
    pub fn unsplit(self, writer: IoWriter<S>) -> Result<IoStream<S>, (IoReader<S>, IoWriter<S>)> {
        if Rc::ptr_eq(&self.state, &writer.state) {
            Ok(IoStream { reader: self, writer })
        } else {
            Err((self, writer))
        }
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
