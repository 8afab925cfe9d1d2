//! The public functions: free functions, which use this thread's loop, and the same as methods of
//! [`EventLoop`].

use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::panic::Location;
use std::rc::Rc;
use std::time::{Duration, Instant};

use squall_reactor::{Event, Interest};

use crate::current;
use crate::event_loop::EventLoop;
use crate::insight::dump::Dump;
use crate::insight::observer::{Observer, ObserverId};
use crate::insight::stats::Stats;
use crate::io::handler::HandlerId;
use crate::large::{LargeFuture, is_large};
use crate::loop_core::Core;
use crate::task::callback::Callback;
use crate::task::entry::Entry;
use crate::task::join_handle::JoinHandle;
use crate::time::alarms::Alarm;
use crate::time::timers::TimerId;

/// Calls `f` in the next batch, after everything that is queued already. Tornado:
/// `IOLoop.add_callback`.
///
/// # Panics
/// If there is no loop on this thread. Other threads use
/// [`Handle::add_callback`](crate::Handle::add_callback).
///
/// # Cost
/// One allocation, or none where the memory of an ended task or callback can be used again.
#[track_caller]
pub fn add_callback<F: FnOnce() + 'static>(f: F) {
    let core = current::get();
    if const { is_large::<F>() } {
        core.add_callback(Box::new(f), Location::caller());
    } else {
        core.add_callback(f, Location::caller());
    }
}

/// Calls `f` after `delay`, counted from now. Tornado: `IOLoop.call_later`.
///
/// Never calls `f` early or in the turn of this call. Timers with equal deadlines fire in the order
/// in which they were armed. A timer with a delay of [`Duration::MAX`] never fires.
///
/// # Panics
/// If there is no loop on this thread.
#[track_caller]
pub fn call_later(delay: Duration, f: impl FnOnce() + 'static) -> TimerId {
    current::get().call_later(delay, Box::new(f), Location::caller())
}

/// Calls `f` at `when`, or in the next turn if that time has passed. Tornado: `IOLoop.call_at`.
///
/// # Panics
/// If there is no loop on this thread.
#[track_caller]
pub fn call_at(when: Instant, f: impl FnOnce() + 'static) -> TimerId {
    current::get().call_at(when, Box::new(f), Location::caller())
}

/// Removes a timer and drops its callback. Returns false if the callback already ran or the timer
/// was removed before. Tornado: `IOLoop.remove_timeout`.
///
/// This also stops a timer that is due in the current turn but has not fired yet. Returns false
/// too for a timer of another loop, and without a loop on this thread: a destructor may call it at
/// any time. [`TimerId::cancel_on_drop`] calls it for you.
pub fn remove_timeout(timer: TimerId) -> bool {
    current::try_get().is_some_and(|core| core.alarms.disarm(timer).is_some())
}

/// Calls `observer` for each entry that this thread's loop runs from now on, beginning with the
/// next one.
///
/// The entries are polls of tasks and of the future of `block_on`, and calls of callbacks, timers
/// and handlers. What the loop does by itself is no entry: waiting, waking sleeping tasks, and
/// sending what streams have queued.
///
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
/// use std::time::{Duration, Instant};
/// use squall_executor::{EventLoop, ObservedEntry, Observer};
///
/// /// The entry that ran for the longest time.
/// #[derive(Default)]
/// struct Longest(Cell<Duration>);
///
/// impl Observer for Longest {
///     fn begins(&self, _entry: &ObservedEntry, _now: Instant) {}
///
///     fn ended(&self, _entry: &ObservedEntry, elapsed: Duration) {
///         self.0.set(self.0.get().max(elapsed));
///     }
/// }
///
/// let event_loop = EventLoop::new()?;
/// let longest = Rc::new(Longest::default());
/// let observer = event_loop.add_observer(Rc::clone(&longest));
/// event_loop.block_on(async { std::thread::sleep(Duration::from_millis(1)) });
/// assert!(longest.0.get() >= Duration::from_millis(1));
/// event_loop.remove_observer(observer);
/// # std::io::Result::Ok(())
/// ```
///
/// # Panics
/// If there is no loop on this thread.
///
/// # Cost
/// While a loop has observers, two readings of the clock for each entry, and the observers' own
/// time. Nothing while it has none.
#[track_caller]
pub fn add_observer(observer: impl Observer + 'static) -> ObserverId {
    current::get().observers.add(Rc::new(observer))
}

/// Removes an observer and drops it. Returns false if it was removed before.
///
/// An entry that removes an observer still ends for it. Returns false too for an observer of another
/// loop, and without a loop on this thread: a destructor may call it at any time.
pub fn remove_observer(observer: ObserverId) -> bool {
    current::try_get().is_some_and(|core| core.observers.remove(observer))
}

