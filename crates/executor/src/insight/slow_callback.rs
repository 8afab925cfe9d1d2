//! Reports of entries and timers that held the loop for too long.

use std::fmt;
use std::panic::Location;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::insight::observer::{ObservedEntry, Observer, Work};

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

impl Observer for SlowCallbackHook {
    fn begins(&self, _entry: &ObservedEntry, _now: Instant) {}

    fn ended(&self, entry: &ObservedEntry, elapsed: Duration) {
        if elapsed >= self.threshold {
            let name = entry.name.as_deref().map(str::to_owned);
            let ObservedEntry { work, location, .. } = *entry;
            (self.report)(&SlowCallback { work, name, location, elapsed });
        }
    }
}
