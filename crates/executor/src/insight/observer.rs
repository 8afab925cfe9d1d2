//! Observers of a loop: they see each entry of the ready queue and each timer's callback, before
//! and after it runs.
//!
//! Reports of slow callbacks are an observer too. Without one, the turn asks
//! [`Observers::is_empty`] for each entry, and does nothing else: no clock is read.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::insight::panics::shield;
use crate::time::turn_clock::TurnClock;

/// Sees each entry that a loop runs. Registered with [`add_observer`](crate::add_observer).
///
/// An observer measures, counts or publishes what its loop does. It runs on the loop's thread. A
/// panic of an observer is reported, and the loop goes on.
pub trait Observer {
    /// Called before `entry` runs. `now` is the time on the loop's clock. The time that this call
    /// takes counts for the entry.
    fn begins(&self, entry: &ObservedEntry, now: Instant);

    /// Called after `entry` has run for `elapsed`.
    ///
    /// Each [`begins`](Self::begins) has one `ended`, with the same entry, unless a panic of the
    /// future of `block_on` ends the run.
    fn ended(&self, entry: &ObservedEntry, elapsed: Duration);
}

/// So the program keeps access to its observer.
impl<T: Observer + ?Sized> Observer for Rc<T> {
    fn begins(&self, entry: &ObservedEntry, now: Instant) {
        (**self).begins(entry, now);
    }

    fn ended(&self, entry: &ObservedEntry, elapsed: Duration) {
        (**self).ended(entry, elapsed);
    }
}

/// So other threads can read what an observer has seen.
impl<T: Observer + ?Sized> Observer for Arc<T> {
    fn begins(&self, entry: &ObservedEntry, now: Instant) {
        (**self).begins(entry, now);
    }

    fn ended(&self, entry: &ObservedEntry, elapsed: Duration) {
        (**self).ended(entry, elapsed);
    }
}

/// The kinds of work that the loop does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

/// One call or poll, as an [`Observer`] sees it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ObservedEntry {
    /// The kind of work.
    pub work: Work,
    /// The name of a task from `spawn_named`. It can be kept or sent to another thread without a
    /// copy.
    pub name: Option<Arc<str>>,
    /// Where the task, callback, timer or handler was made. `None` for a waker.
    pub location: Option<&'static Location<'static>>,
}

impl ObservedEntry {
    pub(crate) fn new(work: Work, location: Option<&'static Location<'static>>) -> ObservedEntry {
        ObservedEntry { work, name: None, location }
    }
}

/// Identifies an observer of [`add_observer`](crate::add_observer), and never another one. May be sent to other threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ObserverId(u64);

/// The observers of a loop.
pub(crate) struct Observers {
    /// Replaced as a whole, never changed: an entry that adds or removes an observer ends with the
    /// observers with which it began.
    list: RefCell<Rc<[Listed]>>,
    /// Whether the list is empty. The turn reads it for each entry.
    is_empty: Cell<bool>,
}

type Listed = (ObserverId, Rc<dyn Observer>);

impl Observers {
    pub(crate) fn new() -> Observers {
        Observers { list: RefCell::new(Rc::new([])), is_empty: Cell::new(true) }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.is_empty.get()
    }

    pub(crate) fn add(&self, observer: Rc<dyn Observer>) -> ObserverId {
        /// The number of observers that this process has added.
        static ADDED: AtomicU64 = AtomicU64::new(0);
        let id = ObserverId(ADDED.fetch_add(1, Ordering::Relaxed));
        let added = [(id, observer)];
        self.replace(self.observers().iter().cloned().chain(added).collect());
        id
    }

    /// Removes an observer. Returns false if there is none with this id.
    pub(crate) fn remove(&self, id: ObserverId) -> bool {
        let is_other = |(known, _): &&Listed| *known != id;
        let before = self.observers();
        let others: Rc<[Listed]> = before.iter().filter(is_other).cloned().collect();
        let is_removed = others.len() < before.len();
        self.replace(others);
        dispose(before);
        is_removed
    }

    /// Removes all observers.
    pub(crate) fn clear(&self) {
        self.replace(Rc::new([]));
    }

    /// Runs `work` between two readings of the clock, and calls the observers before and after it.
    pub(crate) fn observe(&self, clock: &TurnClock, entry: &ObservedEntry, work: impl FnOnce()) {
        let observers = self.observers();
        let begin = clock.time();
        for (_, observer) in observers.iter() {
            shield("an observer of the event loop", || observer.begins(entry, begin));
        }
        work();
        let elapsed = clock.time().saturating_duration_since(begin);
        for (_, observer) in observers.iter() {
            shield("an observer of the event loop", || observer.ended(entry, elapsed));
        }
        dispose(observers); // the entry may have removed one of them
    }

    fn observers(&self) -> Rc<[Listed]> {
        Rc::clone(&self.list.borrow())
    }

    fn replace(&self, list: Rc<[Listed]>) {
        self.is_empty.set(list.is_empty());
        let before = self.list.replace(list);
        dispose(before);
    }
}

/// Drops observers if this was their last list. Their destructors are foreign code, so no borrow
/// may be held.
fn dispose(list: Rc<[Listed]>) {
    shield("the destructor of an observer", || drop(list));
}
