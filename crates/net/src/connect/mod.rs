//! From a host name to a connected TCP socket. Open `connect.rs` first.
//!
//! ```text
//!   connect ──▶ target           what to connect to: an address, or a name and a port
//!      │ │ └──▶ resolver         name ──▶ addresses, on a thread of the blocking pool
//!      │ └────▶ happy_eyeballs   which address is tried when (no clock and no socket)
//!      └──────▶ connect_error    the failures of all addresses
//! ```
//!
//! `lookup` only finds addresses. The result of `connect` is the connected socket alone; `socket/tcp_stream.rs` wraps it.

pub(crate) mod connect;
pub(crate) mod connect_error;
mod happy_eyeballs;
pub(crate) mod lookup;
pub(crate) mod resolver;
#[cfg(feature = "sim")]
mod simulated;
pub(crate) mod target;
