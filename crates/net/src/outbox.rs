//! What waits to be sent.
//!
//! A stream shares this page with the end of a batch, which sends what was queued, and with the *pump*, a task that sends what
//! the kernel did not take then. While the pump exists only it polls the transport for writing, which remembers one waker.

use std::cell::{Cell, OnceCell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use futures_io::AsyncWrite;
use squall_executor::{BatchEnd, JoinHandle, at_batch_end, spawn};

use crate::link::{Ending, Link};
use crate::share::{AT_ONCE, Share};
use crate::stream_error::{Cause, StreamError};
use crate::waker_slot::WakerSlot;
use crate::write_queue::WriteQueue;

#[derive(Default)]
pub(crate) struct Outbox {
    pub(crate) queue: RefCell<WriteQueue>,
    /// What may be sent in this turn.
    pub(crate) share: Share,
    /// To be sent at the end of the batch.
    is_scheduled: Cell<bool>,
    /// Writing has failed.
    is_broken: Cell<bool>,
    /// There from the first time that the kernel did not take everything at once, or nothing more: most streams never see that.
    trouble: OnceCell<Box<Trouble>>,
}

#[derive(Default)]
struct Trouble {
    /// The task that sends what the kernel did not take at once.
    pump: RefCell<Option<JoinHandle<()>>>,
    /// Who waits for the pump, or for the transport.
    flusher: WakerSlot,
    /// Why writing has failed.
    failure: Cell<Option<Failure>>,
}

/// An error is told in full once, and as far as it can be told again from then on.
enum Failure {
    Fresh(io::Error),
    Told(Cause),
}

impl Outbox {
    /// Nothing is queued or under way, and nothing has failed.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.borrow().is_empty() && !self.is_pumped() && !self.is_broken.get()
    }

    #[inline]
    pub(crate) fn is_pumped(&self) -> bool {
        self.trouble.get().is_some_and(|trouble| trouble.pump.borrow().is_some())
    }

    fn trouble(&self) -> &Trouble {
        self.trouble.get_or_init(Box::default)
    }

    /// Why nothing can be written any more, if writing has failed.
    #[inline]
    pub(crate) fn failure(&self) -> Option<io::Error> {
        if self.is_broken.get() { self.tell_failure() } else { None }
    }

    #[cold]
    fn tell_failure(&self) -> Option<io::Error> {
        let (error, cause) = match self.trouble().failure.take()? {
            Failure::Fresh(error) => {
                let cause = Cause::of(&error);
                (error, cause)
            }
            Failure::Told(cause) => (cause.error(), cause),
        };
        self.trouble().failure.set(Some(Failure::Told(cause)));
        Some(error)
    }

    /// Notes that nothing more can be written. What is queued is lost.
    #[cold]
    fn fail(&self, failure: Failure) {
        self.is_broken.set(true);
        self.trouble().failure.set(Some(failure));
        drop(self.queue.take());
    }

    /// Leaves the waker of who waits until everything is sent.
    pub(crate) fn note_flusher(&self, waker: &Waker) {
        self.trouble().flusher.leave(waker);
    }

    fn wake_flusher(&self) {
        if let Some(trouble) = self.trouble.get() {
            trouble.flusher.wake();
        }
    }

    fn take_pump(&self) -> Option<JoinHandle<()>> {
        self.trouble.get()?.pump.take()
    }

    /// Lets everybody who writes try again. A transport that fails while it is read may have polled itself for writing, and
    /// remembers the reader's waker now.
    pub(crate) fn wake_writers(&self) {
        if let Some(trouble) = self.trouble.get()
            && let Some(pump) = &*trouble.pump.borrow()
        {
            pump.nudge();
        }
        self.wake_flusher();
    }

    /// Drops what could not be sent, and tells who waits for it.
    pub(crate) fn close(&self) {
        if let Some(pump) = self.take_pump() {
            pump.abort();
        }
        drop(self.queue.take());
        self.wake_flusher();
    }
}

