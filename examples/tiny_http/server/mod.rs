//! The server: from an accepted connection to the response. Open `connection.rs` first: it serves
//! one connection, from the first byte to the last.
//!
//! ```text
//!   http_server ──▶ connection ──▶ head       parses what the client sends
//!                       │  │  └──▶ request ──▶ body     what a handler gets
//!                       │  └─────▶ response ─▶ head_text what a handler returns
//!                       └────────▶ wire       the stream and its deadline
//! ```

pub(crate) mod arguments;
mod authority;
mod body;
mod body_source;
pub(crate) mod config;
mod connection;
mod content_type;
mod date;
mod disconnect;
pub(crate) mod head;
mod head_text;
pub(crate) mod http_error;
pub(crate) mod http_server;
pub(crate) mod piece;
pub(crate) mod rejection;
pub(crate) mod request;
pub(crate) mod request_handler;
pub(crate) mod response;
mod shutdown;
mod streamed_body;
mod takeover;
mod transport;
mod wire;
