//! A task: one allocation that holds a future, then its output, and the rules for which thread may touch what.
//!
//! ```text
//!            spawn                    poll: Ready, panic
//!   ──────▶ QUEUED ──pop──▶ polled ───────────────────────▶ CLOSED ──completed──▶ DONE
//!              ▲              │ Pending     pop of ABORTED ──▲
//!              └──── wake ────┘             end of the loop ─┘
//! ```
//!
//! # Who may touch what
//! *Local* means: on the loop's thread.
//! 1. The *stage* (future or output), the flags, the key and the joiner are local.
//! 2. Other threads hold wakers. They touch `refs`, `notified` and `shared`, and nothing else.
//! 3. `refs` counts wakers, plus *one* for everything local together: that one is held while the task is LISTED or
//!    has a HANDLE. An entry of the ready queue is not counted, because a task stays listed until it is finished *and*
//!    not queued. So a local wake does no atomic read-modify-write at all.
//! 4. A foreign wake, one on another thread, is a swap on `notified`, also when the flag is set already: the swap publishes what the
//!    waking thread wrote before. The wake that finds the flag clear sends the task to the inbox. The loop clears it, with a swap again,
//!    only just before it polls a task that came through the inbox. So a poll sees every write of the wakes that it answers, and one
//!    burst of wakes costs at most two polls.
//! 5. The local reference ends when the stage is empty. The thread that drops the last reference frees memory in which
//!    nothing of the user is left: futures and outputs are dropped on the loop's thread only.
//!
//! The wakers are in [`waker`](super::waker). Under `--cfg loom` the flags are loom cells, and `models.rs` checks these rules.

#![allow(unsafe_code, reason = "a task is shared with wakers through raw pointers")]

use std::any::Any;
use std::future::Future;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::task::{Context, Poll, Waker};

use crate::error::JoinError;
use crate::insight::panics::{report, shield};
use crate::sync::{AtomicBool, AtomicUsize, Cell, Life, Ordering, UnsafeCell};
use crate::task::block_pool;
use crate::task::entry::Entry;
use crate::task::shared_state::{LocalQueue, SharedRef};
use crate::task::waker;

/// In the ready queue.
const QUEUED: u8 = 1;
/// Came through the inbox: clear `notified` before the next poll.
const FOREIGN: u8 = 2;
/// Will not be polled again; wakes do nothing.
const CLOSED: u8 = 4;
/// The stage holds the outcome, or is empty because no handle can ask for it.
const DONE: u8 = 8;
/// To be cancelled instead of polled when it is popped.
const ABORTED: u8 = 16;
/// A `JoinHandle` exists.
const HANDLE: u8 = 32;
/// In the task list of its loop.
const LISTED: u8 = 64;
/// Stands for the future of a `block_on`; see [`root_future`](super::root_future).
const ROOT: u8 = 128;

/// Fields are touched by this file and by [`waker`], under the rules above.
pub(super) struct Header {
    vtable: &'static TaskVTable,
    pub(super) shared: SharedRef,
    /// Wakers, plus one for everything local (rule 3).
    pub(super) refs: AtomicUsize,
    /// Set by foreign wakes, cleared by the loop (rule 4).
    pub(super) notified: AtomicBool,
    flags: Cell<u8>,
    /// The place in the task list while LISTED. A list of 2³² tasks would need more memory than there is.
    key: Cell<u32>,
    /// The waker of the task that awaits the outcome. Empty once DONE.
    joiner: UnsafeCell<Option<Waker>>,
    /// For the models.
    life: Life,
}

/// `repr(C)`: a pointer to a task is a pointer to its header.
#[repr(C)]
struct Task<F: Future> {
    header: Header,
    stage: UnsafeCell<Stage<F>>,
}

enum Stage<F: Future> {
    Running(F),
    Finished(Result<F::Output, JoinError>),
    Empty,
}

