//! A Unix socket for datagrams.

use std::cell::Cell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::task::{Context, Poll, ready};

use squall_executor::{AsyncFd, poll_spend_budget, set_nonblocking};

use crate::refuse;
use crate::socket::datagram::Datagram;
use crate::socket::pauses::Pauses;
use crate::sys;

/// A Unix socket for datagrams, which arrive whole and in order, and are never lost on the way. Its
/// async methods take `&self`, and any number of tasks may wait in them at once.
///
/// A path that begins with a NUL byte is a name in the abstract namespace. Dropping the socket does
/// not remove its path. A receiver gets no event when a sender is gone.
///
/// ```
/// use squall_net::{UnixDatagram, block_on};
///
/// block_on(async {
///     let name = format!("\0datagrams-{}", std::process::id());
///     let server = UnixDatagram::bind(&name)?;
///     let client = UnixDatagram::unbound()?;
///     client.send_to(b"ping", &name).await?;
///     let mut buffer = [0; 1500];
///     let (n, sender) = server.recv_from(&mut buffer).await?;
///     assert_eq!(&buffer[..n], b"ping");
///     assert!(sender.is_unnamed());
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub struct UnixDatagram {
    fd: AsyncFd<std::os::unix::net::UnixDatagram>,
    /// The pauses of [`poll_send_to`](Self::poll_send_to). `Some` while a datagram waits.
    pauses: Cell<Option<Pauses>>,
}

