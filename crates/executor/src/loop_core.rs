//! The core of a loop: its parts, put together for the turn, the guards, the tasks and the
//! descriptors, all on the loop's thread.
//!
//! The [`EventLoop`](crate::EventLoop), the guards that enter it, sleeps and registered descriptors
//! own the core together. Each part has its own file and does not refer to the core.

use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use squall_reactor::{Process, Reactor, Token};

use crate::builder::Options;
use crate::error::RunError;
use crate::insight::dump::{Dump, DumpedHandler, DumpedTimer};
use crate::insight::observer::Observers;
use crate::insight::origin::Origin;
use crate::insight::panics::{PanicHook, shield};
use crate::insight::stats::Stats;
use crate::io::driver::{Driver, Registered};
use crate::io::source::Home;
use crate::isolation::Isolation;
use crate::task::entry::Message;
use crate::task::inbox::Inbox;
use crate::task::scheduler::Scheduler;
use crate::task::task::TaskKey;
use crate::threads::blocking_pool::Blocking;
use crate::threads::signal_listener::SignalListener;
use crate::time::alarms::{Alarm, Alarms, Armed};
use crate::time::timers::TimerId;
use crate::time::turn_clock::{NEVER, TurnClock};

pub(crate) struct Core {
    /// The ready queue, the tasks and the inbox.
    pub(crate) scheduler: Scheduler,
    /// The timers, each with its action.
    pub(crate) alarms: Alarms,
    /// Epoll, and the descriptors that are registered with it.
    pub(crate) driver: Driver<Core>,
    pub(crate) clock: TurnClock,
    pub(crate) blocking: Blocking,
    /// The streams of signals that exist on this loop.
    pub(crate) signal_listeners: RefCell<Vec<Rc<SignalListener>>>,
    /// Set if the loop has no part in the process.
    pub(crate) isolation: Option<Isolation>,
    panic_hook: Option<PanicHook>,
    /// Called before and after each entry and each timer's callback.
    pub(crate) observers: Observers,
    /// The process that made the loop. A forked child must not touch the loop's epoll.
    pub(crate) process: Process,
    pub(crate) weak_self: Weak<Core>,
    pub(crate) is_stopping: Cell<bool>,
    /// The number of entries and timers that ran since the kernel was last asked, in this run and
    /// in short runs before it.
    pub(crate) ran_since_asked: Cell<usize>,
    pub(crate) turns: Cell<u64>,
    pub(crate) empty_wakeups: Cell<u64>,
    pub(crate) timers_fired: Cell<u64>,
}

impl Core {
    pub(crate) fn new(reactor: Reactor<Registered<Core>>, options: Options) -> Rc<Core> {
        /// The number of loops that this process has made.
        static LOOPS: AtomicU64 = AtomicU64::new(0);
        let loop_number = LOOPS.fetch_add(1, Ordering::Relaxed);
        let slow_callback_hook = options.slow_callback_hook;
        let core = move |weak_self: &Weak<Core>| Core {
            weak_self: weak_self.clone(),
            scheduler: Scheduler::new(inbox_of(&reactor)),
            // The ids of two loops begin 2⁴⁰ apart, so they are not mistaken for each other.
            alarms: Alarms::new(loop_number << 40),
            clock: TurnClock::new(options.clock),
            process: reactor.process(),
            driver: Driver::new(reactor, loop_number, options.isolation.is_some()),
            blocking: Blocking::new(options.blocking_threads, options.blocking_executor),
            signal_listeners: RefCell::new(Vec::new()),
            isolation: options.isolation,
            panic_hook: options.panic_hook,
            observers: Observers::new(),
            is_stopping: Cell::new(false),
            ran_since_asked: Cell::new(0),
            turns: Cell::new(0),
            empty_wakeups: Cell::new(0),
            timers_fired: Cell::new(0),
        };
        let core = Rc::new_cyclic(core);
        if let Some(hook) = slow_callback_hook {
            core.observers.add(Rc::new(hook));
        }
        core
    }

    /// The origin of a task, timer or handler that the code at `location` makes now.
    pub(crate) fn origin(&self, location: &'static Location<'static>) -> Origin {
        Origin { location, time: self.clock.last_reading() }
    }

    /// Returns an error in a forked child of the process that made the loop: the loop's epoll is
    /// the parent's.
    #[inline]
    pub(crate) fn check_process(&self) -> Result<(), RunError> {
        if self.process.is_current() { Ok(()) } else { Err(RunError::Forked) }
    }

    /// Arms a timer. With `None` as its deadline, the timer never fires. A closed loop drops the
    /// alarm.
    pub(crate) fn arm(
        &self,
        deadline: Option<Instant>,
        alarm: Alarm,
        location: &'static Location<'static>,
    ) -> TimerId {
        self.arm_at(self.clock.deadline(deadline), alarm, location)
    }