/// Calls `f` in every turn in which `io` is ready, until [`remove_handler`] is called. Tornado:
/// `IOLoop.add_handler`.
///
/// Events are level-triggered, as in Tornado: bytes that `f` leaves unread are reported again.
/// Errors and hang-ups are always reported, whatever `interest` is. The loop owns `io`, so its
/// descriptor cannot be closed while it is registered. After a panic, `f` stays registered.
///
/// # Errors
/// - `AlreadyExists`: this descriptor is registered already.
/// - `PermissionDenied`: epoll does not support this kind of file, for example a regular file.
/// - Other errors of `epoll_ctl(2)`.
///
/// # Panics
/// If there is no loop on this thread.
#[track_caller]
pub fn add_handler<T: AsFd + 'static>(
    io: T,
    interest: Interest,
    f: impl FnMut(&T, Event) + 'static,
) -> io::Result<HandlerId> {
    let core = current::get();
    core.driver.add_handler(io, interest, f, core.origin(Location::caller()))
}

/// Replaces the interest of a handler. Tornado: `IOLoop.update_handler`.
///
/// # Errors
/// `NotFound` if the handler was removed, and the errors of `epoll_ctl(2)`.
///
/// # Panics
/// If there is no loop on this thread.
#[track_caller]
pub fn update_handler(handler: HandlerId, interest: Interest) -> io::Result<()> {
    current::get().driver.update_handler(handler, interest)
}

/// Removes a handler and drops it with its `io`. Returns false if it was removed before. Tornado:
/// `IOLoop.remove_handler`.
///
/// Events that were already collected for the handler in this turn are dropped. Returns false too
/// for a handler of another loop, and without a loop on this thread: a destructor may call it at any
/// time.
pub fn remove_handler(handler: HandlerId) -> bool {
    current::try_get().is_some_and(|core| core.driver.remove_handler(handler))
}

/// Runs `future` and then calls `f` with its output. Tornado: `IOLoop.add_future`.
///
/// # Panics
/// If there is no loop on this thread.
#[track_caller]
pub fn add_future<F: Future + 'static>(future: F, f: impl FnOnce(F::Output) + 'static) {
    if const { is_large::<F>() } {
        let future: LargeFuture<'_, _> = Box::pin(future);
        drop(spawn(call_with_output(future, f)));
    } else {
        drop(spawn(call_with_output(future, f)));
    }
}

/// Runs `future` as a new task, beginning in the next batch. The future need not be `Send`.
/// Tornado: `spawn_callback`.
///
/// # Panics
/// If there is no loop on this thread. Other threads use [`Handle::spawn`](crate::Handle::spawn).
///
/// # Cost
/// One allocation for the task, its output and its handle together, or none where the memory of an
/// ended task or callback can be used again.
#[track_caller]
pub fn spawn<F: Future + 'static>(future: F) -> JoinHandle<F::Output> {
    let core = current::get();
    if const { is_large::<F>() } {
        let future: LargeFuture<'_, _> = Box::pin(future);
        core.spawn(future, Location::caller())
    } else {
        core.spawn(future, Location::caller())
    }
}

/// As [`spawn`], with a name that [`EventLoop::dump`] and reports of slow callbacks show.
///
/// # Panics
/// If there is no loop on this thread.
#[track_caller]
pub fn spawn_named<F: Future + 'static>(
    name: impl Into<String>,
    future: F,
) -> JoinHandle<F::Output> {
    let task = spawn(future);
    current::get().scheduler.set_name(&task, name.into());
    task
}

/// Makes [`run`](EventLoop::run) or [`run_sync`](EventLoop::run_sync) return after the current
/// batch. Tornado: `IOLoop.stop`.
///
/// # Panics
/// If there is no loop on this thread. Other threads use [`Handle::stop`](crate::Handle::stop).
#[track_caller]
pub fn stop() {
    current::get().stop();
}

/// The counters of this thread's loop.
///
/// # Panics
/// If there is no loop on this thread.
#[track_caller]
pub fn stats() -> Stats {
    current::get().stats()
}

/// Describes every live task, timer and handler of this thread's loop; see [`EventLoop::dump`].
///
/// # Panics
/// If there is no loop on this thread.
#[track_caller]
pub fn dump() -> Dump {
    current::get().dump()
}

/// The time at which the loop last read its clock. While the loop runs, it lags behind the current
/// time by at most the length of a turn.
///
/// # Panics
/// If there is no loop on this thread.
///
/// # Cost
/// No reading of the clock.
#[track_caller]
pub fn turn_time() -> Instant {
    match current::with(Core::turn_time) {
        Some(time) => time,
        None => current::get().turn_time(), // panics and says what is missing
    }
}

