//! The write queue of a stream, and the state of sending it.
//!
//! Three parties use it: the stream, which queues; the end of the batch, which sends what was
//! queued; and the [pump](super::pump), a task that sends the rest when the transport accepts more.
//! While a pump exists, only the pump polls the transport for writing, because a transport stores
//! only one waker.

use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::mem;
use std::task::Waker;

use squall_executor::JoinHandle;

use crate::buffer::chunk::Chunk;
use crate::buffer::write_queue::WriteQueue;
use crate::stream::stream_error::Cause;
use crate::stream::turn_budget::TurnBudget;
use crate::stream::waker_list::WakerList;

#[derive(Default)]
pub(crate) struct Outbox {
    /// Empty while a method of this file or a write to the transport works on it.
    queue: Cell<WriteQueue>,
    /// The number of bytes that may still be sent in this turn.
    pub(crate) budget: TurnBudget,
    /// Whether the end of the batch will send the queue.
    pub(crate) is_scheduled: Cell<bool>,
    /// False if nothing is queued, and no write has ever completed only in part or failed.
    is_used: Cell<bool>,
    /// Whether a write has failed.
    is_broken: Cell<bool>,
    /// Allocated when a write first completes only in part, or fails. Most streams never need it.
    slow_path: OnceCell<Box<SlowPath>>,
}

#[derive(Default)]
struct SlowPath {
    /// The task that sends what the transport did not accept at once.
    pump: RefCell<Option<JoinHandle<()>>>,
    /// The wakers of the tasks that wait until everything is sent.
    flush_wakers: WakerList,
    /// The error of the failed write.
    failure: Cell<Option<Failure>>,
    /// The number of bytes that were queued when the write failed.
    lost: Cell<usize>,
    /// The number of `write_all` that have sent a part of their bytes. One that is dropped then stays
    /// counted.
    begun: Cell<u32>,
}

/// The error of a failed write. The first caller gets the original `io::Error`; later ones get a
/// copy of its kind and code.
pub(crate) enum Failure {
    Original(io::Error),
    Copy(Cause),
}

impl Failure {
    pub(crate) fn cause(&self) -> Cause {
        match self {
            Failure::Original(error) => Cause::of(error),
            Failure::Copy(cause) => *cause,
        }
    }
}

