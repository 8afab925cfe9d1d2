//! Everything that crosses threads: sending to a loop, running blocking work, and signals. Open
//! `handle.rs` first.
//!
//! ```text
//!   above the loop:   handle ───────▶ output_channel ◀─────── spawn_blocking     signal
//!                        │                                        │                │
//!   below the loop:   the inbox (in task/)                  blocking_pool   signal_listener
//! ```
//!
//! `handle` lets other threads send callbacks and tasks to the loop. `spawn_blocking` sends work to
//! the loop's own pool of threads. An `output_channel` sends a result from one thread to another. A
//! signal handler may run on any thread, so `signal` is here too.

pub(crate) mod blocking_pool;
pub(crate) mod handle;
pub(crate) mod output_channel;
pub mod signal;
pub(crate) mod signal_listener;
pub(crate) mod spawn_blocking;
