//! A connected TCP socket.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::connect::connect::{ConnectOptions, Connected, connect, connect_to};
use crate::connect::target::{Kind, Target};
use crate::refuse;
use crate::socket::TcpSocket;
use crate::socket::stream_socket::stream_traits;

/// A TCP connection, with the traits of futures-io. Closing the write side sends a FIN; dropping
/// the stream closes both sides.
///
/// `TCP_NODELAY` is on by default, so a small write does not wait for the acknowledgement of an
/// earlier one: see [`set_nodelay`](Self::set_nodelay).
///
/// [`IoStream`](crate::IoStream) adds buffers: reads such as `read_until`, and writes that queue.
#[derive(Debug)]
pub struct TcpStream {
    socket: TcpSocket,
}

impl TcpStream {
    /// Connects to an address or to a host name. A name is resolved off the loop's thread, and its
    /// addresses are tried as described at [`connect_with`](Self::connect_with).
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
    /// TCP can connect a socket to itself, if nothing listens on a port of this machine and the
    /// kernel chooses this port for the socket too. Such a connection is closed, and counts as
    /// refused.
    ///
    /// # Errors
    /// - Those of `connect(2)`, such as refused and unreachable. If several addresses fail, the
    ///   error has the kind of the last failure, and wraps a [`ConnectError`](crate::ConnectError)
    ///   that lists all.
    /// - `NotFound`: the name does not exist or has no address. `HostUnreachable`: the name service
    ///   failed. Both wrap a `ConnectError` whose [`is_lookup`](crate::ConnectError::is_lookup) is
    ///   true.
    /// - `InvalidInput`: the text is not of the form `host:port`.
    ///
    /// # Cancel safety
    /// A dropped connect closes its sockets.
    pub async fn connect(target: impl Into<Target>) -> io::Result<TcpStream> {
        match target.into() {
            Target(Kind::Address(address)) => TcpStream::wrap(connect_to(address, None).await),
            target => TcpStream::wrap(Box::pin(connect(target, ConnectOptions::default())).await),
        }
    }

    /// Connects with a source address, a deadline or another resolver.
    ///
    /// If a name has several addresses, the address families alternate. The next attempt starts
    /// after [`attempt_delay`](ConnectOptions::attempt_delay), or as soon as an attempt fails;
    /// earlier attempts go on. The first to connect wins, and the others are closed. Tornado:
    /// `TCPClient.connect`.
    ///
    /// # Errors
    /// As [`connect`](Self::connect); and `TimedOut` after the
    /// [`deadline`](ConnectOptions::deadline).
    ///
    /// # Cancel safety
    /// A dropped connect closes its sockets.
    ///
    /// Source: RFC 8305.
    #[doc(alias = "TCPClient")]
    pub async fn connect_with(
        target: impl Into<Target>,
        options: ConnectOptions,
    ) -> io::Result<TcpStream> {
        TcpStream::wrap(connect(target.into(), options).await)
    }

    fn wrap(connected: io::Result<Connected>) -> io::Result<TcpStream> {
        Ok(TcpStream { socket: connected?.into() })
    }

    /// Takes over a socket and makes it non-blocking.
    ///
    /// Duplicates of the socket become non-blocking too, also in other processes, and stay so.
    ///
    /// # Errors
    /// Those of `fcntl(2)`.
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<TcpStream> {
        refuse("TcpStream::from_std")?;
        Ok(TcpStream { socket: TcpSocket::new(stream)? })
    }

    pub(crate) fn from_accepted(socket: TcpSocket) -> TcpStream {
        TcpStream { socket }
    }

    /// Returns the socket, which stays non-blocking: call its `set_nonblocking(false)` to change
    /// that.
    pub fn into_std(self) -> std::net::TcpStream {
        self.socket.into_std()
    }

    /// Returns the other end's address.
    ///
    /// # Errors
    /// Those of `getpeername(2)`.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }

    /// Returns this end's address.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Sets whether small writes are sent at once, without waiting for an acknowledgement
    /// (`TCP_NODELAY`). On by default: [`connect`](Self::connect) sets the option, and accepted
    /// streams inherit it from their listener. [`from_std`](Self::from_std) leaves it as it is.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        self.socket.set_nodelay(on)
    }

    /// Makes the drop of the stream a reset instead of an orderly end.
    pub(crate) fn make_close_a_reset(&self) {
        self.socket.make_close_a_reset();
    }

    /// Closes one side, or both; the descriptor stays open.
    ///
    /// # Errors
    /// Those of `shutdown(2)`.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }
}

stream_traits!(TcpStream);
