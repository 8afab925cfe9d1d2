//! What a loop is made with.

use std::rc::Rc;

use crate::clock::Clock;
use crate::panics::PanicHook;
use crate::pool::{DEFAULT_THREADS, Job};
use crate::slow::SlowHook;

/// What a builder has collected.
#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) clock: Clock,
    pub(crate) panic_hook: Option<PanicHook>,
    pub(crate) slow_hook: Option<SlowHook>,
    pub(crate) blocking_threads: usize,
    /// Instead of a pool of the loop's own.
    pub(crate) blocking_executor: Option<Rc<dyn Fn(Job)>>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            clock: Clock::system(),
            panic_hook: None,
            slow_hook: None,
            blocking_threads: DEFAULT_THREADS,
            blocking_executor: None,
        }
    }
}
