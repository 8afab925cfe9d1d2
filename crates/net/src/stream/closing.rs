//! What a stream that closes does with its queued bytes, and how the peer learns of lost ones.
//!
//! ```text
//!   close, drop ─▶ try once to send ─▶ all sent? ── yes ─▶ an orderly end
//!                                          └────── no ──▶ a reset, and a warning in the log
//!   reset ──────────────────────────────────────────────▶ a reset
//! ```
//!
//! A reset tells the peer that what it has received is not the whole. TCP and the in-memory
//! [`duplex`](crate::duplex) can say it. TLS says it by an end without `close_notify`. Unix sockets and
//! pipes cannot.

use std::any::Any;
use std::task::{Context, Waker};

use futures_io::AsyncWrite;

use crate::socket::duplex::DuplexStream;
use crate::socket::tcp_stream::TcpStream;
use crate::stream::io_stream::IoStream;
use crate::stream::stream_state::{CloseReason, StreamState};

impl<S: AsyncWrite + Unpin + 'static> StreamState<S> {
    /// Makes [`close`](Self::close) send what is queued.
    #[inline]
    pub(crate) fn enable_close_hook(&self) {
        if self.on_close.get().is_none() {
            self.on_close.set(Some(Self::before_close));
        }
    }

    /// As [`enable_close_hook`](Self::enable_close_hook), for a transport that must announce its end
    /// to the peer, as TLS does. Only a requested close is announced: a stream that is dropped may
    /// have sent half a message.
    #[cfg(feature = "tls")]
    pub(crate) fn announce_requested_close(&self) {
        self.on_close.set(Some(|state, reason| {
            state.before_close(reason);
            if reason == CloseReason::Requested
                && state.outbox.queue.borrow().is_empty()
                && !state.outbox.is_broken()
            {
                let cx = &mut Context::from_waker(Waker::noop());
                // An error is ignored, because no caller is left to receive it.
                let _ = state.poll_transport(|transport| transport.poll_close(cx));
            }
        }));
    }

    fn before_close(&self, reason: CloseReason) {
        if reason != CloseReason::Failed && !self.is_write_ended.get() {
            self.try_send();
        }
        let lost = self.outbox.queue.borrow().len();
        if lost > 0 || reason == CloseReason::Failed {
            self.lose(lost);
        }
    }

    #[cold]
    fn lose(&self, bytes: usize) {
        if bytes > 0 {
            log::warn!("a stream was closed with {bytes} bytes that were not sent");
        }
        self.with_transport(|transport| make_close_a_reset(&*transport));
    }

    /// Closes the stream without an orderly end.
    pub(crate) fn reset(&self) {
        self.enable_close_hook();
        self.close(CloseReason::Failed);
    }

    /// Sends the queue until the transport would block or fails.
    fn try_send(&self) {
        let cx = &mut Context::from_waker(Waker::noop());
        while !self.outbox.queue.borrow().is_empty() {
            if self.poll_send_some(cx).is_pending() {
                return;
            }
        }
        // An error is ignored, because no caller is left to receive it.
        let _ = self.poll_transport(|transport| transport.poll_flush(cx));
    }
}

impl<S: AsyncWrite + Unpin + 'static> IoStream<S> {
    /// Closes the stream without an orderly end, so that the peer does not take what it got for the
    /// whole: drops what is queued, and resets the connection.
    ///
    /// A peer on TCP gets `ECONNRESET`. A Unix socket or a pipe has no reset, and its peer sees an
    /// end. What was received can still be read.
    pub fn reset(&mut self) {
        self.state().reset();
    }
}

/// Makes the drop of a transport a reset instead of an orderly end, if it has a way to say it.
fn make_close_a_reset(transport: &dyn Any) {
    if let Some(stream) = transport.downcast_ref::<TcpStream>() {
        stream.make_close_a_reset();
    } else if let Some(stream) = transport.downcast_ref::<DuplexStream>() {
        stream.make_close_a_reset();
    }
}
