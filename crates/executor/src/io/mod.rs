//! File descriptors on the loop. Open `async_fd.rs` first.
//!
//! ```text
//!   above the loop:   async_fd          tries a call, waits if the call would block
//!                        │
//!   below the loop:   driver            epoll: registers descriptors and delivers their events
//!                      │   │
//!                 source   handler      readiness and wakers, or a raw callback
//!                    │
//!              waiter_list              any number of waiting calls
//! ```
//!
//! The loop's core owns the driver. An `AsyncFd` finds the loop of this thread through
//! `current.rs` when a call on it first would block.

pub(crate) mod async_fd;
mod blocking_flag;
mod direction;
pub(crate) mod driver;
pub(crate) mod handler;
pub(crate) mod source;
mod waiter_list;
