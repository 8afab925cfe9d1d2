//! What the loop, its guards and its descriptors share on the loop's thread, and what the loop's doors come down to.

use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::{Duration, Instant};

use squall_reactor::{Events, Process, Reactor, ReactorStats};

use crate::birth::Birth;
use crate::dump::{Dump, DumpedHandler, DumpedTimer};
use crate::error::RunError;
use crate::inbox::Inbox;
use crate::listener::Listener;
use crate::options::Options;
use crate::panics::{PanicHook, shield};
use crate::pool::Blocking;
use crate::root::is_root_waker;
use crate::scheduler::Scheduler;
use crate::shared::Entry;
use crate::slow::SlowHook;
use crate::source::Registered;
use crate::stats::Stats;
use crate::task::is_task_waker;
use crate::timers::{TimerId, Timers};
use crate::turn_clock::{NEVER, TurnClock};

/// The loop, but for its owner.
pub(crate) struct Core {
    /// The ready queue, the tasks and the inbox.
    pub(crate) scheduler: Scheduler,
    pub(crate) timers: RefCell<Timers<Armed>>,
    pub(crate) time: TurnClock,
    /// Every timer with at most this deadline that was armed before this sequence number has run, or was removed.
    pub(crate) fired: Cell<(u64, u64)>,
    /// Until when the timers were taken that run now, or ran last.
    pub(crate) taken_until: Cell<u64>,
    pub(crate) own: Weak<Core>,
    /// Which loop of this process it is.
    pub(crate) number: u64,
    /// Who made it: a forked child keeps its hands off.
    pub(crate) process: Process,
    /// What epoll watches; `None` once the loop is closed.
    pub(crate) reactor: RefCell<Option<Reactor<Registered>>>,
    /// The kernel's answers; away while they are delivered.
    pub(crate) events: Cell<Option<Events>>,
    pub(crate) stopping: Cell<bool>,
    /// How many entries and timers have run since the kernel was asked, in this run or in short ones before it.
    pub(crate) since_asked: Cell<usize>,
    /// How many root futures there were; the number of the current one.
    pub(crate) roots: Cell<usize>,
    panic_hook: Option<PanicHook>,
    pub(crate) slow_hook: Option<SlowHook>,
    pub(crate) blocking: Blocking,
    /// The streams of signals.
    pub(crate) listeners: RefCell<Vec<Rc<Listener>>>,
    /// What a closed loop's reactor had counted.
    kernel: Cell<ReactorStats>,
    /// How many handlers are registered.
    pub(crate) handlers: Cell<usize>,
    pub(crate) turns: Cell<u64>,
    pub(crate) empty_wakeups: Cell<u64>,
    pub(crate) stale_events: Cell<u64>,
    pub(crate) timers_fired: Cell<u64>,
}

/// A timer, and who armed it.
pub(crate) struct Armed {
    pub(crate) alarm: Alarm,
    pub(crate) birth: Birth,
}

/// What a timer does when it comes up.
pub(crate) enum Alarm {
    Wake(Waker),
    Call(Box<dyn FnOnce()>),
}

impl Core {
    pub(crate) fn new(reactor: Reactor<Registered>, options: Options) -> Rc<Core> {
        /// Loops made by this process. Timer ids begin 2⁴⁰ apart, so they are not mistaken across loops.
        static LOOPS: AtomicU64 = AtomicU64::new(0);
        let number = LOOPS.fetch_add(1, Ordering::Relaxed);
        let blocking = Blocking::new(options.blocking_threads, options.blocking_executor);
        let core = move |own: &Weak<Core>| Core {
            own: own.clone(),
            scheduler: Scheduler::new(inbox_of(&reactor)),
            timers: RefCell::new(Timers::new(number << 40)),
            time: TurnClock::new(options.clock),
            fired: Cell::new((0, 0)),
            taken_until: Cell::new(0),
            since_asked: Cell::new(0),
            number,
            process: reactor.process(),
            reactor: RefCell::new(Some(reactor)),
            events: Cell::new(None),
            stopping: Cell::new(false),
            roots: Cell::new(0),
            blocking,
            listeners: RefCell::new(Vec::new()),
            panic_hook: options.panic_hook,
            slow_hook: options.slow_hook,
            kernel: Cell::default(),
            handlers: Cell::new(0),
            turns: Cell::new(0),
            empty_wakeups: Cell::new(0),
            stale_events: Cell::new(0),
            timers_fired: Cell::new(0),
        };
        Rc::new_cyclic(core)
    }

