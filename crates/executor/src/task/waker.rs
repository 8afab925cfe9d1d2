//! The wakers of tasks. A waker is a counted reference to a task and may be used on any thread.
//!
//! On the loop's thread, a waker queues its task. On any other thread, it sends the task through
//! the inbox, at most once until the loop takes the task. The rules stand in [`task`](super::task).

#![allow(unsafe_code, reason = "a waker is a raw pointer with a table of functions")]

use std::process::abort;
use std::ptr::{self, NonNull};
use std::task::{RawWaker, RawWakerVTable, Waker};

use crate::sync::Ordering;
use crate::task::entry::Message;
use crate::task::shared_state::LocalQueue;
use crate::task::task::TaskPtr;

/// A static and not a constant, because its address identifies squall's wakers.
static VTABLE: RawWakerVTable =
    RawWakerVTable::new(waker_clone, waker_wake, waker_wake_by_ref, waker_drop);

/// Whether this is the waker of a squall task. Waking such a waker only queues the task and runs no
/// foreign code.
#[inline]
pub(crate) fn is_task_waker(waker: &Waker) -> bool {
    ptr::eq(waker.vtable(), &raw const VTABLE)
}

/// The task of a squall waker, on any thread. `None` for any other waker. The borrowed waker keeps
/// the task alive.
#[inline]
pub(crate) fn task_of_waker(waker: &Waker) -> Option<TaskPtr> {
    is_task_waker(waker).then(|| task_of(waker.data()))
}

/// Makes a waker for a task. The caller has counted a reference for the waker, or keeps the task
/// alive meanwhile and never drops the waker.
pub(super) fn raw(task: TaskPtr) -> RawWaker {
    RawWaker::new(task.0.as_ptr().cast_const().cast(), &VTABLE)
}

fn task_of(data: *const ()) -> TaskPtr {
    TaskPtr(NonNull::new(data.cast_mut().cast()).expect("made by `raw` from a non-null pointer"))
}

unsafe fn waker_clone(data: *const ()) -> RawWaker {
    let task = task_of(data);
    add_reference(task);
    raw(task)
}

unsafe fn waker_wake(data: *const ()) {
    let task = task_of(data);
    wake_by_ref(task);
    drop_reference(task);
}

unsafe fn waker_wake_by_ref(data: *const ()) {
    wake_by_ref(task_of(data));
}

unsafe fn waker_drop(data: *const ()) {
    drop_reference(task_of(data));
}

#[inline]
pub(super) fn wake_by_ref(task: TaskPtr) {
    match task.header().shared.local_queue() {
        Some(queue) => task.enqueue(queue),
        None => send_to_loop(task),
    }
}

/// Sends a task to its loop, which is not entered on this thread, unless it is on its way.
#[inline(never)] // otherwise each local wake saves the registers that this needs
fn send_to_loop(task: TaskPtr) {
    if task.header().notified.swap(true, Ordering::AcqRel) {
        return;
    }
    add_reference(task);
    // A closed loop refuses the message and drops it, and with it the reference.
    let _ = task.header().shared.inbox.send(Message::Wake(ForeignWake(task)));
}

fn add_reference(task: TaskPtr) {
    let before = task.header().refs.fetch_add(1, Ordering::Relaxed);
    if before > isize::MAX.cast_unsigned() {
        abort(); // a count that wraps would free a live task, and a panic could be caught
    }
}

pub(super) fn drop_reference(task: TaskPtr) {
    if task.header().refs.fetch_sub(1, Ordering::Release) == 1 {
        // Pairs with the decrements of the other threads, so that their uses of the task happen
        // before it is freed. Not a fence, because ThreadSanitizer does not know fences.
        task.header().refs.load(Ordering::Acquire);
        // SAFETY: this was the last reference.
        unsafe { task.free() }
    }
}

/// A counted reference to a woken task, sent to the loop as a message.
pub(crate) struct ForeignWake(TaskPtr);

// SAFETY: it is a waker's reference (rule 2). Dropping it touches only `refs`, or frees a task that
// holds no user value any more (rule 5). `deliver` takes a `LocalQueue`, the proof that the caller
// is on the loop's thread.
unsafe impl Send for ForeignWake {}

impl ForeignWake {
    /// Queues the task.
    pub(crate) fn deliver(self, queue: LocalQueue<'_>) {
        self.0.enqueue_foreign(queue);
    }
}

impl Drop for ForeignWake {
    fn drop(&mut self) {
        drop_reference(self.0);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::mem::ManuallyDrop;
    use std::process::Command;

    use crate::task::inbox::Inbox;
    use crate::task::shared_state::SharedOwner;

    // W11
    #[test]
    fn a_count_of_wakers_that_would_overflow_ends_the_process() {
        if std::env::var_os("SQUALL_CHILD").is_some() {
            let reactor = squall_reactor::Reactor::<()>::new().unwrap();
            let owner = SharedOwner::new(Inbox::new(reactor.notifier()));
            let task = TaskPtr::allocate(std::future::pending::<()>, owner.new_ref());
            task.header().refs.store(isize::MAX.cast_unsigned() + 1, Ordering::Relaxed);
            // SAFETY: the task is alive. The waker has no counted reference, and is never dropped.
            let waker = ManuallyDrop::new(unsafe { Waker::from_raw(raw(task)) });
            let _ = std::panic::catch_unwind(|| waker.clone());
            std::process::exit(0);
        }
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args([
            "--exact",
            "task::waker::tests::a_count_of_wakers_that_would_overflow_ends_the_process",
        ]);
        let output = child.env("SQUALL_CHILD", "1").output().unwrap();
        let signal = std::os::unix::process::ExitStatusExt::signal(&output.status);
        assert_eq!(signal, Some(6 /* SIGABRT */), "{output:?}");
    }
}
