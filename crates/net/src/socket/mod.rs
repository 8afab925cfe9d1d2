//! Sockets and pipes on the loop, one type per file. Open `tcp_stream.rs` first.
//!
//! `tcp_stream` and `unix_stream` share `stream_socket`, which sends and receives. `tcp_listener`
//! and `unix_listener` implement `listener`, the trait that a server accepts from. `udp_socket` and
//! `unix_datagram` describe a `datagram`. `unix_stream` and `unix_datagram` make `pauses` while a
//! queue is full. `pipe` stands alone, `standard_stream` has stdin, stdout and stderr, and `duplex`
//! is a pair of streams in memory.
//!
//! The three types of TCP and UDP hold a socket of the kernel: `stream_socket`, `accepting_socket`
//! or `datagram_socket`. With the feature `sim`, `simulated` chooses between it and a socket of a
//! simulated host.
//!
//! Every type but `duplex` waits through the executor's `AsyncFd`, and makes its system calls
//! through `sys/` or std. Only `tcp_stream` uses `connect/`. Nothing here uses a buffer or a
//! server.

mod accepting_socket;
pub(crate) mod datagram;
mod datagram_socket;
pub(crate) mod duplex;
pub(crate) mod listener;
mod pauses;
pub(crate) mod pipe;
pub(crate) mod readiness;
#[cfg(feature = "sim")]
mod simulated;
pub(crate) mod standard_stream;
mod stream_socket;
pub(crate) mod tcp_listener;
pub(crate) mod tcp_stream;
pub(crate) mod udp_socket;
pub(crate) mod unix_datagram;
pub(crate) mod unix_listener;
pub(crate) mod unix_stream;

#[cfg(not(feature = "sim"))]
use self::{
    accepting_socket::AcceptingSocket as TcpAcceptor, datagram_socket::DatagramSocket as UdpPort,
};
#[cfg(not(feature = "sim"))]
type TcpSocket = stream_socket::StreamSocket<std::net::TcpStream>;
#[cfg(feature = "sim")]
use simulated::{TcpAcceptor, TcpSocket, UdpPort};
