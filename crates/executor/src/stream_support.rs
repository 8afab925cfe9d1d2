//! Functions for the buffered streams of another crate. They are not part of the documented API.

use std::panic::Location;
use std::rc::Rc;
use std::task::Waker;

use squall_reactor::Process;

use crate::current;
use crate::large::is_large;
use crate::task::join_handle::JoinHandle;
use crate::task::scheduler::{BatchEnd, BoxedFuture};

/// As [`spawn`](crate::spawn), for a task that starts rarely.
///
/// # Panics
/// If there is no loop on this thread.
#[doc(hidden)]
#[track_caller]
pub fn spawn_boxed(future: BoxedFuture) -> JoinHandle<()> {
    current::get().spawn(future, Location::caller())
}

/// As [`spawn_boxed`], but returns no handle, and drops the future if there is no loop on this
/// thread. For destructors.
#[doc(hidden)]
#[track_caller]
pub fn try_spawn(future: BoxedFuture) {
    if let Some(core) = current::try_get() {
        drop(core.spawn(future, Location::caller()));
    }
}

/// As [`spawn`](crate::spawn), of the future that `make` returns. A future that only owns its
/// arguments is built in the memory of its task, and never moved. `make` must not panic.
///
/// # Panics
/// If there is no loop on this thread.
#[doc(hidden)]
#[track_caller]
pub fn spawn_with<F: Future + 'static>(make: impl FnOnce() -> F) -> JoinHandle<F::Output> {
    let core = current::get();
    if const { is_large::<F>() } {
        core.spawn(make(), Location::caller())
    } else {
        core.scheduler.spawn_with(make, core.origin(Location::caller()))
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