/// The functions that depend on the future's type. Each needs a live task; all but `free` must run on the loop's thread.
struct TaskVTable {
    poll: unsafe fn(TaskPtr, &mut Context<'_>) -> Poll<()>,
    cancel: unsafe fn(TaskPtr),
    take_outcome: unsafe fn(TaskPtr, *mut ()),
    drop_handle: unsafe fn(TaskPtr),
    free: unsafe fn(TaskPtr),
}

/// A pointer to a task. Each place that stores one says why the task outlives it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TaskPtr(pub(super) NonNull<Header>);

/// What became of a task that was popped from the ready queue.
pub(crate) enum Ran {
    /// It will be polled again, or is queued once more: it stays in the task list.
    Unfinished,
    /// It is finished and not queued: the caller must [`unlist`](TaskPtr::unlist) it.
    Finished,
    /// It was finished before: the pop answered a wake that came too late. The caller must unlist it.
    Stale,
}

impl TaskPtr {
    /// Makes a task that is LISTED, has a HANDLE and is not queued yet.
    pub(crate) fn allocate<F: Future + 'static>(future: F, shared: SharedRef) -> TaskPtr {
        let place = block_pool::allocate();
        let task = Task {
            header: Header {
                vtable: const {
                    &TaskVTable {
                        poll: poll::<F>,
                        cancel: cancel::<F>,
                        take_outcome: take_outcome::<F>,
                        drop_handle: drop_handle::<F>,
                        free: free::<F>,
                    }
                },
                shared,
                refs: AtomicUsize::new(1),
                notified: AtomicBool::new(false),
                flags: Cell::new(LISTED | HANDLE),
                key: Cell::new(0),
                joiner: UnsafeCell::new(None),
                life: Life::begin(),
            },
            stage: UnsafeCell::new(Stage::Running(future)),
        };
        // SAFETY: the place was just allocated for it.
        unsafe { place.write(task) };
        TaskPtr(place.cast())
    }

    pub(super) fn header(&self) -> &Header {
        // SAFETY: the task is alive: a `TaskPtr` is held by the list, by a handle, by a queue entry (covered by the
        // list, rule 3) or by a counted waker. The header is only ever shared; what changes in it are cells.
        let header = unsafe { self.0.as_ref() };
        header.life.used();
        header
    }

    fn has(self, flags: u8) -> bool {
        self.header().flags.get() & flags != 0
    }

    fn set(self, flags: u8) {
        let cell = &self.header().flags;
        cell.set(cell.get() | flags);
    }

    fn clear(self, flags: u8) {
        let cell = &self.header().flags;
        cell.set(cell.get() & !flags);
    }

    pub(crate) fn key(self) -> usize {
        self.header().key.get() as usize
    }

    pub(crate) fn set_key(self, key: usize) {
        self.header().key.set(u32::try_from(key).expect("fewer than 2^32 tasks"));
    }

    pub(crate) fn is_queued(self) -> bool {
        self.has(QUEUED)
    }

    pub(crate) fn is_done(self) -> bool {
        self.has(DONE)
    }

    /// Whether it stands for the future of a `block_on`.
    pub(crate) fn is_root(self) -> bool {
        self.has(ROOT)
    }

    pub(crate) fn set_root(self) {
        self.set(ROOT);
    }

    /// Whether the task belongs to another process, of which this one is a fork. Here it never runs.
    pub(crate) fn is_forked(self) -> bool {
        self.header().shared.inbox.is_forked()
    }

    /// Queues the task unless it is queued or closed: the whole cost of a local wake.
    #[inline]
    pub(crate) fn enqueue(self, queue: LocalQueue<'_>) {
        let cell = &self.header().flags;
        let flags = cell.get();
        if flags & (QUEUED | CLOSED) == 0 {
            cell.set(flags | QUEUED);
            queue.push(Entry::Task(self));
        }
    }

    /// Queues a task that came through the inbox, or marks the queued one, so that `notified` is cleared before its poll.
    pub(super) fn enqueue_foreign(self, queue: LocalQueue<'_>) {
        if !self.has(CLOSED) {
            self.set(FOREIGN);
            self.enqueue(queue);
        }
    }

    /// Answers one pop from the ready queue: polls the task, or cancels it if it was aborted.
    #[inline]
    pub(crate) fn run(self) -> Ran {
        let header = self.header();
        let flags = header.flags.get();
        header.flags.set(flags & !(QUEUED | FOREIGN));
        if flags & FOREIGN != 0 {
            // Acquires what the waking threads wrote before their swaps; a wake from here on sends the task again.
            header.notified.swap(false, Ordering::AcqRel);
        }
        if flags & CLOSED != 0 {
            return Ran::Stale;
        }
        if flags & ABORTED != 0 {
            self.cancel();
        } else {
            // SAFETY: the waker borrows the task for the length of this call and is not dropped, so it needs no
            // reference of its own; the list keeps the task alive meanwhile.
            let waker = ManuallyDrop::new(unsafe { Waker::from_raw(waker::raw(self)) });
            // SAFETY: alive by the list, on the loop's thread, and not closed: the stage is still running.
            let polled = unsafe { (header.vtable.poll)(self, &mut Context::from_waker(&waker)) };
            if polled.is_pending() {
                return Ran::Unfinished;
            }
        }
        self.wake_joiner();
        if self.has(QUEUED) { Ran::Unfinished } else { Ran::Finished }
    }

