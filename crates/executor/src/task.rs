//! A task: one allocation that holds a future, then its output, and the rules for who may touch it.
//!
//! ```text
//!            spawn                    poll: Ready, panic
//!   ──────▶ QUEUED ──pop──▶ polled ───────────────────────▶ DEAF ──settled──▶ DONE
//!              ▲              │ Pending     pop of ABORTED ──▲
//!              └──── wake ────┘             close of loop ───┘
//! ```
//!
//! # Who may touch what
//! 1. The *stage* (future or output), the flags, the key and the joiner belong to the home thread.
//! 2. Other threads hold wakers. They touch `refs`, `notified` and `shared`, and nothing else.
//! 3. `refs` counts wakers, plus *one* for everything at home together: that one is held while the task is LISTED or
//!    has a HANDLE. An entry of the ready queue is not counted, because a task stays listed until it is finished *and*
//!    not queued. So a wake at home does no atomic read-modify-write at all.
//! 4. A wake from elsewhere is a swap on `notified`, also when the flag is set already: the swap publishes what the
//!    waker wrote before. Whoever finds it clear sends the task to the inbox. The loop clears it, with a swap again, only
//!    just before it polls what the inbox brought; so a poll sees every write of the wakes that it answers, and one burst
//!    of wakes costs at most two polls.
//! 5. The home's hold ends when the stage is empty. Whoever lets go last, on whatever thread, frees memory in which
//!    nothing of the user is left: futures and outputs are dropped at home only.
//!
//! Under `--cfg loom` the flags are loom cells, and `models.rs` checks these rules.

#![allow(unsafe_code, reason = "a task is shared with wakers through raw pointers")]

use std::any::Any;
use std::future::Future;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::process::abort;
use std::ptr::{self, NonNull};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use crate::error::JoinError;
use crate::inbox::Message;
use crate::panics::{report, shield};
use crate::recycle;
use crate::shared::{AtHome, Entry, Loan};
use crate::sync::{AtomicBool, AtomicUsize, Cell, Life, Ordering, UnsafeCell, fence};

/// In the ready queue.
const QUEUED: u8 = 1;
/// Came through the inbox: clear `notified` before the next poll.
const FOREIGN: u8 = 2;
/// Will not be polled again; wakes do nothing.
const DEAF: u8 = 4;
/// The stage holds the outcome, or is empty because nobody can ask for it.
const DONE: u8 = 8;
/// To be cancelled instead of polled when it is popped.
const ABORTED: u8 = 16;
/// A `JoinHandle` exists.
const HANDLE: u8 = 32;
/// In the task list of its loop.
const LISTED: u8 = 64;

struct Header {
    vtable: &'static TaskVTable,
    shared: Loan,
    /// Wakers, plus one for the home (rule 3).
    refs: AtomicUsize,
    /// Set by foreign wakes, cleared by the loop (rule 4).
    notified: AtomicBool,
    flags: Cell<u8>,
    /// The place in the task list while LISTED. A list of 2³² tasks would need more memory than there is.
    key: Cell<u32>,
    /// Who waits for the outcome. Empty once DONE.
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

/// What depends on the future's type. Every function wants a live task and the home thread, `free` only the former.
struct TaskVTable {
    poll: unsafe fn(TaskPtr, &mut Context<'_>) -> Poll<()>,
    cancel: unsafe fn(TaskPtr),
    take_outcome: unsafe fn(TaskPtr, *mut ()),
    drop_handle: unsafe fn(TaskPtr),
    free: unsafe fn(TaskPtr),
}

/// A pointer to a task. Whoever stores one says why the task outlives it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TaskPtr(NonNull<Header>);

impl TaskPtr {
    /// Makes a task that is LISTED, has a HANDLE and is not queued yet.
    pub(crate) fn allocate<F: Future + 'static>(future: F, shared: Loan) -> TaskPtr {
        let place = recycle::allocate();
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

