//! What waits to be sent.
//!
//! A stream shares this page with the end of a batch, which sends what was queued, and with the *pump*, a task that sends what
//! the kernel did not take then. While the pump exists only it polls the transport for writing, which remembers one waker.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use futures_io::AsyncWrite;
use squall_executor::{BatchEnd, JoinHandle, at_batch_end, spawn};

use crate::link::Link;
use crate::share::Share;
use crate::stream_error::StreamError;
use crate::write_queue::WriteQueue;

#[derive(Default)]
pub(crate) struct Outbox {
    pub(crate) queue: RefCell<WriteQueue>,
    /// What may be sent in this turn while somebody waits for it.
    pub(crate) share: Share,
    /// To be sent at the end of the batch.
    scheduled: Cell<bool>,
    /// The task that sends what the kernel did not take at once.
    pub(crate) pump: RefCell<Option<JoinHandle<()>>>,
    /// Who waits for the pump.
    pub(crate) flusher: Cell<Option<Waker>>,
    /// Writing has failed.
    pub(crate) is_broken: Cell<bool>,
    /// Why, until somebody was told.
    pub(crate) failure: Cell<Option<io::Error>>,
}

impl Outbox {
    /// Nothing is queued or under way, and nothing has failed.
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.borrow().is_empty() && self.pump.borrow().is_none() && !self.is_broken.get()
    }

    /// Notes that nothing more can be written. What is queued is lost.
    fn fail(&self, error: io::Error) {
        self.is_broken.set(true);
        self.failure.set(Some(error));
        drop(self.queue.take());
    }

    /// Drops what could not be sent, and tells who waits for it.
    pub(crate) fn close(&self) {
        if let Some(pump) = self.pump.take() {
            pump.abort();
        }
        drop(self.queue.take());
        if let Some(flusher) = self.flusher.take() {
            flusher.wake();
        }
    }
}

impl<S: AsyncWrite + Unpin + 'static> Link<S> {
    /// Makes sure that the queue is looked at when the batch ends.
    pub(crate) fn schedule(self: &Rc<Self>) {
        let outbox = &self.outbox;
        if outbox.scheduled.get() || outbox.pump.borrow().is_some() {
            return;
        }
        self.try_send.set(Some(Self::try_send));
        outbox.scheduled.set(at_batch_end(Rc::clone(self) as Rc<dyn BatchEnd>));
    }

    /// One attempt, for whoever does not wait.
    fn try_send(&self) {
        let _ = self.poll_send(&mut Context::from_waker(Waker::noop()));
    }

    /// Sends what is queued. Ready also when writing has failed, which [`fail`](Outbox::fail) has noted.
    pub(crate) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<()> {
        let outbox = &self.outbox;
        while !outbox.queue.borrow().is_empty() {
            // Taken out, so that no borrow is held while the transport runs.
            let mut queue = outbox.queue.take();
            let polled = self.with_transport(|transport| match queue.single() {
                Some(bytes) => transport.poll_write(cx, bytes),
                None => queue.with_slices(|slices| transport.poll_write_vectored(cx, slices)),
            });
            if let Some(Poll::Ready(Ok(n))) = polled {
                queue.advance(n);
                outbox.share.count(n);
            }
            outbox.queue.replace(queue);
            match ready!(polled.unwrap_or(Poll::Ready(Ok(0)))) {
                Ok(0) => outbox.fail(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) => outbox.fail(error),
            }
        }
        let flushed = self.with_transport(|transport| transport.poll_flush(cx));
        match ready!(flushed.unwrap_or(Poll::Ready(Ok(())))) {
            Ok(()) => {}
            Err(error) => outbox.fail(error),
        }
        Poll::Ready(())
    }

    pub(crate) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<Result<usize, StreamError>> {
        match self.with_transport(|transport| transport.poll_write(cx, data)) {
            None => Poll::Ready(Err(StreamError::ended())),
            Some(polled) => Poll::Ready(match ready!(polled) {
                Ok(0) => Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                outcome => {
                    outcome.inspect(|n| self.outbox.share.count(*n)).map_err(StreamError::from)
                }
            }),
        }
    }

    pub(crate) fn poll_close(&self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        match self.with_transport(|transport| transport.poll_close(cx)) {
            None => Poll::Ready(Err(StreamError::ended())),
            Some(polled) => polled.map_err(StreamError::from),
        }
    }

    /// Lets a task send what the kernel did not take at once.
    ///
    /// From here on only that task polls the transport for writing, which remembers one waker: a flush that is dropped
    /// then cannot take the wake-up with it.
    pub(crate) fn start_pump(self: &Rc<Self>) {
        let pump = Pump { link: Rc::clone(self), is_done: false };
        let pump = spawn(async move {
            let mut pump = pump; // whole: its parts would be captured one by one, without its drop
            poll_fn(|cx| pump.link.poll_send(cx)).await;
            pump.is_done = true;
        });
        *self.outbox.pump.borrow_mut() = Some(pump);
    }
}

/// The end of the pump, however it ends: whoever flushes must hear of it.
struct Pump<S> {
    link: Rc<Link<S>>,
    is_done: bool,
}

impl<S> Drop for Pump<S> {
    fn drop(&mut self) {
        let outbox = &self.link.outbox;
        drop(outbox.pump.take());
        if !self.is_done {
            outbox.fail(io::Error::other("sending was cut short"));
        }
        if let Some(flusher) = outbox.flusher.take() {
            flusher.wake();
        }
    }
}

impl<S: AsyncWrite + Unpin + 'static> BatchEnd for Link<S> {
    fn batch_ended(self: Rc<Self>) {
        self.outbox.scheduled.set(false);
        if self.outbox.queue.borrow().is_empty() {
            return; // it was flushed; the transport may be waited for by somebody else now
        }
        if self.outbox.pump.borrow().is_none()
            && self.poll_send(&mut Context::from_waker(Waker::noop())).is_pending()
        {
            self.start_pump();
        }
    }

    fn loop_ended(self: Rc<Self>) {
        self.outbox.scheduled.set(false); // the next write, on another loop, schedules anew
    }
}
