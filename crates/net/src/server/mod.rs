//! Servers: listening sockets, the accept loop, and the task of each connection. Open `server.rs`
//! first.
//!
//! ```text
//!   before the loop runs     on the loop
//!   bind ──▶ path_lock       server ──▶ connections    counts connections, waits for their end
//!   inherited_sockets             ├───▶ accept_error   classifies errors of accept
//!                                 └───▶ draining       tells handlers that the server drains
//! ```
//!
//! `bind` and `inherited_sockets` return std's listening sockets. A server accepts from them, or
//! the servers of several workers share them.

mod accept_error;
pub(crate) mod bind;
mod connections;
pub(crate) mod draining;
pub(crate) mod inherited_sockets;
mod path_lock;
pub(crate) mod server;
