//! A thin, safe reactor over Linux epoll: reports which file descriptors are ready.
//!
//! A [`Reactor<S>`] stores a state of your type `S` with every file descriptor that you register.
//! It waits for events with nanosecond timeouts, at one system call per wait. Each registration
//! has a [`Token`], which never matches a later registration in the same slot. The reactor knows
//! no tasks, no callbacks and no sockets; the executor above it decides what each event wakes.
//!
//! Open `reactor.rs` first; `sys.rs` holds every system call. The crate has no features.
//!
//! # Example: an echo server
//!
//! ```
//! use std::io::{self, Read, Write};
//! use std::net::{TcpListener, TcpStream};
//! use std::os::fd::{AsFd, BorrowedFd};
//! use squall_reactor::{Events, Interest, Mode, Reactor};
//!
//! enum Source {
//!     Listener(TcpListener),
//!     Client(TcpStream),
//! }
//!
//! impl AsFd for Source {
//!     fn as_fd(&self) -> BorrowedFd<'_> {
//!         match self {
//!             Source::Listener(listener) => listener.as_fd(),
//!             Source::Client(client) => client.as_fd(),
//!         }
//!     }
//! }
//!
//! fn serve(listener: TcpListener) -> io::Result<()> {
//!     listener.set_nonblocking(true)?;
//!     let mut reactor = Reactor::new()?;
//!     let mut events = Events::with_capacity(256);
//!     reactor.insert(Interest::READABLE, Mode::Level, Source::Listener(listener))?;
//!     loop {
//!         reactor.wait(&mut events, None)?;
//!         for event in &events {
//!             match reactor.get_mut(event.token()) {
//!                 None => {} // removed earlier in this batch
//!                 Some(Source::Listener(listener)) => {
//!                     let (client, _) = listener.accept()?;
//!                     client.set_nonblocking(true)?;
//!                     reactor.insert(Interest::READABLE, Mode::Level, Source::Client(client))?;
//!                 }
//!                 Some(Source::Client(client)) => {
//!                     let mut bytes = [0; 4096];
//!                     let n = client.read(&mut bytes)?;
//!                     if n == 0 {
//!                         drop(reactor.deregister(event.token())); // leaves epoll, then closes
//! #                       return Ok(());
//!                     } else {
//!                         client.write_all(&bytes[..n])?;
//!                     }
//!                 }
//!             }
//!         }
//!     }
//! }
//! # let listener = TcpListener::bind("127.0.0.1:0").unwrap();
//! # let address = listener.local_addr().unwrap();
//! # let server = std::thread::spawn(|| serve(listener));
//! # let mut client = TcpStream::connect(address).unwrap();
//! # client.write_all(b"hello").unwrap();
//! # let mut answer = [0; 5];
//! # client.read_exact(&mut answer).unwrap();
//! # assert_eq!(&answer, b"hello");
//! # drop(client);
//! # server.join().unwrap().unwrap();
//! ```

#[cfg(not(target_os = "linux"))]
compile_error!("squall is for Linux: it is built on epoll and eventfd");

mod event;
#[doc(hidden)]
pub mod fault;
mod interest;
#[cfg(all(test, loom))]
mod models;
mod nonblocking;
mod notifier;
mod process;
mod reactor;
mod stats;
mod sys;
mod token;

pub use event::{Event, Events, EventsIter};
pub use interest::{Interest, Mode};
pub use nonblocking::{access_mode, is_ready, replace_nonblocking, set_nonblocking};
pub use notifier::Notifier;
pub use process::Process;
pub use reactor::{Reactor, live_reactors};
pub use stats::ReactorStats;
pub use token::Token;
