//! Sockets with memory on the squall event loop.
//!
//! [`TcpListener`] and [`TcpStream`] are the sockets; [`IoStream`] gives any transport a read buffer and a write queue, so
//! that protocols are written as `read_until` and `write`; [`TcpServer`] runs a handler per connection and survives what
//! the network does to it. What an application needs of the executor is here too, so this crate is enough.
//!
//! Open `io_stream.rs` first.
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

/// The programs of the README are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

mod bind;
mod child;
mod chunk;
mod connect;
mod connect_error;
mod draining;
mod duplex;
mod fork;
mod happy_eyeballs;
mod inherited;
mod io_reader;
mod io_stream;
mod io_writer;
mod link;
mod listener;
mod outbox;
mod path_lock;
mod pipe;
mod read_buffer;
mod resolver;
mod searched;
mod server;
mod share;
mod socket;
mod storage;
mod stream_config;
mod stream_error;
mod supervisor;
mod sys;
mod target;
mod tcp_listener;
mod tcp_stream;
#[cfg(feature = "tls")]
pub mod tls;
mod trouble;
mod udp_socket;
mod unix_listener;
mod unix_stream;
mod waker_slot;
mod watch;
mod workers;
mod write_queue;

pub use squall_executor as executor;
#[doc(no_inline)]
pub use squall_executor::{
    AbortOnDrop, AsyncFd, Builder, Clock, Dump, Elapsed, Entered, Event, EventLoop, Handle,
    HandlerId, Interest, Interval, JoinError, JoinHandle, LoopClosed, PeriodicCallback,
    RemoteJoinHandle, RunError, Sleep, SlowCallback, Stats, Timeout, TimerId, Work, add_callback,
    add_future, add_handler, block_on, call_at, call_later, interval, remove_handler,
    remove_timeout, signal, sleep, sleep_until, spawn, spawn_blocking, spawn_named, stats, stop,
    timeout, timeout_at, turn_time, update_handler, yield_now,
};

pub use bind::{BindOptions, bind_sockets, bind_unix_socket};
pub use child::Child;
pub use chunk::Chunk;
pub use connect::ConnectOptions;
pub use connect_error::ConnectError;
pub use draining::Draining;
pub use duplex::{DuplexStream, duplex};
pub use fork::{ForkOptions, Role, fork_processes};
pub use inherited::{InheritedSocket, inherited_sockets, spawn_with_sockets};
pub use io_reader::IoReader;
pub use io_stream::IoStream;
pub use io_writer::IoWriter;
pub use listener::Listener;
pub use pipe::{PipeReader, PipeWriter, pipe};
pub use resolver::{OverrideResolver, Resolver, Resolving, SystemResolver};
pub use server::{DrainReport, Server, TcpServer, UnixServer};
pub use stream_config::StreamConfig;
pub use stream_error::StreamError;
pub use target::{IpHost, Target};
pub use tcp_listener::{Incoming, TcpListener};
pub use tcp_stream::TcpStream;
pub use udp_socket::UdpSocket;
pub use unix_listener::{UnixIncoming, UnixListener};
pub use unix_stream::{PeerCredentials, UnixStream};
pub use watch::Closed;
pub use workers::run_workers;