/// The free functions of this crate as methods. They work whether the loop is entered or not.
impl EventLoop {
    /// As [`add_callback`].
    #[track_caller]
    pub fn add_callback<F: FnOnce() + 'static>(&self, f: F) {
        if const { is_large::<F>() } {
            self.core.add_callback(Box::new(f), Location::caller());
        } else {
            self.core.add_callback(f, Location::caller());
        }
    }

    /// As [`call_later`].
    #[track_caller]
    pub fn call_later(&self, delay: Duration, f: impl FnOnce() + 'static) -> TimerId {
        self.core.call_later(delay, Box::new(f), Location::caller())
    }

    /// As [`call_at`].
    #[track_caller]
    pub fn call_at(&self, when: Instant, f: impl FnOnce() + 'static) -> TimerId {
        self.core.call_at(when, Box::new(f), Location::caller())
    }

    /// As [`remove_timeout`].
    pub fn remove_timeout(&self, timer: TimerId) -> bool {
        self.core.alarms.disarm(timer).is_some()
    }

    /// As [`add_observer`].
    pub fn add_observer(&self, observer: impl Observer + 'static) -> ObserverId {
        self.core.observers.add(Rc::new(observer))
    }

    /// As [`remove_observer`].
    pub fn remove_observer(&self, observer: ObserverId) -> bool {
        self.core.observers.remove(observer)
    }

    /// As [`add_handler`].
    ///
    /// # Errors
    /// As [`add_handler`].
    #[track_caller]
    pub fn add_handler<T: AsFd + 'static>(
        &self,
        io: T,
        interest: Interest,
        f: impl FnMut(&T, Event) + 'static,
    ) -> io::Result<HandlerId> {
        let origin = self.core.origin(Location::caller());
        self.core.driver.add_handler(io, interest, f, origin)
    }

    /// As [`update_handler`].
    ///
    /// # Errors
    /// As [`update_handler`].
    pub fn update_handler(&self, handler: HandlerId, interest: Interest) -> io::Result<()> {
        self.core.driver.update_handler(handler, interest)
    }

    /// As [`remove_handler`].
    pub fn remove_handler(&self, handler: HandlerId) -> bool {
        self.core.driver.remove_handler(handler)
    }

    /// As [`add_future`].
    #[track_caller]
    pub fn add_future<F: Future + 'static>(&self, future: F, f: impl FnOnce(F::Output) + 'static) {
        if const { is_large::<F>() } {
            let future: LargeFuture<'_, _> = Box::pin(future);
            drop(self.spawn(call_with_output(future, f)));
        } else {
            drop(self.spawn(call_with_output(future, f)));
        }
    }

    /// As [`spawn`].
    #[track_caller]
    pub fn spawn<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        if const { is_large::<F>() } {
            let future: LargeFuture<'_, _> = Box::pin(future);
            self.core.spawn(future, Location::caller())
        } else {
            self.core.spawn(future, Location::caller())
        }
    }

    /// As [`spawn_named`].
    #[track_caller]
    pub fn spawn_named<F: Future + 'static>(
        &self,
        name: impl Into<String>,
        future: F,
    ) -> JoinHandle<F::Output> {
        let task = self.spawn(future);
        self.core.scheduler.set_name(&task, name.into());
        task
    }

    /// As [`stop`].
    pub fn stop(&self) {
        self.core.stop();
    }

    /// Whether [`stop`](Self::stop) was called, and no [`run`](Self::run) or
    /// [`run_sync`](Self::run_sync) has returned for it yet. A program that embeds the loop with
    /// [`run_once`](Self::run_once), which `stop` does not end, asks this.
    pub fn is_stopping(&self) -> bool {
        self.core.is_stopping.get()
    }

    /// The loop's counters.
    pub fn stats(&self) -> Stats {
        self.core.stats()
    }

    /// Describes every live task, timer and handler, for a log or a debugging page.
    ///
    /// ```
    /// use std::future::pending;
    /// use squall_executor::EventLoop;
    ///
    /// let event_loop = EventLoop::new()?;
    /// drop(event_loop.spawn_named("waits for ever", pending::<()>()));
    /// let dump = event_loop.dump();
    /// assert_eq!(dump.tasks[0].name.as_deref(), Some("waits for ever"));
    /// println!("{dump}");
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Cost
    /// Visits all of them.
    pub fn dump(&self) -> Dump {
        self.core.dump()
    }

    /// The current time on this loop's clock.
    pub fn time(&self) -> Instant {
        self.core.clock.time()
    }
}

/// A function of its own, because an async block of a large future would be large too.
async fn call_with_output<F: Future>(future: F, f: impl FnOnce(F::Output)) {
    f(future.await);
}

impl Core {
    fn turn_time(&self) -> Instant {
        let time = self.clock.instant(self.clock.last_reading());
        time.unwrap_or_else(|| self.clock.origin())
    }

    pub(crate) fn spawn<F: Future + 'static>(
        &self,
        future: F,
        caller: &'static Location<'static>,
    ) -> JoinHandle<F::Output> {
        let origin = self.origin(caller);
        if const { is_large::<F>() } {
            let future: LargeFuture<'_, _> = Box::pin(future);
            self.scheduler.spawn(future, origin)
        } else {
            self.scheduler.spawn(future, origin)
        }
    }

    fn add_callback(&self, f: impl FnOnce() + 'static, caller: &'static Location<'static>) {
        self.scheduler.push(Entry::Callback(Callback::new(caller, f)));
    }

    fn call_later(
        &self,
        delay: Duration,
        f: Box<dyn FnOnce()>,
        caller: &'static Location<'static>,
    ) -> TimerId {
        self.arm(self.clock.time().checked_add(delay), Alarm::Call(f), caller)
    }

    fn call_at(
        &self,
        when: Instant,
        f: Box<dyn FnOnce()>,
        caller: &'static Location<'static>,
    ) -> TimerId {
        self.arm(Some(when), Alarm::Call(f), caller)
    }
}
