//! The listening sockets that a server accepts from.

use std::fmt;
use std::io;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};

/// How many connections may wait to be accepted. The kernel caps this at `net.core.somaxconn`.
pub(crate) const BACKLOG: i32 = 4096;

/// A listening socket: [`TcpListener`](crate::TcpListener) or
/// [`UnixListener`](crate::UnixListener). The trait is sealed: no other type can implement it.
pub trait Listener: Sealed + 'static {
    /// An accepted connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + 'static;
    /// The address of the other end of a connection.
    type Peer: Clone + fmt::Debug + 'static;

    /// The same in less memory. The server keeps it while the handler runs.
    #[doc(hidden)]
    type PackedPeer: 'static;

    #[doc(hidden)]
    fn pack(peer: &Self::Peer) -> Self::PackedPeer;

    #[doc(hidden)]
    fn unpack(packed: &Self::PackedPeer) -> Self::Peer;

    /// Polls for the next connection.
    #[doc(hidden)]
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Self::Stream, Self::Peer)>>;

    /// Accepts a connection that is queued already; `WouldBlock` if there is none.
    #[doc(hidden)]
    fn try_accept(&self) -> io::Result<(Self::Stream, Self::Peer)>;

    /// The socket's address, for a message.
    #[doc(hidden)]
    fn describe(&self) -> String;

    /// Takes the socket out of its loop until a later `poll_accept` has to wait.
    #[doc(hidden)]
    fn rest(&self);
}

pub trait Sealed {}
