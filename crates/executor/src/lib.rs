//! A single-threaded event loop with one queue, in which callbacks and `async fn` tasks are equal.
//!
//! Woken tasks, callbacks and the handlers of ready descriptors are entries of one FIFO queue. Due
//! timers run between its batches. Nothing needs to be `Send`. Other threads reach the loop through
//! a [`Handle`]. This is Tornado's `IOLoop` and `Future` for Rust and Linux.
//!
//! To read the code, open `event_loop.rs` first: its first page explains the whole runtime.
//! `loop_core.rs` puts the parts of a loop together, and `functions.rs` has the public functions.
//! The other modules are `task/`, `time/`, `io/` (descriptors), `threads/` (handles, blocking work,
//! signals) and `insight/` (counters, dumps, panics).
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
//!
//! | to | use |
//! |---|---|
//! | run a future, or a loop | [`block_on`], [`EventLoop`], [`Builder`] |
//! | start tasks and callbacks | [`spawn`], [`JoinHandle`], [`add_callback`], [`yield_now`] |
//! | wait for a time | [`sleep`], [`timeout`], [`interval()`](interval), [`call_later`], [`PeriodicCallback`] |
//! | hand a result to tasks and callbacks | [`future::Future`] |
//! | wait for a descriptor | [`AsyncFd`], [`add_handler`] |
//! | reach the loop from another thread | [`Handle`], [`RemoteJoinHandle`] |
//! | run what blocks | [`spawn_blocking`] |
//! | wait for signals | [`signal`] |
//! | test code that waits | [`Clock::manual`], [`Clock::auto_advancing`] |
//! | see what a loop does | [`stats`], [`dump`], [`Builder::slow_callback`], [`Observer`] |
//! | put the loop into another one | [`EventLoop::run_once`], [`EventLoop::next_deadline`] |
//!
//! # Features
//!
//! | feature | gives |
//! |---|---|
//! | `criterion` | `criterion::async_executor::AsyncExecutor` for [`&EventLoop`](EventLoop), for benches |
//!
//! It is off by default.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "criterion")]
mod benchmark;
mod block_on;
mod builder;
mod current;
mod error;
mod event_loop;
mod functions;
pub mod future;
mod insight;
mod io;
mod isolated_loop;
mod isolation;
mod large;
mod loop_core;
#[cfg(all(test, loom))]
mod models;
mod simulated_time;
mod stream_support;
mod sync;
mod sys;
mod task;
mod threads;
mod time;

pub use squall_reactor::{Event, Interest, set_nonblocking};
#[doc(hidden)]
pub use squall_reactor::{fault, live_reactors, replace_nonblocking};

pub use block_on::block_on;
pub use builder::Builder;
pub use current::Entered;
pub use error::{JoinError, LoopClosed, RunError};
pub use event_loop::EventLoop;
pub use functions::{
    add_callback, add_future, add_handler, add_observer, call_at, call_later, dump, remove_handler,
    remove_observer, remove_timeout, spawn, spawn_named, stats, stop, turn_time, update_handler,
};
pub use insight::dump::{Dump, DumpedHandler, DumpedTask, DumpedTimer};
pub use insight::observer::{ObservedEntry, Observer, ObserverId, Work};
pub use insight::slow_callback::SlowCallback;
pub use insight::stats::Stats;
pub use io::async_fd::AsyncFd;
pub use io::handler::HandlerId;
#[doc(hidden)]
pub use isolated_loop::TurnByTurn;
#[doc(hidden)]
pub use isolation::loops_woken;
#[doc(hidden)]
pub use stream_support::{
    at_batch_end, forks, is_closing, spawn_boxed, spawn_with, try_spawn, turns, wake_in_next_turn,
};
#[doc(hidden)]
pub use sys::{SignalAction, exchange_mask, signal_set};
#[doc(hidden)]
pub use task::budget::{
    poll_spend as poll_spend_budget, refund as refund_budget, without_limit as without_budget,
};
pub use task::join_handle::{AbortOnDrop, JoinHandle};
#[doc(hidden)]
pub use task::scheduler::{BatchEnd, BoxedFuture};
pub use task::yield_now::{YieldNow, yield_now};
pub use threads::handle::Handle;
pub use threads::output_channel::RemoteJoinHandle;
pub use threads::signal;
pub use threads::spawn_blocking::spawn_blocking;
pub use time::clock::Clock;
pub use time::interval::{Interval, interval};
pub use time::periodic_callback::PeriodicCallback;
pub use time::sleep::{Sleep, now, sleep, sleep_until};
pub use time::timeout::{Elapsed, Timeout, timeout, timeout_at};
pub use time::timer_guard::TimerGuard;
pub use time::timers::TimerId;
