//! The state of waiting for a stream's end: the future of the end, and the bytes that were read
//! meanwhile.
//!
//! Only a read finds the end of a stream. So a [watcher task](super::watcher_task) reads at most
//! one chunk ahead and stores the bytes here. The stream takes these bytes before it reads from the
//! transport.

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
    /// Set when the stream has ended and the user has read every byte of it, or this side has
    /// closed the stream.
    closed: Future<()>,
    /// Bytes that the watcher task has read and the stream has not taken.
    pub(crate) read_ahead: RefCell<ReadBuffer>,
    /// Whether the buffer of the reading half is empty.
    is_drained: Cell<bool>,
    /// Whether the reading half was dropped. If so, the task reads and discards bytes.
    is_abandoned: Cell<bool>,
    /// The error of the failed read, until a read has returned it.
    failure: Cell<Option<io::Error>>,
    /// The watcher task, while it runs.
    task: RefCell<Option<JoinHandle<()>>>,
    /// The watcher task's waker, while the task waits for the stream to take the bytes.
    pub(crate) waker: WakerSlot,
}

impl CloseWatcher {
    /// Returns a future that resolves at the end of the stream.
    pub(crate) fn closed(&self) -> Future<()> {
        self.closed.clone()
    }

    /// Moves at most `room` bytes that were read ahead into `buffer`. Returns the number of bytes.
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

    /// Whether the watcher task reads in place of the stream.
    pub(crate) fn is_reading(&self) -> bool {
        self.task.borrow().is_some()
    }

    pub(crate) fn set_task(&self, task: JoinHandle<()>) {
        *self.task.borrow_mut() = Some(task);
    }

    /// Records that the task has ended. If the stream has ended and no byte is left, announces the
    /// end.
    pub(crate) fn task_ended(&self, end: ReadEnd) {
        drop(self.task.take());
        self.set_drained(self.is_drained.get(), end);
    }

    /// Records whether the reading half's buffer is empty. If no byte is left and the stream has
    /// ended, announces the end.
    pub(crate) fn set_drained(&self, is_drained: bool, end: ReadEnd) {
        self.is_drained.set(is_drained);
        if is_drained && end != ReadEnd::NotReached && self.read_ahead.borrow().len() == 0 {
            self.announce();
        }
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.is_abandoned.get()
    }

    /// Records that the reading half was dropped.
    pub(crate) fn abandon(&self, end: ReadEnd) {
        self.is_abandoned.set(true);
        drop(self.read_ahead.take());
        self.set_drained(true, end);
        self.waker.wake();
    }

    /// Stops the task and announces the end, because this side has closed the stream.
    pub(crate) fn stop(&self) {
        let task = self.task.take();
        if let Some(task) = task {
            task.abort();
        }
        self.announce();
    }

    /// Stops the task, because reading has failed with `end`. The bytes that were read ahead stay.
    pub(crate) fn stop_reading(&self, end: ReadEnd) {
        let task = self.task.take();
        if let Some(task) = task {
            task.abort();
        }
        self.set_drained(self.is_drained.get(), end);
    }

    /// Resolves the future of the end.
    pub(crate) fn announce(&self) {
        let _ = self.closed.set_result(()); // an error means that the end was announced before
    }
}

/// A future that resolves at the end of a stream. It does not borrow the stream. Returned by
/// [`IoStream::closed`](crate::IoStream::closed).
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct Closed(pub(crate) Ready<()>);

impl std::future::Future for Closed {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(|_| ())
    }
}
