//! The writing half of a stream: what is written is queued, and leaves at the latest when the batch ends.

use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_io::AsyncWrite;

use crate::chunk::Chunk;
use crate::link::Link;
use crate::stream_error::StreamError;
use crate::tcp_stream::TcpStream;

/// The half of an [`IoStream`](crate::IoStream) that writes, made by [`IoStream::split`](crate::IoStream::split).
///
/// Each method is the one of the whole stream, where it is described. Dropping one half leaves the other and the connection
/// as they are, and what is queued goes on leaving; the last one closes it. To tell the peer that nothing more will come,
/// [`shutdown`](Self::shutdown).
pub struct IoWriter<S = TcpStream> {
    pub(crate) link: Rc<Link<S>>,
}

impl<S> IoWriter<S> {
    pub(crate) fn new(link: Rc<Link<S>>) -> IoWriter<S> {
        IoWriter { link }
    }

    /// As [`IoStream::queued`](crate::IoStream::queued).
    pub fn queued(&self) -> usize {
        self.link.outbox.queue.borrow().len()
    }

    /// Closes the whole stream, as [`IoStream::close`](crate::IoStream::close) does. The other half learns it at once.
    pub fn close(&mut self) {
        self.link.close();
    }

    /// As [`IoStream::is_closed`](crate::IoStream::is_closed).
    pub fn is_closed(&self) -> bool {
        self.link.is_closed.get()
    }
}

impl<S: AsyncWrite + Unpin + 'static> IoWriter<S> {
    /// As [`IoStream::write`](crate::IoStream::write).
    ///
    /// # Errors
    /// As there.
    pub fn write<'a>(&mut self, data: impl Into<Chunk<'a>>) -> Result<(), StreamError> {
        let data = data.into();
        self.check_writable()?;
        if let Some(limit) = self.link.config.max_write_buffer_size
            && self.queued() + data.len() > limit
        {
            return Err(StreamError::BufferFull { limit });
        }
        self.link.outbox.queue.borrow_mut().push(data);
        self.link.schedule();
        Ok(())
    }

    /// As [`IoStream::flush`](crate::IoStream::flush).
    ///
    /// # Errors
    /// As there.
    pub async fn flush(&mut self) -> Result<(), StreamError> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// As [`IoStream::poll_flush`](crate::IoStream::poll_flush).
    ///
    /// # Errors
    /// As there.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        self.check_writable()?;
        if self.must_wait_for_its_turn(cx) {
            return Poll::Pending;
        }
        if self.link.outbox.pump.borrow().is_none() {
            match self.link.poll_send(cx) {
                Poll::Ready(()) => return Poll::Ready(self.check_writable()),
                Poll::Pending => self.link.start_pump(),
            }
            self.check_writable()?; // a loop that ends drops the pump at once
        }
        self.link.outbox.flusher.set(Some(cx.waker().clone()));
        Poll::Pending
    }

    /// As [`IoStream::write_all`](crate::IoStream::write_all).
    ///
    /// # Errors
    /// As there.
    pub async fn write_all(&mut self, data: &[u8]) -> Result<(), StreamError> {
        self.flush().await?;
        let mut sent = 0;
        while sent < data.len() {
            sent += poll_fn(|cx| {
                if self.must_wait_for_its_turn(cx) {
                    return Poll::Pending;
                }
                self.link.poll_write(cx, &data[sent..])
            })
            .await?;
        }
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// As [`IoStream::shutdown`](crate::IoStream::shutdown).
    ///
    /// # Errors
    /// As there.
    pub async fn shutdown(&mut self) -> Result<(), StreamError> {
        self.flush().await?;
        poll_fn(|cx| self.link.poll_close(cx)).await
    }

    /// Asks to be polled in another turn if this one has had enough; the pump shares the turns by itself.
    fn must_wait_for_its_turn(&self, cx: &Context<'_>) -> bool {
        let waits = self.link.outbox.pump.borrow().is_none() && self.link.outbox.share.is_used_up();
        if waits {
            cx.waker().wake_by_ref();
        }
        waits
    }

    fn check_writable(&self) -> Result<(), StreamError> {
        if self.link.outbox.is_broken.get() {
            return Err(StreamError::Closed { cause: self.link.outbox.failure.take() });
        }
        if self.is_closed() { Err(StreamError::ended()) } else { Ok(()) }
    }
}

impl<S> Drop for IoWriter<S> {
    fn drop(&mut self) {
        self.link.drop_half();
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
