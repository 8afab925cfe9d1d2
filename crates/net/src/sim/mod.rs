//! Simulation: programs of this crate on simulated hosts, replayed from a seed. Feature `sim`.
//!
//! A test describes hosts, each with a name and a `main`, and plays their clients in a script. All
//! of it runs in one thread, on simulated time and a simulated network, with the types of
//! production: [`TcpServer`](crate::TcpServer), [`IoStream`](crate::IoStream),
//! [`sleep`](crate::sleep) and the others. What happens follows from the seed, so a run that fails
//! can be replayed, and an hour takes as long as its work.
//!
//! ```
//! use squall_net::sim::{LinkConfig, check};
//! use squall_net::{IoStream, TcpServer, TcpStream};
//!
//! check(0..20, |simulation| {
//!     simulation.host("server", async || {
//!         let server = TcpServer::new(async |mut stream: IoStream, _| {
//!             let line = stream.read_until(b"\n").await?;
//!             Ok(stream.write_all(&line).await?)
//!         });
//!         server.listen("0.0.0.0:80")?;
//!         server.closed().await
//!     });
//!     simulation.link("script", "server", LinkConfig::default().loss(0.1));
//!     simulation.block_on(async {
//!         let mut stream = IoStream::new(TcpStream::connect("server:80").await.unwrap());
//!         stream.write("hello\n").unwrap();
//!         // TCP sends again what is lost.
//!         assert_eq!(stream.read_until(b"\n").await.unwrap(), "hello\n");
//!     });
//! });
//! ```
//!
//! | to | use |
//! |---|---|
//! | run a test with many seeds | [`check`], [`check_with`] |
//! | describe hosts and their script | [`Simulation`] |
//! | crash, kill, restart or signal a host | [`Host`] |
//! | make links slow, narrow or lossy, and cut them | [`NetConfig`], [`LinkConfig`], [`Simulation::partition`] |
//! | draw a random number that follows from the seed | [`random()`] |
//! | see what has happened | [`Simulation::trace`], [`Ended`] |
//!
//! What cannot be simulated, such as Unix sockets and child processes, is refused with
//! `Unsupported`. The guide, `docs/simulation.md` in the repository, lists that, and what is
//! deterministic.
//!
//! # How it is made
//! To read the code, open `simulation.rs` first. A host is an ordinary event loop, on a clock that
//! all hosts share. The sockets of the crate ask `current` whether a host's code runs. If it does,
//! they are simulated.
//!
//! ```text
//!   check ──▶ simulation ──▶ host       a host, seen from outside
//!                 │           │
//!                 ▼           ▼
//!              process      what the loop of a host runs, and when
//!                 ▲
//!   stream  listener  udp  names        what the code of a host uses
//!      │        │      │     │
//!      ▼        ▼      ▼     ▼
//!     wire    socket   current ──▶ world ──▶ links      when packets arrive
//!      │        │                    │  ├──▶ trace      what has happened
//!      │        │                    │  └──▶ agenda     which hosts have something to do
//!      ▼        ▼                    ▼
//!   connection ◀── backlog ◀── ports ◀── machine        what a kernel knows
//!      └──▶ flight    mailbox ◀──┘
//! ```

mod agenda;
mod backlog;
mod check;
mod connection;
pub(crate) mod current;
mod ended;
mod flight;
mod host;
mod links;
pub(crate) mod listener;
mod machine;
mod mailbox;
pub(crate) mod names;
mod net_config;
mod network_control;
mod ports;
mod process;
mod random;
mod simulation;
mod socket;
#[cfg(feature = "sim-std")]
mod standard;
pub(crate) mod stream;
mod trace;
pub(crate) mod udp;
mod waiting;
mod wire;
mod world;

pub use check::{check, check_with};
pub use ended::Ended;
pub use host::Host;
pub use net_config::{LinkConfig, NetConfig};
pub use random::random;
pub use simulation::Simulation;
pub use trace::Trace;
