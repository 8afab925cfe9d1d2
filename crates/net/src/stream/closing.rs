//! What a stream that closes does with its queued bytes, and how the peer learns of lost ones.
//!
//! ```text
//!   close, drop ─▶ try once to send ─▶ all sent? ── yes ─▶ an orderly end
//!                                          └────── no ──▶ a reset; a warning in the log, if the peer is still there
//!   after a failed write ─────────────────────────────────▶ a reset; the same warning
//!   reset ──────────────────────────────────────────────▶ a reset
//! ```
//!
//! A reset tells the peer that what it has received is not the whole. TCP and the in-memory
//! [`duplex`](crate::duplex) can say it. TLS says it by an end without `close_notify`. Unix sockets and
//! pipes cannot.

use std::any::Any;
use std::rc::Rc;
use std::task::{Context, Waker};

use futures_io::AsyncWrite;
use squall_executor::{is_closing, without_budget};

use crate::socket::duplex::DuplexStream;
use crate::socket::tcp_stream::TcpStream;
use crate::stream::io_stream::IoStream;
use crate::stream::read_end::ReadEnd;
use crate::stream::stream_error::Cause;
use crate::stream::stream_flags::StreamFlags;
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
                && !state.outbox.has_queued()
                && !state.outbox.is_broken()
            {
                let cx = &mut Context::from_waker(Waker::noop());
                let close = || state.poll_transport(|transport| transport.poll_close(cx));
                let _ = without_budget(close); // no caller is left to receive an error
            }
        }));
    }

    fn before_close(self: &Rc<Self>, reason: CloseReason) {
        match reason {
            CloseReason::AfterFlush => return self.flush_and_close(),
            CloseReason::Requested | CloseReason::Dropped
                if !self.flags.has_any(StreamFlags::WRITE_ENDED) =>
            {
                without_budget(|| self.try_send());
            }
            _ => {}
        }
        let lost = self.outbox.unsent();
        // After a failed write, what the peer has got is a part at best.
        let has_failed = self.outbox.is_broken() && !self.flags.has_any(StreamFlags::WRITE_ENDED);
        if lost > 0 || has_failed || self.outbox.is_cut() || reason == CloseReason::Failed {
            self.lose(lost);
        }
    }

    #[cold]
    fn lose(&self, bytes: usize) {
        // No warning where the peer has ended the connection, which is no fault of this program.
        let read_failure = match self.read_end() {
            ReadEnd::Failed(cause) => Some(cause),
            _ => None,
        };
        let failure = self.outbox.failure_cause().or(read_failure);
        let is_ended_by_peer = failure.is_some_and(Cause::is_of_peer);
        if bytes > 0 && (!is_ended_by_peer || is_closing()) {
            match failure {
                None => log::warn!("a stream was closed with {bytes} bytes that were not sent"),
                Some(cause) => log::warn!(
                    "a stream was closed with {bytes} bytes that were not sent: {}",
                    cause.error()
                ),
            }
        }
        self.with_transport(|transport| make_close_a_reset(&*transport));
    }

    /// Closes the stream without an orderly end.
    pub(crate) fn reset(self: &Rc<Self>) {
        self.enable_close_hook();
        self.close(CloseReason::Failed);
    }

    /// As [`reset`](Self::reset), unless the peer has got all and an end.
    pub(crate) fn reset_unless_ended(self: &Rc<Self>) {
        if !self.flags.has_any(StreamFlags::WRITE_ENDED) {
            self.reset();
        }
    }

    /// Sends the queue until the transport would block or fails.
    fn try_send(&self) {
        let cx = &mut Context::from_waker(Waker::noop());
        while self.outbox.has_queued() {
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
