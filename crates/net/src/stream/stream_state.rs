//! The state that the two halves of a stream share: the transport, and how the stream ends.
//!
//! The [reader](super::io_reader) reads from the transport, the [pump](super::pump) sends the
//! [outbox](super::outbox) through it, and the [watcher task](super::watcher_task) looks for the
//! peer's end while no read is under way.

use std::cell::{Cell, OnceCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures_io::AsyncRead;
use squall_executor::forks;

use crate::socket::readiness;
use crate::stream::close_watcher::CloseWatcher;
use crate::stream::outbox::Outbox;
use crate::stream::read_end::ReadEnd;
use crate::stream::stream_config::StreamConfig;
use crate::stream::stream_error::{Cause, StreamError};
use crate::stream::stream_flags::StreamFlags;
use crate::stream::transport_cell::{Lent, TransportCell};
use crate::stream::turn_budget::TurnBudget;
use crate::stream::waker_slot::WakerSlot;

pub(crate) struct StreamState<S> {
    /// `None` stands for [`StreamConfig::DEFAULT`].
    config: Option<Rc<StreamConfig>>,
    /// Not available while the transport is polled, after the stream was closed, and after the
    /// transport has panicked.
    pub(crate) transport: TransportCell<S>,
    pub(crate) flags: StreamFlags,
    /// The number of halves that have not been dropped, at most 2.
    live_halves: Cell<u8>,
    /// The number of forks, modulo 2³², when the stream was made. After a fork it differs, and the
    /// child's copy must not send.
    forks_at_start: u32,
    /// The number of bytes that may still be read in this turn.
    pub(crate) read_budget: TurnBudget,
    pub(crate) outbox: Outbox,
    /// Allocated when it is first needed. Most streams never need it.
    rare: OnceCell<Box<Rare>>,
    /// Sends what is queued when the stream closes, or resets the connection. Only methods that can
    /// write to the transport set the hook.
    pub(crate) on_close: Cell<Option<CloseHook<S>>>,
    /// Whether a server decides how the stream ends when its owner has dropped it.
    pub(crate) control: Cell<Control>,
}

/// The part of the state that few streams need.
#[derive(Default)]
struct Rare {
    /// The waker of the reading task. It is woken when the other half closes the stream, or when
    /// the close watcher has read something.
    reader_waker: WakerSlot,
    /// Set by the first call of `closed` or `set_close_callback`.
    watcher: OnceCell<Rc<CloseWatcher>>,
    /// Why reading has failed.
    read_failure: Cell<Option<Cause>>,
}

/// A server's control of the end of a stream that a handler owns.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control {
    /// The stream has no server, or its server has given up control.
    None,
    /// The handler runs. A stream that it drops waits for its result.
    Handler,
    /// The handler has returned `Ok`, and one half is still alive in another task.
    AfterOk,
    /// As `AfterOk`, of a handler that has failed.
    AfterFailure,
}

/// Runs before the stream drops its transport.
pub(crate) type CloseHook<S> = fn(&Rc<StreamState<S>>, CloseReason);

/// Why this side closes a stream.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// `close` was called.
    Requested,
    /// Both halves were dropped.
    Dropped,
    /// Both halves were dropped, and a server wants what is queued to be sent first. Only the hook
    /// gets this reason: it closes the stream later.
    AfterFlush,
    /// The peer must not take what it got for the whole: `reset` was called, or a server's handler
    /// has failed.
    Failed,
}

fn forks_modulo() -> u32 {
    u32::try_from(forks() & u64::from(u32::MAX)).unwrap_or_default()
}

impl<S> StreamState<S> {
    pub(crate) fn new(transport: S, config: Option<Rc<StreamConfig>>) -> Rc<StreamState<S>> {
        let limits = config.as_deref().unwrap_or(&StreamConfig::DEFAULT);
        let other_size =
            if limits.reads_whole_segments() { 0 } else { StreamFlags::OTHER_READ_SIZE };
        Rc::new(StreamState {
            flags: StreamFlags::new(other_size),
            config,
            transport: TransportCell::new(transport),
            live_halves: Cell::new(2),
            forks_at_start: forks_modulo(),
            read_budget: TurnBudget::default(),
            outbox: Outbox::default(),
            rare: OnceCell::new(),
            on_close: Cell::new(None),
            control: Cell::new(Control::None),
        })
    }

