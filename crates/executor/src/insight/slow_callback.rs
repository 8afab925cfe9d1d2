//! Reports of entries that held the loop for too long.

use std::fmt;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use crate::insight::panics::shield;
use crate::time::turn_clock::TurnClock;

/// What the loop spends its time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Work {
    /// A poll of a spawned task.
    Task,
    /// A poll of the future of `block_on` or `run_sync`.
    BlockOn,
    /// A callback of `add_callback`, of another thread or of a `Future`.
    Callback,
    /// A callback of `call_later`, `call_at` or a `PeriodicCallback`.
    Timer,
    /// A callback of `add_handler`.
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

/// One entry that ran for longer than the threshold of [`Builder::slow_callback`](crate::Builder::slow_callback).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SlowCallback {
    /// What it was.
    pub work: Work,
    /// The name of a task that was spawned with one.
    pub name: Option<String>,
    /// Where it was spawned, added or armed; `None` for a foreign waker and for a wake-up that came too late.
    pub location: Option<&'static Location<'static>>,
    /// How long this one call or poll took.
    pub elapsed: Duration,
}

impl SlowCallback {
    /// Who is about to run; the time follows.
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

/// When to report, and to whom.
#[derive(Clone)]
pub(crate) struct SlowCallbackHook {
    pub(crate) threshold: Duration,
    pub(crate) report: Rc<dyn Fn(&SlowCallback)>,
}

impl SlowCallbackHook {
    /// Runs `entry` between two readings of the clock, and reports it if it was slow.
    pub(crate) fn time(&self, clock: &TurnClock, who: Option<SlowCallback>, entry: impl FnOnce()) {
        let begin = clock.time();
        entry();
        let elapsed = clock.time().saturating_duration_since(begin);
        if let Some(who) = who
            && elapsed >= self.threshold
        {
            shield("the hook for slow callbacks", || {
                (self.report)(&SlowCallback { elapsed, ..who })
            });
        }
    }
}