    /// Drops the future now, on the loop's thread, and completes the task as cancelled.
    pub(crate) fn cancel(self) {
        // SAFETY: called on the loop's thread for a listed task that is not closed.
        unsafe { (self.header().vtable.cancel)(self) }
    }

    /// Wakes the task that awaits the outcome.
    pub(crate) fn wake_joiner(self) {
        if let Some(joiner) = self.joiner(Option::take) {
            shield("a waker", || joiner.wake());
        }
    }

    /// Runs `f` on the joiner's slot; `f` must not call foreign code.
    fn joiner<R>(self, f: impl FnOnce(&mut Option<Waker>) -> R) -> R {
        self.header().joiner.with_mut(|joiner| {
            // SAFETY: on the loop's thread, and `f` comes from this file and cannot come back here.
            f(unsafe { &mut *joiner })
        })
    }

    /// Gives up the list's reference.
    pub(crate) fn unlist(self) {
        self.clear(LISTED);
        self.release_local();
    }

    /// Notes that the queue entry of this task will never be popped.
    pub(crate) fn unqueue(self) {
        self.clear(QUEUED);
    }

    /// Frees the task if it is neither listed nor has a handle, and no waker is left.
    fn release_local(self) {
        if self.has(LISTED | HANDLE) {
            return;
        }
        let refs = &self.header().refs;
        // One means that no waker exists, and none can appear: only a waker or a poll makes one. The load pairs with
        // the decrement in `drop_reference` and spares a read-modify-write.
        if refs.load(Ordering::Acquire) == 1 {
            // SAFETY: this is the only reference.
            unsafe { self.free() }
        } else {
            waker::drop_reference(self);
        }
    }

    /// # Safety
    /// The caller had the last reference.
    pub(super) unsafe fn free(self) {
        // SAFETY: passed on to the caller.
        unsafe { (self.header().vtable.free)(self) }
    }
}

/// The handle's half, all of it on the loop's thread.
impl TaskPtr {
    /// Gives up the handle's reference, and drops an outcome that was not taken.
    pub(crate) fn drop_handle(self) {
        let joiner = self.joiner(Option::take);
        // SAFETY: the handle keeps the task alive until here, on the loop's thread.
        unsafe { (self.header().vtable.drop_handle)(self) }
        shield("the destructor of a waker", || drop(joiner));
    }

    /// Asks the loop to drop the future; the loop does so when it pops the task.
    pub(crate) fn abort(self) {
        if !self.has(CLOSED) {
            self.set(ABORTED);
            self.wake();
        }
    }

    /// Wakes the task as one of its wakers would.
    pub(crate) fn wake(self) {
        waker::wake_by_ref(self);
    }

    /// Takes the outcome of a DONE task.
    ///
    /// # Safety
    /// `T` is the output of the task's future. Called through the task's only handle.
    pub(crate) unsafe fn poll_outcome<T>(self, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        if self.is_done() {
            let mut outcome = MaybeUninit::<Poll<Result<T, JoinError>>>::uninit();
            // SAFETY: alive by the handle, on the loop's thread; `outcome` is of the type that `take_outcome` writes.
            unsafe { (self.header().vtable.take_outcome)(self, outcome.as_mut_ptr().cast()) };
            // SAFETY: `take_outcome` has written it, or panicked.
            return unsafe { outcome.assume_init() };
        }
        if self.is_forked() {
            return Poll::Ready(Err(JoinError::cancelled()));
        }
        let is_known = self.joiner(|joiner| match joiner {
            Some(joiner) => joiner.will_wake(cx.waker()),
            None => false,
        });
        if !is_known {
            // Cloned and dropped outside of the slot's borrow: a foreign waker's code runs there.
            let waker = cx.waker().clone();
            if self.is_done() {
                // SAFETY: as for this call. The clone itself has ended the task.
                return unsafe { self.poll_outcome(cx) };
            }
            drop(self.joiner(|joiner| joiner.replace(waker)));
        }
        Poll::Pending
    }
}

fn stage_of<F: Future, R>(task: TaskPtr, f: impl FnOnce(*mut Stage<F>) -> R) -> R {
    // SAFETY: the task was allocated as a `Task<F>`: this function is instantiated only by the vtable that
    // `allocate::<F>` stored.
    let task = unsafe { task.0.cast::<Task<F>>().as_ref() };
    task.stage.with_mut(f)
}

