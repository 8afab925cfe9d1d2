//! hyper's transport.

use std::fmt;
use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};
use hyper::rt::{Read, ReadBufCursor, Write};

use crate::buffer::write_queue::with_slices;
use crate::socket::tcp_stream::TcpStream;
use crate::stream::io_stream::IoStream;
use crate::stream::io_writer::IoWriter;
use crate::stream::stream_error::StreamError;
use crate::stream::turn_budget::MAX_BYTES_AT_ONCE;

/// A stream as hyper's transport, for its servers and clients of HTTP/1 and HTTP/2.
///
/// The stream keeps its limits, its place in a [server](crate::TcpServer) and its fairness: it moves
/// about 256 KiB a turn of the loop in each direction. Bytes that are in its
/// [`buffer`](IoStream::buffer) are the first that hyper reads, and bytes that are queued in it are
/// sent before hyper's.
///
/// hyper has its own write buffer, so its bytes go to the stream's transport without a copy. While the
/// transport accepts none, hyper polls no body: a slow peer holds the body back.
///
/// # Cost
/// Reading: at most one `recv` for 64 KiB, and one copy into hyper's buffer. Writing: one `sendmsg`
/// for a head and its body.
pub struct Io<S = TcpStream> {
    stream: IoStream<S>,
}

impl<S> Io<S> {
    /// Wraps a stream.
    pub fn new(stream: IoStream<S>) -> Io<S> {
        Io { stream }
    }

    /// The stream.
    pub fn get_ref(&self) -> &IoStream<S> {
        &self.stream
    }

    /// The stream. Bytes that are read from it, or written to it, while hyper uses it are missing in
    /// hyper's messages, or mix with them.
    pub fn get_mut(&mut self) -> &mut IoStream<S> {
        &mut self.stream
    }

    /// Takes the stream out, for another protocol. hyper may have read bytes of that protocol: give
    /// the `read_buf` of its `Parts` to [`unread`](IoStream::unread).
    pub fn into_inner(self) -> IoStream<S> {
        self.stream
    }
}

impl<S> From<IoStream<S>> for Io<S> {
    fn from(stream: IoStream<S>) -> Io<S> {
        Io::new(stream)
    }
}

impl<S: AsyncRead + Unpin> Read for Io<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let stream = &mut self.stream;
        if stream.buffer().is_empty() && into.remaining() > 0 {
            ready!(stream.poll_fill(cx))?; // the end of the stream leaves the buffer empty
        }
        let n = into.remaining().min(stream.buffer().len());
        into.put_slice(&stream.buffer()[..n]);
        stream.consume(n);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin + 'static> Write for Io<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        let (_, writer) = self.stream.halves_mut();
        writer.poll_write_some(cx, from).map_err(io::Error::from)
    }

    /// Always true: the sockets of squall and TLS take several slices at once.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let (_, writer) = self.stream.halves_mut();
        writer.poll_write_slices(cx, from).map_err(io::Error::from)
    }

    /// Waits until the kernel has every byte.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_flush(cx).map_err(io::Error::from)
    }

    /// Flushes, and ends the writing direction; reading goes on.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

impl<S: AsyncWrite + Unpin + 'static> IoWriter<S> {
    /// Sends some of `slices` in one call of the transport, after what is queued. Returns the number
    /// of bytes.
    fn poll_write_slices(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize, StreamError>> {
        if let [slice] = slices {
            return self.poll_write_some(cx, slice);
        }
        ready!(self.poll_ready_to_write(cx))?;
        ready!(self.state.outbox.budget.poll(cx));
        let pieces = slices.iter().map(|slice| &**slice).filter(|piece| !piece.is_empty());
        with_slices(pieces, MAX_BYTES_AT_ONCE, |slices| {
            let given = slices.iter().map(|slice| slice.len()).sum();
            if given == 0 {
                return Poll::Ready(Ok(0));
            }
            let written = self.state.poll_write_slices(cx, slices);
            self.state.record_write(cx, given, written).map_ok(|(n, _)| n)
        })
    }
}

impl<S> fmt::Debug for Io<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Io").field(&self.stream).finish()
    }
}
