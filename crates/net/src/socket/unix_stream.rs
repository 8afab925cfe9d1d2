//! A connected Unix socket.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use squall_executor::sleep;

use crate::socket::stream_socket::{StreamSocket, stream_traits};
use crate::sys;

/// The first pause of a connect that finds the listener's queue full; each next one is twice as long, up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(64);

/// A connection between two programs of one machine, with the traits of futures-io. Besides bytes it carries descriptors.
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

/// Who is at the other end of a [`UnixStream`], as of the connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerCredentials {
    /// The process; `None` if it is not visible from here, as from inside a container.
    pub pid: Option<u32>,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
}

impl UnixStream {
    /// Connects to a path; one that begins with a NUL byte is a name in the abstract namespace.
    ///
    /// A Unix listener whose queue is full cannot be waited for: the kernel has no event for it. Then this tries again, after
    /// pauses of 1 to 64 ms.
    ///
    /// # Errors
    /// Those of `connect(2)`, except `EAGAIN`.
    ///
    /// # Cancel safety
    /// A dropped connect closes its socket.
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<UnixStream> {
        let address = sys::unix_address(path.as_ref())?;
        let mut pause = FIRST_PAUSE;
        loop {
            match sys::connect_unix(&address) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(pause).await,
                outcome => return outcome.map(UnixStream::from_nonblocking),
            }
            pause = LAST_PAUSE.min(pause * 2);
        }
    }

    /// Two ends that are connected.
    ///
    /// # Errors
    /// Those of `socketpair(2)` and `fcntl(2)`.
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let (one, other) = std::os::unix::net::UnixStream::pair()?;
        Ok((UnixStream::from_std(one)?, UnixStream::from_std(other)?))
    }

    /// Takes a socket over and makes it non-blocking.
    ///
    /// # Errors
    /// Those of `fcntl(2)`.
    pub fn from_std(stream: std::os::unix::net::UnixStream) -> io::Result<UnixStream> {
        Ok(UnixStream { socket: StreamSocket::new(stream)? })
    }

    pub(crate) fn from_nonblocking(stream: std::os::unix::net::UnixStream) -> UnixStream {
        UnixStream { socket: StreamSocket::from_nonblocking(stream) }
    }

    /// Gives the socket back, non-blocking as it is.
    pub fn into_std(self) -> std::os::unix::net::UnixStream {
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

    /// Who connected, or listens, at the other end (`SO_PEERCRED`).
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn peer_credentials(&self) -> io::Result<PeerCredentials> {
        let (pid, uid, gid) = sys::peer_credentials(self.as_fd())?;
        Ok(PeerCredentials { pid: u32::try_from(pid).ok().filter(|pid| *pid > 0), uid, gid })
    }

    /// Closes one side, or both, while the descriptor stays.
    ///
    /// # Errors
    /// Those of `shutdown(2)`.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        sys::shutdown(self.as_fd(), how)
    }

    /// Sends bytes, at least one, with descriptors, at most 253; returns how many of the bytes were sent. All the descriptors
    /// go with the first byte. (Source: unix(7), `SCM_RIGHTS`.)
    ///
    /// # Errors
    /// `InvalidInput` for no bytes or too many descriptors, and those of `sendmsg(2)`.
    ///
    /// # Cancel safety
    /// Cancel safe: dropped, it has sent nothing.
    pub async fn send_with_fds(&self, data: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
        if data.is_empty() || fds.len() > sys::MAX_FDS {
            let text = "descriptors travel with at least one byte, at most 253 at once";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        self.socket.fd.write_with(|socket| sys::send_fds(socket.as_fd(), data, fds)).await
    }

    /// Receives bytes, at least one, and the descriptors that came with them, close-on-exec. 0 bytes are the end of the stream.
    ///
    /// A read stops behind bytes with descriptors, so there is one message's of them at most. Those that come with bytes which
    /// are read in any other way are closed by the kernel.
    ///
    /// # Errors
    /// Those of `recvmsg(2)`; `InvalidInput` for no room for a byte, which would take the descriptors from their bytes; and
    /// `InvalidData` if the kernel had to drop descriptors, for want of room in this process's table: those that came are
    /// closed.
    ///
    /// # Cancel safety
    /// Cancel safe: dropped, it has received nothing.
    pub async fn recv_with_fds(&self, into: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        if into.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no room for a byte"));
        }
        self.socket.fd.read_with(|socket| sys::recv_fds(socket.as_fd(), into)).await
    }
}

stream_traits!(UnixStream);
