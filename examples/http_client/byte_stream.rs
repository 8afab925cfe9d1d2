//! The connection of an exchange, with or without TLS.

use std::task::{Context, Poll};

use bytes::Bytes;
use squall_net::{AsyncRead, AsyncWrite, IoStream, StreamError};

/// What an exchange uses of an [`IoStream`], whatever its transport is. Each method does what the
/// method of the same name on `IoStream` does.
pub(crate) trait ByteStream {
    fn buffer(&self) -> &[u8];
    fn consume(&mut self, n: usize);
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, StreamError>>;
    fn write(&mut self, data: Bytes) -> Result<(), StreamError>;
    fn queued(&self) -> usize;
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>>;
    fn close(&mut self);
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> ByteStream for IoStream<S> {
    fn buffer(&self) -> &[u8] {
        IoStream::buffer(self)
    }

    fn consume(&mut self, n: usize) {
        IoStream::consume(self, n);
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, StreamError>> {
        IoStream::poll_fill(self, cx)
    }

    fn write(&mut self, data: Bytes) -> Result<(), StreamError> {
        IoStream::write(self, data)
    }

    fn queued(&self) -> usize {
        IoStream::queued(self)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        IoStream::poll_flush(self, cx)
    }

    fn close(&mut self) {
        IoStream::close(self);
    }
}
