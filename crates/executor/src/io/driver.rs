//! The loop's hold on epoll: what is registered there, and where its events go.
//!
//! Called by the turn, which waits and delivers here, by [`AsyncFd`](crate::AsyncFd) and by the handler functions. Delivering only
//! queues entries and sets bits, so the borrow of the reactor never meets foreign code.

use std::cell::{Cell, RefCell};
use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::Duration;

use squall_reactor::{Event, Events, Interest, Mode, Reactor, ReactorStats, Token};

use crate::insight::origin::Origin;
use crate::insight::panics::shield;
use crate::io::handler::{Handler, HandlerId};
use crate::io::source::Source;
use crate::task::entry::Entry;
use crate::task::scheduler::Scheduler;

/// Events that the kernel may report at once.
const EVENTS_PER_WAIT: usize = 1024;

pub(crate) struct Driver {
    /// `None` once the loop is closed.
    reactor: RefCell<Option<Reactor<Registered>>>,
    /// The buffer for events; `None` while they are delivered.
    events: Cell<Option<Events>>,
    /// This loop's number, unique within the process: part of every `HandlerId`.
    loop_number: u64,
    handlers: Cell<usize>,
    stale_events: Cell<u64>,
    /// The counters of the reactor of a closed loop.
    final_stats: Cell<ReactorStats>,
}

/// What the reactor keeps for each registered descriptor.
pub(crate) enum Registered {
    Source(Rc<Source>),
    Handler(Rc<Handler>),
}

impl Driver {
    pub(crate) fn new(reactor: Reactor<Registered>, loop_number: u64) -> Driver {
        Driver {
            reactor: RefCell::new(Some(reactor)),
            events: Cell::new(None),
            loop_number,
            handlers: Cell::new(0),
            stale_events: Cell::new(0),
            final_stats: Cell::default(),
        }
    }

    /// Whether a descriptor is registered that could have an event.
    pub(crate) fn is_watching(&self) -> bool {
        self.reactor.borrow().as_ref().is_some_and(|reactor| !reactor.is_empty())
    }

