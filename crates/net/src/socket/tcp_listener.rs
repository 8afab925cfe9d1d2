//! A listening TCP socket.

use std::io;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use crate::refuse;
use crate::socket::TcpAcceptor;
use crate::socket::listener::{Listener, Sealed};
use crate::socket::tcp_stream::TcpStream;

/// A TCP socket that accepts connections. Tornado: `bind_sockets` and `add_accept_handler`.
///
/// ```
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
/// use squall_net::{TcpListener, TcpStream, block_on, spawn};
///
/// block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let mut client = TcpStream::connect(listener.local_addr()?).await?;
///     let (mut server, _peer) = listener.accept().await?;
///     client.write_all(b"hello").await?;
///     let mut bytes = [0; 5];
///     server.read_exact(&mut bytes).await?;
///     assert_eq!(&bytes, b"hello");
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct TcpListener {
    socket: TcpAcceptor,
}

impl TcpListener {
    /// Listens on the first of the addresses that can be bound. For port 0, the kernel chooses the
    /// port.
    ///
    /// Sets `SO_REUSEADDR`, and `TCP_NODELAY`, which accepted streams inherit without a system
    /// call. Names are resolved on this thread, so a slow name server blocks the loop: pass an
    /// address, or bind before the loop runs.
    ///
    /// # Errors
    /// Those of `bind(2)`. If no address can be bound, the error of the last. `NotFound` for a name
    /// that does not exist, and `HostUnreachable` if the name service fails.
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<TcpListener> {
        Ok(TcpListener { socket: TcpAcceptor::bind(address)? })
    }

    /// Takes over a listening socket and makes it non-blocking. Its other options do not change.
    ///
    /// Duplicates of the socket become non-blocking too, also in other processes, and stay so.
    ///
    /// # Errors
    /// Those of `fcntl(2)`.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        refuse("TcpListener::from_std")?;
        Ok(TcpListener { socket: TcpAcceptor::new(listener)? })
    }

    /// Takes over a listening socket from which other loops, in this process or in others, also
    /// accept. A connection wakes one loop or a few, not all (`EPOLLEXCLUSIVE`).
    ///
    /// For a [server](crate::TcpServer::add_sockets), which calls `rest` before it stops accepting
    /// for a while. Otherwise, a waiting connection would make the loop spin.
    pub(crate) fn from_shared(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        refuse("Server::add_sockets")?;
        Ok(TcpListener { socket: TcpAcceptor::shared(listener)? })
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    /// Those of `accept(2)`. Most mean that one connection has failed, or that no file descriptor
    /// is free. The listener stays usable after them. [`TcpServer`](crate::TcpServer) distinguishes
    /// them from fatal errors.
    ///
    /// # Cancel safety
    /// Cancel safe: a connection is either returned or still in the kernel's queue.
    ///
    /// # Cost
    /// One `accept4` per connection, and one that returns `WouldBlock` when the queue is empty.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.socket.accept().await?;
        Ok((TcpStream::from_accepted(stream), peer))
    }

    /// As [`accept`](Self::accept), for hand-written futures. Wakes only the task that polled last;
    /// any number of tasks can wait in `accept`.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    #[inline]
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let (stream, peer) = ready!(self.socket.poll_accept(cx))?;
        Poll::Ready(Ok((TcpStream::from_accepted(stream), peer)))
    }

    /// Returns the connections as a stream that never ends.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// Returns the address that the socket listens on, with the port that the kernel chose.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Returns the socket, which stays non-blocking: call its `set_nonblocking(false)` to change
    /// that.
    pub fn into_std(self) -> std::net::TcpListener {
        self.socket.into_std()
    }
}

impl Sealed for TcpListener {}

impl Listener for TcpListener {
    type Stream = TcpStream;
    type Peer = SocketAddr;
    type PackedPeer = PackedPeer;

    fn pack(peer: &SocketAddr) -> PackedPeer {
        match *peer {
            SocketAddr::V4(peer) => PackedPeer::V4(peer),
            SocketAddr::V6(peer) => PackedPeer::V6(Box::new(peer)),
        }
    }

    fn unpack(packed: &PackedPeer) -> SocketAddr {
        match packed {
            PackedPeer::V4(peer) => (*peer).into(),
            PackedPeer::V6(peer) => (**peer).into(),
        }
    }

    #[inline]
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        TcpListener::poll_accept(self, cx)
    }

    fn try_accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.socket.try_accept()?;
        Ok((TcpStream::from_accepted(stream), peer))
    }

    fn describe(&self) -> String {
        match self.local_addr() {
            Ok(address) => format!("{address}"),
            Err(error) => format!("a socket without an address ({error})"),
        }
    }

    fn rest(&self) {
        self.socket.rest();
    }
}

impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A `SocketAddr` has the size of an IPv6 address, which few connections need.
#[doc(hidden)]
#[derive(Debug)]
pub enum PackedPeer {
    V4(SocketAddrV4),
    V6(Box<SocketAddrV6>),
}

/// The stream of [`TcpListener::incoming`].
#[derive(Debug)]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
}

impl Stream for Incoming<'_> {
    type Item = io::Result<(TcpStream, SocketAddr)>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.listener.poll_accept(cx).map(Some)
    }
}
