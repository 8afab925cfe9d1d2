//! The current loop of this thread: the running loop, or the loop that was entered last.
//!
//! The free functions, sleeps and descriptors find their loop here. Guards of several loops may
//! exist at once and may be dropped in any order. The thread's loop is that of the newest remaining
//! guard.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::rc::{Rc, Weak};

use squall_reactor::Process;

use crate::error::RunError;
use crate::insight::panics::set_hook;
use crate::loop_core::Core;
use crate::task::shared_state::SharedOwner;
use crate::task::{block_pool, budget};
use crate::time::timers::TimerId;

thread_local! {
    /// The loop of this thread. Owned, so that the address that [`SharedOwner::enter`] has stored
    /// stays that of a live loop.
    static CURRENT: RefCell<Option<Rc<Core>>> = const { RefCell::new(None) };
    /// The guards that exist, each with its loop, the newest last.
    static GUARDS: RefCell<Vec<(GuardId, Rc<Core>)>> = const { RefCell::new(Vec::new()) };
    static NEXT_GUARD: Cell<GuardId> = const { Cell::new(0) };
    /// The loops of this thread. One that has ended stays here until the next is made.
    static LOOPS: RefCell<Vec<Weak<Core>>> = const { RefCell::new(Vec::new()) };
    /// The process in which a loop runs on this thread; `None` if no loop runs. A child that a
    /// callback has forked finds its parent here, and may run a loop of its own.
    static RUNNING_IN: Cell<Option<Process>> = const { Cell::new(None) };
}

type GuardId = u64;

/// The loop of this thread.
#[track_caller]
pub(crate) fn get() -> Rc<Core> {
    match try_get() {
        Some(core) => core,
        None => panic!(
            "no event loop on this thread: call this from a task or callback of a loop, \
             inside block_on, or after EventLoop::enter"
        ),
    }
}

/// The loop of this thread, if there is one and the thread is not ending.
pub(crate) fn try_get() -> Option<Rc<Core>> {
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// Calls `f` with the loop of this thread, if there is one. `f` must run no foreign code.
#[inline]
pub(crate) fn with<R>(f: impl FnOnce(&Core) -> R) -> Option<R> {
    CURRENT.try_with(|current| current.borrow().as_deref().map(f)).ok().flatten()
}

/// Adds a new loop to those of this thread.
pub(crate) fn add(core: &Rc<Core>) {
    let _ = LOOPS.try_with(|loops| {
        let mut loops = loops.borrow_mut();
        loops.retain(|known| known.strong_count() > 0);
        loops.push(Rc::downgrade(core));
    }); // fails only while the thread ends
}

/// The loop of this thread that has armed a timer.
pub(crate) fn owner_of(timer: TimerId) -> Option<Rc<Core>> {
    let find = |loops: &RefCell<Vec<Weak<Core>>>| {
        let loops = loops.borrow();
        loops.iter().filter_map(Weak::upgrade).find(|core| core.alarms.has_armed(timer))
    };
    LOOPS.try_with(find).ok().flatten()
}

/// Makes `core` the loop of this thread and returns the loop before it.
///
/// While the thread ends, `CURRENT` may be destroyed before a loop that another thread-local owns.
/// Then only the address is set, and the caller keeps that loop alive.
pub(crate) fn replace(core: Option<Rc<Core>>) -> Option<Rc<Core>> {
    match &core {
        Some(core) => core.scheduler.owner().enter(),
        None => SharedOwner::leave(),
    }
    set_hook(core.as_ref().and_then(|core| core.panic_hook()));
    CURRENT.try_with(|current| current.replace(core)).ok().flatten()
}

/// Makes `core` the loop of this thread until [`leave`] or the next `enter`.
fn enter(core: Rc<Core>) -> GuardId {
    let guard = NEXT_GUARD.get();
    NEXT_GUARD.set(guard + 1);
    // This fails only while the thread ends.
    let _ = GUARDS.try_with(|guards| guards.borrow_mut().push((guard, Rc::clone(&core))));
    drop(replace(Some(core)));
    guard
}

/// Ends a guard. If it was the newest guard, the loop of the newest remaining guard, if there is
/// one, becomes the thread's loop.
fn leave(guard: GuardId) {
    let left = GUARDS.try_with(|guards| {
        let mut guards = guards.borrow_mut();
        let index = guards.iter().rposition(|(id, _)| *id == guard)?;
        let was_newest = index + 1 == guards.len();
        let removed = guards.remove(index);
        Some((removed, was_newest, guards.last().map(|(_, core)| Rc::clone(core))))
    });
    // Loops are dropped here, after the borrow.
    match left {
        Ok(Some((removed, true, newest))) => drop((replace(newest), removed)),
        Ok(Some((removed, false, _))) => drop(removed),
        Ok(None) | Err(_) => drop(replace(None)), // the thread ends
    }
}

/// A guard that makes a loop the thread's loop while the guard lives. Returned by
/// [`EventLoop::enter`](crate::EventLoop::enter).
#[must_use = "the loop is the thread's only while this guard lives"]
pub struct Entered<'a> {
    guard: GuardId,
    event_loop: PhantomData<&'a Core>,
}

impl Entered<'_> {
    pub(crate) fn new(core: &Rc<Core>) -> Self {
        Entered { guard: enter(Rc::clone(core)), event_loop: PhantomData }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        leave(self.guard);
    }
}

impl fmt::Debug for Entered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entered")
    }
}

/// A guard that marks the thread as running a loop, during a call of a `run` method or `block_on`.
pub(crate) struct Running<'a> {
    core: &'a Core,
    /// The former value of `RUNNING_IN`: `None`, or in a forked child the parent's process.
    outer: Option<Process>,
    _entered: Entered<'a>,
}

impl<'a> Running<'a> {
    pub(crate) fn begin(core: &'a Rc<Core>) -> Result<Running<'a>, RunError> {
        core.check_process()?;
        let outer = RUNNING_IN.get();
        if outer.is_some_and(Process::is_current) {
            return Err(RunError::AlreadyRunning);
        }
        RUNNING_IN.set(Some(core.process));
        core.scheduler.inbox().mark_awake();
        core.clock.begin_run();
        block_pool::loop_runs();
        Ok(Running { core, outer, _entered: Entered::new(core) })
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.core.clock.count_busy(); // the last turn may not have counted its time
        self.core.scheduler.inbox().mark_asleep();
        budget::lift();
        block_pool::loop_pauses();
        RUNNING_IN.set(self.outer);
    }
}
