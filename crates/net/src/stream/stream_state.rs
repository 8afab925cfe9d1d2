//! The state that the two halves of a stream share: the transport, and how the stream ends.
//!
//! The [reader](super::io_reader) reads from the transport, the [pump](super::pump) sends the [outbox](super::outbox) through it, and the
//! [watcher task](super::watcher_task) waits for the peer's end while no read is under way.

use std::cell::{Cell, OnceCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use squall_executor::forks;

use crate::stream::close_watcher::CloseWatcher;
use crate::stream::outbox::Outbox;
use crate::stream::read_end::ReadEnd;
use crate::stream::stream_config::StreamConfig;
use crate::stream::stream_error::StreamError;
use crate::stream::waker_slot::WakerSlot;

/// The transport is taken out to be used and put back, so no borrow is held while it runs.
pub(crate) struct StreamState<S> {
    /// `None` is the default.
    config: Option<Rc<StreamConfig>>,
    /// `None` while it is polled, after the stream was closed, and after it has panicked.
    transport: Cell<Option<S>>,
    pub(crate) is_closed: Cell<bool>,
    /// How many of the two halves have not been dropped.
    halves: Cell<u8>,
    /// Whether the halves may be used by different tasks.
    is_split: Cell<bool>,
    pub(crate) read_end: Cell<ReadEnd>,
    /// Whether a `read_until_close` has returned. The next one fails.
    pub(crate) was_read_to_end: Cell<bool>,
    /// The number of forks before the process that made the stream. A forked child's copy must not send.
    forks: u64,
    /// The waker of the reading task. It is woken when the other half closes the stream, or when the close watcher has read something.
    reader: WakerSlot,
    /// `Some` from the first time that the stream's end was asked for.
    pub(crate) watcher: OnceCell<Rc<CloseWatcher>>,
    pub(crate) outbox: Outbox,
    /// What a close still does for the peer. `None` until a method sets it that can write to the transport.
    pub(crate) on_close: Cell<Option<CloseHook<S>>>,
}

pub(crate) type CloseHook<S> = fn(&StreamState<S>, CloseReason);

/// Why a stream is closed on this side.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseReason {
    Requested,
    Dropped,
}

impl<S> StreamState<S> {
    pub(crate) fn new(transport: S, config: Option<Rc<StreamConfig>>) -> Rc<StreamState<S>> {
        Rc::new(StreamState {
            config,
            transport: Cell::new(Some(transport)),
            is_closed: Cell::new(false),
            halves: Cell::new(2),
            is_split: Cell::new(false),
            read_end: Cell::new(ReadEnd::NotReached),
            was_read_to_end: Cell::new(false),
            forks: forks(),
            reader: WakerSlot::default(),
            watcher: OnceCell::new(),
            outbox: Outbox::default(),
            on_close: Cell::new(None),
        })
    }

    pub(crate) fn config(&self) -> &StreamConfig {
        self.config.as_deref().unwrap_or(&StreamConfig::DEFAULT)
    }

    #[cfg(feature = "tls")]
    pub(crate) fn shared_config(&self) -> Option<Rc<StreamConfig>> {
        self.config.clone()
    }

    /// Lends the transport to `f`; `None` once the stream is closed.
    #[inline]
    pub(crate) fn with_transport<R>(&self, f: impl FnOnce(Pin<&mut S>) -> R) -> Option<R>
    where
        S: Unpin,
    {
        let mut transport = self.transport.take()?;
        let result = f(Pin::new(&mut transport));
        if self.is_closed.get() {
            drop(transport); // closed by something that `f` has run
        } else {
            self.transport.set(Some(transport));
        }
        Some(result)
    }

    /// Polls the transport. A closed stream returns its error instead.
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
            None => Poll::Ready(Err(self.gone())),
        }
    }

    /// Why there is no transport.
    pub(crate) fn gone(&self) -> StreamError {
        if self.is_closed.get() {
            StreamError::ended()
        } else {
            io::Error::other("the transport has panicked, or has called its own stream").into()
        }
    }

    /// Takes the transport out for good, if the stream is open, has nothing to send, and its end is not watched.
    pub(crate) fn take_transport(&self) -> Option<S> {
        let is_idle =
            !self.is_closed.get() && self.outbox.is_idle() && self.watcher.get().is_none();
        if is_idle { self.transport.take() } else { None }
    }

    pub(crate) fn has_transport(&self) -> bool {
        let transport = self.transport.take();
        let is_there = transport.is_some();
        self.transport.set(transport);
        is_there
    }

    /// Notes that the halves may be used by different tasks: from here on each half must find the other's waker.
    pub(crate) fn split(&self) {
        self.is_split.set(true);
    }

    /// Notes that a half was dropped. The last one closes the stream.
    pub(crate) fn drop_half(&self) {
        self.halves.set(self.halves.get() - 1);
        if self.halves.get() == 0 {
            self.close(CloseReason::Dropped);
        }
    }

    pub(crate) fn close(&self, reason: CloseReason) {
        if self.is_closed.get() {
            return;
        }
        // After a fork, only the parent sends what is queued.
        if let Some(on_close) = self.on_close.take()
            && self.forks == forks()
        {
            on_close(self, reason);
        }
        self.is_closed.set(true);
        let transport = self.transport.take();
        self.outbox.close();
        if let Some(watcher) = self.watcher.get() {
            watcher.stop();
        }
        self.wake_reader();
        drop(transport); // last: it is foreign code
    }

    /// Stores the reader's waker for the other half and for the close watcher. If there are none it is not stored, since a waker keeps
    /// the memory of its task.
    #[inline]
    pub(crate) fn set_reader(&self, waker: &Waker) {
        if self.is_split.get() || self.watcher.get().is_some() {
            self.reader.set(waker);
        }
    }

    /// Drops the reader's waker.
    pub(crate) fn clear_reader(&self) {
        self.reader.clear();
    }

    pub(crate) fn wake_reader(&self) {
        self.reader.wake();
    }

    pub(crate) fn too_long(&self) -> StreamError {
        StreamError::TooLong { limit: self.config().max_buffer_size }
    }
}