    /// As [`arm`](Self::arm), for a deadline in nanoseconds of the loop's clock.
    pub(crate) fn arm_at(
        &self,
        deadline: u64,
        alarm: Alarm,
        location: &'static Location<'static>,
    ) -> TimerId {
        if self.scheduler.is_closed() {
            shield("the destructor of a timer's callback", || drop(alarm));
            return TimerId::never_armed();
        }
        let armed = Armed { alarm, origin: self.origin(location) };
        self.alarms.arm(deadline, armed)
    }

    /// As [`arm_at`](Self::arm_at), with an alarm that wakes a task of this loop.
    #[inline]
    pub(crate) fn arm_for_task(
        &self,
        deadline: u64,
        task: TaskKey,
        location: &'static Location<'static>,
    ) -> TimerId {
        if self.scheduler.is_closed() {
            return TimerId::never_armed();
        }
        self.alarms.arm_for_task(deadline, task, self.origin(location))
    }

    /// Wakes the tasks whose signals have arrived, and returns how many. The signal handler records
    /// a signal before it notifies the inbox, so no signal is missed.
    pub(crate) fn wake_for_signals(&self) -> usize {
        let listeners = self.signal_listeners.borrow();
        let wakers = listeners.iter().filter_map(|listener| listener.take_waker_if_pending());
        let wakers: Vec<_> = wakers.collect();
        drop(listeners);
        let count = wakers.len();
        wakers.into_iter().for_each(|waker| self.scheduler.wake(waker));
        count
    }

    /// Whether this is the entered loop of this thread.
    #[inline]
    pub(crate) fn is_entered(&self) -> bool {
        self.scheduler.owner().is_entered()
    }

    pub(crate) fn stop(&self) {
        self.is_stopping.set(true);
    }

    pub(crate) fn panic_hook(&self) -> Option<PanicHook> {
        self.panic_hook.clone()
    }

    /// Ends the copy of a loop in a forked child. Closes epoll's descriptor, and leaks tasks,
    /// callbacks and what they own. It runs no user code, which could act on what the parent still
    /// uses.
    pub(crate) fn abandon(self: &Rc<Self>) {
        self.driver.abandon();
        std::mem::forget(Rc::clone(self));
    }

    /// Closes the loop and drops its contents: tasks, then timers, then blocking jobs and messages,
    /// then descriptors and observers. Wakes the tasks of other loops on this thread that wait for a timer,
    /// signal or descriptor of this loop; they find the loop closed.
    pub(crate) fn close(&self) {
        self.scheduler.close_tasks();
        self.alarms.close();
        let listeners = self.signal_listeners.take();
        for waker in listeners.iter().filter_map(|listener| listener.take_waker()) {
            shield("a waker", || waker.wake());
        }
        self.blocking.close();
        self.scheduler.inbox().close();
        self.driver.close();
        self.observers.clear();
    }
}

impl Home for Core {
    fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    fn remove_source(&self, token: Token) {
        self.driver.remove_source(token);
    }
}

#[cfg(not(loom))]
fn inbox_of(reactor: &Reactor<Registered<Core>>) -> Inbox<Message> {
    Inbox::new(reactor.notifier())
}

/// The loom models have no reactor. Their inbox uses the model of a notifier.
#[cfg(loom)]
fn inbox_of(_: &Reactor<Registered<Core>>) -> Inbox<Message> {
    Inbox::new(crate::sync::Notifier::new())
}

/// Counters and dumps.
impl Core {
    pub(crate) fn stats(&self) -> Stats {
        let kernel = self.driver.reactor_stats();
        let messages = self.scheduler.messages.get();
        let wakeups_written = self.scheduler.inbox().eventfd_writes();
        Stats {
            turns: self.turns.get(),
            waits: kernel.waits,
            empty_wakeups: self.empty_wakeups.get(),
            stale_events: self.driver.stale_events(),
            callbacks: self.scheduler.callbacks.get(),
            polls: self.scheduler.polls.get(),
            timers_fired: self.timers_fired.get(),
            messages,
            wakeups_written,
            wakeups_saved: messages.saturating_sub(wakeups_written),
            registrations: kernel.registrations,
            deregistrations: kernel.deregistrations,
            live_tasks: self.scheduler.live_tasks(),
            live_timers: self.alarms.len(),
            live_sources: self.driver.len(),
            live_handlers: self.driver.live_handlers(),
            busy_time: self.clock.busy(),
            idle_time: self.clock.idle(),
            longest_turn: self.clock.longest_turn(),
        }
    }

    pub(crate) fn dump(&self) -> Dump {
        let now = self.clock.last_reading();
        let since = |time: u64| Duration::from_nanos(now.saturating_sub(time));
        let timers = self.alarms.in_order(|deadline, armed| DumpedTimer {
            is_callback: matches!(armed.alarm, Alarm::Call(_)),
            location: armed.origin.location,
            age: since(armed.origin.time),
            due_in: match deadline {
                NEVER => Duration::MAX,
                deadline => Duration::from_nanos(deadline.saturating_sub(now)),
            },
        });
        let handlers = self.driver.handler_origins().into_iter();
        let handlers = handlers
            .map(|origin| DumpedHandler { location: origin.location, age: since(origin.time) })
            .collect();
        Dump { tasks: self.scheduler.dump(since), timers, handlers }
    }
}
