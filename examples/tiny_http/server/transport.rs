//! The sockets that HTTP runs on.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll};

use futures_lite::{AsyncRead, AsyncWrite};
use rustix::fs::sendfile;
use squall_net::{TcpStream, UnixStream};

/// The transport of a connection.
pub(crate) trait Transport: AsyncRead + AsyncWrite + AsFd + Unpin + 'static {
    /// The address of the client.
    fn peer_addr(&self) -> io::Result<SocketAddr>;

    /// Sends at most `max` bytes of a file from `offset` on, by `sendfile(2)`.
    ///
    /// # Errors
    /// `Unsupported`: this transport is no socket of the kernel's.
    fn poll_send_file(
        &self,
        cx: &mut Context<'_>,
        file: &File,
        offset: u64,
        max: usize,
    ) -> Poll<io::Result<usize>>;
}

fn send_file(
    socket: BorrowedFd<'_>,
    file: &File,
    mut offset: u64,
    max: usize,
) -> io::Result<usize> {
    Ok(sendfile(socket, file, Some(&mut offset), max)?)
}

impl Transport for TcpStream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        TcpStream::peer_addr(self)
    }

    fn poll_send_file(
        &self,
        cx: &mut Context<'_>,
        file: &File,
        offset: u64,
        max: usize,
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, |socket| send_file(socket, file, offset, max))
    }
}

impl Transport for UnixStream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        let message = "a client on a Unix socket has no IP address";
        Err(io::Error::new(io::ErrorKind::Unsupported, message))
    }

    fn poll_send_file(
        &self,
        cx: &mut Context<'_>,
        file: &File,
        offset: u64,
        max: usize,
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, |socket| send_file(socket, file, offset, max))
    }
}
