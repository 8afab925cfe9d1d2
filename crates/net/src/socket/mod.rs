//! Sockets and pipes on the loop, one type a file. Open `tcp_stream.rs` first.
//!
//! `tcp_stream` and `unix_stream` share `stream_socket`, which sends and receives. `tcp_listener` and `unix_listener` implement
//! `listener`, the trait that a server accepts from. `udp_socket` and `pipe` stand alone, and `duplex` is a pair of streams in memory.
//!
//! Every type waits through the executor's `AsyncFd` and makes its system calls in `sys/`. Only `tcp_stream` uses `connect/`. Nothing here
//! knows a buffer or a server.

pub(crate) mod duplex;
pub(crate) mod listener;
pub(crate) mod pipe;
mod stream_socket;
pub(crate) mod tcp_listener;
pub(crate) mod tcp_stream;
pub(crate) mod udp_socket;
pub(crate) mod unix_listener;
pub(crate) mod unix_stream;
