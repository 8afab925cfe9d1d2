//! Methods of a stream over TCP only.

use std::io;
use std::net::SocketAddr;

use crate::socket::tcp_stream::TcpStream;
use crate::stream::io_stream::IoStream;

impl IoStream<TcpStream> {
    /// As [`TcpStream::set_nodelay`].
    ///
    /// # Errors
    /// Those of `setsockopt(2)`, and `NotConnected` once the stream is closed.
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        self.with_transport(|socket| socket.set_nodelay(on)).unwrap_or_else(not_connected)
    }

    /// As [`TcpStream::peer_addr`].
    ///
    /// # Errors
    /// Those of `getpeername(2)`, and `NotConnected` once the stream is closed.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.with_transport(TcpStream::peer_addr).unwrap_or_else(not_connected)
    }

    /// As [`TcpStream::local_addr`].
    ///
    /// # Errors
    /// Those of `getsockname(2)`, and `NotConnected` once the stream is closed.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.with_transport(TcpStream::local_addr).unwrap_or_else(not_connected)
    }
}

fn not_connected<T>() -> io::Result<T> {
    Err(io::ErrorKind::NotConnected.into())
}
