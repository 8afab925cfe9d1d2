//! What a task can reach of its loop: the ready queue at home, the inbox from elsewhere.
//!
//! A `Waker` may be used by any thread and may outlive its loop, so this page lives in an `Arc`. *At home* means on the
//! loop's thread, while the loop is entered; only there may the ready queue be touched, without a lock.
//!
//! Every task needs this page, and counting each of them with the `Arc` would cost two atomic read-modify-writes a task. So
//! all tasks share one count of the `Arc`, and borrow from it: a [`Loan`] is counted by a plain number at home, and only one
//! that is returned elsewhere touches an atomic.

#![allow(unsafe_code, reason = "the ready queue lives in an Arc but belongs to one thread")]

use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::task::Waker;

use crate::callback::Callback;
use crate::handler::Handler;
use crate::inbox::Inbox;
use crate::ready_queue::ReadyQueue;
use crate::sync::{Arc, AtomicUsize, Cell, Ordering, UnsafeCell, fence};
use crate::task::TaskPtr;

/// One thing that wants to run: a tag and one word, which travel in two registers.
pub(crate) enum Entry {
    /// Uncounted: a queued task stays in the task list.
    Task(TaskPtr),
    /// The root future of the `block_on` with this number.
    Root(usize),
    Callback(Callback),
    Handler(Rc<Handler>),
    /// A waker that may run foreign code when it is used.
    Wake(Box<Waker>),
}

const _: () = assert!(size_of::<Option<Entry>>() == 2 * size_of::<usize>());

pub(crate) struct Shared {
    /// The one ready queue. Touched only through [`AtHome`].
    ready: UnsafeCell<ReadyQueue<Entry>>,
    /// Loans that were given out and not returned at home. Touched at home only.
    lent: Cell<usize>,
    /// [`BIAS`] minus the loans that were returned elsewhere, until [`Home`] is dropped; from then on the loans that are out.
    /// Whoever brings it to zero drops the tasks' count of the Arc.
    account: AtomicUsize,
    pub(crate) inbox: Inbox,
}

/// More loans than there can be.
const BIAS: usize = usize::MAX / 2;

// SAFETY: `inbox` and `account` are Sync by themselves. `ready`, which holds what must not leave the home thread, and `lent`
// are reached only through `AtHome`, which exists only on that thread. When the last Arc falls elsewhere, the queue is empty: `Home` empties it
// before it gives up its Arc, and nothing is queued once the loop is closed.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

#[cfg(not(loom))]
thread_local! {
    /// The loop that is entered on this thread, by address. An address is never mistaken for an earlier loop's: whoever
    /// compares holds an Arc of the Shared that he compares with, and the entered loop holds one of its own. Without a
    /// destructor, so a wake from a destructor of another thread-local finds it.
    static ENTERED: Cell<*const Shared> = const { Cell::new(ptr::null()) };
}
#[cfg(loom)]
loom::thread_local! {
    static ENTERED: Cell<*const Shared> = Cell::new(ptr::null());
}

impl Shared {
    /// Proof that the caller is at home, if he is.
    #[inline]
    pub(crate) fn at_home(&self) -> Option<AtHome<'_>> {
        let entered = ENTERED.with(Cell::get);
        ptr::eq(entered, self).then_some(AtHome { shared: self, not_send: PhantomData })
    }
}

/// Proof of being on the thread of a loop; it cannot leave it.
#[derive(Clone, Copy)]
pub(crate) struct AtHome<'a> {
    shared: &'a Shared,
    not_send: PhantomData<*const ()>,
}

impl AtHome<'_> {
    #[inline]
    pub(crate) fn push(self, entry: Entry) {
        self.with_ready(|ready| ready.push(entry));
    }

    #[inline]
    pub(crate) fn pop(self) -> Option<Entry> {
        self.with_ready(ReadyQueue::pop)
    }

    /// Shows the entry at the head of the queue to `f`, which must call nothing that could come back here.
    pub(crate) fn peek<R>(self, f: impl FnOnce(&Entry) -> R) -> Option<R> {
        self.with_ready(|ready| ready.front().map(f))
    }

    pub(crate) fn ready_len(self) -> usize {
        self.with_ready(|ready| ready.len())
    }

    #[inline]
    fn with_ready<R>(self, f: impl FnOnce(&mut ReadyQueue<Entry>) -> R) -> R {
        self.shared.ready.with_mut(|ready| {
            // SAFETY: an `AtHome` exists on one thread only, and the closures above call nothing that could come back
            // here, `describe_next`'s included, so this is the only reference.
            f(unsafe { &mut *ready })
        })
    }
}

