//! Notices that a client has left while a handler, or a streamed body, has nothing to send.
//!
//! The end of the client's stream does not show it: a client that ended only its sending half still
//! reads the response, and its last packet looks the same. But a kernel answers bytes for a closed
//! socket with a reset. So after the end of the stream, the server sends the next bytes of the
//! response early, one at a time and at growing intervals, until one of them cannot be sent:
//!
//! ```text
//!   before a response   H T T P / 1 . 1 ␣   every response begins so
//!   before a chunk      0 0 0 0 0 0 0 0     leading zeros of the chunk's size (RFC 9112, 7.1)
//! ```
//!
//! A client that still reads gets the response that it would get otherwise. A streamed body for
//! HTTP/1.0 has no chunks, so there only the next piece can show that the client has left.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use squall_net::{Sleep, StreamError, sleep};

use crate::server::rejection::Rejection;
use crate::server::transport::Transport;
use crate::server::wire::{NextPart, SharedWire, Wire};

/// The time between the first two early bytes. It doubles after each.
const FIRST_INTERVAL: Duration = Duration::from_millis(50);

/// Runs `work`, which makes the next part of the response. Drops it if the client leaves first.
///
/// # Errors
/// [`Rejection::Broken`]: the client has left.
pub(crate) fn unless_client_leaves<T, S: Transport>(
    mut work: Pin<&mut impl Future<Output = T>>,
    wire: &SharedWire<'_, S>,
    next: NextPart,
) -> impl Future<Output = Result<T, Rejection>> {
    let mut watch = ClientWatch { next, sent: 0, pause: None };
    poll_fn(move |cx| match work.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Ok(output)),
        Poll::Pending => wire.with(|wire| watch.poll(cx, wire)).map(|error| Err(error.into())),
    })
}

/// Looks during one wait whether the client has left.
struct ClientWatch {
    next: NextPart,
    /// How many of the early bytes were sent.
    sent: usize,
    /// The time until the next early byte. `None` until the client's stream has ended.
    pause: Option<Box<Sleep>>,
}

impl ClientWatch {
    /// Ready with the error of the connection once the client has left.
    fn poll<S: Transport>(
        &mut self,
        cx: &mut Context<'_>,
        wire: &mut Wire<S>,
    ) -> Poll<StreamError> {
        if self.pause.is_none() {
            if let Err(error) = ready!(wire.poll_end(cx)) {
                return Poll::Ready(error);
            }
            self.pause = Some(Box::new(sleep(Duration::ZERO)));
        }
        let early_bytes = self.next.early_bytes();
        loop {
            if let Err(error) = ready!(wire.stream.poll_flush(cx)) {
                return Poll::Ready(error);
            }
            let (Some(byte), Some(pause)) = (early_bytes.get(self.sent), &mut self.pause) else {
                return Poll::Pending;
            };
            ready!(Pin::new(&mut **pause).poll(cx));
            **pause = sleep(FIRST_INTERVAL * (1 << self.sent));
            self.sent += 1;
            if let Err(error) = wire.write_early(*byte, self.next) {
                return Poll::Ready(error);
            }
        }
    }
}
