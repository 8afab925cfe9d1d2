//! A task: one allocation that holds a future and then its output.
//!
//! This is one file because the safety arguments of the task's functions all rest on the rules
//! below and on fields that no other file can reach.
//!
//! ```text
//!            spawn                    poll: Ready, panic
//!   ──────▶ QUEUED ──pop──▶ polled ───────────────────────▶ CLOSED ──completed──▶ DONE
//!              ▲              │ Pending     pop of ABORTED ──▲
//!              └──── wake ────┘             end of the loop ─┘
//! ```
//!
//! # Which thread may touch what
//! *Local* means on the loop's thread.
//! 1. The *stage* (future or output), the flags, the key and the joiner are local.
//! 2. Other threads hold wakers. They touch `refs`, `notified` and `shared`, and nothing else.
//! 3. `refs` counts wakers, plus *one* for all local references together. That one is held while
//!    the task is LISTED or has a HANDLE. An entry of the ready queue is not counted, because a
//!    task stays listed until it is finished *and* not queued. So a local wake does no atomic
//!    read-modify-write.
//! 4. A foreign wake is a wake on another thread. It swaps `notified`, even if the flag is set
//!    already: the swap publishes what the waking thread wrote before. A wake that finds the flag
//!    clear sends the task to the inbox. The loop clears the flag, also with a swap, only just
//!    before it polls a task that came through the inbox. So a poll sees all writes that precede
//!    the wakes that it handles, and a burst of wakes costs at most two polls.
//! 5. The local reference is dropped only after the stage is empty. The thread that drops the last
//!    reference frees memory that holds no user value: futures and outputs are dropped on the
//!    loop's thread only.
//!
//! The wakers are in [`waker`](super::waker). Under `--cfg loom` the flags are loom cells, and
//! `models/tasks.rs` checks these rules.

#![allow(unsafe_code, reason = "a task is shared with wakers through raw pointers")]

use std::any::Any;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::task::{Context, Poll, Waker};

use crate::error::JoinError;
use crate::insight::panics::{report, shield};
use crate::sync::{AtomicBool, AtomicUsize, Cell, FreeCheck, Ordering, UnsafeCell};
use crate::task::block_pool;
use crate::task::entry::Entry;
use crate::task::shared_state::{LocalQueue, SharedRef, SharedState};
use crate::task::waker;

/// The task is in the ready queue.
const QUEUED: u8 = 1;
/// The task came through the inbox: the loop clears `notified` before the next poll.
const FOREIGN: u8 = 2;
/// The task is not polled again and ignores wakes.
const CLOSED: u8 = 4;
/// The stage holds the outcome, or is empty: the handle took the outcome, or there is no handle.
const DONE: u8 = 8;
/// The loop cancels the task, instead of polling it, when it pops the task.
const ABORTED: u8 = 16;
/// A `JoinHandle` exists.
const HANDLE: u8 = 32;
/// The task is in the task list of its loop.
const LISTED: u8 = 64;
/// The task represents the future of a `block_on`; see [`root_future`](super::root_future).
const ROOT: u8 = 128;

/// Only this file and [`waker`] touch the fields, under the rules above.
pub(super) struct Header {
    vtable: &'static TaskVTable,
    pub(super) shared: SharedRef,
    /// The number of wakers, plus one for all local references (rule 3).
    pub(super) refs: AtomicUsize,
    /// Foreign wakes set it, and the loop clears it (rule 4).
    pub(super) notified: AtomicBool,
    flags: Cell<u8>,
    /// The place in the task list while LISTED.
    key: Cell<TaskKey>,
    /// The waker of the task that awaits the outcome. The loop takes it when the task is DONE.
    joiner: UnsafeCell<Option<Waker>>,
    /// The loom models use it to find a use after the task is freed.
    free_check: FreeCheck,
}

/// The `repr(C)` makes a pointer to a task a valid pointer to its header.
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

