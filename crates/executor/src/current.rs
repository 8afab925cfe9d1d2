//! The loop of this thread: the one that runs, or was entered.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::loop_core::Core;
use crate::panics::set_hook;
use crate::shared::Home;

thread_local! {
    /// Owns the loop, so that the address that [`Home::enter`] leaves behind is that of a living one.
    static CURRENT: RefCell<Option<Rc<Core>>> = const { RefCell::new(None) };
    /// The guards that are alive, each with its loop; they may fall in any order.
    static GUARDS: RefCell<Vec<(GuardId, Rc<Core>)>> = const { RefCell::new(Vec::new()) };
    static NEXT_GUARD: Cell<GuardId> = const { Cell::new(0) };
}

pub(crate) type GuardId = u64;

/// Makes `core` the loop of this thread until [`leave`] or the next `enter`.
pub(crate) fn enter(core: Rc<Core>) -> GuardId {
    let guard = NEXT_GUARD.get();
    NEXT_GUARD.set(guard + 1);
    let _ = GUARDS.try_with(|guards| guards.borrow_mut().push((guard, Rc::clone(&core))));
    drop(replace(Some(core)));
    guard
}

/// Ends a guard. If it was the last one, the thread's loop is that of the guard before, if there is one.
pub(crate) fn leave(guard: GuardId) {
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
        Some(core) => core.scheduler.home().enter(),
        None => Home::leave(),
    }
    set_hook(core.as_ref().and_then(|core| core.panic_hook()));
    CURRENT.try_with(|current| current.replace(core)).ok().flatten()
}
