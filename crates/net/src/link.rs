//! What the two halves of a stream share: the transport, and how the stream ends.
//!
//! The [`outbox`](crate::outbox) sends through it, the [`reader`](crate::io_reader) reads from it, and the
//! [`watch`](crate::watch) looks for the peer's end while nobody reads.

use std::cell::{Cell, OnceCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use squall_executor::forks;

use crate::outbox::Outbox;
use crate::stream_config::StreamConfig;
use crate::stream_error::{Cause, StreamError};
use crate::waker_slot::WakerSlot;
use crate::watch::Watch;

/// The transport is taken out to be used and put back, so no borrow is held while it runs.
pub(crate) struct Link<S> {
    /// `None` is the default's.
    config: Option<Rc<StreamConfig>>,
    /// Away while it is polled; gone once the stream is closed, or when it has panicked.
    transport: Cell<Option<S>>,
    pub(crate) is_closed: Cell<bool>,
    /// Halves that live.
    halves: Cell<u8>,
    /// The halves may be used by different tasks.
    is_split: Cell<bool>,
    /// What is known of the peer's end. Read up to there, there may still be bytes to take.
    pub(crate) end: Cell<End>,
    /// A read to the end has returned: there is no second end.
    pub(crate) has_been_read: Cell<bool>,
    /// The forks before this process, to know a copy of the stream in a child.
    forks: u64,
    /// Who reads and would not hear of it otherwise: of a close by the other half, or of what the watch found.
    reader: WakerSlot,
    /// There from the first time that somebody asked for the stream's end.
    pub(crate) watch: OnceCell<Rc<Watch>>,
    pub(crate) outbox: Outbox,
    /// What a close still does for the peer. Set by those who know that the transport can be written to.
    pub(crate) farewell: Cell<Option<Farewell<S>>>,
}

pub(crate) type Farewell<S> = fn(&Link<S>, Ending);

/// How a stream comes to be closed here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Asked,
    Dropped,
}

/// Whether the peer's stream has come to an end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    NotYet,
    InOrder,
    Failed(Cause),
}

impl End {
    /// What a read that brought nothing tells.
    pub(crate) fn of(read: &io::Result<usize>) -> End {
        match read {
            Ok(_) => End::InOrder,
            Err(error) => End::Failed(Cause::of(error)),
        }
    }
}

impl<S> Link<S> {
    pub(crate) fn new(transport: S, config: Option<Rc<StreamConfig>>) -> Rc<Link<S>> {
        Rc::new(Link {
            config,
            transport: Cell::new(Some(transport)),
            is_closed: Cell::new(false),
            halves: Cell::new(2),
            is_split: Cell::new(false),
            end: Cell::new(End::NotYet),
            has_been_read: Cell::new(false),
            forks: forks(),
            reader: WakerSlot::default(),
            watch: OnceCell::new(),
            outbox: Outbox::default(),
            farewell: Cell::new(None),
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

    /// Polls the transport; a closed stream answers for it.
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
            io::Error::other("the transport has panicked, or has come back to its own stream")
                .into()
        }
    }

    /// Takes the transport away, as long as the stream is whole and at rest.
    pub(crate) fn take_transport(&self) -> Option<S> {
        let is_idle = !self.is_closed.get() && self.outbox.is_idle() && self.watch.get().is_none();
        if is_idle { self.transport.take() } else { None }
    }

    pub(crate) fn has_transport(&self) -> bool {
        let transport = self.transport.take();
        let is_there = transport.is_some();
        self.transport.set(transport);
        is_there
    }

    /// From here on each half must find the other's waker.
    pub(crate) fn split(&self) {
        self.is_split.set(true);
    }

    /// One half is gone; the last closes the stream.
    pub(crate) fn drop_half(&self) {
        self.halves.set(self.halves.get() - 1);
        if self.halves.get() == 0 {
            self.close(Ending::Dropped);
        }
    }

    pub(crate) fn close(&self, ending: Ending) {
        if self.is_closed.get() {
            return;
        }
        // A copy in a forked child must not send what the parent will send.
        if let Some(farewell) = self.farewell.take()
            && self.forks == forks()
        {
            farewell(self, ending);
        }
        self.is_closed.set(true);
        let transport = self.transport.take();
        self.outbox.close();
        if let Some(watch) = self.watch.get() {
            watch.stop();
        }
        self.wake_reader();
        drop(transport); // last: it is somebody else's code
    }

    /// Leaves the reader's waker where the other half and the watch find it; if there are none it is not kept, since it keeps the
    /// memory of its task.
    #[inline]
    pub(crate) fn note_reader(&self, waker: &Waker) {
        if self.is_split.get() || self.watch.get().is_some() {
            self.reader.leave(waker);
        }
    }

    /// Nobody reads any more.
    pub(crate) fn forget_reader(&self) {
        self.reader.clear();
    }

    pub(crate) fn wake_reader(&self) {
        self.reader.wake();
    }

    pub(crate) fn too_long(&self) -> StreamError {
        StreamError::TooLong { limit: self.config().max_buffer_size }
    }
}