impl<S: AsyncWrite + Unpin + 'static> Link<S> {
    /// Makes sure that the queue is looked at when the batch ends.
    pub(crate) fn schedule(self: &Rc<Self>) {
        let outbox = &self.outbox;
        if outbox.is_scheduled.get() || outbox.is_pumped() {
            return;
        }
        if self.farewell.get().is_none() {
            self.farewell.set(Some(Self::try_send));
        }
        outbox.is_scheduled.set(at_batch_end(Rc::clone(self) as Rc<dyn BatchEnd>));
    }

    /// One attempt, for a stream that ends.
    fn try_send(&self, _ending: Ending) {
        let cx = &mut Context::from_waker(Waker::noop());
        while !self.outbox.queue.borrow().is_empty() {
            if self.poll_send_some(cx).is_pending() {
                return;
            }
        }
        let _ = self.poll_transport(|transport| transport.poll_flush(cx)); // nobody is left to be told
    }

    /// The same where an end must be said. Only one that was asked for is: a stream that is dropped may have been in the middle of
    /// something, and its peer must not take what came for the whole.
    #[cfg(feature = "tls")]
    pub(crate) fn try_send_and_say_so(&self, ending: Ending) {
        self.try_send(ending);
        if ending == Ending::Asked
            && self.outbox.queue.borrow().is_empty()
            && !self.outbox.is_broken.get()
        {
            let cx = &mut Context::from_waker(Waker::noop());
            let _ = self.poll_transport(|transport| transport.poll_close(cx)); // as above
        }
    }

    /// Sends what is queued, as much as this turn allows. Ready also when writing has failed, which [`fail`](Outbox::fail) has
    /// noted.
    pub(crate) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.outbox.queue.borrow().is_empty() {
            ready!(self.outbox.share.poll(cx));
            ready!(self.poll_send_some(cx));
        }
        if let Err(error) = ready!(self.poll_transport(|transport| transport.poll_flush(cx))) {
            self.outbox.fail(Failure::Fresh(error.into()));
        }
        Poll::Ready(())
    }

    /// Sends once.
    fn poll_send_some(&self, cx: &mut Context<'_>) -> Poll<()> {
        let outbox = &self.outbox;
        // Taken out, so that no borrow is held while the transport runs.
        let mut queue = outbox.queue.take();
        let polled = self.poll_transport(|transport| match queue.single(AT_ONCE) {
            Some(bytes) => transport.poll_write(cx, bytes),
            None => queue.with_slices(AT_ONCE, |slices| transport.poll_write_vectored(cx, slices)),
        });
        if let Poll::Ready(Ok(n)) = polled {
            queue.advance(n);
            outbox.share.count(n);
        }
        // A waker that the transport has used may have written meanwhile, or closed the stream.
        let late = outbox.queue.take();
        queue.append(late);
        if self.is_closed.get() {
            return Poll::Ready(());
        }
        drop(outbox.queue.replace(queue));
        match ready!(polled) {
            Ok(0) => outbox.fail(Failure::Fresh(io::ErrorKind::WriteZero.into())),
            Ok(_) => {}
            Err(error) => outbox.fail(Failure::Fresh(error.into())),
        }
        Poll::Ready(())
    }

    /// Writes, behind an empty queue, and returns how many bytes. If that was all it flushes too; `true`: it is done.
    #[inline]
    pub(crate) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<Result<(usize, bool), StreamError>> {
        let polled = self.poll_transport(|mut transport| {
            let n = ready!(transport.as_mut().poll_write(cx, &data[..data.len().min(AT_ONCE)]))?;
            let is_done = n == data.len() && transport.poll_flush(cx)?.is_ready();
            Poll::Ready(if n > 0 { Ok((n, is_done)) } else { Err(io::ErrorKind::WriteZero.into()) })
        });
        match &polled {
            Poll::Ready(Ok((n, _))) => self.outbox.share.count(*n),
            Poll::Ready(Err(StreamError::Closed { cause: Some(error) })) => {
                self.outbox.fail(Failure::Told(Cause::of(error)));
            }
            Poll::Ready(Err(_)) => {} // it was closed here
            Poll::Pending => self.outbox.note_flusher(cx.waker()), // the other half may close the stream
        }
        polled
    }

    pub(crate) fn poll_close(&self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        let polled = self.poll_transport(|transport| transport.poll_close(cx));
        if polled.is_pending() {
            self.outbox.note_flusher(cx.waker());
        }
        polled
    }

    /// Lets a task send what the kernel did not take at once.
    ///
    /// From here on only that task polls the transport for writing, which remembers one waker: a flush that is dropped
    /// then cannot take the wake-up with it.
    pub(crate) fn start_pump(self: &Rc<Self>) {
        let pump = Pump { link: Rc::clone(self) };
        let task = spawn(async move { poll_fn(|cx| pump.poll(cx)).await });
        if !task.is_finished() {
            *self.outbox.trouble().pump.borrow_mut() = Some(task);
        }
    }
}

/// The end of the pump, however it ends: whoever flushes must hear of it.
struct Pump<S> {
    link: Rc<Link<S>>,
}

impl<S: AsyncWrite + Unpin + 'static> Pump<S> {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.link.poll_send(cx)
    }
}

impl<S> Drop for Pump<S> {
    fn drop(&mut self) {
        let outbox = &self.link.outbox;
        drop(outbox.take_pump());
        // One whose loop has ended leaves the queue to the next loop.
        if !self.link.has_transport() && !self.link.is_closed.get() {
            outbox.fail(Failure::Fresh(self.link.gone().into()));
        }
        outbox.wake_flusher();
    }
}

impl<S: AsyncWrite + Unpin + 'static> BatchEnd for Link<S> {
    fn batch_ended(self: Rc<Self>) {
        self.outbox.is_scheduled.set(false);
        if self.outbox.queue.borrow().is_empty() {
            return; // it was flushed; the transport may be waited for by somebody else now
        }
        if !self.outbox.is_pumped()
            && self.poll_send(&mut Context::from_waker(Waker::noop())).is_pending()
        {
            self.start_pump();
        }
    }

    fn loop_ended(self: Rc<Self>) {
        self.outbox.is_scheduled.set(false); // the next write, on another loop, schedules anew
    }
}
