//! Accepting TCP connections from the kernel.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll, ready};

use squall_executor::{AsyncFd, set_nonblocking};

use crate::socket::listener::BACKLOG;
use crate::socket::stream_socket::StreamSocket;
use crate::sys;

/// A listening socket. A simulated one has the same methods.
#[derive(Debug)]
pub(crate) struct AcceptingSocket {
    fd: AsyncFd<std::net::TcpListener>,
}

/// A connection and its peer.
type Accepted = (StreamSocket<std::net::TcpStream>, SocketAddr);

impl AcceptingSocket {
    pub(crate) fn bind(address: impl ToSocketAddrs) -> io::Result<AcceptingSocket> {
        let listener = std::net::TcpListener::bind(address).map_err(sys::name_lookup_error)?;
        sys::set_backlog(&listener, BACKLOG)?;
        sys::set_nodelay(&listener)?;
        AcceptingSocket::new(listener)
    }

    pub(crate) fn new(listener: std::net::TcpListener) -> io::Result<AcceptingSocket> {
        set_nonblocking(listener.as_fd())?;
        Ok(AcceptingSocket { fd: AsyncFd::from_nonblocking(listener) })
    }

    pub(crate) fn shared(listener: std::net::TcpListener) -> io::Result<AcceptingSocket> {
        Ok(AcceptingSocket { fd: AsyncFd::new_shared(listener)? })
    }

    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        Ok(wrap(self.fd.read_with(sys::accept).await?))
    }

    #[inline]
    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        Poll::Ready(Ok(wrap(ready!(self.fd.poll_read_with(cx, sys::accept))?)))
    }

    pub(crate) fn try_accept(&self) -> io::Result<Accepted> {
        Ok(wrap(sys::accept(self.fd.get_ref())?))
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.fd.get_ref().local_addr()
    }

    pub(crate) fn rest(&self) {
        self.fd.rest();
    }

    pub(crate) fn into_std(self) -> std::net::TcpListener {
        self.fd.into_inner()
    }
}

#[inline]
fn wrap((stream, peer): (std::net::TcpStream, SocketAddr)) -> Accepted {
    (StreamSocket::from_nonblocking(stream), peer)
}

impl AsFd for AcceptingSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