    /// Wakes now if that only queues a task; a waker that may run foreign code becomes an entry.
    pub(crate) fn wake(&self, waker: Waker) {
        if is_task_waker(&waker) || is_root_waker(&waker) {
            waker.wake();
        } else {
            self.scheduler.push(Entry::Wake(Box::new(waker)));
        }
    }

    /// Says where and when something is made.
    pub(crate) fn birth(&self, location: &'static Location<'static>) -> Birth {
        Birth { location, time: self.time.now() }
    }

    /// Fails in a forked copy of the process that made the loop: its epoll is the parent's.
    #[inline]
    pub(crate) fn check_process(&self) -> Result<(), RunError> {
        if self.process.is_current() { Ok(()) } else { Err(RunError::Forked) }
    }

    /// Arms a timer; `None` is a time that never comes.
    pub(crate) fn arm(
        &self,
        deadline: Option<Instant>,
        alarm: Alarm,
        location: &'static Location<'static>,
    ) -> TimerId {
        if self.scheduler.is_closed() {
            shield("the destructor of a timer's callback", || drop(alarm));
            return TimerId::nobody();
        }
        let deadline = deadline.map_or(NEVER, |deadline| self.time.nanos(deadline));
        let armed = Armed { alarm, birth: self.birth(location) };
        self.timers.borrow_mut().insert(deadline, armed)
    }

    /// Takes a timer's alarm back, to be dropped by the caller when no borrow is left.
    pub(crate) fn disarm(&self, timer: TimerId) -> Option<Armed> {
        self.timers.borrow_mut().remove(timer)
    }

    /// Lets a timer wake `waker` instead of whom it woke so far; `false` if it is not armed any more.
    pub(crate) fn alarm_wakes(&self, timer: TimerId, waker: &Waker) -> bool {
        match self.timers.borrow_mut().get_mut(timer).map(|armed| &armed.alarm) {
            None => return false,
            Some(Alarm::Wake(armed)) if armed.will_wake(waker) => return true,
            Some(_) => {}
        }
        let waker = waker.clone(); // foreign code, like the drop of the former one: no borrow is held
        let former = match self.timers.borrow_mut().get_mut(timer) {
            Some(armed) => std::mem::replace(&mut armed.alarm, Alarm::Wake(waker)),
            None => return false,
        };
        drop(former);
        true
    }

    /// Moves a timer that has not run yet and returns its name from now on; `None` if it has run.
    ///
    /// One that is moved to where timers have run already is armed anew, so that its place in the order is among those that
    /// have not.
    pub(crate) fn move_timer(&self, timer: TimerId, deadline: Option<Instant>) -> Option<TimerId> {
        let deadline = deadline.map_or(NEVER, |deadline| self.time.nanos(deadline));
        let mut timers = self.timers.borrow_mut();
        if deadline > self.taken_until.get() {
            return timers.postpone(timer, deadline).then_some(timer);
        }
        let armed = timers.remove(timer)?;
        Some(timers.insert(deadline, armed))
    }

    /// Tells for sure that a timer has run, by its place in the order and without looking for it; `false` says nothing.
    pub(crate) fn has_fired(&self, timer: TimerId, deadline: Option<Instant>) -> bool {
        let (until, before) = self.fired.get();
        let is_past = |deadline| self.time.nanos(deadline) <= until;
        timer.sequence() < before && deadline.is_some_and(is_past)
    }

    /// Queues who waits for a signal that came. Its handler has set MAIL after it noted the signal, so none is missed.
    pub(crate) fn tell_of_signals(&self) -> usize {
        let news = |listener: &Rc<Listener>| listener.take_waker();
        let wakers: Vec<_> = self.listeners.borrow().iter().filter_map(news).collect();
        let count = wakers.len();
        wakers.into_iter().for_each(|waker| self.wake(waker));
        count
    }

    pub(crate) fn stop(&self) {
        self.stopping.set(true);
    }

    pub(crate) fn turns(&self) -> u64 {
        self.turns.get()
    }

    pub(crate) fn panic_hook(&self) -> Option<PanicHook> {
        self.panic_hook.clone()
    }

