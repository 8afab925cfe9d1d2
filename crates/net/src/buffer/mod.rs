//! The memory of a stream. Open `read_buffer.rs` first.
//!
//! ```text
//!   read_buffer     received bytes, in one segment       write_queue     bytes to send, in pieces ◀── chunk
//!         └───────────────┬──────────────────────────────────┘
//!                      segment ──▶ search_position
//! ```
//!
//! A `chunk` is what a user writes. A `segment` is a box of bytes, usually from the pool of its thread. Nothing here knows a socket or a
//! loop; the room `stream/` puts both together.

pub(crate) mod chunk;
pub(crate) mod read_buffer;
mod search_position;
mod segment;
pub(crate) mod write_queue;
