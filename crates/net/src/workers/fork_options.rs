//! The options of [`fork_processes`](crate::fork_processes), and its result.

use std::time::Duration;

/// The upper limit of the delays that [`ForkOptions::restart_delay`] sets.
const LONGEST_DELAY: Duration = Duration::from_secs(3600);

/// The process in which [`fork_processes`](crate::fork_processes) has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A child, with its worker number: 0 to n - 1. A replacement gets the number of the worker
    /// that it replaces. Tornado: `task_id`.
    Worker(usize),
    /// The parent, after all workers have ended.
    Supervisor,
}

/// How [`fork_processes`](crate::fork_processes) supervises its workers. Each method returns the
/// changed options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForkOptions {
    pub(crate) max_restarts: usize,
    pub(crate) first_delay: Duration,
    pub(crate) longest_delay: Duration,
    pub(crate) grace: Option<Duration>,
    pub(crate) parent_death_signal: i32,
}

impl Default for ForkOptions {
    fn default() -> ForkOptions {
        ForkOptions {
            max_restarts: 100,
            first_delay: Duration::from_millis(10),
            longest_delay: Duration::from_secs(1),
            grace: None,
            parent_death_signal: libc::SIGTERM,
        }
    }
}

impl ForkOptions {
    /// Sets how many failed workers are replaced in all; 100 by default. If one more worker fails,
    /// the others get `SIGTERM`, and `fork_processes` returns an error.
    pub fn max_restarts(mut self, times: usize) -> ForkOptions {
        self.max_restarts = times;
        self
    }

    /// Sets the delay before the replacement of a worker that failed within a second of its start.
    ///
    /// The delay is `first`, doubled with each such failure in a row, but at most `longest`. The
    /// defaults are 10 ms and 1 s. A longer time than an hour counts as an hour. A worker that
    /// lived longer than a second is replaced at once.
    pub fn restart_delay(mut self, first: Duration, longest: Duration) -> ForkOptions {
        self.first_delay = first.min(LONGEST_DELAY);
        self.longest_delay = longest.min(LONGEST_DELAY);
        self
    }

    /// Sets how long a worker may take to end after its first ending signal. Then the parent kills
    /// it and logs that. `None`, the default, sets no limit.
    pub fn grace(mut self, time: Option<Duration>) -> ForkOptions {
        self.grace = time;
        self
    }

    /// Sets the signal that a worker gets when its parent dies; `SIGTERM` by default, so that the
    /// worker can finish its work.
    ///
    /// The kernel clears the setting when a process changes its user or group (`setuid(2)`,
    /// `setgid(2)`). Change them before the fork, or call `prctl(2)` with `PR_SET_PDEATHSIG`
    /// afterwards.
    pub fn parent_death_signal(mut self, signal: i32) -> ForkOptions {
        self.parent_death_signal = signal;
        self
    }
}
