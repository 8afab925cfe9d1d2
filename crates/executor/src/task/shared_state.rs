//! The part of a loop that its wakers can reach: the ready queue, and the inbox for other threads.
//!
//! A `Waker` may be used on any thread and may outlive its loop, so the shared state lives in an
//! `Arc`. Only the loop's thread touches the ready queue, so the queue needs no lock. A
//! [`LocalQueue`] proves that its holder is on that thread while the loop is entered. A
//! [`SharedOwner`], which never leaves the thread, gives out the same proof at any time.
//!
//! Every task refers to the shared state. If each task held a count of the `Arc`, it would cost two
//! atomic read-modify-writes. So all tasks together hold one count of the `Arc`, and each has a
//! [`SharedRef`]. These references are counted in a plain number on the loop's thread, and in an
//! atomic only when another thread drops one.

#![allow(unsafe_code, reason = "the ready queue lives in an Arc but belongs to one thread")]

use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::{self, NonNull};

use crate::sync::{Arc, AtomicUsize, Cell, Ordering, UnsafeCell};
use crate::task::entry::{Entry, Message};
use crate::task::inbox::Inbox;
use crate::task::ready_queue::ReadyQueue;

pub(crate) struct SharedState {
    /// Touched only through a [`LocalQueue`].
    ready: UnsafeCell<ReadyQueue<Entry>>,
    /// The number of `SharedRef`s that were made, minus those that were dropped on the loop's
    /// thread. Touched only there.
    local_refs: Cell<usize>,
    /// While the owner lives: [`BIAS`] minus the number of `SharedRef`s that other threads dropped.
    /// Afterwards: the number of `SharedRef`s that are left. The thread that decrements it to zero
    /// drops the tasks' count of the `Arc`.
    remaining_refs: AtomicUsize,
    pub(crate) inbox: Inbox<Message>,
}

/// A number larger than the number of `SharedRef`s that can exist.
const BIAS: usize = usize::MAX / 2;

// SAFETY: the types of `inbox` and `remaining_refs` are Sync. `ready`, whose entries must not leave
// the loop's thread, and `local_refs` are reached only through a `LocalQueue` or the owner, or
// after `local_queue` has returned one. All of these exist only on that thread. When another thread
// drops the last Arc, the queue is empty: the owner empties it before it gives up its Arc, and
// nothing is queued once the loop is closed.
unsafe impl Send for SharedState {}
// SAFETY: as above.
unsafe impl Sync for SharedState {}

#[cfg(not(loom))]
thread_local! {
    /// The address of the shared state of the loop that is entered on this thread. It cannot be
    /// mistaken for that of an earlier loop: the code that compares it holds an Arc of its own
    /// state, and the entered loop holds one too. This thread-local has no destructor, so that a
    /// wake from the destructor of another thread-local can read it.
    static ENTERED: Cell<*const SharedState> = const { Cell::new(ptr::null()) };
}
#[cfg(loom)]
loom::thread_local! {
    static ENTERED: Cell<*const SharedState> = Cell::new(ptr::null());
}

impl SharedState {
    /// The ready queue, if the caller is on the loop's thread and the loop is entered; otherwise
    /// `None`.
    #[inline]
    pub(crate) fn local_queue(&self) -> Option<LocalQueue<'_>> {
        let entered = ENTERED.with(Cell::get);
        ptr::eq(entered, self).then_some(LocalQueue { shared: self, not_send: PhantomData })
    }
}

/// Access to the ready queue, and the proof that the caller is on the loop's thread.
#[derive(Clone, Copy)]
pub(crate) struct LocalQueue<'a> {
    shared: &'a SharedState,
    not_send: PhantomData<*const ()>,
}

impl LocalQueue<'_> {
    #[inline]
    pub(crate) fn push(self, entry: Entry) {
        if let Err(entry) = self.with_ready(|ready| ready.push(entry)) {
            self.push_into_larger(entry);
        }
    }

    /// Grows the queue and pushes. Not generic, so that it is compiled once and not in each crate that
    /// spawns.
    #[cold]
    fn push_into_larger(self, entry: Entry) {
        let pushed = self.with_ready(|ready| {
            ready.grow();
            ready.push(entry)
        });
        assert!(pushed.is_ok(), "the queue has just grown");
    }

    #[inline]
    pub(crate) fn pop(self) -> Option<Entry> {
        self.with_ready(ReadyQueue::pop)
    }

    /// Calls `f` with the entry at the head of the queue. `f` must not use the queue.
    pub(crate) fn peek<R>(self, f: impl FnOnce(&Entry) -> R) -> Option<R> {
        self.with_ready(|ready| ready.front().map(f))
    }

    pub(crate) fn len(self) -> usize {
        self.with_ready(|ready| ready.len())
    }

    #[inline]
    fn with_ready<R>(self, f: impl FnOnce(&mut ReadyQueue<Entry>) -> R) -> R {
        self.shared.ready.with_mut(|ready| {
            // SAFETY: a `LocalQueue` exists on one thread only. The closures above, and the one
            // that `describe_next` passes to `peek`, do not use the queue again. So this is the
            // only reference.
            f(unsafe { &mut *ready })
        })
    }
}

