//! A UDP socket.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll};

use crate::refuse;
use crate::socket::UdpPort;
use crate::socket::datagram::Datagram;

/// A UDP socket. Its async methods take `&self`, and any number of tasks may wait in them at once.
///
/// ```
/// use squall_net::{UdpSocket, block_on};
///
/// block_on(async {
///     let server = UdpSocket::bind("127.0.0.1:0")?;
///     let client = UdpSocket::bind("127.0.0.1:0")?;
///     client.send_to(b"ping", server.local_addr()?).await?;
///     let mut buffer = [0; 1500];
///     let (n, peer) = server.recv_from(&mut buffer).await?;
///     assert_eq!((&buffer[..n], peer), (&b"ping"[..], client.local_addr()?));
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct UdpSocket {
    socket: UdpPort,
}

impl UdpSocket {
    /// Binds to the first of the addresses that is free. For port 0, the kernel chooses the port.
    ///
    /// Names are resolved on this thread, so a slow name server blocks the loop: pass an address,
    /// or bind before the loop runs.
    ///
    /// # Errors
    /// Those of `bind(2)`. If no address can be bound, the error of the last. `NotFound` for a name
    /// that does not exist, and `HostUnreachable` if the name service fails.
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<UdpSocket> {
        Ok(UdpSocket { socket: UdpPort::bind(address)? })
    }

    /// Takes over a socket and makes it non-blocking.
    ///
    /// Duplicates of the socket become non-blocking too, also in other processes, and stay so.
    ///
    /// # Errors
    /// Those of `fcntl(2)`.
    pub fn from_std(socket: std::net::UdpSocket) -> io::Result<UdpSocket> {
        refuse("UdpSocket::from_std")?;
        Ok(UdpSocket { socket: UdpPort::new(socket)? })
    }

    /// Returns the socket, which stays non-blocking: call its `set_nonblocking(false)` to change
    /// that.
    pub fn into_std(self) -> std::net::UdpSocket {
        self.socket.into_std()
    }

    /// Sets the peer: [`send`](Self::send) sends to it, and only its datagrams are received.
    ///
    /// # Errors
    /// Those of `connect(2)`.
    pub fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        self.socket.connect(peer)
    }

    /// Sends one datagram to the peer set by [`connect`](Self::connect). Returns its length.
    ///
    /// # Errors
    /// Those of `send(2)`: `ConnectionRefused` if an earlier datagram found no socket at the peer,
    /// `EDESTADDRREQ` without a peer.
    ///
    /// # Cancel safety
    /// Cancel safe: a dropped call has sent nothing.
    pub async fn send(&self, datagram: &[u8]) -> io::Result<usize> {
        self.socket.send(datagram).await
    }

    /// Sends one datagram to `peer`. Returns its length.
    ///
    /// # Errors
    /// Those of `sendto(2)`.
    ///
    /// # Cancel safety
    /// Cancel safe: a dropped call has sent nothing.
    pub async fn send_to(&self, datagram: &[u8], peer: SocketAddr) -> io::Result<usize> {
        self.socket.send_to(datagram, peer).await
    }

    /// Receives one datagram from the peer set by [`connect`](Self::connect). Returns its length.
    /// Bytes that do not fit into `into` are lost.
    ///
    /// # Errors
    /// Those of `recv(2)`: `ConnectionRefused` if an earlier datagram found no socket at the peer.
    ///
    /// # Cancel safety
    /// Cancel safe: a dropped call has received nothing.
    pub async fn recv(&self, into: &mut [u8]) -> io::Result<usize> {
        self.socket.recv(into).await
    }

    /// Receives one datagram. Returns its length and the sender's address. Bytes that do not fit
    /// into `into` are lost.
    ///
    /// # Errors
    /// Those of `recvfrom(2)`.
    ///
    /// # Cancel safety
    /// Cancel safe: a dropped call has received nothing.
    pub async fn recv_from(&self, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket.recv_from(into).await
    }

    /// As [`recv_from`](Self::recv_from), and reports whether the datagram was longer than `into`.
    ///
    /// ```
    /// use squall_net::{UdpSocket, block_on};
    ///
    /// block_on(async {
    ///     let server = UdpSocket::bind("127.0.0.1:0")?;
    ///     let client = UdpSocket::bind("127.0.0.1:0")?;
    ///     client.send_to(b"a long question", server.local_addr()?).await?;
    ///     let mut buffer = [0; 6];
    ///     let datagram = server.recv_datagram(&mut buffer).await?;
    ///     assert_eq!((datagram.len, datagram.sender), (6, client.local_addr()?));
    ///     assert!(datagram.is_truncated);
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    /// Those of `recvfrom(2)`.
    ///
    /// # Cancel safety
    /// Cancel safe: a dropped call has received nothing.
    pub async fn recv_datagram(&self, into: &mut [u8]) -> io::Result<Datagram<SocketAddr>> {
        self.socket.recv_datagram(into).await
    }

    /// As [`recv_from`](Self::recv_from), but leaves the datagram for the next receive.
    ///
    /// # Errors
    /// Those of `recvfrom(2)`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn peek_from(&self, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket.peek_from(into).await
    }

    /// As [`recv_from`](Self::recv_from), for hand-written futures. Wakes only the task that polled
    /// last; any number of tasks can wait in `recv_from`.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        self.socket.poll_recv_from(cx, into)
    }

    /// As [`send_to`](Self::send_to), for hand-written futures. Wakes only the task that polled
    /// last; any number of tasks can wait in `send_to`.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to).
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        datagram: &[u8],
        peer: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        self.socket.poll_send_to(cx, datagram, peer)
    }

    /// Returns this end's address.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Returns the address of the peer set by [`connect`](Self::connect).
    ///
    /// # Errors
    /// Those of `getpeername(2)`: `NotConnected` without a peer.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