/// The functions that depend on the future's type. Each needs a live task. All but `free` must run
/// on the loop's thread.
struct TaskVTable {
    poll: unsafe fn(TaskPtr, &mut Context<'_>) -> Poll<()>,
    cancel: OnTask,
    take_outcome: unsafe fn(TaskPtr, *mut ()),
    drop_handle: OnTask,
    free: OnTask,
}

type OnTask = unsafe fn(TaskPtr);

/// A task's place in the list of its loop. After the task's end it may name a later task. A holder
/// that may outlive the task must only wake it, which does no harm to another task.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TaskKey(u32);

impl TaskKey {
    /// Names no task.
    pub(crate) const NONE: TaskKey = TaskKey(u32::MAX);

    /// # Panics
    /// If the index does not fit. A list of 2³² tasks would not fit into memory.
    pub(crate) fn new(index: usize) -> TaskKey {
        TaskKey(u32::try_from(index).expect("fewer than 2^32 tasks"))
    }

    #[inline]
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A pointer to a task. The code that stores one explains why the task outlives the pointer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TaskPtr(pub(super) NonNull<Header>);

/// The state of a task after [`TaskPtr::run`].
pub(crate) enum Ran {
    /// The task will be polled again, or is queued again. It stays in the task list.
    Unfinished,
    /// As `Unfinished`, and the task is the stand-in of a root future, which must be polled now.
    StandIn,
    /// The task is finished and not queued. The caller must [`unlist`](TaskPtr::unlist) it.
    Finished,
    /// The task had finished before it was popped. The caller must unlist it.
    Stale,
}

impl TaskPtr {
    /// Makes a task that is LISTED, has a HANDLE and is not queued yet. `make` returns its future.
    pub(crate) fn allocate<F: Future + 'static>(
        make: impl FnOnce() -> F,
        shared: SharedRef,
    ) -> TaskPtr {
        // Without a destructor that an unwind would run, the compiler builds the future in its place,
        // or moves it there once. Only a failed allocation could unwind here, and that would leak it.
        let make = ManuallyDrop::new(make);
        let place = block_pool::allocate();
        let header = Header {
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
            key: Cell::new(TaskKey::NONE),
            joiner: UnsafeCell::new(None),
            free_check: FreeCheck::new(),
        };
        let stage = UnsafeCell::new(Stage::Running(ManuallyDrop::into_inner(make)()));
        // SAFETY: `place` was just allocated for a value of this type.
        unsafe { place.write(Task { header, stage }) };
        TaskPtr(place.cast())
    }

