//! The loop's time: read once or twice a turn, and booked as busy or idle.
//!
//! Times on the loop are nanoseconds since it was made, which last for 584 years.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::time::clock::Clock;

/// A time that is not reached in 584 years.
pub(crate) const NEVER: u64 = u64::MAX;

/// A duration in nanoseconds, which 584 years saturate.
pub(crate) fn whole_nanos(duration: Duration) -> u64 {
    let nanos = duration.as_secs().checked_mul(1_000_000_000);
    nanos.and_then(|nanos| nanos.checked_add(duration.subsec_nanos().into())).unwrap_or(NEVER)
}

pub(crate) struct TurnClock {
    clock: Clock,
    /// When the loop was made.
    origin: Instant,
    /// The last reading.
    now: Cell<u64>,
    busy: Cell<u64>,
    idle: Cell<u64>,
    /// Busy time of the turn so far.
    turn: Cell<u64>,
    longest_turn: Cell<u64>,
}

impl TurnClock {
    pub(crate) fn new(clock: Clock) -> TurnClock {
        let origin = clock.now();
        let zero = || Cell::new(0);
        let (now, busy, idle, turn, longest_turn) = (zero(), zero(), zero(), zero(), zero());
        TurnClock { clock, origin, now, busy, idle, turn, longest_turn }
    }

    /// What time it is, by a new reading that is booked nowhere.
    pub(crate) fn time(&self) -> Instant {
        self.clock.now()
    }

    /// The last reading.
    pub(crate) fn now(&self) -> u64 {
        self.now.get()
    }

    /// A run begins: what passed since the last one is nobody's time.
    pub(crate) fn begin_run(&self) {
        self.now.set(self.nanos(self.clock.now()));
    }

    pub(crate) fn begin_turn(&self) {
        self.turn.set(0);
    }

    /// Reads the clock: the loop has worked since the last reading.
    pub(crate) fn worked(&self) {
        let passed = self.read();
        self.busy.set(self.busy.get() + passed);
        self.turn.set(self.turn.get() + passed);
        self.longest_turn.set(self.longest_turn.get().max(self.turn.get()));
    }

    /// Reads the clock: the loop has slept since the last reading.
    pub(crate) fn slept(&self) {
        let passed = self.read();
        self.idle.set(self.idle.get() + passed);
    }

    fn read(&self) -> u64 {
        let now = self.nanos(self.clock.now());
        now - self.now.replace(now)
    }

    /// A time on the loop; those before it was made are its beginning, those after 584 years never.
    pub(crate) fn nanos(&self, time: Instant) -> u64 {
        whole_nanos(time.saturating_duration_since(self.origin))
    }

    /// A deadline on the loop; `None` is a time that never comes.
    pub(crate) fn deadline(&self, deadline: Option<Instant>) -> u64 {
        deadline.map_or(NEVER, |deadline| self.nanos(deadline))
    }

    /// The opposite of [`nanos`](Self::nanos).
    pub(crate) fn instant(&self, nanos: u64) -> Option<Instant> {
        self.origin.checked_add(Duration::from_nanos(nanos))
    }

    /// When the loop was made: a time that has passed.
    pub(crate) fn origin(&self) -> Instant {
        self.origin
    }

    pub(crate) fn is_manual(&self) -> bool {
        self.clock.is_manual()
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
