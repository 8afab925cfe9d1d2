//! The future of `block_on`: it lives on the caller's stack, its waker on the heap.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use crate::inbox::Message;
use crate::shared::{Entry, Shared};
use crate::sync;
use crate::sync::{AtomicBool, Ordering};

/// The root future of one `block_on`, as the turn sees it.
pub(crate) struct Root<'a> {
    /// Which `block_on` of this loop it is. An entry with another number is a stale wake, and is dropped.
    number: usize,
    poll: &'a mut dyn FnMut(&mut Context<'_>) -> Poll<()>,
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
    ) -> Root<'a> {
        let signal = Arc::new(RootSignal { shared, number, queued: AtomicBool::new(false) });
        signal.queue();
        Root { number, poll, waker: Waker::from(Arc::clone(&signal)), signal, done: false }
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

impl Wake for RootSignal {
    fn wake(self: Arc<Self>) {
        self.queue();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.queue();
    }
}
