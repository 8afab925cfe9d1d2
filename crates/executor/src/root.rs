//! The future of `block_on`: it lives on the caller's stack, its waker on the heap.

#![allow(unsafe_code, reason = "a waker whose kind can be told by its table")]

use std::mem::ManuallyDrop;
use std::panic::Location;
use std::ptr;
use std::sync::Arc;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use crate::inbox::Message;
use crate::shared::{Entry, Shared};
use crate::sync;
use crate::sync::{AtomicBool, Ordering};

/// The root future of one `block_on`, as the turn sees it.
pub(crate) struct Root<'a> {
    /// Which `block_on` of this loop it is. An entry with another number is a stale wake, and is dropped.
    number: usize,
    poll: &'a mut dyn FnMut(&mut Context<'_>) -> Poll<()>,
    /// Who called `block_on`.
    location: &'static Location<'static>,
    signal: Arc<RootSignal>,
    waker: Waker,
    done: bool,
}

impl<'a> Root<'a> {
    /// A root that is queued for its first poll.
    pub(crate) fn new(
        number: usize,
        shared: sync::Arc<Shared>,
        poll: &'a mut dyn FnMut(&mut Context<'_>) -> Poll<()>,
        location: &'static Location<'static>,
    ) -> Root<'a> {
        let signal = Arc::new(RootSignal { shared, number, queued: AtomicBool::new(false) });
        signal.queue();
        Root { number, poll, location, waker: signal.waker(), signal, done: false }
    }

    pub(crate) fn location(&self) -> &'static Location<'static> {
        self.location
    }

    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// Answers an entry of the ready queue. Panics of the future go through to the caller of `block_on`.
    pub(crate) fn poll(&mut self, number: usize) {
        if number != self.number || self.done {
            return;
        }
        // Cleared before the poll, with a swap that acquires what the wakers wrote; a later wake queues again.
        self.signal.queued.swap(false, Ordering::AcqRel);
        self.done = (self.poll)(&mut Context::from_waker(&self.waker)).is_ready();
    }
}

const _: () = {
    const fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<RootSignal>();
};

/// What the root's wakers share. One per `block_on`, so a waker that outlives its call reaches no later one.
struct RootSignal {
    shared: sync::Arc<Shared>,
    number: usize,
    queued: AtomicBool,
}

impl RootSignal {
    fn queue(&self) {
        if self.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        match self.shared.at_home() {
            Some(home) => home.push(Entry::Root(self.number)),
            // A closed loop polls no root any more.
            None => drop(self.shared.inbox.send(Message::WakeRoot(self.number))),
        }
    }
}

impl RootSignal {
    fn waker(self: &Arc<RootSignal>) -> Waker {
        // SAFETY: `raw` gives the table functions the Arc that they expect.
        unsafe { Waker::from_raw(raw(Arc::clone(self))) }
    }
}

/// A static, as for tasks: its address tells a root's waker from others.
static WAKER_VTABLE: RawWakerVTable =
    RawWakerVTable::new(waker_clone, waker_wake, waker_wake_by_ref, waker_drop);

/// Tells whether it is a root's: then waking it only queues that root, and runs nothing foreign.
pub(crate) fn is_root_waker(waker: &Waker) -> bool {
    ptr::eq(waker.vtable(), &raw const WAKER_VTABLE)
}

fn raw(signal: Arc<RootSignal>) -> RawWaker {
    RawWaker::new(Arc::into_raw(signal).cast(), &WAKER_VTABLE)
}

/// # Safety
/// `data` is from [`raw`], and its count is taken over, or borrowed and forgotten, by the caller.
unsafe fn signal_of(data: *const ()) -> Arc<RootSignal> {
    // SAFETY: passed on to the caller.
    unsafe { Arc::from_raw(data.cast()) }
}

unsafe fn waker_clone(data: *const ()) -> RawWaker {
    // SAFETY: borrowed: the waker keeps its count.
    let signal = ManuallyDrop::new(unsafe { signal_of(data) });
    raw(Arc::clone(&signal))
}

unsafe fn waker_wake(data: *const ()) {
    // SAFETY: the waker's count is taken over.
    unsafe { signal_of(data) }.queue();
}

unsafe fn waker_wake_by_ref(data: *const ()) {
    // SAFETY: borrowed: the waker keeps its count.
    ManuallyDrop::new(unsafe { signal_of(data) }).queue();
}

unsafe fn waker_drop(data: *const ()) {
    // SAFETY: the waker's count is taken over.
    drop(unsafe { signal_of(data) });
}