    /// Waits for events, at most for `timeout`; `None` waits for ever.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> io::Result<Events> {
        let mut events =
            self.events.take().unwrap_or_else(|| Events::with_capacity(EVENTS_PER_WAIT));
        match &mut *self.reactor.borrow_mut() {
            Some(reactor) => reactor.wait(&mut events, timeout)?,
            None => unreachable!("a closed loop does not run"),
        };
        Ok(events)
    }

    /// Passes events on to the sources and handlers that they are for; returns how many events there were.
    pub(crate) fn deliver(&self, events: Events, scheduler: &Scheduler) -> usize {
        let reactor = self.reactor.borrow();
        for event in &events {
            match reactor.as_ref().and_then(|reactor| reactor.get(event.token())) {
                Some(Registered::Source(source)) => {
                    source.deliver(event, |waker| scheduler.wake(waker));
                }
                Some(Registered::Handler(handler)) => {
                    if handler.deliver(event) {
                        scheduler.push(Entry::Handler(Rc::clone(handler)));
                    }
                }
                None => self.stale_events.set(self.stale_events.get() + 1),
            }
        }
        let count = events.len();
        self.events.set(Some(events));
        count
    }

    /// Registers a source, for both directions, or for reading a listener that other loops share.
    pub(crate) fn add_source(
        &self,
        fd: BorrowedFd<'_>,
        source: &Rc<Source>,
        is_shared: bool,
    ) -> io::Result<()> {
        let (interest, mode) = if is_shared {
            (Interest::READABLE, Mode::Exclusive)
        } else {
            (Interest::READABLE | Interest::WRITABLE | Interest::PRIORITY, Mode::Edge)
        };
        let token = self.register(fd, interest, mode, Registered::Source(Rc::clone(source)))?;
        source.token.set(Some(token));
        Ok(())
    }

    /// Deregisters a source.
    pub(crate) fn remove_source(&self, source: &Source) {
        drop(source.token.get().and_then(|token| self.deregister(token)));
    }

    /// Registers a handler with its descriptor, which it owns.
    pub(crate) fn add_handler<T: AsFd + 'static>(
        &self,
        io: T,
        interest: Interest,
        mut f: impl FnMut(&T, Event) + 'static,
        origin: Origin,
    ) -> io::Result<HandlerId> {
        let handler = Rc::new(Handler::new(origin));
        let fd = io.as_fd(); // the user's code, so before the borrow
        let registered = Registered::Handler(Rc::clone(&handler));
        let token = self.register(fd, interest, Mode::Level, registered)?;
        self.handlers.set(self.handlers.get() + 1);
        handler.set_call(Box::new(move |event| f(&io, event)));
        Ok(HandlerId { token, loop_number: self.loop_number })
    }

    /// Replaces the interest of a handler; `NotFound` if it was removed.
    pub(crate) fn update_handler(&self, handler: HandlerId, interest: Interest) -> io::Result<()> {
        let token = self.token_of(handler);
        match (&mut *self.reactor.borrow_mut(), token) {
            (Some(reactor), Some(token)) => reactor.modify(token, interest, Mode::Level),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Removes a handler and drops it with its descriptor. Returns false if it was removed before.
    pub(crate) fn remove_handler(&self, handler: HandlerId) -> bool {
        let registered = self.token_of(handler).and_then(|token| self.deregister(token));
        let Some(Registered::Handler(handler)) = registered else { return false };
        self.handlers.set(self.handlers.get() - 1);
        drop(handler.remove()); // foreign destructors run with no borrow held
        true
    }

    /// The token of a handler that is registered with this loop.
    fn token_of(&self, handler: HandlerId) -> Option<Token> {
        let reactor = self.reactor.borrow();
        let registered = reactor.as_ref()?.get(handler.token)?;
        let is_its =
            matches!(registered, Registered::Handler(_)) && handler.loop_number == self.loop_number;
        is_its.then_some(handler.token)
    }

    fn register(
        &self,
        fd: BorrowedFd<'_>,
        interest: Interest,
        mode: Mode,
        registered: Registered,
    ) -> io::Result<Token> {
        match &mut *self.reactor.borrow_mut() {
            Some(reactor) => reactor.register(fd, interest, mode, registered),
            None => Err(io::Error::other("the event loop is closed")),
        }
    }

    fn deregister(&self, token: Token) -> Option<Registered> {
        self.reactor.borrow_mut().as_mut()?.deregister(token)
    }

    /// The counters of the reactor, those of a closed loop as they were at its end.
    pub(crate) fn reactor_stats(&self) -> ReactorStats {
        self.reactor.borrow().as_ref().map_or(self.final_stats.get(), Reactor::stats)
    }

    /// How many descriptors are registered, handlers included.
    pub(crate) fn len(&self) -> usize {
        self.reactor.borrow().as_ref().map_or(0, Reactor::len)
    }

    pub(crate) fn live_handlers(&self) -> usize {
        self.handlers.get()
    }

    pub(crate) fn stale_events(&self) -> u64 {
        self.stale_events.get()
    }

    /// The origin of every handler.
    pub(crate) fn handler_origins(&self) -> Vec<Origin> {
        let reactor = self.reactor.borrow();
        let registered = reactor.iter().flat_map(Reactor::states);
        registered
            .filter_map(|registered| match registered {
                Registered::Handler(handler) => Some(handler.origin()),
                Registered::Source(_) => None,
            })
            .collect()
    }

    /// Ends the reactor: drops the handlers, and wakes the tasks that wait for a descriptor, which find the loop gone.
    pub(crate) fn close(&self) {
        let reactor = self.reactor.borrow_mut().take();
        self.handlers.set(0);
        self.final_stats.set(reactor.as_ref().map(Reactor::stats).unwrap_or_default());
        for registered in reactor.map(Reactor::into_states).unwrap_or_default() {
            if let Registered::Source(source) = &registered {
                source.close(|waker| shield("a waker", || waker.wake()));
            }
            shield("the destructor of a handler", || drop(registered));
        }
    }

    /// Closes epoll's descriptor in a forked child. Sources and handlers are leaked, because the parent still uses what they own.
    pub(crate) fn abandon(&self) {
        mem::forget(self.reactor.borrow_mut().take().map(Reactor::into_states));
    }
}