    fn header(&self) -> &Header {
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

    /// Tells whether it runs in another process, of which this one is a fork, and here no more.
    pub(crate) fn is_forked(self) -> bool {
        self.header().shared.inbox.is_forked()
    }

    /// Queues the task unless it is queued or deaf: the whole cost of a wake at home.
    #[inline]
    pub(crate) fn queue(self, home: AtHome<'_>) {
        let cell = &self.header().flags;
        let flags = cell.get();
        if flags & (QUEUED | DEAF) == 0 {
            cell.set(flags | QUEUED);
            home.push(Entry::Task(self));
        }
    }

    /// Answers one pop from the ready queue: polls the task, or cancels it if it was aborted.
    ///
    /// `true`: it is finished and not queued, so the caller must [`unlist`](Self::unlist) it.
    pub(crate) fn run(self) -> bool {
        let header = self.header();
        let flags = header.flags.get();
        header.flags.set(flags & !(QUEUED | FOREIGN));
        if flags & FOREIGN != 0 {
            // Acquires what the wakers wrote before their swaps; a wake from here on sends the task again.
            header.notified.swap(false, Ordering::AcqRel);
        }
        if flags & DEAF != 0 {
            return true;
        }
        if flags & ABORTED != 0 {
            self.cancel();
        } else {
            // SAFETY: the waker borrows the task for the length of this call and is not dropped, so it needs no
            // reference of its own; the list keeps the task alive meanwhile.
            let waker = ManuallyDrop::new(unsafe { Waker::from_raw(self.raw_waker()) });
            // SAFETY: alive by the list, on the home thread, and not deaf: the stage is still running.
            let polled = unsafe { (header.vtable.poll)(self, &mut Context::from_waker(&waker)) };
            if polled.is_pending() {
                return false;
            }
        }
        self.tell_joiner();
        !self.has(QUEUED)
    }

    /// Drops the future now, at home, and settles the task as cancelled.
    pub(crate) fn cancel(self) {
        // SAFETY: called on the home thread for a listed task that is not deaf.
        unsafe { (self.header().vtable.cancel)(self) }
    }

    /// Wakes whoever awaits the outcome.
    pub(crate) fn tell_joiner(self) {
        if let Some(joiner) = self.joiner(Option::take) {
            shield("a waker", || joiner.wake());
        }
    }

    /// Runs `f` on the joiner's slot; `f` must not call foreign code.
    fn joiner<R>(self, f: impl FnOnce(&mut Option<Waker>) -> R) -> R {
        self.header().joiner.with_mut(|joiner| {
            // SAFETY: on the home thread, and `f` comes from this file and cannot come back here.
            f(unsafe { &mut *joiner })
        })
    }

    /// Gives up the list's hold.
    pub(crate) fn unlist(self) {
        self.clear(LISTED);
        self.release_home();
    }

    /// Takes the task for one queue entry that will never be popped.
    pub(crate) fn unqueue(self) {
        self.clear(QUEUED);
    }

    /// Frees the task if nothing at home needs it any more and no waker is left.
    fn release_home(self) {
        if self.has(LISTED | HANDLE) {
            return;
        }
        let refs = &self.header().refs;
        // One means that no waker exists, and none can appear: only a waker or a poll makes one. The load pairs with
        // the decrement in `drop_waker` and spares a read-modify-write.
        if refs.load(Ordering::Acquire) == 1 {
            // SAFETY: nobody else holds the task.
            unsafe { (self.header().vtable.free)(self) }
        } else {
            drop_reference(self);
        }
    }

    fn raw_waker(self) -> RawWaker {
        RawWaker::new(self.0.as_ptr().cast_const().cast(), &WAKER_VTABLE)
    }
}

/// The handle's half; all of it on the home thread.
impl TaskPtr {
    /// Gives up the handle's hold, and an outcome that nobody took.
    pub(crate) fn drop_handle(self) {
        let joiner = self.joiner(Option::take);
        // SAFETY: the handle keeps the task alive until here, on the home thread.
        unsafe { (self.header().vtable.drop_handle)(self) }
        shield("the destructor of a waker", || drop(joiner));
    }

