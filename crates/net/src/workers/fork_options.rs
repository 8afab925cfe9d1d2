//! The options of [`fork_processes`](crate::fork_processes), and its result.

use std::time::Duration;

/// The most that a failed worker can be made to wait for.
const LONGEST_DELAY: Duration = Duration::from_secs(3600);

/// Who the caller of [`fork_processes`](crate::fork_processes) is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A child, with its number: 0 to n - 1. One that is started in the place of another has its number. Tornado: `task_id`.
    Worker(usize),
    /// The parent, after all workers have ended.
    Supervisor,
}

/// How [`fork_processes`](crate::fork_processes) looks after its workers; set by value.
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
    /// How many failed workers are replaced in all; 100 by default. With one more, the others are told to end (`SIGTERM`) and
    /// `fork_processes` fails.
    pub fn max_restarts(mut self, times: usize) -> ForkOptions {
        self.max_restarts = times;
        self
    }

    /// How long a worker that failed within a second of its start is waited for: `first`, doubled with each such failure in a
    /// row, `longest` at most; 10 ms and 1 s by default, an hour at most. One that lived longer is replaced at once.
    pub fn restart_delay(mut self, first: Duration, longest: Duration) -> ForkOptions {
        self.first_delay = first.min(LONGEST_DELAY);
        self.longest_delay = longest.min(LONGEST_DELAY);
        self
    }

    /// How long a worker that was told to end may take before it is killed, which the log tells; by default for ever.
    pub fn grace(mut self, time: Option<Duration>) -> ForkOptions {
        self.grace = time;
        self
    }

    /// What a worker gets when its parent dies; `SIGTERM` by default, so that it may finish what it does.
    ///
    /// The kernel forgets it when a process changes its user or group (`setuid(2)`, `setgid(2)`): change them before the fork,
    /// or ask for it again afterwards, by `prctl(2)` with `PR_SET_PDEATHSIG`.
    pub fn parent_death_signal(mut self, signal: i32) -> ForkOptions {
        self.parent_death_signal = signal;
        self
    }
}
