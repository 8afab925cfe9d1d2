//! The loop of this thread: the one that runs, or the one that was entered last.
//!
//! The free functions, sleeps and descriptors find their loop here. Guards of several loops may be alive at once and may be dropped in
//! any order; the loop of the last one that is left is the thread's.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use squall_reactor::Process;

use crate::error::RunError;
use crate::insight::panics::set_hook;
use crate::loop_core::Core;
use crate::task::shared_state::SharedOwner;

thread_local! {
    /// Owns the loop, so that the address which [`SharedOwner::enter`] leaves behind is that of a living one.
    static CURRENT: RefCell<Option<Rc<Core>>> = const { RefCell::new(None) };
    /// The guards that are alive, each with its loop.
    static GUARDS: RefCell<Vec<(GuardId, Rc<Core>)>> = const { RefCell::new(Vec::new()) };
    static NEXT_GUARD: Cell<GuardId> = const { Cell::new(0) };
    /// The process in which a loop runs on this thread. A child that a callback has forked may run a loop of its own.
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

/// Makes `core` the loop of this thread and returns the one before.
///
/// At the end of the thread, when `CURRENT` may be gone before a loop that another thread-local owns, only the address is
/// set: the caller keeps that loop alive.
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
    let _ = GUARDS.try_with(|guards| guards.borrow_mut().push((guard, Rc::clone(&core)))); // fails at the thread's end
    drop(replace(Some(core)));
    guard
}

/// Ends a guard. If it was the last one, the thread's loop is that of the guard before, if there is one.
fn leave(guard: GuardId) {
    let remaining = GUARDS.try_with(|guards| {
        let mut guards = guards.borrow_mut();
        let place = guards.iter().rposition(|(known, _)| *known == guard)?;
        let was_last = place + 1 == guards.len();
        let left = guards.remove(place);
        Some((left, was_last, guards.last().map(|(_, core)| Rc::clone(core))))
    });
    match remaining {
        Ok(Some((left, true, before))) => drop((replace(before), left)),
        Ok(Some((left, false, _))) => drop(left),
        Ok(None) | Err(_) => drop(replace(None)), // the thread ends
    }
}

/// Makes a loop the thread's while it lives; returned by [`EventLoop::enter`](crate::EventLoop::enter).
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

/// Marks the thread as running a loop while one of the `run` methods is on the stack.
pub(crate) struct Running<'a> {
    core: &'a Core,
    /// What `RUNNING_IN` was before: `None`, or the parent's process in a forked child.
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
        core.scheduler.inbox().wake_up();
        core.clock.begin_run();
        Ok(Running { core, outer, _entered: Entered::new(core) })
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.core.clock.worked(); // the last turn, which ended before it asked the kernel
        self.core.scheduler.inbox().rest();
        RUNNING_IN.set(self.outer);
    }
}
