//! When requests are due: at fixed times, whether or not earlier ones were answered.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// The due times of one lane. Its clients take them in turn.
pub(crate) struct DueTimes {
    interval: Duration,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    mode: Mode,
    next: Instant,
    /// The clients that wait for the end of a pause and hold no connection.
    resting: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Running,
    Paused,
    Ended,
}

impl DueTimes {
    /// Requests at this rate, once [`resume`](Self::resume) is called.
    pub(crate) fn paused(per_second: f64) -> DueTimes {
        let state = State { mode: Mode::Paused, next: Instant::now(), resting: 0 };
        DueTimes {
            interval: Duration::from_secs_f64(1.0 / per_second),
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// Takes the next due time, which may be past. `None` after the end. During a pause, calls `rest`
    /// and waits.
    pub(crate) fn take(&self, rest: impl FnOnce()) -> Option<Instant> {
        let mut state = self.state();
        if state.mode == Mode::Paused {
            drop(state);
            rest();
            state = self.state();
            state.resting += 1;
            self.changed.notify_all();
            while state.mode == Mode::Paused {
                state = self.changed.wait(state).expect("no holder panics");
            }
            state.resting -= 1;
        }
        if state.mode == Mode::Ended {
            return None;
        }
        let due = state.next;
        state.next += self.interval;
        Some(due)
    }

    /// Pauses, and waits until all clients rest.
    pub(crate) fn pause(&self, clients: usize) {
        let mut state = self.state();
        state.mode = Mode::Paused;
        while state.resting < clients {
            state = self.changed.wait(state).expect("no holder panics");
        }
    }

    /// Requests are due from now on.
    pub(crate) fn resume(&self) {
        let mut state = self.state();
        (state.mode, state.next) = (Mode::Running, Instant::now());
        self.changed.notify_all();
    }

    pub(crate) fn end(&self) {
        self.state().mode = Mode::Ended;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}
