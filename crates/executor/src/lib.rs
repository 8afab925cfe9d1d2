//! One thread, one queue: an event loop on which callbacks and `async fn` tasks are citizens of the same rank.
//!
//! Whatever wants to run, a callback, a timer, a woken task or a ready descriptor, becomes an entry of one FIFO queue.
//! Nothing needs to be `Send`. Other threads come in through one door, the [`Handle`]. Tornado's `IOLoop` and `Future`,
//! reborn for Rust and Linux.
//!
//! Open `event_loop.rs` first: its first page is the whole runtime.
//!
//! ```
//! use std::time::Duration;
//! use squall_executor::{block_on, sleep, spawn};
//!
//! let total = block_on(async {
//!     let tasks: Vec<_> = (1..=3)
//!         .map(|n| spawn(async move {
//!             sleep(Duration::from_millis(n)).await;
//!             n
//!         }))
//!         .collect();
//!     let mut total = 0;
//!     for task in tasks {
//!         total += task.await.expect("no task panics");
//!     }
//!     total
//! });
//! assert_eq!(total, 6);
//! ```

/// The programs of the map for Tornado's users are compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/tornado.md")]
struct TornadoMap;

mod async_fd;
#[cfg(feature = "criterion")]
mod benchmark;
mod birth;
mod blocking;
mod builder;
mod callback;
mod clock;
mod current;
mod dump;
mod entered;
mod error;
mod event_loop;
mod functions;
pub mod future;
mod handle;
mod handler;
mod inbox;
mod interval;
mod join_handle;
mod listener;
mod loop_core;
#[cfg(all(test, loom))]
mod models;
mod options;
mod panics;
mod periodic;
mod pool;
mod ready_queue;
mod recycle;
mod remote;
mod root;
mod schedule;
mod scheduler;
mod shared;
pub mod signal;
mod sleep;
mod slow;
mod source;
mod stats;
mod sync;
mod sys;
mod task;
mod timeout;
mod timers;
mod turn_clock;
mod yield_now;

pub use squall_reactor::{Event, Interest, set_nonblocking};
#[doc(hidden)]
pub use squall_reactor::{fault, live_reactors};

pub use async_fd::AsyncFd;
pub use blocking::spawn_blocking;
pub use builder::Builder;
pub use clock::Clock;
pub use dump::{Dump, DumpedHandler, DumpedTask, DumpedTimer};
pub use entered::Entered;
pub use error::{JoinError, LoopClosed, RunError};
pub use event_loop::EventLoop;
pub use functions::{
    add_callback, add_future, add_handler, block_on, call_at, call_later, remove_handler,
    remove_timeout, spawn, spawn_named, stats, stop, turn_time, update_handler,
};
#[doc(hidden)]
pub use functions::{at_batch_end, forks, try_spawn, turns, wake_in_next_turn};
pub use handle::Handle;
pub use handler::HandlerId;
pub use interval::{Interval, interval};
pub use join_handle::{AbortOnDrop, JoinHandle};
pub use periodic::PeriodicCallback;
pub use remote::RemoteJoinHandle;
#[doc(hidden)]
pub use scheduler::BatchEnd;
pub use sleep::{Sleep, sleep, sleep_until};
pub use slow::{SlowCallback, Work};
pub use stats::Stats;
pub use timeout::{Elapsed, Timeout, timeout, timeout_at};
pub use timers::TimerId;
pub use yield_now::{YieldNow, yield_now};
