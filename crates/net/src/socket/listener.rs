//! What a server can accept from.

use std::fmt;
use std::io;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};

/// A listening socket of squall's: [`TcpListener`](crate::TcpListener) or [`UnixListener`](crate::UnixListener). No other type
/// can be one.
pub trait Listener: Sealed + 'static {
    /// What it accepts.
    type Stream: AsyncRead + AsyncWrite + Unpin + 'static;
    /// What it knows of the other end.
    type Peer: Clone + fmt::Debug + 'static;

    /// The next connection.
    #[doc(hidden)]
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Self::Stream, Self::Peer)>>;

    /// Leaves its loop until it is asked again.
    #[doc(hidden)]
    fn rest(&self);
}

pub trait Sealed {}
