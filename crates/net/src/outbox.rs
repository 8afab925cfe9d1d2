//! The transport of a stream, and what waits to be sent through it.
//!
//! A stream shares this page with the end of a batch, which sends what was queued, and with the *pump*, a task that sends what
//! the kernel did not take then. While the pump exists only it polls the transport for writing, which remembers one waker.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use futures_io::AsyncWrite;
use squall_executor::{BatchEnd, JoinHandle, at_batch_end, spawn};

use crate::share::Share;
use crate::stream_config::StreamConfig;
use crate::stream_error::StreamError;
use crate::write_queue::WriteQueue;

/// All of it is taken out to be used and put back, so no borrow is held while the transport runs.
pub(crate) struct Outbox<S> {
    pub(crate) config: StreamConfig,
    /// Away while it is polled; gone once the stream is closed.
    transport: Cell<Option<S>>,
    pub(crate) is_closed: Cell<bool>,
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
    /// Tries once to send what is queued. Set by the first write, which knows that the transport can.
    try_send: Cell<Option<TrySend<S>>>,
}

type TrySend<S> = fn(&Outbox<S>);

impl<S> Outbox<S> {
    pub(crate) fn new(transport: S, config: StreamConfig) -> Rc<Outbox<S>> {
        Rc::new(Outbox {
            config,
            transport: Cell::new(Some(transport)),
            is_closed: Cell::new(false),
            queue: RefCell::default(),
            share: Share::default(),
            scheduled: Cell::new(false),
            pump: RefCell::new(None),
            flusher: Cell::new(None),
            is_broken: Cell::new(false),
            failure: Cell::new(None),
            try_send: Cell::new(None),
        })
    }

    /// Lends the transport to `f`; `None` once the stream is closed.
    pub(crate) fn with_transport<R>(&self, f: impl FnOnce(Pin<&mut S>) -> R) -> Option<R>
    where
        S: Unpin,
    {
        let mut transport = self.transport.take()?;
        let result = f(Pin::new(&mut transport));
        self.transport.set(Some(transport));
        Some(result)
    }

    /// Notes that nothing more can be written. What is queued is lost.
    fn fail(&self, error: io::Error) {
        self.is_broken.set(true);
        self.failure.set(Some(error));
        drop(self.queue.take());
    }

    pub(crate) fn close(self: &Rc<Self>) {
        if let Some(try_send) = self.try_send.take() {
            try_send(self);
        }
        if let Some(pump) = self.pump.take() {
            pump.abort();
        }
        self.is_closed.set(true);
        drop(self.transport.take());
        drop(self.queue.take());
        if let Some(flusher) = self.flusher.take() {
            flusher.wake();
        }
    }
}

impl<S: AsyncWrite + Unpin + 'static> Outbox<S> {
    /// Makes sure that the queue is looked at when the batch ends.
    pub(crate) fn schedule(self: &Rc<Self>) {
        if self.scheduled.get() || self.pump.borrow().is_some() {
            return;
        }
        self.try_send.set(Some(Self::try_send));
        self.scheduled.set(at_batch_end(Rc::clone(self) as Rc<dyn BatchEnd>));
    }

    /// One attempt, for whoever does not wait.
    fn try_send(&self) {
        let _ = self.poll_send(&mut Context::from_waker(Waker::noop()));
    }

    /// Sends what is queued. Ready also when writing has failed, which [`fail`](Self::fail) has noted.
    pub(crate) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.queue.borrow().is_empty() {
            // Taken out, so that no borrow is held while the transport runs.
            let mut queue = self.queue.take();
            let polled = self.with_transport(|transport| match queue.single() {
                Some(bytes) => transport.poll_write(cx, bytes),
                None => queue.with_slices(|slices| transport.poll_write_vectored(cx, slices)),
            });
            if let Some(Poll::Ready(Ok(n))) = polled {
                queue.advance(n);
                self.share.count(n);
            }
            self.queue.replace(queue);
            match ready!(polled.unwrap_or(Poll::Ready(Ok(0)))) {
                Ok(0) => self.fail(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) => self.fail(error),
            }
        }
        match ready!(
            self.with_transport(|transport| transport.poll_flush(cx))
                .unwrap_or(Poll::Ready(Ok(())))
        ) {
            Ok(()) => {}
            Err(error) => self.fail(error),
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
                outcome => outcome.inspect(|n| self.share.count(*n)).map_err(StreamError::from),
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
        let pump = Pump { outbox: Rc::clone(self), is_done: false };
        let pump = spawn(async move {
            let mut pump = pump; // whole: its parts would be captured one by one, without its drop
            poll_fn(|cx| pump.outbox.poll_send(cx)).await;
            pump.is_done = true;
        });
        *self.pump.borrow_mut() = Some(pump);
    }
}

/// The end of the pump, however it ends: whoever flushes must hear of it.
struct Pump<S> {
    outbox: Rc<Outbox<S>>,
    is_done: bool,
}

impl<S> Drop for Pump<S> {
    fn drop(&mut self) {
        drop(self.outbox.pump.take());
        if !self.is_done {
            self.outbox.fail(io::Error::other("sending was cut short"));
        }
        if let Some(flusher) = self.outbox.flusher.take() {
            flusher.wake();
        }
    }
}

impl<S: AsyncWrite + Unpin + 'static> BatchEnd for Outbox<S> {
    fn batch_ended(self: Rc<Self>) {
        self.scheduled.set(false);
        if self.queue.borrow().is_empty() {
            return; // it was flushed; the transport may be waited for by somebody else now
        }
        if self.pump.borrow().is_none()
            && self.poll_send(&mut Context::from_waker(Waker::noop())).is_pending()
        {
            self.start_pump();
        }
    }

    fn loop_ended(self: Rc<Self>) {
        self.scheduled.set(false); // the next write, on another loop, schedules anew
    }
}