impl UnixDatagram {
    /// Makes a socket with an address, at which it receives. The path must not exist yet.
    ///
    /// # Errors
    /// Those of `bind(2)`: `AddrInUse` if the path exists.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<UnixDatagram> {
        refuse("UnixDatagram::bind")?;
        let address = sys::unix_address(path.as_ref())?;
        UnixDatagram::from_std(std::os::unix::net::UnixDatagram::bind_addr(&address)?)
    }

    /// Makes a socket without an address, which only sends.
    ///
    /// # Errors
    /// Those of `socket(2)`.
    pub fn unbound() -> io::Result<UnixDatagram> {
        refuse("UnixDatagram::unbound")?;
        UnixDatagram::from_std(std::os::unix::net::UnixDatagram::unbound()?)
    }

    /// Makes two sockets that are connected to each other.
    ///
    /// ```
    /// use squall_net::{UnixDatagram, block_on};
    ///
    /// block_on(async {
    ///     let (here, there) = UnixDatagram::pair()?;
    ///     here.send(b"ping").await?;
    ///     let mut buffer = [0; 1500];
    ///     assert_eq!(there.recv(&mut buffer).await?, 4);
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    /// Those of `socketpair(2)`.
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        refuse("UnixDatagram::pair")?;
        let (first, second) = std::os::unix::net::UnixDatagram::pair()?;
        Ok((UnixDatagram::from_std(first)?, UnixDatagram::from_std(second)?))
    }

    /// Takes over a socket and makes it non-blocking.
    ///
    /// Duplicates of the socket become non-blocking too, also in other processes, and stay so.
    ///
    /// # Errors
    /// Those of `fcntl(2)`.
    pub fn from_std(socket: std::os::unix::net::UnixDatagram) -> io::Result<UnixDatagram> {
        refuse("UnixDatagram::from_std")?;
        set_nonblocking(socket.as_fd())?;
        Ok(UnixDatagram { fd: AsyncFd::from_nonblocking(socket), pauses: Cell::new(None) })
    }

    /// Returns the socket, which stays non-blocking: call its `set_nonblocking(false)` to change
    /// that.
    pub fn into_std(self) -> std::os::unix::net::UnixDatagram {
        self.fd.into_inner()
    }

    /// Sets the peer: [`send`](Self::send) sends to it, and only its datagrams are received.
    ///
    /// # Errors
    /// Those of `connect(2)`: `NotFound` if the path does not exist, `ConnectionRefused` if no
    /// socket receives there.
    pub fn connect(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.fd.get_ref().connect_addr(&sys::unix_address(path.as_ref())?)
    }

    /// Sends one datagram to the peer, and waits while the peer's queue is full. Returns its
    /// length.
    ///
    /// # Errors
    /// Those of `send(2)`: `NotConnected` without a peer, `ConnectionRefused` or `ConnectionReset`
    /// if the peer is gone.
    ///
    /// # Cancel safety
    /// Cancel safe: a dropped call has sent nothing.
    pub async fn send(&self, datagram: &[u8]) -> io::Result<usize> {
        self.fd.write_with(|socket| sys::send(socket.as_fd(), datagram)).await
    }

    /// Sends one datagram to the socket at `path`. Returns its length.
    ///
    /// If the receiver's queue is full, this tries again after pauses of 1 to 64 ms. The kernel
    /// reports that the queue has room only to [connected](Self::connect) sockets, whose
    /// [`send`](Self::send) needs no pauses.
    ///
    /// # Errors
    /// Those of `sendto(2)`: `NotFound` if the path does not exist, `ConnectionRefused` if no
    /// socket receives there.
    ///
    /// # Cancel safety
    /// Cancel safe: a dropped call has sent nothing.
    pub async fn send_to(&self, datagram: &[u8], path: impl AsRef<Path>) -> io::Result<usize> {
        self.send_to_addr(datagram, &sys::unix_address(path.as_ref())?).await
    }

    /// As [`send_to`](Self::send_to), for an address that [`recv_from`](Self::recv_from) returned.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to); `InvalidInput` for a sender without an address.
    ///
    /// # Cancel safety
    /// Cancel safe: a dropped call has sent nothing.
    pub fn send_to_addr(
        &self,
        datagram: &[u8],
        peer: &SocketAddr,
    ) -> impl Future<Output = io::Result<usize>> {
        let mut pauses = Pauses::default();
        poll_fn(move |cx| self.poll_send_with(&mut pauses, cx, datagram, peer))
    }

    /// Receives one datagram. Returns its length. Bytes that do not fit into `into` are lost.
    ///
    /// # Errors
    /// Those of `recv(2)`.
    ///
    /// # Cancel safety
    /// Cancel safe: a dropped call has received nothing.
    pub async fn recv(&self, into: &mut [u8]) -> io::Result<usize> {
        self.fd.read_with(|socket| sys::recv(socket.as_fd(), into)).await
    }

    /// Receives one datagram. Returns its length and the sender's address, which is unnamed unless
    /// the sender is bound. Bytes that do not fit into `into` are lost.
    ///
    /// # Errors
    /// Those of `recvfrom(2)`.
    ///
    /// # Cancel safety
    /// Cancel safe: a dropped call has received nothing.
    pub async fn recv_from(&self, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.fd.read_with(|socket| socket.recv_from(into)).await
    }

    /// As [`recv_from`](Self::recv_from), and reports whether the datagram was longer than `into`.
    ///
    /// # Errors
    /// Those of `recvfrom(2)`.
    ///
    /// # Cancel safety
    /// Cancel safe: a dropped call has received nothing.
    pub async fn recv_datagram(&self, into: &mut [u8]) -> io::Result<Datagram<SocketAddr>> {
        let room = into.len();
        let receive = |socket: &std::os::unix::net::UnixDatagram| {
            sys::recv_unix_datagram(socket.as_fd(), into)
        };
        let (whole_len, sender) = self.fd.read_with(receive).await?;
        Ok(Datagram::new(room, whole_len, sender))
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
        self.fd.poll_read_with(cx, |socket| socket.recv_from(into))
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
        path: impl AsRef<Path>,
    ) -> Poll<io::Result<usize>> {
        let address = sys::unix_address(path.as_ref())?;
        // Taken out, so that the polled sleep may run foreign code that calls this method.
        let mut pauses = self.pauses.take().unwrap_or_default();
        let polled = self.poll_send_with(&mut pauses, cx, datagram, &address);
        if polled.is_pending() {
            self.pauses.set(Some(pauses));
        }
        polled
    }

    /// Tries to send, with pauses while the receiver's queue is full. `AsyncFd` cannot wait for the
    /// queue: epoll looks only at the buffer of this socket, so it reports the socket as writable
    /// after each refused attempt, and the loop would spin.
    fn poll_send_with(
        &self,
        pauses: &mut Pauses,
        cx: &mut Context<'_>,
        datagram: &[u8],
        peer: &SocketAddr,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(pauses.poll_end(cx));
            ready!(poll_spend_budget(cx.waker()));
            match sys::send_unix_datagram(self.fd.as_fd(), datagram, peer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => pauses.start(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return Poll::Ready(outcome),
            }
        }
    }

    /// Returns this end's address.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.fd.get_ref().local_addr()
    }

    /// Returns the peer's address.
    ///
    /// # Errors
    /// Those of `getpeername(2)`: `NotConnected` without a peer.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.fd.get_ref().peer_addr()
    }
}

impl AsFd for UnixDatagram {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl fmt::Debug for UnixDatagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnixDatagram").field("fd", &self.fd).finish_non_exhaustive()
    }
}