    /// Asks the loop to drop the future; it does so when it pops the task.
    pub(crate) fn abort(self) {
        if !self.has(DEAF) {
            self.set(ABORTED);
            self.wake();
        }
    }

    /// Wakes the task as one of its wakers would.
    pub(crate) fn wake(self) {
        wake_by_ref(self);
    }

    /// Takes the outcome of a DONE task.
    ///
    /// # Safety
    /// `T` is the output of the task's future. Called through the task's only handle.
    pub(crate) unsafe fn poll_outcome<T>(self, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        if self.is_done() {
            let mut outcome = MaybeUninit::<Poll<Result<T, JoinError>>>::uninit();
            // SAFETY: alive by the handle, on the home thread; `outcome` is of the type that `take_outcome` writes.
            unsafe { (self.header().vtable.take_outcome)(self, outcome.as_mut_ptr().cast()) };
            // SAFETY: `take_outcome` has written it, or panicked.
            return unsafe { outcome.assume_init() };
        }
        if self.is_forked() {
            return Poll::Ready(Err(JoinError::cancelled()));
        }
        let known = self.joiner(|joiner| match joiner {
            Some(joiner) => joiner.will_wake(cx.waker()),
            None => false,
        });
        if !known {
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
            // SAFETY: on the home thread, and a task that runs is reached by nobody else: its own handle touches the
            // stage only when it is DONE.
            let Stage::Running(future) = (unsafe { &mut *stage }) else {
                unreachable!("a finished task was polled")
            };
            // SAFETY: the future stays in this allocation until it is dropped in place.
            unsafe { Pin::new_unchecked(future) }.poll(cx)
        })
    }));
    match polled {
        Ok(Poll::Pending) => return Poll::Pending,
        Ok(Poll::Ready(output)) => settle::<F>(task, Ok(output)),
        Err(payload) => settle_panicked::<F>(task, payload),
    }
    Poll::Ready(())
}

unsafe fn cancel<F: Future>(task: TaskPtr) {
    settle::<F>(task, Err(JoinError::cancelled()));
}

#[cold]
fn settle_panicked<F: Future>(task: TaskPtr, payload: Box<dyn Any + Send>) {
    settle::<F>(task, Err(JoinError::panicked(payload)));
}