/// The loop's own reference to its [`SharedState`]. Each loop has one, and it stays on the loop's
/// thread.
pub(crate) struct SharedOwner {
    shared: Arc<SharedState>,
    /// The one count of the Arc for all `SharedRef`s, from `Arc::into_raw`.
    tasks_count: NonNull<SharedState>,
    not_send: PhantomData<*const ()>,
}

impl SharedOwner {
    pub(crate) fn new(inbox: Inbox<Message>) -> SharedOwner {
        let shared = Arc::new(SharedState {
            ready: UnsafeCell::new(ReadyQueue::new()),
            local_refs: Cell::new(0),
            remaining_refs: AtomicUsize::new(BIAS),
            inbox,
        });
        let tasks_count = Arc::into_raw(Arc::clone(&shared)).cast_mut();
        let tasks_count = NonNull::new(tasks_count).expect("an Arc points somewhere");
        SharedOwner { shared, tasks_count, not_send: PhantomData }
    }

    pub(crate) fn shared(&self) -> &Arc<SharedState> {
        &self.shared
    }

    /// Whether a [`Handle`](crate::Handle) or a signal's handler may send messages.
    pub(crate) fn has_handles(&self) -> bool {
        Arc::strong_count(&self.shared) > 2 // this one's, and the tasks'
    }

    /// Makes a reference for a task, without an atomic read-modify-write.
    pub(crate) fn new_ref(&self) -> SharedRef {
        self.shared.local_refs.set(self.shared.local_refs.get() + 1);
        SharedRef(self.tasks_count)
    }

    /// The ready queue, whether the loop is entered or not.
    #[inline]
    pub(crate) fn queue(&self) -> LocalQueue<'_> {
        LocalQueue { shared: &self.shared, not_send: PhantomData }
    }

    /// Makes this the entered loop of this thread.
    pub(crate) fn enter(&self) {
        ENTERED.with(|entered| entered.set(Arc::as_ptr(&self.shared)));
    }

    /// Whether this is the entered loop of this thread.
    #[inline]
    pub(crate) fn is_entered(&self) -> bool {
        self.shared.local_queue().is_some()
    }

    /// Clears `ENTERED`: this thread then has no entered loop.
    pub(crate) fn leave() {
        ENTERED.with(|entered| entered.set(ptr::null()));
    }
}

impl Drop for SharedOwner {
    /// Empties the queue before it gives up the Arc, and clears `ENTERED` if it holds this loop's
    /// address. Then publishes the number of the remaining `SharedRef`s to the threads that will
    /// drop them.
    fn drop(&mut self) {
        while let Some(entry) = self.queue().pop() {
            drop(entry);
        }
        ENTERED.with(|entered| {
            if ptr::eq(entered.get(), Arc::as_ptr(&self.shared)) {
                entered.set(ptr::null());
            }
        });
        // From here on no `SharedRef` is dropped locally, so `local_refs` has its final value.
        let surplus = BIAS - self.shared.local_refs.get();
        if self.shared.remaining_refs.fetch_sub(surplus, Ordering::AcqRel) == surplus {
            // SAFETY: `tasks_count` is from `into_raw`. No `SharedRef` is left, and without the
            // owner none can be made.
            drop(unsafe { Arc::from_raw(self.tasks_count.as_ptr().cast_const()) });
        }
    }
}

/// A task's reference to the [`SharedState`] of its loop.
pub(crate) struct SharedRef(NonNull<SharedState>);

impl Deref for SharedRef {
    type Target = SharedState;

    #[inline]
    fn deref(&self) -> &SharedState {
        // SAFETY: the tasks' count of the Arc is dropped when `remaining_refs` reaches zero. This
        // does not happen while this reference exists, because it is counted: in `local_refs` while
        // the owner lives, and in `remaining_refs` afterwards.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for SharedRef {
    fn drop(&mut self) {
        if self.local_queue().is_some() {
            self.local_refs.set(self.local_refs.get() - 1);
        } else if self.remaining_refs.fetch_sub(1, Ordering::Release) == 1 {
            // Pairs with the decrements of the other threads, so that their uses of the state
            // happen before it is freed. A load instead of a fence, as in `waker.rs`.
            self.remaining_refs.load(Ordering::Acquire);
            // SAFETY: this was the last reference. The owner is gone too, because otherwise the
            // BIAS would still be in the count.
            drop(unsafe { Arc::from_raw(self.0.as_ptr().cast_const()) });
        }
    }
}
