//! What a loop counts.

use std::time::Duration;

/// Counters of one [`EventLoop`](crate::EventLoop): since it was made, or as of now for the `live_` ones.
///
/// The counters are always on; tests assert on them instead of on durations. The times are those of whole turns; for single
/// callbacks there is [`Builder::slow_callback`](crate::Builder::slow_callback).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Rounds of batches, timers and an ask of the kernel.
    pub turns: u64,
    /// Asks of the kernel, those inside a large batch included.
    pub waits: u64,
    /// Sleeps that ended with neither an event nor mail nor a due timer; among them are those for a timer that was
    /// postponed meanwhile, and for a message that was collected before its notice.
    pub empty_wakeups: u64,
    /// Events that reached nobody, because their descriptor was removed in the same batch.
    pub stale_events: u64,
    /// Callbacks and handlers that were run.
    pub callbacks: u64,
    /// Tasks and root futures that were taken from the queue, nearly always to be polled.
    pub polls: u64,
    /// Timers that came up: callbacks run and sleepers woken.
    pub timers_fired: u64,
    /// Messages from other threads.
    pub messages: u64,
    /// Messages that had to write the eventfd, because the loop slept or did not run.
    pub wakeups_written: u64,
    /// Messages that found the loop awake, or woken already.
    pub wakeups_saved: u64,
    /// Descriptors added to epoll.
    pub registrations: u64,
    /// Descriptors removed from epoll.
    pub deregistrations: u64,
    /// Tasks that are not finished, and finished ones that are still in the queue because they were woken once too often.
    pub live_tasks: usize,
    /// Timers that are armed.
    pub live_timers: usize,
    /// Descriptors that are registered, handlers included.
    pub live_sources: usize,
    /// Handlers of `add_handler` that are registered.
    pub live_handlers: usize,
    /// The time that the loop worked while it ran, read once or twice a turn.
    pub busy_time: Duration,
    /// The time that it slept in the kernel.
    pub idle_time: Duration,
    /// The most that it worked in one turn: for so long somebody may have waited.
    pub longest_turn: Duration,
}