/// Drops the future, then keeps the outcome for the handle or gets rid of it.
///
/// Inlined, so that the outcome is made where it stays.
#[inline]
fn settle<F: Future>(task: TaskPtr, outcome: Result<F::Output, JoinError>) {
    // Deaf first: what the future's destructor wakes must not queue this task again.
    task.set(DEAF);
    // The future goes before anybody looks for a handle, because it may own the handle.
    empty::<F>(task, "the destructor of a task");
    if task.has(HANDLE) {
        stage_of::<F, _>(task, |stage| {
            // SAFETY: on the home thread; the stage is empty, so nothing is overwritten, and nobody looks at it before DONE.
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
            // SAFETY: on the home thread, and whatever the destructor calls finds the task deaf and not DONE, or
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
        // SAFETY: on the home thread; the task is DONE, so only its handle, the caller, touches the stage.
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
    let is_unseen = |stage: *mut Stage<F>| {
        // SAFETY: on the home thread; the task is DONE and its handle is the caller.
        task.is_done() && matches!(unsafe { &*stage }, Stage::Finished(_))
    };
    let unseen = stage_of::<F, _>(task, |stage| {
        // SAFETY: as above.
        is_unseen(stage).then(|| std::mem::replace(unsafe { &mut *stage }, Stage::Empty))
    });
    task.clear(HANDLE);
    task.release_home();
    // The task may be gone, and is not touched any more: what runs now may even end the loop.
    if let Some(Stage::Finished(outcome)) = unseen {
        discard::<F>(outcome);
    }
}

/// Drops an outcome that nobody will see; a panic in it is reported.
fn discard<F: Future>(unseen: Result<F::Output, JoinError>) {
    match unseen {
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
    // SAFETY: written as a `Task<F>` by `TaskPtr::allocate::<F>`, and nobody holds it any more. The stage is empty by rule 5, so
    // nothing of the user is dropped here.
    unsafe { task.drop_in_place() };
    // SAFETY: as above, and the value was just dropped.
    unsafe { recycle::release(task) };
}

/// A static and not a constant: its address tells a squall waker from others.
static WAKER_VTABLE: RawWakerVTable =
    RawWakerVTable::new(waker_clone, waker_wake, waker_wake_by_ref, waker_drop);

/// Tells whether it is a task's: then waking it only queues that task, and runs nothing foreign.
pub(crate) fn is_task_waker(waker: &Waker) -> bool {
    ptr::eq(waker.vtable(), &raw const WAKER_VTABLE)
}

fn task_of(data: *const ()) -> TaskPtr {
    TaskPtr(
        NonNull::new(data.cast_mut().cast()).expect("made by raw_waker from a non-null pointer"),
    )
}

unsafe fn waker_clone(data: *const ()) -> RawWaker {
    let task = task_of(data);
    add_reference(task);
    task.raw_waker()
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
fn wake_by_ref(task: TaskPtr) {
    match task.header().shared.at_home() {
        Some(home) => task.queue(home),
        None if task.header().notified.swap(true, Ordering::AcqRel) => {}
        None => {
            add_reference(task);
            // A closed loop takes nothing: the reference is dropped with the message.
            let _ = task.header().shared.inbox.send(Message::Wake(ForeignWake(task)));
        }
    }
}

fn add_reference(task: TaskPtr) {
    let before = task.header().refs.fetch_add(1, Ordering::Relaxed);
    if before > isize::MAX.cast_unsigned() {
        abort(); // a count that wraps would free a live task; a panic could be caught
    }
}

fn drop_reference(task: TaskPtr) {
    if task.header().refs.fetch_sub(1, Ordering::Release) == 1 {
        // Pairs with the decrements of the others: what they did with the task happened before it is freed.
        fence(Ordering::Acquire);
        // SAFETY: this was the last hold.
        unsafe { (task.header().vtable.free)(task) }
    }
}

/// A counted task on its way home.
pub(crate) struct ForeignWake(TaskPtr);

// SAFETY: it is a waker's reference (rule 2): dropping it touches only `refs`, or frees a task in which nothing of the
// user is left (rule 5). `deliver` wants the proof of being at home.
unsafe impl Send for ForeignWake {}

impl ForeignWake {
    /// Queues the task, or marks the queued one so that `notified` is cleared before its poll.
    pub(crate) fn deliver(self, home: AtHome<'_>) {
        let task = self.0;
        if !task.has(DEAF) {
            task.set(FOREIGN);
            task.queue(home);
        }
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
    use std::process::Command;

    use crate::inbox::Inbox;
    use crate::shared::Home;

    // W11
    #[test]
    fn a_count_of_wakers_that_would_overflow_ends_the_process() {
        if std::env::var_os("SQUALL_CHILD").is_some() {
            let reactor = squall_reactor::Reactor::<()>::new().unwrap();
            let home = Home::new(Inbox::new(reactor.notifier()));
            let task = TaskPtr::allocate(std::future::pending::<()>(), home.lend());
            task.header().refs.store(isize::MAX.cast_unsigned() + 1, Ordering::Relaxed);
            // SAFETY: the task is alive, and the waker, which has no count, is never dropped.
            let waker = ManuallyDrop::new(unsafe { Waker::from_raw(task.raw_waker()) });
            let _ = catch_unwind(|| waker.clone());
            std::process::exit(0);
        }
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args([
            "--exact",
            "task::tests::a_count_of_wakers_that_would_overflow_ends_the_process",
        ]);
        let output = child.env("SQUALL_CHILD", "1").output().unwrap();
        let signal = std::os::unix::process::ExitStatusExt::signal(&output.status);
        assert_eq!(signal, Some(6 /* SIGABRT */), "{output:?}");
    }
}
