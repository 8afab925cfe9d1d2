//! Reports of entries and timers that held the loop for too long.

use std::fmt;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use crate::insight::panics::shield;
use crate::time::turn_clock::TurnClock;

/// The kinds of work that the loop does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Work {
    /// A poll of a spawned task.
    Task,
    /// A poll of the future of `block_on` or `run_sync`.
    BlockOn,
    /// A callback from `add_callback`, from another thread or of a `Future`.
    Callback,
    /// A callback from `call_later`, `call_at` or a `PeriodicCallback`.
    Timer,
    /// A callback from `add_handler`.
    Handler,
    /// A waker that is not squall's.
    Waker,
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Work::Task => "task",
            Work::BlockOn => "block_on",
            Work::Callback => "callback",
            Work::Timer => "timer",
            Work::Handler => "handler",
            Work::Waker => "waker",
        })
    }
}

/// A report of one call or poll that took at least the threshold of
/// [`Builder::slow_callback`](crate::Builder::slow_callback).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SlowCallback {
    /// The kind of work.
    pub work: Work,
    /// The name of a task from `spawn_named`.
    pub name: Option<String>,
    /// Where the task, callback, timer or handler was made. `None` for a waker.
    pub location: Option<&'static Location<'static>>,
    /// The time that this call or poll took.
    pub elapsed: Duration,
}

impl SlowCallback {
    /// A report of work that has not run yet. [`SlowCallbackHook::time`] sets `elapsed`.
    pub(crate) fn new(work: Work, location: Option<&'static Location<'static>>) -> SlowCallback {
        SlowCallback { work, name: None, location, elapsed: Duration::ZERO }
    }
}

impl fmt::Display for SlowCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a {}", self.work)?;
        if let Some(name) = &self.name {
            write!(f, " \"{name}\"")?;
        }
        if let Some(location) = self.location {
            write!(f, " of {location}")?;
        }
        write!(f, " held the loop for {:?}", self.elapsed)
    }
}

/// The hook for slow callbacks, and its threshold.
#[derive(Clone)]
pub(crate) struct SlowCallbackHook {
    pub(crate) threshold: Duration,
    pub(crate) report: Rc<dyn Fn(&SlowCallback)>,
}

impl SlowCallbackHook {
    /// Runs `work` between two readings of the clock, and reports it if it was slow.
    pub(crate) fn time(
        &self,
        clock: &TurnClock,
        description: Option<SlowCallback>,
        work: impl FnOnce(),
    ) {
        let begin = clock.time();
        work();
        let elapsed = clock.time().saturating_duration_since(begin);
        if let Some(description) = description
            && elapsed >= self.threshold
        {
            shield("the hook for slow callbacks", || {
                (self.report)(&SlowCallback { elapsed, ..description })
            });
        }
    }
}
