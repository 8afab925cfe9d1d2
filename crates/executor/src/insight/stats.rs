//! The counters of a loop.

use std::time::Duration;

/// The counters of an [`EventLoop`](crate::EventLoop). Those that begin with `live_` are as of now,
/// the others count since the loop was made.
///
/// The counters are always on, so that tests can assert on them instead of on durations. Times are
/// measured per turn; [`Builder::slow_callback`](crate::Builder::slow_callback) times single calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Turns. In each, the loop runs batches and timers, and then asks the kernel for events.
    pub turns: u64,
    /// Calls that asked the kernel for events, including those inside a large batch.
    pub waits: u64,
    /// Sleeps that ended without an event, a message or a due timer. They include sleeps that ended
    /// for a timer that was postponed meanwhile, or for a message that was collected before its
    /// wake-up arrived.
    pub empty_wakeups: u64,
    /// Events that were ignored, because their descriptor was removed in the same batch.
    pub stale_events: u64,
    /// Callbacks and handlers that ran.
    pub callbacks: u64,
    /// Tasks and futures of `block_on` that were taken from the queue, nearly always to be polled.
    pub polls: u64,
    /// Timers that called a callback or woke a sleeping task.
    pub timers_fired: u64,
    /// Messages from other threads.
    pub messages: u64,
    /// Messages whose sender had to write the eventfd, because the loop slept or did not run.
    pub wakeups_written: u64,
    /// Messages that needed no write, because the loop was awake or already woken.
    pub wakeups_saved: u64,
    /// Descriptors added to epoll.
    pub registrations: u64,
    /// Descriptors removed from epoll.
    pub deregistrations: u64,
    /// Tasks that are not finished. Tasks that were woken during their last poll are counted until
    /// they leave the queue.
    pub live_tasks: usize,
    /// Timers that are armed.
    pub live_timers: usize,
    /// Descriptors that are registered, handlers included.
    pub live_sources: usize,
    /// Handlers of `add_handler` that are registered.
    pub live_handlers: usize,
    /// The time that the loop worked while it ran. The clock is read once or twice a turn.
    pub busy_time: Duration,
    /// The time that the loop slept in the kernel.
    pub idle_time: Duration,
    /// The longest time that the loop worked in one turn. Other work may have waited that long.
    pub longest_turn: Duration,
}
