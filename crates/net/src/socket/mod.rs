//! Sockets and pipes on the loop, one type per file. Open `tcp_stream.rs` first.
//!
//! `tcp_stream` and `unix_stream` share `stream_socket`, which sends and receives. `tcp_listener`
//! and `unix_listener` implement `listener`, the trait that a server accepts from. `udp_socket` and
//! `unix_datagram` describe a `datagram`. `unix_stream` and `unix_datagram` make `pauses` while a
//! queue is full. `pipe` stands alone, `standard_stream` has stdin, stdout and stderr, and `duplex`
//! is a pair of streams in memory.
//!
//! Every type but `duplex` waits through the executor's `AsyncFd`, and makes its system calls
//! through `sys/` or std. Only `tcp_stream` uses `connect/`. Nothing here uses a buffer or a
//! server.

pub(crate) mod datagram;
pub(crate) mod duplex;
pub(crate) mod listener;
mod pauses;
pub(crate) mod pipe;
pub(crate) mod readiness;
pub(crate) mod standard_stream;
mod stream_socket;
pub(crate) mod tcp_listener;
pub(crate) mod tcp_stream;
pub(crate) mod udp_socket;
pub(crate) mod unix_datagram;
pub(crate) mod unix_listener;
pub(crate) mod unix_stream;
