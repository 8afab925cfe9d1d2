//! A connected Unix socket.

use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use squall_executor::poll_spend_budget;

use crate::refuse;
use crate::socket::pauses::Pauses;
use crate::socket::stream_socket::{StreamSocket, stream_traits};
use crate::sys;

/// A connection between two processes on one machine, with the traits of futures-io. It carries
/// bytes and descriptors.
///
/// ```
/// use squall_net::{IoStream, UnixStream, block_on};
///
/// block_on(async {
///     let (here, there) = UnixStream::pair()?;
///     let (mut here, mut there) = (IoStream::new(here), IoStream::new(there));
///     here.write("hello\n")?;
///     assert_eq!(there.read_until(b"\n").await?, "hello\n");
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct UnixStream {
    socket: StreamSocket<std::os::unix::net::UnixStream>,
}

/// The process at the other end of a [`UnixStream`], at the time of the connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerCredentials {
    /// The process ID. `None` if the process is not visible from here, for example from inside a
    /// container.
    pub pid: Option<u32>,
    /// The effective user ID.
    pub uid: u32,
    /// The effective group ID.
    pub gid: u32,
}

impl UnixStream {
    /// Connects to a path. A path that begins with a NUL byte is a name in the abstract namespace.
    ///
    /// If the listener's queue is full, this tries again after pauses of 1 to 64 ms: the kernel
    /// reports no event when the queue has room.
    ///
    /// # Errors
    /// Those of `connect(2)`, except `EAGAIN`.
    ///
    /// # Cancel safety
    /// A dropped connect closes its socket.
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<UnixStream> {
        refuse("UnixStream::connect")?;
        let address = sys::unix_address(path.as_ref())?;
        let mut pauses = Pauses::default();
        loop {
            poll_fn(|cx| pauses.poll_end(cx)).await;
            poll_fn(|cx| poll_spend_budget(cx.waker())).await;
            match sys::connect_unix(&address) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => pauses.start(),
                outcome => return outcome.map(UnixStream::from_nonblocking),
            }
        }
    }

    /// Returns two connected streams.
    ///
    /// # Errors
    /// Those of `socketpair(2)` and `fcntl(2)`.
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        refuse("UnixStream::pair")?;
        let (first, second) = std::os::unix::net::UnixStream::pair()?;
        Ok((UnixStream::from_std(first)?, UnixStream::from_std(second)?))
    }

    /// Takes over a socket and makes it non-blocking.
    ///
    /// Duplicates of the socket become non-blocking too, also in other processes, and stay so.
    ///
    /// # Errors
    /// Those of `fcntl(2)`.
    pub fn from_std(stream: std::os::unix::net::UnixStream) -> io::Result<UnixStream> {
        refuse("UnixStream::from_std")?;
        Ok(UnixStream { socket: StreamSocket::new(stream)? })
    }

    pub(crate) fn from_nonblocking(stream: std::os::unix::net::UnixStream) -> UnixStream {
        UnixStream { socket: StreamSocket::from_nonblocking(stream) }
    }

    /// Returns the socket, which stays non-blocking: call its `set_nonblocking(false)` to change
    /// that.
    pub fn into_std(self) -> std::os::unix::net::UnixStream {
        self.socket.fd.into_inner()
    }

    /// Returns the other end's address.
    ///
    /// # Errors
    /// Those of `getpeername(2)`.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.std().peer_addr()
    }

    /// Returns this end's address.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.std().local_addr()
    }

    /// Returns the IDs of the process that connected or listens at the other end (`SO_PEERCRED`).
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn peer_credentials(&self) -> io::Result<PeerCredentials> {
        let (pid, uid, gid) = sys::peer_credentials(self.as_fd())?;
        Ok(PeerCredentials { pid: u32::try_from(pid).ok().filter(|pid| *pid > 0), uid, gid })
    }

    /// Closes one side, or both; the descriptor stays open.
    ///
    /// # Errors
    /// Those of `shutdown(2)`.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        sys::shutdown(self.as_fd(), how)
    }

    /// Sends `data`, at least one byte, with at most 253 descriptors. Returns the number of bytes
    /// sent. All descriptors go with the first byte.
    ///
    /// # Errors
    /// `InvalidInput` if `data` is empty or `fds` is too long, and those of `sendmsg(2)`.
    ///
    /// # Cancel safety
    /// Cancel safe: a dropped call has sent nothing.
    ///
    /// Source: unix(7), `SCM_RIGHTS`.
    pub async fn send_with_fds(&self, data: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
        if data.is_empty() || fds.len() > sys::MAX_FDS {
            let text = "at most 253 descriptors can be sent, with at least one byte";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        self.socket.fd.write_with(|socket| sys::send_fds(socket.as_fd(), data, fds)).await
    }

    /// Receives at least one byte, and the descriptors that came with the bytes, close-on-exec.
    /// Returns 0 bytes at the end of the stream.
    ///
    /// A read stops after bytes with descriptors, so it returns the descriptors of one message at
    /// most. If other methods read such bytes, the kernel closes their descriptors.
    ///
    /// # Errors
    /// - Those of `recvmsg(2)`.
    /// - `InvalidInput` if `into` is empty: the read would take the descriptors without their
    ///   bytes.
    /// - `InvalidData` if the kernel dropped descriptors, for example because this process's
    ///   descriptor table was full. The descriptors that came are closed.
    ///
    /// # Cancel safety
    /// Cancel safe: a dropped call has received nothing.
    pub async fn recv_with_fds(&self, into: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        if into.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "an empty buffer"));
        }
        self.socket.fd.read_with(|socket| sys::recv_fds(socket.as_fd(), into)).await
    }
}

stream_traits!(UnixStream);
