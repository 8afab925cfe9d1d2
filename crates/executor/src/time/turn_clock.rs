//! The loop's time. The turn reads the clock once or twice, and counts the time between readings as
//! busy or idle.
//!
//! Times on the loop are nanoseconds since the loop was made. A `u64` of them lasts for 584 years.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::sys;
use crate::time::clock::{Clock, whole_nanos};

/// A time that never comes: it is 584 years after the loop was made.
pub(crate) const NEVER: u64 = u64::MAX;

/// The most by which a time of a loop's clock as a number is behind the same time as an `Instant`,
/// unless the thread is interrupted again and again while it makes the loop.
pub(crate) const MAX_ORIGIN_ERROR: Duration = Duration::from_micros(1);

/// The current time, as an `Instant` and as a number that is not behind it.
fn origin_of(clock: &Clock) -> (Instant, u64) {
    if let Some(moved) = clock.moved() {
        return (clock.now(), moved);
    }
    let mut before = sys::monotonic_nanos();
    for _ in 0..100 {
        let origin = clock.now();
        let after = sys::monotonic_nanos();
        if after - before < whole_nanos(MAX_ORIGIN_ERROR) {
            return (origin, after);
        }
        before = after;
    }
    (clock.now(), sys::monotonic_nanos())
}

pub(crate) struct TurnClock {
    clock: Clock,
    /// The time at which the loop was made.
    origin: Instant,
    /// The same time as a number: that of the system's clock, read just after `origin`, so that a
    /// time that is computed from it never is ahead, or how far a test had moved the clock.
    origin_nanos: u64,
    /// The last reading.
    now: Cell<u64>,
    busy: Cell<u64>,
    idle: Cell<u64>,
    /// The busy time of this turn so far.
    turn: Cell<u64>,
    longest_turn: Cell<u64>,
}

impl TurnClock {
    pub(crate) fn new(clock: Clock) -> TurnClock {
        let (origin, origin_nanos) = origin_of(&clock);
        let zero = || Cell::new(0);
        let (now, busy, idle, turn, longest_turn) = (zero(), zero(), zero(), zero(), zero());
        TurnClock { clock, origin, origin_nanos, now, busy, idle, turn, longest_turn }
    }

    /// The current time, from a new reading that counts neither as busy nor as idle time.
    pub(crate) fn time(&self) -> Instant {
        self.clock.now()
    }

    /// The last reading.
    pub(crate) fn last_reading(&self) -> u64 {
        self.now.get()
    }

    /// Begins a run. The time since the last run counts neither as busy nor as idle.
    pub(crate) fn begin_run(&self) {
        self.now.set(self.nanos_now());
    }

    pub(crate) fn begin_turn(&self) {
        self.turn.set(0);
    }

    /// Reads the clock and counts the time since the last reading as busy.
    pub(crate) fn count_busy(&self) {
        let passed = self.read();
        self.busy.set(self.busy.get() + passed);
        self.turn.set(self.turn.get() + passed);
        self.longest_turn.set(self.longest_turn.get().max(self.turn.get()));
    }

    /// Reads the clock and counts the time since the last reading as idle.
    pub(crate) fn count_idle(&self) {
        let passed = self.read();
        self.idle.set(self.idle.get() + passed);
    }

    /// Reads the clock and returns the time since the last reading.
    fn read(&self) -> u64 {
        let now = self.nanos_now();
        now - self.now.replace(now)
    }

    /// The current time, from a new reading, in nanoseconds since the loop was made.
    ///
    /// The system's clock is read as a number: the subtraction of two `Instant`s costs more than the
    /// reading.
    #[inline]
    pub(crate) fn nanos_now(&self) -> u64 {
        self.clock.moved().unwrap_or_else(sys::monotonic_nanos) - self.origin_nanos
    }

    /// Converts a time to nanoseconds since the loop was made. Earlier times become 0, and times
    /// after 584 years become [`NEVER`].
    pub(crate) fn nanos(&self, time: Instant) -> u64 {
        whole_nanos(time.saturating_duration_since(self.origin))
    }

    /// Converts a deadline as [`nanos`](Self::nanos) does. `None` becomes [`NEVER`].
    pub(crate) fn deadline(&self, deadline: Option<Instant>) -> u64 {
        deadline.map_or(NEVER, |deadline| self.nanos(deadline))
    }

    /// The inverse of [`nanos`](Self::nanos). `None` if an `Instant` cannot hold the time.
    pub(crate) fn instant(&self, nanos: u64) -> Option<Instant> {
        self.origin.checked_add(Duration::from_nanos(nanos))
    }

    /// As [`instant`](Self::instant), for a deadline: `None` also for [`NEVER`].
    pub(crate) fn time_at(&self, deadline: u64) -> Option<Instant> {
        if deadline == NEVER { None } else { self.instant(deadline) }
    }

    /// The time at which the loop was made. It is always in the past.
    pub(crate) fn origin(&self) -> Instant {
        self.origin
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Moves an auto-advancing clock, and counts the time as idle.
    pub(crate) fn jump(&self, by: Duration) {
        self.clock.advance(by);
        self.count_idle();
    }

    pub(crate) fn busy(&self) -> Duration {
        Duration::from_nanos(self.busy.get())
    }

    pub(crate) fn idle(&self) -> Duration {
        Duration::from_nanos(self.idle.get())
    }

    pub(crate) fn longest_turn(&self) -> Duration {
        Duration::from_nanos(self.longest_turn.get())
    }
}
