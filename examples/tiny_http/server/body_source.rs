//! What a body is read from.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use squall_net::StreamError;

/// The outcome of waiting for more bytes.
pub(crate) enum Filled {
    Bytes,
    End,
    TimedOut,
    /// The server is shutting down.
    Shutdown,
}

/// The wire of a connection, whatever its transport: requests are the same type on all of them.
pub(crate) trait BodySource {
    /// Calls `take` with the received bytes, and drops as many of them as it returns.
    fn take(&self, take: &mut dyn FnMut(&[u8]) -> usize);

    /// Sets the deadline to `time` from now.
    fn allow(&self, time: Duration);

    /// Queues a response, or an interim one.
    fn write_response(&self, text: &[u8]) -> Result<(), StreamError>;

    /// Reads until more than `len` bytes are received, before the deadline.
    fn poll_beyond(&self, cx: &mut Context<'_>, len: usize) -> Poll<Result<Filled, StreamError>>;

    /// The address of the client.
    fn peer_addr(&self) -> io::Result<SocketAddr>;
}
