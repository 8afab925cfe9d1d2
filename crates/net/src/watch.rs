//! The watch: a task that looks for the peer's end while nobody reads.
//!
//! Nothing tells of an end but a read, so the watch reads, at most one chunk ahead, which the stream takes before it asks the
//! transport. While the watch exists only it polls the transport for reading, which remembers one waker.
//!
//! ```text
//!   watch ── poll_read ─▶ bytes: kept in `early`, until the stream has taken them
//!                     ─▶ the end: told as soon as the stream has no bytes left
//! ```

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_io::AsyncRead;
use squall_executor::future::{Future, Ready};
use squall_executor::{JoinHandle, spawn, wake_in_next_turn};

use crate::link::{End, Link};
use crate::read_buffer::ReadBuffer;
use crate::waker_slot::WakerSlot;

#[derive(Default)]
pub(crate) struct Watch {
    /// Set when the stream is over and everything that came was taken.
    over: Future<()>,
    /// What was read while nobody asked for it.
    early: RefCell<ReadBuffer>,
    /// The reading half holds no bytes.
    is_drained: Cell<bool>,
    /// The reading half is gone: what comes is forgotten.
    is_abandoned: Cell<bool>,
    /// Why reading failed, until somebody was told.
    failure: Cell<Option<io::Error>>,
    /// The task, while it polls the transport.
    task: RefCell<Option<JoinHandle<()>>>,
    /// The task's waker, while it waits for the stream to take what is there.
    waker: WakerSlot,
}

impl Watch {
    /// Moves what was read ahead into `buffer`, at most `room` bytes, and returns how many.
    pub(crate) fn take_early(&self, buffer: &mut ReadBuffer, room: usize) -> usize {
        let mut early = self.early.borrow_mut();
        let n = early.move_to(buffer, room);
        drop(early);
        if n > 0 {
            self.waker.wake();
        }
        n
    }

    pub(crate) fn take_failure(&self) -> Option<io::Error> {
        self.failure.take()
    }

    /// Tells whether the task reads in the stream's place.
    pub(crate) fn is_reading(&self) -> bool {
        self.task.borrow().is_some()
    }

    /// Notes whether the stream has bytes left. If it has none, and they have come to their end, that is told.
    pub(crate) fn note_drained(&self, is_drained: bool, end: End) {
        self.is_drained.set(is_drained);
        if is_drained && end != End::NotYet && self.early.borrow().len() == 0 {
            self.tell();
        }
    }

    /// Nobody will read any more.
    pub(crate) fn abandon(&self, end: End) {
        self.is_abandoned.set(true);
        drop(self.early.take());
        self.note_drained(true, end);
        self.waker.wake();
    }

    /// The stream was closed here.
    pub(crate) fn stop(&self) {
        let task = self.task.take();
        if let Some(task) = task {
            task.abort();
        }
        self.tell();
    }

    fn tell(&self) {
        let _ = self.over.set_result(()); // it may have been told already
    }
}

impl<S> Link<S> {
    /// The future of the stream's end, for which the watch begins. `is_drained`: the reading half holds no bytes.
    #[track_caller]
    pub(crate) fn watch_end(self: &Rc<Self>, is_drained: bool) -> Future<()>
    where
        S: AsyncRead + Unpin + 'static,
    {
        let watch = self.watch.get_or_init(Rc::default);
        watch.note_drained(is_drained, self.end.get());
        if self.is_closed.get() {
            watch.tell();
        } else if self.end.get() == End::NotYet && !watch.is_reading() {
            let guard = Guard { link: Rc::clone(self), watch: Rc::clone(watch) };
            let task = spawn(async move { guard.look().await });
            if !task.is_finished() {
                *watch.task.borrow_mut() = Some(task);
                self.wake_reader(); // it waits for the transport, which will remember the watch only
            }
        }
        watch.over.clone()
    }
}

/// The watch's task. However it ends, the stream reads for itself again.
struct Guard<S> {
    link: Rc<Link<S>>,
    watch: Rc<Watch>,
}

impl<S: AsyncRead + Unpin> Guard<S> {
    async fn look(&self) {
        poll_fn(|cx| self.poll_look(cx)).await;
    }

    /// Reads ahead while there is nothing to take. Ready at the end of the stream.
    fn poll_look(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.watch.early.borrow().len() > 0 {
            self.watch.waker.leave(cx.waker());
            return Poll::Pending;
        }
        let config = self.link.config();
        let most = config.read_chunk_size.min(config.max_buffer_size);
        // Taken out, so that no borrow is held while the transport runs.
        let mut early = self.watch.early.take();
        let spare = early.spare(most);
        let polled = self.link.with_transport(|transport| transport.poll_read(cx, spare));
        let read = match polled {
            Some(Poll::Ready(read)) => read,
            Some(Poll::Pending) => {
                early.rest();
                return Poll::Pending;
            }
            None => return Poll::Ready(()),
        };
        if let Ok(n) = read
            && n > 0
        {
            if self.watch.is_abandoned.get() {
                wake_in_next_turn(cx.waker()); // the others go first
                return Poll::Pending;
            }
            early.commit(n);
            early.rest();
            self.watch.early.replace(early);
            self.watch.waker.leave(cx.waker());
            self.link.wake_reader();
            return Poll::Pending;
        }
        self.link.end.set(End::of(&read));
        if let Err(failure) = read {
            self.watch.failure.set(Some(failure));
            self.link.outbox.wake_writers();
        }
        Poll::Ready(())
    }
}

impl<S> Drop for Guard<S> {
    fn drop(&mut self) {
        drop(self.watch.task.take());
        if self.link.end.get() == End::NotYet
            && !self.link.is_closed.get()
            && !self.link.has_transport()
        {
            self.link.end.set(End::of(&Err(self.link.gone().into())));
        }
        self.watch.note_drained(self.watch.is_drained.get(), self.link.end.get());
        self.link.wake_reader();
    }
}

/// The end of a stream, as a future that owns what it needs: see [`IoStream::closed`](crate::IoStream::closed).
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct Closed(pub(crate) Ready<()>);

impl std::future::Future for Closed {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(|_| ())
    }
}
