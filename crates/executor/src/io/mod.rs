//! File descriptors on the loop. Open `async_fd.rs` first.
//!
//! ```text
//!   above the loop:   async_fd          tries a call, waits when it would block
//!                        │
//!   below the loop:   driver            epoll: registers descriptors and delivers their events
//!                      │   │
//!                 source   handler      readiness and wakers, or a raw callback
//! ```
//!
//! The turn of the loop owns the driver. An `async_fd` finds the loop of this thread through `current.rs` when it first has to wait.

pub(crate) mod async_fd;
pub(crate) mod driver;
pub(crate) mod handler;
pub(crate) mod source;
