//! Options for a new loop.

use std::any::Any;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::insight::panics::PanicHook;
use crate::insight::slow_callback::{SlowCallback, SlowCallbackHook};
use crate::isolation::Isolation;
use crate::threads::blocking_pool::{DEFAULT_THREADS, Job};
use crate::time::clock::Clock;

/// Options for a new [`EventLoop`](crate::EventLoop); returned by
/// [`EventLoop::builder`](crate::EventLoop::builder).
#[derive(Clone, Default)]
pub struct Builder {
    pub(crate) options: Options,
}

/// The options that a builder has collected.
#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) clock: Clock,
    pub(crate) panic_hook: Option<PanicHook>,
    pub(crate) slow_callback_hook: Option<SlowCallbackHook>,
    pub(crate) blocking_threads: usize,
    /// Runs the blocking jobs instead of the loop's own threads, if set.
    pub(crate) blocking_executor: Option<Rc<dyn Fn(Job)>>,
    pub(crate) isolation: Option<Isolation>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            clock: Clock::system(),
            panic_hook: None,
            slow_callback_hook: None,
            blocking_threads: DEFAULT_THREADS,
            blocking_executor: None,
            isolation: None,
        }
    }
}

impl Builder {
    /// Sets the clock that the loop reads. The default is the system's monotonic clock.
    pub fn clock(mut self, clock: Clock) -> Builder {
        self.options.clock = clock;
        self
    }

    /// Calls `hook` with the payload of every panic that reaches no caller: a panic of a callback,
    /// a handler, a destructor, or a task without a [`JoinHandle`](crate::JoinHandle).
    ///
    /// Such a panic is also logged, and the loop goes on. Panics on other threads, of blocking jobs
    /// whose handle is gone, are only logged.
    pub fn on_panic(mut self, hook: impl Fn(&(dyn Any + Send)) + 'static) -> Builder {
        self.options.panic_hook = Some(Rc::new(hook));
        self
    }

    /// Times every callback and every poll. Calls `hook` for each that took `threshold` or longer,
    /// with the line that spawned or added it. Tornado: `set_blocking_log_threshold`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use squall_executor::EventLoop;
    ///
    /// let limit = Duration::from_millis(100);
    /// let builder = EventLoop::builder().slow_callback(limit, |slow| eprintln!("{slow}"));
    /// let event_loop = builder.build()?;
    /// # drop(event_loop);
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Cost
    /// That of an observer: see [`add_observer`](crate::add_observer). Nothing if no hook is set.
    pub fn slow_callback(
        mut self,
        threshold: Duration,
        hook: impl Fn(&SlowCallback) + 'static,
    ) -> Builder {
        self.options.slow_callback_hook =
            Some(SlowCallbackHook { threshold, report: Rc::new(hook) });
        self
    }

    /// Sets the maximum number of threads that [`spawn_blocking`](crate::spawn_blocking) uses at
    /// once. The default is 128. Further jobs wait for a free thread.
    ///
    /// # Panics
    /// If it is zero.
    #[track_caller]
    pub fn blocking_threads(mut self, max: usize) -> Builder {
        assert!(max > 0, "blocking work needs at least one thread");
        self.options.blocking_threads = max;
        self
    }

    /// Passes the jobs of [`spawn_blocking`](crate::spawn_blocking) to `execute` instead of the
    /// loop's own threads. Tornado: `set_default_executor`.
    ///
    /// If `execute` drops a job without running it, the job ends as cancelled. `execute` must not
    /// run the job before it returns, because that would block the loop.
    pub fn blocking_executor(
        mut self,
        execute: impl Fn(Box<dyn FnOnce() + Send>) + 'static,
    ) -> Builder {
        self.options.blocking_executor = Some(Rc::new(execute));
        self
    }
}

impl Builder {
    /// Makes a loop that has no part in the process: see [`isolation`](crate::isolation). `random`
    /// draws its random numbers.
    #[doc(hidden)]
    pub fn isolated(mut self, random: impl Fn() -> u64 + 'static) -> Builder {
        self.options.isolation = Some(Isolation { random: Rc::new(random) });
        self
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("clock", &self.options.clock)
            .field("on_panic", &self.options.panic_hook.is_some())
            .field("blocking_threads", &self.options.blocking_threads)
            .field(
                "slow_callback",
                &self.options.slow_callback_hook.as_ref().map(|slow| slow.threshold),
            )
            .finish()
    }
}
