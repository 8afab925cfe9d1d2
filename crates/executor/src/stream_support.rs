//! Functions for the buffered streams of another crate. They are not part of the documented API.

use std::panic::Location;
use std::rc::Rc;
use std::task::Waker;

use squall_reactor::Process;

use crate::current;
use crate::task::scheduler::BatchEnd;

/// As [`spawn`](crate::spawn), but returns no handle, and drops the future if there is no loop on this thread.
/// For destructors.
#[doc(hidden)]
#[track_caller]
pub fn try_spawn(future: impl Future<Output = ()> + 'static) {
    if let Some(core) = current::try_get() {
        drop(core.spawn(future, Location::caller()));
    }
}

/// The number of forks between the program's first process and this one. Code that must not act in
/// a forked child compares it with an earlier value.
#[doc(hidden)]
pub fn forks() -> u64 {
    Process::forks_now()
}

/// The number of turns, modulo 2³², that this thread's loop has begun. `None` without a loop. A
/// stream uses it to keep to its byte budget of each turn.
#[doc(hidden)]
pub fn turns() -> Option<u32> {
    let turns = current::with(|core| core.turns.get())?;
    u32::try_from(turns & u64::from(u32::MAX)).ok()
}

/// Wakes `waker` when the next turn begins, after the loop has asked the kernel. For a stream that
/// has used up its byte budget of this turn. Without a loop on this thread, wakes it at once.
#[doc(hidden)]
pub fn wake_in_next_turn(waker: &Waker) {
    let refused = match current::try_get() {
        Some(core) => core.scheduler.wake_in_next_turn(waker.clone()),
        None => Some(waker.clone()),
    };
    if let Some(waker) = refused {
        waker.wake();
    }
}

/// Whether this thread's loop is closing: its tasks are dropped now.
#[doc(hidden)]
pub fn is_closing() -> bool {
    current::with(|core| core.scheduler.is_closed()).unwrap_or(false)
}

/// Runs `action` when the current batch, or the current run of timers, ends. Outside of both, it
/// runs at the end of the next batch. Returns false if there is no loop on this thread, or the loop
/// is closed.
#[doc(hidden)]
#[inline]
pub fn at_batch_end(action: Rc<dyn BatchEnd>) -> bool {
    current::with(|core| core.scheduler.at_batch_end(action)).unwrap_or(false)
}