unsafe fn poll<F: Future>(task: TaskPtr, cx: &mut Context<'_>) -> Poll<()> {
    let polled = catch_unwind(AssertUnwindSafe(|| {
        stage_of::<F, _>(task, |stage| {
            // SAFETY: on the loop's thread, and only this function reaches the stage of a running task: the handle touches
            // it only when the task is DONE.
            let Stage::Running(future) = (unsafe { &mut *stage }) else {
                unreachable!("a finished task was polled")
            };
            // SAFETY: the future stays in this allocation until it is dropped in place.
            unsafe { Pin::new_unchecked(future) }.poll(cx)
        })
    }));
    match polled {
        Ok(Poll::Pending) => return Poll::Pending,
        Ok(Poll::Ready(output)) => complete::<F>(task, Ok(output)),
        Err(payload) => complete_panicked::<F>(task, payload),
    }
    Poll::Ready(())
}

unsafe fn cancel<F: Future>(task: TaskPtr) {
    complete::<F>(task, Err(JoinError::cancelled()));
}

#[cold]
fn complete_panicked<F: Future>(task: TaskPtr, payload: Box<dyn Any + Send>) {
    complete::<F>(task, Err(JoinError::panicked(payload)));
}

/// Drops the future, then keeps the outcome for the handle, or drops it if there is none.
///
/// Inlined, so that the outcome is made where it stays.
#[inline]
fn complete<F: Future>(task: TaskPtr, outcome: Result<F::Output, JoinError>) {
    // Closed first: what the future's destructor wakes must not queue this task again.
    task.set(CLOSED);
    // The future goes before the look for a handle, because it may own the handle.
    empty::<F>(task, "the destructor of a task");
    if task.has(HANDLE) {
        stage_of::<F, _>(task, |stage| {
            // SAFETY: on the loop's thread; the stage is empty, so nothing is overwritten, and it is not read before DONE.
            unsafe { stage.write(Stage::Finished(outcome)) }
        });
    } else {
        discard::<F>(outcome);
    }
    task.set(DONE);
}

/// Drops in place what the stage holds; a panic of its destructor is reported.
fn empty<F: Future>(task: TaskPtr, what: &str) {
    stage_of::<F, _>(task, |stage| {
        // `shield` never unwinds, so the stage does not keep a value that was dropped.
        shield(what, || {
            // SAFETY: on the loop's thread, and whatever the destructor calls finds the task closed and not DONE, or
            // without a handle: it does not come back to the stage.
            unsafe { ptr::drop_in_place(stage) }
        });
        // SAFETY: the old value is dropped, whether or not its destructor panicked, so it is overwritten, not dropped.
        unsafe { stage.write(Stage::Empty) };
    });
}

/// Writes a `Poll<Result<F::Output, JoinError>>`.
///
/// # Panics
/// If the outcome was taken before.
unsafe fn take_outcome<F: Future>(task: TaskPtr, into: *mut ()) {
    stage_of::<F, _>(task, |stage| {
        // SAFETY: on the loop's thread; the task is DONE, so only its handle, the caller, touches the stage.
        let stage = unsafe { &mut *stage };
        let Stage::Finished(outcome) = std::mem::replace(stage, Stage::Empty) else {
            panic!("a JoinHandle was polled after it had completed")
        };
        let into = into.cast::<Poll<Result<F::Output, JoinError>>>();
        // SAFETY: `poll_outcome` passes a slot of this type.
        unsafe { into.write(Poll::Ready(outcome)) };
    });
}

unsafe fn drop_handle<F: Future>(task: TaskPtr) {
    let untaken = stage_of::<F, _>(task, |stage| {
        if !task.is_done() {
            return None;
        }
        // SAFETY: on the loop's thread; the task is DONE, so only its handle, the caller, touches the stage.
        let stage = unsafe { &mut *stage };
        matches!(stage, Stage::Finished(_)).then(|| std::mem::replace(stage, Stage::Empty))
    });
    task.clear(HANDLE);
    task.release_local();
    // The task may be gone, and is not touched any more: what runs now may even end the loop.
    if let Some(Stage::Finished(outcome)) = untaken {
        discard::<F>(outcome);
    }
}

/// Drops an outcome that no handle will take; a panic in it is reported.
fn discard<F: Future>(outcome: Result<F::Output, JoinError>) {
    match outcome {
        Ok(output) => shield("the destructor of a task's output", || drop(output)),
        Err(error) => {
            if let Ok(payload) = error.into_panic() {
                report("a task", payload);
            }
        }
    }
}

unsafe fn free<F: Future>(task: TaskPtr) {
    task.header().life.ends();
    let task = task.0.cast::<Task<F>>();
    // SAFETY: written as a `Task<F>` by `TaskPtr::allocate::<F>`, and this was the last reference. The stage is empty by rule 5, so
    // nothing of the user is dropped here.
    unsafe { task.drop_in_place() };
    // SAFETY: as above, and the value was just dropped.
    unsafe { block_pool::release(task) };
}