/// The loop's own hold on its [`Shared`]: one per loop, on its thread.
pub(crate) struct Home {
    shared: Arc<Shared>,
    /// The count of the Arc that all loans share, from `Arc::into_raw`.
    lender: NonNull<Shared>,
    not_send: PhantomData<*const ()>,
}

impl Home {
    pub(crate) fn new(inbox: Inbox) -> Home {
        let shared = Arc::new(Shared {
            ready: UnsafeCell::new(ReadyQueue::new()),
            lent: Cell::new(0),
            account: AtomicUsize::new(BIAS),
            inbox,
        });
        let lender = Arc::into_raw(Arc::clone(&shared)).cast_mut();
        let lender = NonNull::new(lender).expect("an Arc points somewhere");
        Home { shared, lender, not_send: PhantomData }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// A hold on [`Shared`] for a task, without an atomic read-modify-write.
    pub(crate) fn lend(&self) -> Loan {
        self.shared.lent.set(self.shared.lent.get() + 1);
        Loan(self.lender)
    }

    /// `Home` never leaves the thread that made it, so holding one is the proof, entered or not.
    #[inline]
    pub(crate) fn here(&self) -> AtHome<'_> {
        AtHome { shared: &self.shared, not_send: PhantomData }
    }

    /// Makes this the loop that is entered on this thread.
    pub(crate) fn enter(&self) {
        ENTERED.with(|entered| entered.set(Arc::as_ptr(&self.shared)));
    }

    /// Tells whether this is the loop that is entered on this thread.
    #[inline]
    pub(crate) fn is_entered(&self) -> bool {
        self.shared.at_home().is_some()
    }

    /// Leaves the thread without an entered loop.
    pub(crate) fn leave() {
        ENTERED.with(|entered| entered.set(ptr::null()));
    }
}

impl Drop for Home {
    /// Keeps the two promises of this page: the queue is empty when the Arc is given up, and an address in `ENTERED` is
    /// that of a living loop. Then it closes the account of the loans.
    fn drop(&mut self) {
        while let Some(entry) = self.here().pop() {
            drop(entry);
        }
        ENTERED.with(|entered| {
            if ptr::eq(entered.get(), Arc::as_ptr(&self.shared)) {
                entered.set(ptr::null());
            }
        });
        // Nobody is at home any more, so `lent` has its last value. What remains is the loans that are out.
        let settled = BIAS - self.shared.lent.get();
        if self.shared.account.fetch_sub(settled, Ordering::AcqRel) == settled {
            // SAFETY: `lender` is from `into_raw`, no loan is out, and none is given any more.
            drop(unsafe { Arc::from_raw(self.lender.as_ptr().cast_const()) });
        }
    }
}

/// A task's hold on the [`Shared`] of its loop.
pub(crate) struct Loan(NonNull<Shared>);

// SAFETY: it gives shared access to what is Sync, and may be returned anywhere.
unsafe impl Send for Loan {}
// SAFETY: as above.
unsafe impl Sync for Loan {}

impl Deref for Loan {
    type Target = Shared;

    #[inline]
    fn deref(&self) -> &Shared {
        // SAFETY: the tasks' count of the Arc is dropped by whoever brings `account` to zero: that is not before this loan
        // is returned, because it is either still in `lent`, and `Home` is alive, or in `account`.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if self.at_home().is_some() {
            self.lent.set(self.lent.get() - 1);
        } else if self.account.fetch_sub(1, Ordering::Release) == 1 {
            // Pairs with the decrements of the others: their uses of the page happened before it is freed.
            fence(Ordering::Acquire);
            // SAFETY: this was the last loan, and `Home` is gone, or BIAS would be in the account.
            drop(unsafe { Arc::from_raw(self.0.as_ptr().cast_const()) });
        }
    }
}
