//! The traits of futures-io for streams and their halves, and the way back to the bare transport.
//! With them a stream goes on in a library that expects a transport.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_io::{AsyncRead, AsyncWrite};

use crate::stream::io_reader::IoReader;
use crate::stream::io_stream::IoStream;
use crate::stream::io_writer::IoWriter;

/// The bytes that `poll_write` queues at most, before it waits until they are sent.
const HIGH_WATER_MARK: usize = 64 << 10;

impl<S> IoStream<S> {
    /// Takes the transport out of an idle stream, with the bytes that were received and not read.
    ///
    /// So a stream of which a header was read goes on elsewhere. A library that takes an
    /// `AsyncRead` can use the stream itself instead. A server's handler must flush what it writes
    /// through a new stream: the server knows only the stream that it has given.
    ///
    /// ```
    /// use squall_net::{IoStream, block_on, duplex};
    ///
    /// block_on(async {
    ///     let (here, there) = duplex(64);
    ///     let (mut here, mut there) = (IoStream::new(here), IoStream::new(there));
    ///     there.write_all(b"PROXY UNKNOWN\r\nhello").await?;
    ///     here.read_until(b"\r\n").await?;
    ///     let (_transport, unread) = here.into_parts().expect("it is idle");
    ///     assert_eq!(unread, "hello");
    ///     Ok::<(), squall_net::StreamError>(())
    /// })?;
    /// # Ok::<(), squall_net::StreamError>(())
    /// ```
    ///
    /// # Errors
    /// Returns the stream if bytes are queued, if a write has failed, if the stream is closed, or if
    /// [`closed`](Self::closed) or `set_close_callback` was called.
    pub fn into_parts(mut self) -> Result<(S, Bytes), IoStream<S>> {
        match self.state().take_transport() {
            Some(transport) => Ok((transport, self.halves_mut().0.take_all())),
            None => Err(self),
        }
    }
}

impl<S> IoStream<S> {
    /// Puts `bytes` in front of the [`buffer`](Self::buffer), to be read again. The way back of a
    /// library that has read more than its own bytes.
    ///
    /// The bytes may exceed [`max_buffer_size`](crate::StreamConfig::max_buffer_size): the library
    /// has had them in memory anyway.
    ///
    /// ```
    /// use squall_net::{IoStream, block_on, duplex};
    ///
    /// block_on(async {
    ///     let (here, there) = duplex(64);
    ///     let (mut here, mut there) = (IoStream::new(here), IoStream::new(there));
    ///     there.write_all(b"end of the head\r\nhello").await?;
    ///     let all = here.read_some(64).await?;
    ///     here.unread(&all[17..]);
    ///     assert_eq!(here.read_bytes(5).await?, "hello");
    ///     Ok::<(), squall_net::StreamError>(())
    /// })?;
    /// # Ok::<(), squall_net::StreamError>(())
    /// ```
    ///
    /// # Cost
    /// Copies `bytes` and the buffer.
    pub fn unread(&mut self, bytes: &[u8]) {
        self.halves_mut().0.unread(bytes);
    }
}

/// Reads buffered bytes first.
impl<S: AsyncRead + Unpin> AsyncRead for IoReader<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.buffer().is_empty() && !into.is_empty() {
            ready!(self.poll_fill(cx))?;
        }
        let n = into.len().min(self.buffer().len());
        into[..n].copy_from_slice(&self.buffer()[..n]);
        self.consume(n);
        Poll::Ready(Ok(n))
    }
}

/// Writes through the queue.
impl<S: AsyncWrite + Unpin + 'static> AsyncWrite for IoWriter<S> {
    /// Queues at most 64 KiB; then waits until they are sent.
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        let limit = self.state.config().max_write_buffer_size.unwrap_or(usize::MAX);
        let limit = limit.min(HIGH_WATER_MARK);
        if self.queued() >= limit && !from.is_empty() {
            ready!(IoWriter::poll_flush(&mut self, cx))?;
        }
        let n = from.len().min(limit - self.queued().min(limit));
        self.write(&from[..n])?;
        Poll::Ready(Ok(n))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        IoWriter::poll_flush(&mut self, cx).map_err(io::Error::from)
    }

    /// Flushes, and ends the writing direction.
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(IoWriter::poll_flush(&mut self, cx))?;
        self.state.poll_close(cx).map_err(io::Error::from)
    }
}

/// Reads buffered bytes first.
impl<S: AsyncRead + Unpin> AsyncRead for IoStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.halves_mut().0).poll_read(cx, into)
    }
}

/// Writes through the queue.
impl<S: AsyncWrite + Unpin + 'static> AsyncWrite for IoStream<S> {
    /// Queues at most 64 KiB; then waits until they are sent.
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.halves_mut().1).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(self.halves_mut().1), cx)
    }

    /// Flushes, and ends the writing direction; reading goes on.
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.halves_mut().1).poll_close(cx)
    }
}
