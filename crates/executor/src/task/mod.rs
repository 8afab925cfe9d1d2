//! Tasks, and everything else that can be queued. Open `scheduler.rs` first: it runs one entry
//! after the other.
//!
//! ```text
//!   scheduler ──▶ join_handle ──▶ task ◀──▶ waker        a task, and what wakes it
//!       │                          ▲ │
//!       ▼                          │ ▼
//!     root_future                entry ◀── shared_state ──▶ inbox, ready_queue
//!                                  └──▶ callback ──▶ block_pool
//! ```
//!
//! The imports of `task`, `waker`, `entry` and `shared_state` form a cycle on purpose: they are one
//! protocol in four files. A task refers to the queue that holds it as an entry, and its waker
//! reaches that queue. `models/tasks.rs` checks this protocol under loom.
//!
//! This module knows nothing about time, about descriptors (except that an entry may be a
//! descriptor's handler), or about the loop that owns it.

pub(crate) mod block_pool;
pub(crate) mod budget;
pub(crate) mod callback;
pub(crate) mod entry;
pub(crate) mod inbox;
pub(crate) mod join_handle;
mod ready_queue;
pub(crate) mod root_future;
pub(crate) mod scheduler;
pub(crate) mod shared_state;
pub(crate) mod task;
pub(crate) mod waker;
pub(crate) mod yield_now;
