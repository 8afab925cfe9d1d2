//! Simulation: programs of this crate on simulated hosts, replayed from a seed. Feature `sim`.
//!
//! Open [`simulation.rs`](Simulation) first. A host is an ordinary event loop, on a clock that all
//! hosts share. The sockets of the crate ask `current` whether a host's code runs. If it does,
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
