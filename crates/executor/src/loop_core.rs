//! What the loop, its guards and its descriptors share on the loop's thread, and what the loop's doors come down to.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::Instant;

use squall_reactor::{Events, Reactor};

use crate::clock::Clock;
use crate::inbox::Inbox;
use crate::panics::{PanicHook, shield};
use crate::root::is_root_waker;
use crate::scheduler::Scheduler;
use crate::shared::Entry;
use crate::source::Registered;
use crate::stats::Stats;
use crate::task::is_task_waker;
use crate::timers::{TimerId, Timers};

/// A deadline that is not reached in 584 years, in nanoseconds since the loop was made.
pub(crate) const NEVER: u64 = u64::MAX;

/// The loop, but for its owner.
pub(crate) struct Core {
    /// The ready queue, the tasks and the inbox.
    pub(crate) scheduler: Scheduler,
    pub(crate) timers: RefCell<Timers<Alarm>>,
    pub(crate) own: Weak<Core>,
    /// Which loop of this process it is.
    pub(crate) number: u64,
    /// What epoll watches; `None` once the loop is closed.
    pub(crate) reactor: RefCell<Option<Reactor<Registered>>>,
    /// The kernel's answers; away while they are delivered.
    pub(crate) events: Cell<Option<Events>>,
    pub(crate) clock: Clock,
    /// Timers count from here.
    pub(crate) origin: Instant,
    /// When the current turn last read the clock.
    pub(crate) now: Cell<Instant>,
    pub(crate) stopping: Cell<bool>,
    /// How many root futures there were; the number of the current one.
    pub(crate) roots: Cell<usize>,
    panic_hook: Option<PanicHook>,
    pub(crate) turns: Cell<u64>,
    pub(crate) empty_wakeups: Cell<u64>,
    pub(crate) stale_events: Cell<u64>,
    pub(crate) timers_fired: Cell<u64>,
}

/// What a timer does when it comes up.
pub(crate) enum Alarm {
    Wake(Waker),
    Call(Box<dyn FnOnce()>),
}

impl Core {
    pub(crate) fn new(
        reactor: Reactor<Registered>,
        clock: Clock,
        panic_hook: Option<PanicHook>,
    ) -> Rc<Core> {
        /// Loops made by this process. Timer ids begin 2⁴⁰ apart, so they are not mistaken across loops.
        static LOOPS: AtomicU64 = AtomicU64::new(0);
        let origin = clock.now();
        let number = LOOPS.fetch_add(1, Ordering::Relaxed);
        let core = move |own: &Weak<Core>| Core {
            own: own.clone(),
            scheduler: Scheduler::new(inbox_of(&reactor)),
            timers: RefCell::new(Timers::new(number << 40)),
            number,
            reactor: RefCell::new(Some(reactor)),
            events: Cell::new(None),
            clock,
            origin,
            now: Cell::new(origin),
            stopping: Cell::new(false),
            roots: Cell::new(0),
            panic_hook,
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

    /// Arms a timer; `None` is a time that never comes.
    pub(crate) fn arm(&self, deadline: Option<Instant>, alarm: Alarm) -> TimerId {
        if self.scheduler.is_closed() {
            shield("the destructor of a timer's callback", || drop(alarm));
            return TimerId::nobody();
        }
        let deadline = deadline.map_or(NEVER, |deadline| self.nanos(deadline));
        self.timers.borrow_mut().insert(deadline, alarm)
    }

    /// Takes a timer's alarm back, to be dropped by the caller when no borrow is left.
    pub(crate) fn disarm(&self, timer: TimerId) -> Option<Alarm> {
        self.timers.borrow_mut().remove(timer)
    }

    /// Lets a timer wake `waker` instead of whom it woke so far; `false` if it is not armed any more.
    pub(crate) fn alarm_wakes(&self, timer: TimerId, waker: &Waker) -> bool {
        match self.timers.borrow_mut().get_mut(timer) {
            None => return false,
            Some(Alarm::Wake(armed)) if armed.will_wake(waker) => return true,
            Some(_) => {}
        }
        let waker = waker.clone(); // foreign code, like the drop of the former one: no borrow is held
        let former = match self.timers.borrow_mut().get_mut(timer) {
            Some(alarm) => std::mem::replace(alarm, Alarm::Wake(waker)),
            None => return false,
        };
        drop(former);
        true
    }

    /// Moves a timer that has not run yet; `false` if it has.
    pub(crate) fn postpone(&self, timer: TimerId, deadline: Option<Instant>) -> bool {
        let deadline = deadline.map_or(NEVER, |deadline| self.nanos(deadline));
        self.timers.borrow_mut().postpone(timer, deadline)
    }

    pub(crate) fn clock_now(&self) -> Instant {
        self.clock.now()
    }

    pub(crate) fn turn_time(&self) -> Instant {
        self.now.get()
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

    /// Nanoseconds from the origin, which 584 years saturate.
    pub(crate) fn nanos(&self, time: Instant) -> u64 {
        let since = time.saturating_duration_since(self.origin);
        let nanos = since.as_secs().checked_mul(1_000_000_000);
        nanos.and_then(|nanos| nanos.checked_add(since.subsec_nanos().into())).unwrap_or(NEVER)
    }

    /// Drops what is left: tasks, then timers, then the mail, then what epoll watched. Who waits elsewhere on this thread for
    /// a timer or a descriptor of this loop is woken, and finds it gone.
    pub(crate) fn close(&self) {
        self.scheduler.close_tasks();
        let alarms = self.timers.borrow_mut().drain();
        for alarm in alarms {
            match alarm {
                Alarm::Wake(waker) => shield("a waker", || waker.wake()),
                call => shield("the destructor of a timer's callback", || drop(call)),
            }
        }
        self.scheduler.inbox().close();
        let reactor = self.reactor.borrow_mut().take();
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
        let kernel = reactor.as_ref().map(Reactor::stats).unwrap_or_default();
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
        }
    }
}