    /// Ends a forked copy: nothing of the user's runs, because it could act on what the parent still uses. Tasks, callbacks and
    /// what they own stay where they are until the process ends; only epoll's descriptor is closed.
    pub(crate) fn abandon(self: &Rc<Self>) {
        let reactor = self.reactor.borrow_mut().take();
        std::mem::forget(reactor.map(Reactor::into_states));
        std::mem::forget(Rc::clone(self));
    }

    /// Drops what is left: tasks, then timers, then blocking jobs and the mail, then what epoll watched. Who waits elsewhere on
    /// this thread for a timer, a signal or a descriptor of this loop is woken, and finds it gone.
    pub(crate) fn close(&self) {
        self.scheduler.close_tasks();
        let alarms = self.timers.borrow_mut().drain();
        for armed in alarms {
            match armed.alarm {
                Alarm::Wake(waker) => shield("a waker", || waker.wake()),
                call => shield("the destructor of a timer's callback", || drop(call)),
            }
        }
        let listeners = self.listeners.take();
        for waker in listeners.iter().filter_map(|listener| listener.take_any_waker()) {
            shield("a waker", || waker.wake());
        }
        self.blocking.close();
        self.scheduler.inbox().close();
        let reactor = self.reactor.borrow_mut().take();
        self.handlers.set(0);
        self.kernel.set(reactor.as_ref().map(Reactor::stats).unwrap_or_default());
        for watched in reactor.map(Reactor::into_states).unwrap_or_default() {
            match &watched {
                Registered::Source(source) => {
                    source.close(|waker| shield("a waker", || waker.wake()))
                }
                Registered::Handler(_) => {}
            }
            shield("the destructor of a handler", || drop(watched));
        }
    }
}

#[cfg(not(loom))]
fn inbox_of(reactor: &Reactor<Registered>) -> Inbox {
    Inbox::new(reactor.notifier())
}

/// The models have no reactor; their inbox rings a bell of loom's.
#[cfg(loom)]
fn inbox_of(_: &Reactor<Registered>) -> Inbox {
    Inbox::new(crate::sync::Notifier::new())
}

impl Core {
    pub(crate) fn stats(&self) -> Stats {
        let reactor = self.reactor.borrow();
        let kernel = reactor.as_ref().map_or(self.kernel.get(), Reactor::stats);
        let messages = self.scheduler.messages.get();
        let wakeups_written = self.scheduler.inbox().written();
        Stats {
            turns: self.turns.get(),
            waits: kernel.waits,
            empty_wakeups: self.empty_wakeups.get(),
            stale_events: self.stale_events.get(),
            callbacks: self.scheduler.callbacks.get(),
            polls: self.scheduler.polls.get(),
            timers_fired: self.timers_fired.get(),
            messages,
            wakeups_written,
            wakeups_saved: messages.saturating_sub(wakeups_written),
            registrations: kernel.registrations,
            deregistrations: kernel.deregistrations,
            live_tasks: self.scheduler.live_tasks(),
            live_timers: self.timers.borrow().len(),
            live_sources: reactor.as_ref().map_or(0, Reactor::len),
            live_handlers: self.handlers.get(),
            busy_time: self.time.busy(),
            idle_time: self.time.idle(),
            longest_turn: self.time.longest_turn(),
        }
    }

    pub(crate) fn dump(&self) -> Dump {
        let now = self.time.now();
        let since = |time: u64| Duration::from_nanos(now.saturating_sub(time));
        let timers = self.timers.borrow();
        let mut timers: Vec<_> = timers.iter().collect();
        timers.sort_by_key(|(order, _)| *order);
        let timers = timers
            .into_iter()
            .map(|((deadline, _), armed)| DumpedTimer {
                is_callback: matches!(armed.alarm, Alarm::Call(_)),
                location: armed.birth.location,
                age: since(armed.birth.time),
                due_in: match deadline {
                    NEVER => Duration::MAX,
                    deadline => Duration::from_nanos(deadline.saturating_sub(now)),
                },
            })
            .collect();
        let reactor = self.reactor.borrow();
        let handlers = reactor
            .iter()
            .flat_map(Reactor::states)
            .filter_map(|watched| match watched {
                Registered::Handler(handler) => Some(handler.birth()),
                Registered::Source(_) => None,
            })
            .map(|birth| DumpedHandler { location: birth.location, age: since(birth.time) })
            .collect();
        Dump { tasks: self.scheduler.dump(since), timers, handlers }
    }
}
