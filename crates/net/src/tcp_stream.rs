//! A connected socket.

use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};
use squall_executor::AsyncFd;

use crate::sys;

/// A TCP connection, with the traits of futures-io. Closing the write side sends a FIN; dropping it closes both.
///
/// [`IoStream`](crate::IoStream) gives it a memory: `read_until` and its siblings, and writes that queue.
#[derive(Debug)]
pub struct TcpStream {
    fd: AsyncFd<std::net::TcpStream>,
}

impl TcpStream {
    /// Connects to an address.
    ///
    /// # Errors
    /// Those of `connect(2)`, refused and unreachable among them.
    ///
    /// # Cancel safety
    /// A dropped connect closes its socket.
    pub async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
        let fd = AsyncFd::from_nonblocking(sys::connect(address)?);
        // Writable or failed is the outcome of a connect. A socket that is still under way has no peer yet.
        fd.write_with(|socket| match socket.take_error()? {
            Some(error) => Err(error),
            None => socket.peer_addr().map(drop).map_err(not_yet),
        })
        .await?;
        Ok(TcpStream { fd })
    }

    /// Takes a socket over and makes it non-blocking.
    ///
    /// # Errors
    /// Those of `fcntl(2)`.
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<TcpStream> {
        Ok(TcpStream { fd: AsyncFd::new(stream)? })
    }

    pub(crate) fn from_nonblocking(stream: std::net::TcpStream) -> TcpStream {
        TcpStream { fd: AsyncFd::from_nonblocking(stream) }
    }

    /// Gives the socket back, non-blocking as it is.
    pub fn into_std(self) -> std::net::TcpStream {
        self.fd.into_inner()
    }

    /// The other end's address.
    ///
    /// # Errors
    /// Those of `getpeername(2)`.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.fd.get_ref().peer_addr()
    }

    /// This end's address.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.fd.get_ref().local_addr()
    }

    /// Sends small writes at once instead of waiting for an acknowledgement (`TCP_NODELAY`). Accepted streams have it from
    /// their listener.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        self.fd.get_ref().set_nodelay(on)
    }

    /// Closes one side, or both, while the descriptor stays.
    ///
    /// # Errors
    /// Those of `shutdown(2)`.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        sys::shutdown(self.fd.get_ref(), how)
    }

    /// Notes what a write that moved less than it was given tells of the socket.
    fn wrote(&self, moved: usize, given: usize) {
        if moved < given {
            self.fd.note_full();
        }
    }
}

/// `ENOTCONN` says that a connect is still under way.
fn not_yet(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::NotConnected => io::ErrorKind::WouldBlock.into(),
        _ => error,
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let polled = self.fd.poll_read_with(cx, |socket| sys::recv(socket, into));
        if let Poll::Ready(Ok(n)) = polled
            && n < into.len()
        {
            self.fd.note_drained();
        }
        polled
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = self.fd.poll_write_with(cx, |socket| sys::send(socket, from));
        if let Poll::Ready(Ok(n)) = polled {
            self.wrote(n, from.len());
        }
        polled
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let from = &from[..from.len().min(sys::IOV_MAX)];
        let polled = self.fd.poll_write_with(cx, |socket| sys::sendmsg(socket, from));
        if let Poll::Ready(Ok(n)) = polled {
            self.wrote(n, from.iter().map(|slice| slice.len()).sum());
        }
        polled
    }

    /// Nothing to do: the kernel has every byte that a write returned for.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Sends a FIN; reading goes on.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shutdown(Shutdown::Write))
    }
}

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