    pub(super) fn header(&self) -> &Header {
        // SAFETY: the task is alive, because only the list, a handle, a queue entry (covered by the
        // list, rule 3) and a counted waker hold a `TaskPtr`. The header is only borrowed as
        // shared; the fields that change are cells or atomics.
        let header = unsafe { self.0.as_ref() };
        header.free_check.record_use();
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

    pub(crate) fn key(self) -> TaskKey {
        self.header().key.get()
    }

    pub(crate) fn set_key(self, key: TaskKey) {
        self.header().key.set(key);
    }

    /// Whether the task belongs to the loop whose shared state is at this address.
    #[inline]
    pub(crate) fn is_at(self, shared: *const SharedState) -> bool {
        ptr::eq(&raw const *self.header().shared, shared)
    }

    pub(crate) fn is_queued(self) -> bool {
        self.has(QUEUED)
    }

    pub(crate) fn is_done(self) -> bool {
        self.has(DONE)
    }

    /// Whether the task represents the future of a `block_on`.
    pub(crate) fn is_root(self) -> bool {
        self.has(ROOT)
    }

    pub(crate) fn set_root(self) {
        self.set(ROOT);
    }

    /// Whether this process is a fork of the one that made the task. The task never runs here.
    pub(crate) fn is_forked(self) -> bool {
        self.header().shared.inbox.is_forked()
    }

    /// Queues the task unless it is QUEUED or CLOSED. A local wake does nothing else.
    #[inline]
    pub(crate) fn enqueue(self, queue: LocalQueue<'_>) {
        let cell = &self.header().flags;
        let flags = cell.get();
        if flags & (QUEUED | CLOSED) == 0 {
            cell.set(flags | QUEUED);
            queue.push(Entry::Task(self));
        }
    }

    /// Queues a task that came through the inbox, and marks it FOREIGN even if it is queued
    /// already.
    pub(super) fn enqueue_foreign(self, queue: LocalQueue<'_>) {
        if !self.has(CLOSED) {
            self.set(FOREIGN);
            self.enqueue(queue);
        }
    }

    /// Runs a task that was popped from the ready queue: polls it, or cancels it if it was aborted.
    #[inline(always)] // the road of every poll
    pub(crate) fn run(self) -> Ran {
        let cell = &self.header().flags;
        let flags = cell.get();
        cell.set(flags & !(QUEUED | FOREIGN));
        if flags & (FOREIGN | CLOSED | ABORTED | ROOT) != 0 {
            return self.run_special(flags);
        }
        match self.poll() {
            Poll::Pending => Ran::Unfinished,
            Poll::Ready(()) => self.ran_to_its_end(),
        }
    }

    /// As [`run`](Self::run), for a task with any of the flags that are tested there.
    #[inline(never)]
    fn run_special(self, flags: u8) -> Ran {
        if flags & FOREIGN != 0 {
            // Acquires what the waking threads wrote before their swaps. A later wake sends the
            // task again.
            self.header().notified.swap(false, Ordering::AcqRel);
        }
        if flags & CLOSED != 0 {
            return Ran::Stale;
        }
        if flags & ABORTED != 0 {
            self.cancel();
        } else if self.poll().is_pending() {
            return if flags & ROOT != 0 { Ran::StandIn } else { Ran::Unfinished };
        }
        self.ran_to_its_end()
    }

    /// Polls the future. The task is LISTED and not CLOSED.
    #[inline(always)]
    fn poll(self) -> Poll<()> {
        self.with_waker(|waker| {
            // SAFETY: the list keeps the task alive, this is the loop's thread, and the task is not
            // CLOSED, so the stage still holds the future.
            unsafe { (self.header().vtable.poll)(self, &mut Context::from_waker(waker)) }
        })
    }

    /// Calls `f` with the task's waker. The list or a handle keeps the task alive meanwhile.
    #[inline(always)]
    pub(super) fn with_waker<R>(self, f: impl FnOnce(&Waker) -> R) -> R {
        // SAFETY: the waker lives only during this call and is not dropped, so it needs no counted
        // reference. The caller keeps the task alive meanwhile.
        let waker = ManuallyDrop::new(unsafe { Waker::from_raw(waker::raw(self)) });
        f(&waker)
    }

    /// Wakes the task that awaits the outcome.
    #[inline]
    fn ran_to_its_end(self) -> Ran {
        self.wake_joiner();
        if self.has(QUEUED) { Ran::Unfinished } else { Ran::Finished }
    }

    /// Drops the future now, on the loop's thread, and completes the task as cancelled.
    pub(crate) fn cancel(self) {
        // SAFETY: the callers are on the loop's thread, and pass a listed task that is not CLOSED.
        unsafe { (self.header().vtable.cancel)(self) }
    }

    /// The number of wakers of a LISTED task.
    pub(crate) fn wakers(self) -> usize {
        self.header().refs.load(Ordering::Acquire) - 1
    }

    /// Whether another task awaits the outcome.
    pub(crate) fn has_joiner(self) -> bool {
        self.with_joiner(|joiner| joiner.as_ref().is_some_and(waker::is_task_waker))
    }

    /// Wakes the task that awaits the outcome.
    pub(crate) fn wake_joiner(self) {
        if let Some(joiner) = self.with_joiner(Option::take) {
            shield("a waker", || joiner.wake());
        }
    }

    /// Calls `f` with the joiner's slot. `f` must not call foreign code.
    fn with_joiner<R>(self, f: impl FnOnce(&mut Option<Waker>) -> R) -> R {
        self.header().joiner.with_mut(|joiner| {
            // SAFETY: this is the loop's thread, and every `f` is in this file and does not call
            // this function again. So this is the only reference.
            f(unsafe { &mut *joiner })
        })
    }

    /// Clears LISTED, and drops the local reference unless a handle still holds it.
    pub(crate) fn unlist(self) {
        self.clear(LISTED);
        self.release_local();
    }

    /// Clears QUEUED, for a task whose queue entry was discarded.
    pub(crate) fn unqueue(self) {
        self.clear(QUEUED);
    }

    /// Drops the local reference if the task is neither LISTED nor has a HANDLE.
    fn release_local(self) {
        if self.has(LISTED | HANDLE) {
            return;
        }
        let refs = &self.header().refs;
        // A count of one means that no waker exists, and none can appear, because only a waker or a
        // poll makes one. The load pairs with the decrement in `drop_reference` and saves a
        // read-modify-write.
        if refs.load(Ordering::Acquire) == 1 {
            // SAFETY: this is the only reference.
            unsafe { self.free() }
        } else {
            waker::drop_reference(self);
        }
    }

    /// Frees the task.
    ///
    /// # Safety
    /// The caller had the last reference.
    pub(super) unsafe fn free(self) {
        // SAFETY: the caller guarantees that the reference was the last one.
        unsafe { (self.header().vtable.free)(self) }
    }
}

/// The functions that a `JoinHandle` calls, all on the loop's thread.
impl TaskPtr {
    /// Drops the waker and an outcome that was not taken. Clears HANDLE, and drops the local
    /// reference unless the list still holds it.
    pub(crate) fn drop_handle(self) {
        let joiner = self.with_joiner(Option::take);
        // SAFETY: the handle has kept the task alive until now, and this is the loop's thread.
        unsafe { (self.header().vtable.drop_handle)(self) }
        shield("the destructor of a waker", || drop(joiner));
    }

