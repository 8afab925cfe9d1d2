//! The buffers of a stream. Open `read_buffer.rs` first.
//!
//! ```text
//!   chunk ──▶ write_queue     bytes to send, in pieces ──────────┐
//!                                                                ▼
//!             read_buffer     received bytes, in one segment ──▶ segment ──▶ search_position
//! ```
//!
//! A `chunk` is the argument of `write`. A `segment` is a block of bytes, usually from the thread's
//! pool. This module uses no socket and no loop; `stream/` combines them with its buffers.

pub(crate) mod chunk;
#[cfg(test)]
mod properties;
pub(crate) mod read_buffer;
mod search_position;
pub(crate) mod segment;
pub(crate) mod write_queue;
