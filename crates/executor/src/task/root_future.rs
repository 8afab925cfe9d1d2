//! The future of `block_on`. It stays on the caller's stack, and a small task represents it in the
//! loop.
//!
//! The future need not be `'static`, so it cannot be a task itself. Its wakers are those of a
//! *stand-in* task. A poll of that task only records that the root future was woken; the turn polls
//! the root future right after. A waker that outlives its `block_on` wakes a finished task, which
//! does nothing. So it can never reach a later `block_on`.

use std::cell::{Cell, OnceCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::insight::origin::Origin;
use crate::task::join_handle::JoinHandle;
use crate::task::scheduler::Scheduler;

pub(crate) struct RootFuture<'a> {
    poll: &'a mut dyn FnMut(&mut Context<'_>) -> Poll<()>,
    is_done: bool,
    scheduler: &'a Scheduler,
    stand_in: JoinHandle<()>,
    wakes: Rc<WakeState>,
}

/// The state that the stand-in task shares with the root future.
#[derive(Default)]
struct WakeState {
    is_woken: Cell<bool>,
    /// The stand-in's waker. Set by its first poll.
    waker: OnceCell<Waker>,
}

impl<'a> RootFuture<'a> {
    /// Makes a root future and queues it for its first poll.
    pub(crate) fn new(
        scheduler: &'a Scheduler,
        origin: Origin,
        poll: &'a mut dyn FnMut(&mut Context<'_>) -> Poll<()>,
    ) -> RootFuture<'a> {
        let wakes = Rc::new(WakeState::default());
        let wakes_of_stand_in = Rc::clone(&wakes);
        let stand_in = scheduler.spawn_root(
            poll_fn(move |cx| {
                wakes_of_stand_in.waker.get_or_init(|| cx.waker().clone());
                wakes_of_stand_in.is_woken.set(true);
                Poll::Pending
            }),
            origin,
        );
        RootFuture { poll, is_done: false, scheduler, stand_in, wakes }
    }

    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        self.is_done
    }

    /// Polls the future if the stand-in has run since the last poll. A panic of the future
    /// propagates to the caller of `block_on`.
    #[inline]
    pub(crate) fn poll_if_woken(&mut self) {
        if self.wakes.is_woken.get() {
            self.poll();
        }
    }

    fn poll(&mut self) {
        self.wakes.is_woken.set(false); // before the poll, so that a wake during it counts
        if let Some(waker) = self.wakes.waker.get()
            && !self.is_done
        {
            self.is_done = (self.poll)(&mut Context::from_waker(waker)).is_ready();
        }
    }
}

impl Drop for RootFuture<'_> {
    /// Ends the stand-in task, however the run ended.
    fn drop(&mut self) {
        self.scheduler.end_root(&self.stand_in);
    }
}