    /// Asks the loop to drop the future. The loop does so when it pops the task.
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

    /// Takes the outcome of a DONE task; otherwise stores the waker.
    ///
    /// # Safety
    /// `T` is the output type of the task's future. The caller is the task's only handle.
    pub(crate) unsafe fn poll_outcome<T>(self, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        if !self.is_done() {
            if self.is_forked() {
                return Poll::Ready(Err(JoinError::cancelled()));
            }
            self.store_joiner(cx.waker());
            // The clone of a foreign waker may have run code that ended the task.
            if !self.is_done() {
                return Poll::Pending;
            }
        }
        let mut outcome: Poll<Result<T, JoinError>> = Poll::Pending;
        // SAFETY: the handle keeps the task alive, and this is the loop's thread. `take_outcome`
        // writes a value of `outcome`'s type.
        unsafe { (self.header().vtable.take_outcome)(self, (&raw mut outcome).cast()) };
        outcome
    }

    /// Makes `waker` the one that the end of the task wakes, unless the task ends meanwhile.
    fn store_joiner(self, waker: &Waker) {
        let is_stored = self.with_joiner(|joiner| match joiner {
            Some(joiner) => joiner.will_wake(waker),
            None => false,
        });
        if !is_stored {
            // Clone and drop run a foreign waker's code, so they happen while the slot is not
            // borrowed.
            let waker = waker.clone();
            if !self.is_done() {
                drop(self.with_joiner(|joiner| joiner.replace(waker)));
            }
        }
    }
}

fn stage_of<F: Future, R>(task: TaskPtr, f: impl FnOnce(*mut Stage<F>) -> R) -> R {
    // SAFETY: the task was allocated as a `Task<F>`, because only the functions in the vtable that
    // `allocate::<F>` stored call this one.
    let task = unsafe { task.0.cast::<Task<F>>().as_ref() };
    task.stage.with_mut(f)
}

unsafe fn poll<F: Future>(task: TaskPtr, cx: &mut Context<'_>) -> Poll<()> {
    let polled = catch_unwind(AssertUnwindSafe(|| {
        stage_of::<F, _>(task, |stage| {
            // SAFETY: this is the loop's thread, and only this function reaches the stage of a
            // running task: the handle touches it only when the task is DONE.
            let Stage::Running(future) = (unsafe { &mut *stage }) else {
                unreachable!("a finished task was polled")
            };
            // SAFETY: the future is not moved: it stays in this allocation until it is dropped in
            // place.
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

/// Drops the future, then stores the outcome for the handle, or drops it if there is no handle.
///
/// Inlined, so that the outcome is built in place.
#[inline]
fn complete<F: Future>(task: TaskPtr, outcome: Result<F::Output, JoinError>) {
    // CLOSED is set first, so that a wake in the future's destructor does not queue this task
    // again.
    task.set(CLOSED);
    // The future is dropped before the check for a handle, because it may own the handle.
    empty_stage::<F>(task, "the destructor of a task");
    if task.has(HANDLE) {
        stage_of::<F, _>(task, |stage| {
            // SAFETY: this is the loop's thread. The stage is empty, so no value is lost, and
            // nothing reads it before DONE.
            unsafe { stage.write(Stage::Finished(outcome)) }
        });
    } else {
        discard::<F>(outcome);
    }
    task.set(DONE);
}

/// Drops the value of the stage in place. Reports a panic of its destructor.
fn empty_stage<F: Future>(task: TaskPtr, what: &str) {
    stage_of::<F, _>(task, |stage| {
        // `shield` never unwinds, so a dropped value never stays in the stage.
        shield(what, || {
            // SAFETY: this is the loop's thread. Code that the destructor calls finds the task
            // CLOSED and not DONE, or without a handle, so it does not touch the stage.
            unsafe { ptr::drop_in_place(stage) }
        });
        // SAFETY: the old value is dropped already, even if its destructor panicked, so it is only
        // overwritten.
        unsafe { stage.write(Stage::Empty) };
    });
}

/// Moves the outcome to `into`, which points to a `Poll<Result<F::Output, JoinError>>`.
///
/// # Panics
/// If the outcome was already taken.
unsafe fn take_outcome<F: Future>(task: TaskPtr, into: *mut ()) {
    stage_of::<F, _>(task, |stage| {
        // SAFETY: this is the loop's thread. The task is DONE, so only its handle, the caller,
        // touches the stage.
        let stage = unsafe { &mut *stage };
        let Stage::Finished(outcome) = std::mem::replace(stage, Stage::Empty) else {
            panic!("a JoinHandle was polled after it had completed")
        };
        let into = into.cast::<Poll<Result<F::Output, JoinError>>>();
        // SAFETY: `poll_outcome` passes a pointer to a slot of this type.
        unsafe { into.write(Poll::Ready(outcome)) };
    });
}

unsafe fn drop_handle<F: Future>(task: TaskPtr) {
    let untaken = stage_of::<F, _>(task, |stage| {
        if !task.is_done() {
            return None;
        }
        // SAFETY: this is the loop's thread. The task is DONE, so only its handle, the caller,
        // touches the stage.
        let stage = unsafe { &mut *stage };
        matches!(stage, Stage::Finished(_)).then(|| std::mem::replace(stage, Stage::Empty))
    });
    task.clear(HANDLE);
    task.release_local();
    // The task may be freed, and is not touched any more. The outcome's destructor may even end the
    // loop.
    if let Some(Stage::Finished(outcome)) = untaken {
        discard::<F>(outcome);
    }
}

/// Drops an outcome that no handle will take. If the task panicked, reports that panic.
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
    task.header().free_check.record_free();
    let task = task.0.cast::<Task<F>>();
    // SAFETY: `TaskPtr::allocate::<F>` wrote a `Task<F>`, and this was the last reference. The
    // stage is empty by rule 5, so no user value is dropped here.
    unsafe { task.drop_in_place() };
    // SAFETY: the memory is from `block_pool::allocate`, and its value was just dropped.
    unsafe { block_pool::release(task) };
}
