//! What waits for the stream's end, and what was read while waiting.
//!
//! Only a read finds the end of a stream. So a [watcher task](super::watcher_task) reads, at most one chunk ahead, and leaves the bytes
//! here. The stream takes them before it asks the transport.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use squall_executor::JoinHandle;
use squall_executor::future::{Future, Ready};

use crate::buffer::read_buffer::ReadBuffer;
use crate::stream::read_end::ReadEnd;
use crate::stream::waker_slot::WakerSlot;

#[derive(Default)]
pub(crate) struct CloseWatcher {
    /// Set when the stream has ended and every byte of it was taken.
    closed: Future<()>,
    /// Bytes that the task has read and the stream has not taken.
    pub(crate) read_ahead: RefCell<ReadBuffer>,
    /// Whether the buffer of the reading half is empty.
    is_drained: Cell<bool>,
    /// Whether the reading half was dropped. Then bytes are read and discarded.
    is_abandoned: Cell<bool>,
    /// Why reading failed, until a read has returned it.
    failure: Cell<Option<io::Error>>,
    /// The task, while it polls the transport.
    task: RefCell<Option<JoinHandle<()>>>,
    /// The task's waker, while it waits for the stream to take the bytes.
    pub(crate) waker: WakerSlot,
}

impl CloseWatcher {
    /// A future that resolves at the end of the stream.
    pub(crate) fn closed(&self) -> Future<()> {
        self.closed.clone()
    }

    /// Moves what was read ahead into `buffer`, at most `room` bytes, and returns how many.
    pub(crate) fn take_read_ahead(&self, buffer: &mut ReadBuffer, room: usize) -> usize {
        let mut read_ahead = self.read_ahead.borrow_mut();
        let n = read_ahead.move_to(buffer, room);
        drop(read_ahead);
        if n > 0 {
            self.waker.wake();
        }
        n
    }

    pub(crate) fn take_failure(&self) -> Option<io::Error> {
        self.failure.take()
    }

    pub(crate) fn set_failure(&self, failure: io::Error) {
        self.failure.set(Some(failure));
    }

    /// Whether the task reads in the stream's place.
    pub(crate) fn is_reading(&self) -> bool {
        self.task.borrow().is_some()
    }

    pub(crate) fn set_task(&self, task: JoinHandle<()>) {
        *self.task.borrow_mut() = Some(task);
    }

    /// Notes that the task has ended. If that was at the end of the stream and no byte is left, the end is announced.
    pub(crate) fn task_ended(&self, end: ReadEnd) {
        drop(self.task.take());
        self.set_drained(self.is_drained.get(), end);
    }

    /// Notes whether the reading half has bytes left. If it has none and the stream has ended, the end is announced.
    pub(crate) fn set_drained(&self, is_drained: bool, end: ReadEnd) {
        self.is_drained.set(is_drained);
        if is_drained && end != ReadEnd::NotReached && self.read_ahead.borrow().len() == 0 {
            self.announce();
        }
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.is_abandoned.get()
    }

    /// Notes that the reading half was dropped.
    pub(crate) fn abandon(&self, end: ReadEnd) {
        self.is_abandoned.set(true);
        drop(self.read_ahead.take());
        self.set_drained(true, end);
        self.waker.wake();
    }

    /// Stops the task of a stream that was closed on this side, and announces the end.
    pub(crate) fn stop(&self) {
        let task = self.task.take();
        if let Some(task) = task {
            task.abort();
        }
        self.announce();
    }

    pub(crate) fn announce(&self) {
        let _ = self.closed.set_result(()); // it may have been announced before
    }
}

/// The end of a stream, as a future that owns what it needs; returned by [`IoStream::closed`](crate::IoStream::closed).
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct Closed(pub(crate) Ready<()>);

impl std::future::Future for Closed {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(|_| ())
    }
}
