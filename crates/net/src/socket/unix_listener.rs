//! A listening Unix socket.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use squall_executor::{AsyncFd, set_nonblocking};

use crate::refuse;
use crate::socket::listener::{Listener, Sealed};
use crate::socket::unix_stream::UnixStream;
use crate::sys;

/// A Unix socket that accepts connections.
///
/// Dropping the listener does not remove the path. Remove it, or bind with
/// [`bind_unix_socket`](crate::bind_unix_socket), which replaces a stale path.
#[derive(Debug)]
pub struct UnixListener {
    fd: AsyncFd<std::os::unix::net::UnixListener>,
}

impl UnixListener {
    /// Listens on a path that must not exist yet. A path that begins with a NUL byte is a name in
    /// the abstract namespace.
    ///
    /// # Errors
    /// Those of `bind(2)`: `AddrInUse` if the path exists.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<UnixListener> {
        refuse("UnixListener::bind")?;
        let address = sys::unix_address(path.as_ref())?;
        UnixListener::from_std(std::os::unix::net::UnixListener::bind_addr(&address)?)
    }

    /// Takes over a listening socket and makes it non-blocking.
    ///
    /// Duplicates of the socket become non-blocking too, also in other processes, and stay so.
    ///
    /// # Errors
    /// Those of `fcntl(2)`.
    pub fn from_std(listener: std::os::unix::net::UnixListener) -> io::Result<UnixListener> {
        refuse("UnixListener::from_std")?;
        set_nonblocking(listener.as_fd())?;
        Ok(UnixListener { fd: AsyncFd::from_nonblocking(listener) })
    }

    /// As [`TcpListener::from_shared`](crate::TcpListener).
    pub(crate) fn from_shared(
        listener: std::os::unix::net::UnixListener,
    ) -> io::Result<UnixListener> {
        Ok(UnixListener { fd: AsyncFd::new_shared(listener)? })
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    /// Those of `accept(2)`, as for [`TcpListener::accept`](crate::TcpListener::accept).
    ///
    /// # Cancel safety
    /// Cancel safe: a connection is either returned or still in the kernel's queue.
    pub async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (stream, peer) = self.fd.read_with(sys::accept_unix).await?;
        Ok((UnixStream::from_nonblocking(stream), peer))
    }

    /// As [`accept`](Self::accept), for hand-written futures. Wakes only the task that polled last;
    /// any number of tasks can wait in `accept`.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, SocketAddr)>> {
        let (stream, peer) = ready!(self.fd.poll_read_with(cx, sys::accept_unix))?;
        Poll::Ready(Ok((UnixStream::from_nonblocking(stream), peer)))
    }

    /// Returns the connections as a stream that never ends.
    pub fn incoming(&self) -> UnixIncoming<'_> {
        UnixIncoming { listener: self }
    }

    /// Returns the address that the socket listens on.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.fd.get_ref().local_addr()
    }

    /// Returns the socket, which stays non-blocking: call its `set_nonblocking(false)` to change
    /// that.
    pub fn into_std(self) -> std::os::unix::net::UnixListener {
        self.fd.into_inner()
    }
}

impl Sealed for UnixListener {}

impl Listener for UnixListener {
    type Stream = UnixStream;
    type Peer = SocketAddr;
    type PackedPeer = SocketAddr;

    fn pack(peer: &SocketAddr) -> SocketAddr {
        peer.clone()
    }

    fn unpack(packed: &SocketAddr) -> SocketAddr {
        packed.clone()
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, SocketAddr)>> {
        UnixListener::poll_accept(self, cx)
    }

    fn try_accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (stream, peer) = sys::accept_unix(self.fd.get_ref())?;
        Ok((UnixStream::from_nonblocking(stream), peer))
    }

    fn describe(&self) -> String {
        match self.local_addr() {
            Ok(address) => format!("{address:?}"),
            Err(error) => format!("a socket without an address ({error})"),
        }
    }

    fn rest(&self) {
        self.fd.rest();
    }
}

impl AsFd for UnixListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The stream of [`UnixListener::incoming`].
#[derive(Debug)]
pub struct UnixIncoming<'a> {
    listener: &'a UnixListener,
}

impl Stream for UnixIncoming<'_> {
    type Item = io::Result<(UnixStream, SocketAddr)>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.listener.poll_accept(cx).map(Some)
    }
}
