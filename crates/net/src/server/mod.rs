//! Servers: listening sockets, the accept loop, and the task of each connection. Open `server.rs` first.
//!
//! ```text
//!   before the loop runs                         on the loop
//!   bind ──▶ path_lock                           server ──▶ connections    who is connected, and who waits for the end
//!   inherited_sockets                                 ├───▶ accept_error   what an error of accept means
//!                                                     └───▶ draining       tells handlers that the server ends
//! ```
//!
//! `bind` and `inherited_sockets` make std's listening sockets, which a server, or several in many workers, then accepts from.

mod accept_error;
pub(crate) mod bind;
mod connections;
pub(crate) mod draining;
pub(crate) mod inherited_sockets;
mod path_lock;
pub(crate) mod server;