    /// Whether this is a forked child's copy of the stream.
    #[inline]
    pub(crate) fn is_forked(&self) -> bool {
        self.forks_at_start != forks_modulo()
    }

    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.flags.has_any(StreamFlags::CLOSED)
    }

    /// How the peer ended the stream.
    pub(crate) fn read_end(&self) -> ReadEnd {
        if !self.flags.has_any(StreamFlags::READ_ENDED) {
            return ReadEnd::NotReached;
        }
        let failure = self.rare.get().and_then(|rare| rare.read_failure.get());
        failure.map_or(ReadEnd::Orderly, ReadEnd::Failed)
    }

    /// Records the outcome of a read that has returned 0 bytes or an error.
    pub(crate) fn set_read_end(&self, read: &io::Result<usize>) {
        self.flags.set(StreamFlags::READ_ENDED, true);
        if let Err(error) = read {
            self.rare().read_failure.set(Some(Cause::of(error)));
        }
    }

    #[cold]
    fn rare(&self) -> &Rare {
        self.rare.get_or_init(Box::default)
    }

    /// The close watcher, if there is one.
    #[inline]
    pub(crate) fn watcher(&self) -> Option<&Rc<CloseWatcher>> {
        if self.flags.has_any(StreamFlags::WATCHED) { self.rare.get()?.watcher.get() } else { None }
    }

    pub(crate) fn get_or_make_watcher(&self) -> &Rc<CloseWatcher> {
        self.flags.set(StreamFlags::WATCHED, true);
        self.rare().watcher.get_or_init(Rc::default)
    }

    #[inline]
    pub(crate) fn config(&self) -> &StreamConfig {
        self.config.as_deref().unwrap_or(&StreamConfig::DEFAULT)
    }

    #[inline]
    pub(crate) fn max_write_buffer_size(&self) -> Option<usize> {
        match &self.config {
            Some(config) => config.max_write_buffer_size,
            None => StreamConfig::DEFAULT.max_write_buffer_size,
        }
    }

    #[cfg(feature = "tls")]
    pub(crate) fn shared_config(&self) -> Option<Rc<StreamConfig>> {
        self.config.clone()
    }

    /// Calls `f` with the transport. Returns `None` if there is none: see
    /// [`no_transport_error`](Self::no_transport_error).
    #[inline(always)] // on the shortest roads of a stream
    pub(crate) fn with_transport<R>(&self, f: impl FnOnce(Pin<&mut S>) -> R) -> Option<R>
    where
        S: Unpin,
    {
        let mut lent = self.transport.lend()?;
        let result = f(Pin::new(lent.get()));
        lent.end();
        self.loan_ended();
        Some(result)
    }

    /// Drops the transport if the stream was closed while the transport was lent. To be called when
    /// the loan has ended.
    #[inline(always)]
    pub(crate) fn loan_ended(&self) {
        if self.is_closed() {
            drop(self.transport.take());
        }
    }

    /// Polls the transport. Returns an error if there is none.
    #[inline]
    pub(crate) fn poll_transport<R>(
        &self,
        poll: impl FnOnce(Pin<&mut S>) -> Poll<io::Result<R>>,
    ) -> Poll<Result<R, StreamError>>
    where
        S: Unpin,
    {
        match self.with_transport(poll) {
            Some(polled) => polled.map_err(StreamError::from),
            None => Poll::Ready(Err(self.no_transport_error())),
        }
    }

    /// False if the transport is known to have nothing to read.
    #[inline(always)]
    pub(crate) fn may_read(&self) -> bool {
        let Some(mut lent) = self.transport.lend() else { return true };
        let may_read = readiness::may_read(lent.get());
        lent.end();
        may_read
    }

    /// Pending if the transport is known to have nothing to read; then the waker is stored.
    /// Otherwise a read must be tried.
    #[inline]
    pub(crate) fn poll_readable(&self, cx: &Context<'_>) -> Poll<()> {
        let Some(mut lent) = self.transport.lend() else { return Poll::Ready(()) };
        let polled = readiness::poll_readable(lent.get(), cx);
        lent.end();
        self.loan_ended(); // a foreign waker may have closed the stream
        if self.is_closed() { Poll::Ready(()) } else { polled }
    }

    /// Reads once into `spare`. Returns the number of bytes, 0 if there are none, and the outcome:
    /// `None` if there is no transport.
    #[inline(always)]
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        spare: &mut [u8],
    ) -> (usize, Option<Poll<io::Result<usize>>>)
    where
        S: AsyncRead + Unpin,
    {
        let Some(mut lent) = self.transport.lend() else { return (0, None) };
        let polled = Pin::new(lent.get()).poll_read(cx, spare);
        lent.end();
        self.loan_ended();
        (if let Poll::Ready(Ok(n)) = polled { n } else { 0 }, Some(polled))
    }

    /// The error that explains why there is no transport.
    pub(crate) fn no_transport_error(&self) -> StreamError {
        if self.is_closed() {
            StreamError::ended()
        } else {
            io::Error::other("the transport has panicked, or has called its own stream").into()
        }
    }

    /// Takes the transport out for good if the stream is open, the outbox is idle, and there is no
    /// close watcher.
    pub(crate) fn take_transport(&self) -> Option<S> {
        let is_idle = !self.is_closed() && self.outbox.is_idle() && self.watcher().is_none();
        if is_idle { self.transport.take() } else { None }
    }

    pub(crate) fn has_transport(&self) -> bool {
        self.transport.lend().map(Lent::end).is_some()
    }

    /// Whether the owner has dropped both halves.
    pub(crate) fn is_dropped(&self) -> bool {
        self.live_halves.get() == 0
    }

    /// Records that different tasks may use the halves. From here on each half stores its waker for
    /// the other.
    pub(crate) fn split(&self) {
        self.flags.set(StreamFlags::SPLIT, true);
    }

    /// Whether one half is alive and the other was dropped.
    pub(crate) fn is_half_dropped(&self) -> bool {
        self.live_halves.get() == 1
    }

    /// Records that a half was dropped. If both were, closes the stream, or leaves that to the
    /// server that has control.
    pub(crate) fn drop_half(self: &Rc<Self>) {
        self.live_halves.set(self.live_halves.get() - 1);
        if self.live_halves.get() > 0 {
            return;
        }
        match self.control.get() {
            Control::None => self.close(CloseReason::Dropped),
            Control::Handler if self.flags.has_any(StreamFlags::IN_HANDLER) => {}
            Control::Handler | Control::AfterOk => self.close_after_flush(),
            Control::AfterFailure => self.fail(),
        }
    }

    /// Closes a dropped stream after what is queued was sent.
    #[cold]
    pub(crate) fn close_after_flush(self: &Rc<Self>) {
        self.control.set(Control::None);
        match self.on_close.get() {
            Some(on_close) if !self.is_forked() => {
                on_close(self, CloseReason::AfterFlush);
            }
            _ => self.close(CloseReason::Dropped),
        }
    }

    /// Resets a dropped stream, unless its writing direction has ended in order.
    pub(crate) fn fail(self: &Rc<Self>) {
        self.control.set(Control::None);
        let is_whole = self.flags.has_any(StreamFlags::WRITE_ENDED);
        self.close(if is_whole { CloseReason::Dropped } else { CloseReason::Failed });
    }

    /// Runs the close hook, drops the transport and wakes the tasks that wait on the stream.
    pub(crate) fn close(self: &Rc<Self>, reason: CloseReason) {
        if self.is_closed() {
            return;
        }
        let on_close = self.on_close.take();
        // A drop after the end of everything that was written has nothing to send and nothing to lose.
        let is_whole = reason == CloseReason::Dropped
            && self.flags.has_any(StreamFlags::WRITE_ENDED)
            && self.outbox.is_unused();
        // After a fork, only the parent sends what is queued, and only the parent may reset.
        if let Some(on_close) = on_close
            && !is_whole
            && !self.is_forked()
        {
            on_close(self, reason);
        }
        self.flags.set(StreamFlags::CLOSED, true);
        let transport = self.transport.take();
        self.outbox.close();
        if let Some(watcher) = self.watcher() {
            watcher.stop();
        }
        self.wake_reader();
        drop(transport); // last, because its destructor is foreign code
    }

    /// Stores the reading task's waker for the close watcher. Stores it for the other half too, and
    /// for a write that may fail meanwhile, unless the transport can wake the task. A waker that
    /// nobody needs would keep the memory of its task.
    #[inline]
    pub(crate) fn set_reader_waker(&self, waker: &Waker) {
        let is_needed = self.flags.has_any(StreamFlags::WATCHED)
            || !readiness::is_known::<S>()
                && (self.flags.has_any(StreamFlags::SPLIT) || self.outbox.is_sending());
        if is_needed {
            self.rare().reader_waker.set(waker);
        }
    }

    /// Drops the reading task's waker.
    pub(crate) fn clear_reader_waker(&self) {
        if let Some(rare) = self.rare.get() {
            rare.reader_waker.clear();
        }
    }

    pub(crate) fn wake_reader(&self) {
        if let Some(rare) = self.rare.get() {
            rare.reader_waker.wake();
        }
    }

    pub(crate) fn too_long(&self) -> StreamError {
        StreamError::TooLong { limit: self.config().max_buffer_size }
    }
}
