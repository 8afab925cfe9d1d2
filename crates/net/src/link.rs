//! What the two halves of a stream share: the transport, and how the stream ends.
//!
//! The [`outbox`](crate::outbox) sends through it, the [`reader`](crate::io_reader) reads from it, and the
//! [`watch`](crate::watch) looks for the peer's end while nobody reads.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Waker;

use squall_executor::forks;

use crate::outbox::Outbox;
use crate::stream_config::StreamConfig;
use crate::stream_error::StreamError;
use crate::watch::Watch;

/// The transport is taken out to be used and put back, so no borrow is held while it runs.
pub(crate) struct Link<S> {
    pub(crate) config: StreamConfig,
    /// Away while it is polled; gone once the stream is closed.
    transport: Cell<Option<S>>,
    pub(crate) is_closed: Cell<bool>,
    /// What is known of the peer's end. Read up to there, there may still be bytes to take.
    pub(crate) end: Cell<End>,
    /// The reading half holds no bytes.
    pub(crate) is_drained: Cell<bool>,
    /// Halves that live.
    halves: Cell<u8>,
    /// The two halves may be in different tasks.
    is_split: Cell<bool>,
    /// The forks before this process, to know a copy of the stream in a child.
    forks: u64,
    /// Who reads and would not hear of it otherwise: of a close by the other half, or of what the watch found.
    pub(crate) reader: Cell<Option<Waker>>,
    pub(crate) watch: RefCell<Option<Rc<Watch>>>,
    pub(crate) outbox: Outbox,
    /// Tries once to send what is queued. Set by the first write, which knows that the transport can.
    pub(crate) try_send: Cell<Option<TrySend<S>>>,
}

pub(crate) type TrySend<S> = fn(&Link<S>);

/// Whether the peer's stream has come to an end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    NotYet,
    InOrder,
    Failed,
}

impl End {
    /// What a read that brought nothing tells.
    pub(crate) fn of(read: &io::Result<usize>) -> End {
        if read.is_ok() { End::InOrder } else { End::Failed }
    }
}

impl<S> Link<S> {
    pub(crate) fn new(transport: S, config: StreamConfig) -> Rc<Link<S>> {
        Rc::new(Link {
            config,
            transport: Cell::new(Some(transport)),
            is_closed: Cell::new(false),
            end: Cell::new(End::NotYet),
            is_drained: Cell::new(true),
            halves: Cell::new(2),
            is_split: Cell::new(false),
            forks: forks(),
            reader: Cell::new(None),
            watch: RefCell::new(None),
            outbox: Outbox::default(),
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
        if self.is_closed.get() {
            drop(transport); // closed by something that `f` has run
        } else {
            self.transport.set(Some(transport));
        }
        Some(result)
    }

    /// Takes the transport away, as long as the stream is whole and at rest.
    pub(crate) fn take_transport(&self) -> Option<S> {
        let is_idle =
            !self.is_closed.get() && self.outbox.is_idle() && self.watch.borrow().is_none();
        if is_idle { self.transport.take() } else { None }
    }

    /// From here on each half must wake the other.
    pub(crate) fn split(&self) {
        self.is_split.set(true);
    }

    /// One half is gone; the last closes the stream.
    pub(crate) fn drop_half(self: &Rc<Self>) {
        self.halves.set(self.halves.get() - 1);
        if self.halves.get() == 0 {
            self.close();
        }
    }

    pub(crate) fn close(self: &Rc<Self>) {
        // A copy in a forked child must not send what the parent will send.
        if let Some(try_send) = self.try_send.take()
            && self.forks == forks()
        {
            try_send(self);
        }
        self.is_closed.set(true);
        drop(self.transport.take());
        self.outbox.close();
        if let Some(watch) = self.watch.borrow().clone() {
            watch.stop();
        }
        self.wake_reader();
    }

    /// Leaves the reader's waker where the other half and the watch find it.
    pub(crate) fn note_reader(&self, waker: &Waker) {
        if !self.is_split.get() && self.watch.borrow().is_none() {
            return;
        }
        let known = self.reader.take();
        let waker = match known {
            Some(known) if known.will_wake(waker) => known,
            _ => waker.clone(),
        };
        drop(self.reader.replace(Some(waker)));
    }

    pub(crate) fn wake_reader(&self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    pub(crate) fn too_long(&self) -> StreamError {
        StreamError::TooLong { limit: self.config.max_buffer_size }
    }
}
