//! The sockets that HTTP runs on.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use futures_lite::{AsyncRead, AsyncWrite};
use squall_net::{TcpStream, UnixStream};

/// The transport of a connection.
pub(crate) trait Transport: AsyncRead + AsyncWrite + AsFd + Unpin + 'static {
    /// The address of the client.
    fn peer_addr(&self) -> io::Result<SocketAddr>;
}

impl Transport for TcpStream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        TcpStream::peer_addr(self)
    }
}

impl Transport for UnixStream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        let message = "a client on a Unix socket has no IP address";
        Err(io::Error::new(io::ErrorKind::Unsupported, message))
    }
}
