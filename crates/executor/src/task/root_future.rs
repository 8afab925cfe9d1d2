//! The future of `block_on`. It stays on the caller's stack, and a small task represents it in the
//! loop.
//!
//! The future need not be `'static`, so it cannot be a task itself. Its wakers are those of a
//! *stand-in* task. That task does nothing; the turn polls the root future right after it. A waker
//! that outlives its `block_on` wakes a finished task, which does nothing. So it can never reach a
//! later `block_on`.

use std::task::{Context, Poll, Waker};

use crate::insight::origin::Origin;
use crate::task::join_handle::JoinHandle;
use crate::task::scheduler::Scheduler;

pub(crate) struct RootFuture<'a> {
    poll: &'a mut dyn FnMut(&mut Context<'_>) -> Poll<()>,
    is_done: bool,
    scheduler: &'a Scheduler,
    stand_in: JoinHandle<()>,
    /// The stand-in's waker.
    waker: Waker,
}

impl<'a> RootFuture<'a> {
    /// Makes a root future and queues it for its first poll.
    pub(crate) fn new(
        scheduler: &'a Scheduler,
        origin: Origin,
        poll: &'a mut dyn FnMut(&mut Context<'_>) -> Poll<()>,
    ) -> RootFuture<'a> {
        let stand_in = scheduler.spawn_root(origin);
        let waker = stand_in.task().with_waker(Waker::clone);
        RootFuture { poll, is_done: false, scheduler, stand_in, waker }
    }

    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        self.is_done
    }

    /// Polls the future, because the stand-in has run. A panic of the future propagates to the
    /// caller of `block_on`.
    pub(crate) fn poll(&mut self) {
        if !self.is_done {
            self.is_done = (self.poll)(&mut Context::from_waker(&self.waker)).is_ready();
        }
    }
}

impl Drop for RootFuture<'_> {
    /// Ends the stand-in task, however the run ended.
    fn drop(&mut self) {
        self.scheduler.end_root(&self.stand_in);
    }
}