impl Outbox {
    /// Whether nothing is queued or being sent, and nothing has failed.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        !self.has_queued() && !self.has_pump() && !self.is_broken.get()
    }

    /// True only if nothing is queued, and no write has ever completed only in part or failed.
    #[inline]
    pub(crate) fn is_unused(&self) -> bool {
        !self.is_used.get()
    }

    /// The number of queued bytes.
    #[inline]
    pub(crate) fn queued(&self) -> usize {
        self.with_queue(|queue| queue.len())
    }

    #[inline]
    pub(crate) fn has_queued(&self) -> bool {
        self.with_queue(|queue| !queue.is_empty())
    }

    /// Queues bytes.
    #[inline]
    pub(crate) fn push(&self, chunk: Chunk<'_>) {
        self.is_used.set(true);
        if !self.with_queue(|queue| queue.push_copy(chunk.bytes())) {
            self.push_piece(chunk);
        }
        // The chunk is dropped after the queue is back, because its destructor is foreign code.
    }

    #[inline(never)] // keeps the push of a small write small
    fn push_piece(&self, chunk: Chunk<'_>) {
        let copied = self.with_queue(|queue| queue.push_piece(chunk));
        drop(copied); // as above
    }

    /// Takes the queue, to send it. No borrow is held while the transport runs.
    #[inline]
    pub(crate) fn take_queue(&self) -> WriteQueue {
        self.queue.take()
    }

    /// Puts the queue back, in front of what was queued meanwhile: the transport may have run code
    /// that wrote to the stream.
    pub(crate) fn put_back(&self, mut queue: WriteQueue) {
        queue.append(self.queue.take());
        self.is_used.set(self.slow_path.get().is_some() || !queue.is_empty());
        self.queue.set(queue);
    }

    /// As [`put_back`](Self::put_back) with an empty queue. Returns true if nothing was queued
    /// meanwhile.
    #[inline]
    pub(crate) fn all_sent(&self) -> bool {
        let is_empty = !self.has_queued();
        self.is_used.set(self.slow_path.get().is_some() || !is_empty);
        is_empty
    }

    /// Calls `f` with the queue. `f` must not run foreign code.
    #[inline(always)]
    fn with_queue<R>(&self, f: impl FnOnce(&mut WriteQueue) -> R) -> R {
        let mut queue = self.queue.take();
        let result = f(&mut queue);
        mem::forget(self.queue.replace(queue)); // it was empty, so there is nothing to drop
        result
    }

    /// Whether a write may still fail without a caller.
    pub(crate) fn is_sending(&self) -> bool {
        self.has_queued() || self.has_pump()
    }

    #[inline]
    pub(crate) fn has_pump(&self) -> bool {
        self.slow_path.get().is_some_and(|slow_path| slow_path.pump.borrow().is_some())
    }

    /// Counts a `write_all` that has sent a part of its bytes, or uncounts one that has ended.
    #[cold]
    pub(crate) fn count_begun(&self, is_begun: bool) {
        let count = &self.slow_path().begun;
        count.set(if is_begun { count.get().saturating_add(1) } else { count.get() - 1 });
    }

    /// Whether a `write_all` was dropped after it had sent a part of its bytes, or may be.
    pub(crate) fn is_cut(&self) -> bool {
        self.slow_path.get().is_some_and(|slow_path| slow_path.begun.get() > 0)
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken.get()
    }

    fn slow_path(&self) -> &SlowPath {
        self.is_used.set(true);
        self.slow_path.get_or_init(Box::default)
    }

    /// The cause of a failed write.
    pub(crate) fn failure_cause(&self) -> Option<Cause> {
        let slow_path = self.slow_path.get()?;
        let failure = slow_path.failure.take();
        let cause = failure.as_ref().map(Failure::cause);
        slow_path.failure.set(failure);
        cause
    }

    /// The number of bytes that a failed write has left, and of those that are queued.
    pub(crate) fn unsent(&self) -> usize {
        self.slow_path.get().map_or(0, |slow_path| slow_path.lost.get()) + self.queued()
    }

    /// The error of a failed write.
    #[inline]
    pub(crate) fn failure(&self) -> Option<io::Error> {
        if self.is_broken.get() { self.take_failure() } else { None }
    }

    #[cold]
    fn take_failure(&self) -> Option<io::Error> {
        let failure = self.slow_path().failure.take()?;
        let cause = failure.cause();
        let error = match failure {
            Failure::Original(error) => error,
            Failure::Copy(cause) => cause.error(),
        };
        self.slow_path().failure.set(Some(Failure::Copy(cause)));
        Some(error)
    }

    /// Records that a write has failed. Drops the queue.
    #[cold]
    pub(crate) fn fail(&self, failure: Failure) {
        self.is_broken.set(true);
        let slow_path = self.slow_path();
        slow_path.failure.set(Some(failure));
        let queue = self.queue.take();
        slow_path.lost.set(slow_path.lost.get() + queue.len());
        drop(queue);
    }

    /// Stores the waker of a task that waits for the flush.
    pub(crate) fn add_flush_waker(&self, waker: &Waker) {
        self.slow_path().flush_wakers.add(waker);
    }

    #[inline]
    pub(crate) fn wake_flushers(&self) {
        if let Some(slow_path) = self.slow_path.get() {
            slow_path.flush_wakers.wake_all();
        }
    }

    pub(crate) fn set_pump(&self, pump: JoinHandle<()>) {
        *self.slow_path().pump.borrow_mut() = Some(pump);
    }

    pub(crate) fn take_pump(&self) -> Option<JoinHandle<()>> {
        self.slow_path.get()?.pump.take()
    }

    /// Wakes the tasks that wait to write. If a read failed, the transport may have replaced their
    /// waker with the reader's.
    pub(crate) fn wake_writers(&self) {
        if let Some(slow_path) = self.slow_path.get()
            && let Some(pump) = &*slow_path.pump.borrow()
        {
            pump.nudge();
        }
        self.wake_flushers();
    }

    /// Stops the pump, drops the queue, and wakes the tasks that wait for the flush.
    #[inline]
    pub(crate) fn close(&self) {
        if !self.is_unused() {
            self.close_used();
        }
    }

    #[inline(never)] // keeps the close of a stream that has sent everything small
    fn close_used(&self) {
        if let Some(pump) = self.take_pump() {
            pump.abort();
        }
        drop(self.queue.take());
        self.wake_flushers();
    }
}
