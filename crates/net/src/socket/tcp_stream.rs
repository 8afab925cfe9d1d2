//! A connected socket.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use squall_executor::AsyncFd;

use crate::connect::connect::{ConnectOptions, connect, connect_to};
use crate::connect::target::{Kind, Target};
use crate::socket::stream_socket::{StreamSocket, stream_traits};
use crate::sys;

/// A TCP connection, with the traits of futures-io. Closing the write side sends a FIN; dropping it closes both.
///
/// [`IoStream`](crate::IoStream) gives it a memory: `read_until` and its siblings, and writes that queue.
#[derive(Debug)]
pub struct TcpStream {
    socket: StreamSocket<std::net::TcpStream>,
}

impl TcpStream {
    /// Connects to an address, or to a host by its name: that is looked up off the loop, and its addresses are tried as
    /// [`connect_with`](Self::connect_with) says.
    ///
    /// ```
    /// use squall_net::{TcpListener, TcpStream, block_on};
    ///
    /// block_on(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0")?;
    ///     let port = listener.local_addr()?.port();
    ///     TcpStream::connect(("localhost", port)).await?;
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    /// Those of `connect(2)`, refused and unreachable among them; `InvalidInput` for a text that is no `host:port`; and those
    /// of the name service. After several addresses, the last one's kind, with a [`ConnectError`](crate::ConnectError) that
    /// has all.
    ///
    /// # Cancel safety
    /// A dropped connect closes its sockets.
    pub async fn connect(target: impl Into<Target>) -> io::Result<TcpStream> {
        match target.into() {
            Target(Kind::Address(address)) => TcpStream::over(connect_to(address, None).await),
            target => TcpStream::over(Box::pin(connect(target, ConnectOptions::default())).await),
        }
    }

    /// Connects with a source address, a deadline or a resolver of one's own.
    ///
    /// Of several addresses the families take turns; the next is tried beside the former after
    /// [`attempt_delay`](ConnectOptions::attempt_delay), or as soon as one fails. The first that answers wins, and the others
    /// are closed. Tornado: `TCPClient.connect`. Source: RFC 8305.
    ///
    /// # Errors
    /// As [`connect`](Self::connect); and `TimedOut` after the [`deadline`](ConnectOptions::deadline).
    ///
    /// # Cancel safety
    /// A dropped connect closes its sockets.
    #[doc(alias = "TCPClient")]
    pub async fn connect_with(
        target: impl Into<Target>,
        options: ConnectOptions,
    ) -> io::Result<TcpStream> {
        TcpStream::over(connect(target.into(), options).await)
    }

    fn over(connected: io::Result<AsyncFd<std::net::TcpStream>>) -> io::Result<TcpStream> {
        Ok(TcpStream { socket: StreamSocket::from_fd(connected?) })
    }

    /// Takes a socket over and makes it non-blocking.
    ///
    /// # Errors
    /// Those of `fcntl(2)`.
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<TcpStream> {
        Ok(TcpStream { socket: StreamSocket::new(stream)? })
    }

    pub(crate) fn from_nonblocking(stream: std::net::TcpStream) -> TcpStream {
        TcpStream { socket: StreamSocket::from_nonblocking(stream) }
    }

    /// Gives the socket back, non-blocking as it is.
    pub fn into_std(self) -> std::net::TcpStream {
        self.socket.fd.into_inner()
    }

    /// The other end's address.
    ///
    /// # Errors
    /// Those of `getpeername(2)`.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.std().peer_addr()
    }

    /// This end's address.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.std().local_addr()
    }

    /// Sends small writes at once instead of waiting for an acknowledgement (`TCP_NODELAY`). Accepted streams have it from
    /// their listener.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        self.socket.std().set_nodelay(on)
    }

    /// Closes one side, or both, while the descriptor stays.
    ///
    /// # Errors
    /// Those of `shutdown(2)`.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        sys::shutdown(self.as_fd(), how)
    }
}

stream_traits!(TcpStream);
