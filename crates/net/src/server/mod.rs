//! Servers: listening sockets, the accept loop, and the task of each connection. Open `server.rs`
//! first: it lists what a server can do.
//!
//! ```text
//!   before the loop runs     on the loop
//!   bind ──▶ path_lock       server ──▶ accept_loop ──▶ handler       the task of a connection
//!   inherited_sockets                       │  │           └──▶ connections   counts them
//!                                           │  └──▶ draining       tells handlers of a drain
//!                                           └─────▶ accept_error   classifies errors of accept
//! ```
//!
//! `bind` and `inherited_sockets` return std's listening sockets. A server accepts from them, or
//! the servers of several workers share them.

mod accept_error;
mod accept_loop;
pub(crate) mod bind;
mod connections;
pub(crate) mod draining;
mod handler;
pub(crate) mod inherited_sockets;
mod path_lock;
pub(crate) mod server;
