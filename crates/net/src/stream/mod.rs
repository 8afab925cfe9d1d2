//! Streams: a transport with a read buffer and a write queue. Open `io_stream.rs` first. It lists
//! what a stream can do.
//!
//! ```text
//!   io_stream ──▶ io_reader ──────┐             read_until and its siblings
//!       │ │                       ▼
//!       │ └─────▶ io_writer ──▶ pump ──┐        write, flush, and the task that sends the rest
//!       │                              ▼
//!       │         watcher_task ──▶ stream_state ──▶ outbox, close_watcher
//!       ▼                                              └──▶ turn_budget, waker_slot, waker_list, read_end
//!   tcp, linger
//! ```
//!
//! Both halves share the `StreamState`, which owns the transport. `pump` holds the methods that
//! need a writable transport; `watcher_task` and `io_reader` hold those that need a readable one.
//! `stream_state` itself needs neither. The bytes are in `buffer/`.

pub(crate) mod close_watcher;
mod closing;
pub(crate) mod copy;
mod futures_io;
pub(crate) mod io_reader;
pub(crate) mod io_stream;
pub(crate) mod io_writer;
mod linger;
mod outbox;
mod pump;
mod read_end;
pub(crate) mod served_stream;
pub(crate) mod stream_config;
pub(crate) mod stream_error;
mod stream_flags;
pub(crate) mod stream_state;
mod tcp;
mod transport_cell;
pub(crate) mod turn_budget;
mod waker_list;
mod waker_slot;
mod watcher_task;
