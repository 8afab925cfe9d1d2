//! Sockets, buffered streams and servers on the squall event loop.
//!
//! [`TcpListener`] and [`TcpStream`] are the sockets. [`IoStream`] adds a read buffer and a write
//! queue to any transport, so that protocols are written with `read_until` and `write`.
//! [`TcpServer`] runs a handler for each connection, and no network error stops it. The crate
//! re-exports the parts of the executor that an application needs. For joins, selects, channels and
//! locks, use crates that work on any executor, such as `futures-lite` and `tokio::sync`; the README
//! names them.
//!
//! To read the code, open `stream/io_stream.rs` first. The modules, from the top down: `workers/`
//! (one server in many processes or threads), `server/`, `stream/` (`IoStream` and its halves),
//! `buffer/` (the buffers of a stream), `socket/` (TCP, Unix, UDP, pipes), `connect/` (name lookup
//! and connection attempts) and `sys/` (system calls). `child.rs` runs child processes. `tls.rs`
//! puts TLS under a stream, `hyper/` puts streams under hyper, and `sim/` has hosts that are
//! simulated.
//!
//! ```
//! use squall_net::{IoStream, TcpServer, TcpStream, block_on};
//!
//! fn main() -> std::io::Result<()> {
//!     block_on(async {
//!         let server = TcpServer::new(async |mut stream: IoStream, peer| {
//!             let name = stream.read_until(b"\n").await?;
//!             stream.write(format!("hello from {peer} to "))?;
//!             stream.write(name)?;
//!             Ok(stream.shutdown().await?)
//!         });
//!         let address = server.listen("127.0.0.1:0")?;
//!
//!         let mut client = IoStream::new(TcpStream::connect(address).await?);
//!         client.write("squall\n")?;
//!         let answer = client.read_until_close().await?;
//!         assert!(answer.ends_with(b"to squall\n"));
//!         Ok(())
//!     })
//! }
//! ```
//!
//! | to | use |
//! |---|---|
//! | serve | [`TcpServer`], [`UnixServer`], [`Draining`] |
//! | connect | [`TcpStream::connect`], [`ConnectOptions`], [`Resolver`], [`UnixStream`] |
//! | read and write with buffers | [`IoStream`], [`IoReader`] and [`IoWriter`], [`StreamConfig`], [`copy()`](copy) |
//! | use a socket itself | [`TcpListener`], [`UdpSocket`], [`UnixDatagram`], [`pipe()`](pipe), [`stdin`] |
//! | use more cores | [`fork_processes`], [`run_workers`], [`bind_sockets`] |
//! | be restarted | [`inherited_sockets`], [`spawn_with_sockets`], [`Server::drain`] |
//! | start programs | [`Child`] |
//! | test without a network | [`duplex()`](duplex), the feature `sim` |
//! | start tasks, wait for times and signals | [`spawn`], [`sleep`], [`timeout`], [`signal`]; all of [`executor`] |
//!
//! # Features
//!
//! | feature | gives |
//! |---|---|
//! | `tls` | the module `tls`: TLS by rustls, under [`IoStream`] and [`Server`] |
//! | `hyper` | the module `hyper`: hyper's transport, executor and timer, for HTTP/1 and HTTP/2 |
//! | `sim` | the module `sim`: simulated hosts on simulated time, replayed from a seed; for dev-dependencies |
//! | `sim-std` | `sim`, and std's clocks and hasher keys follow the simulation; for dev-dependencies |
//!
//! None is on by default.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod buffer;
mod child;
mod connect;
#[cfg(feature = "hyper")]
pub mod hyper;
mod server;
#[cfg(feature = "sim")]
pub mod sim;
mod socket;
mod stream;
mod sys;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(not(feature = "sim"))]
mod without_sim;
mod workers;

#[cfg(feature = "sim")]
pub(crate) use sim::current::refuse;
#[cfg(not(feature = "sim"))]
pub(crate) use without_sim::refuse;

pub use squall_executor as executor;
#[doc(inline)]
pub use squall_executor::{
    AbortOnDrop, AsyncFd, Builder, Clock, Dump, Elapsed, Entered, Event, EventLoop, Handle,
    HandlerId, Interest, Interval, JoinError, JoinHandle, LoopClosed, ObservedEntry, Observer,
    ObserverId, PeriodicCallback, RemoteJoinHandle, RunError, Sleep, SlowCallback, Stats, Timeout,
    TimerGuard, TimerId, Work, add_callback, add_future, add_handler, add_observer, block_on,
    call_at, call_later, dump, interval, now, remove_handler, remove_observer, remove_timeout,
    signal, sleep, sleep_until, spawn, spawn_blocking, spawn_named, stats, stop, timeout,
    timeout_at, turn_time, update_handler, yield_now,
};

#[doc(no_inline)]
pub use bytes::Bytes;
#[doc(no_inline)]
pub use futures_io::{AsyncRead, AsyncWrite};

pub use buffer::chunk::Chunk;
pub use child::Child;
pub use connect::connect::ConnectOptions;
pub use connect::connect_error::ConnectError;
pub use connect::lookup::lookup;
pub use connect::resolver::{OverrideResolver, Resolver, Resolving, SystemResolver};
pub use connect::target::{IpHost, Target};
pub use server::bind::{BindOptions, bind_sockets, bind_unix_socket};
pub use server::draining::Draining;
pub use server::inherited_sockets::{InheritedSocket, inherited_sockets, spawn_with_sockets};
pub use server::server::{DrainReport, Server, TcpServer, UnixServer};
pub use socket::datagram::Datagram;
pub use socket::duplex::{DuplexStream, duplex};
pub use socket::listener::Listener;
pub use socket::pipe::{PipeReader, PipeWriter, pipe};
pub use socket::standard_stream::{Stderr, Stdin, Stdout, stderr, stdin, stdout};
pub use socket::tcp_listener::{Incoming, TcpListener};
pub use socket::tcp_stream::TcpStream;
pub use socket::udp_socket::UdpSocket;
pub use socket::unix_datagram::UnixDatagram;
pub use socket::unix_listener::{UnixIncoming, UnixListener};
pub use socket::unix_stream::{PeerCredentials, UnixStream};
pub use stream::close_watcher::Closed;
pub use stream::copy::{copy, copy_bidirectional};
pub use stream::io_reader::IoReader;
pub use stream::io_stream::IoStream;
pub use stream::io_writer::IoWriter;
pub use stream::stream_config::StreamConfig;
pub use stream::stream_error::StreamError;
pub use workers::fork_options::{ForkOptions, Role};
pub use workers::fork_processes::fork_processes;
pub use workers::run_workers::run_workers;
