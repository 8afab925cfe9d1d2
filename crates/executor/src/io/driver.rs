//! The loop's reactor: registers descriptors with epoll and delivers their events.
//!
//! The turn calls the driver to wait and to deliver. [`AsyncFd`](crate::AsyncFd) and the handler
//! functions call it to register. Delivery only queues entries and sets bits, so no foreign code
//! runs while the reactor is borrowed.

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
use crate::io::source::{Home, Source};
use crate::isolation::refused;
use crate::task::entry::Entry;
use crate::task::scheduler::Scheduler;

/// The most events that one wait returns.
const EVENTS_PER_WAIT: usize = 1024;

pub(crate) struct Driver<H> {
    /// `None` after the loop is closed.
    reactor: RefCell<Option<Reactor<Registered<H>>>>,
    /// The buffer for events. `None` before the first wait, and from a wait to the end of the
    /// delivery.
    events: Cell<Option<Events>>,
    /// This loop's number, unique within the process: part of every `HandlerId`.
    loop_number: u64,
    /// Whether the loop is isolated: it watches no descriptor.
    is_isolated: bool,
    handlers: Cell<usize>,
    stale_events: Cell<u64>,
    /// The reactor's last counters; valid after the loop is closed.
    final_stats: Cell<ReactorStats>,
}

/// What the reactor keeps for each registered descriptor.
pub(crate) enum Registered<H> {
    Source(Rc<Source<H>>),
    Handler(Rc<Handler>),
}

impl<H: Home> Driver<H> {
    pub(crate) fn new(
        reactor: Reactor<Registered<H>>,
        loop_number: u64,
        is_isolated: bool,
    ) -> Driver<H> {
        Driver {
            reactor: RefCell::new(Some(reactor)),
            events: Cell::new(None),
            loop_number,
            is_isolated,
            handlers: Cell::new(0),
            stale_events: Cell::new(0),
            final_stats: Cell::default(),
        }
    }

    /// Returns true if any descriptor is registered.
    pub(crate) fn is_watching(&self) -> bool {
        self.reactor.borrow().as_ref().is_some_and(|reactor| !reactor.is_empty())
    }

    /// Waits for events, at most for `timeout`. `None` waits for ever.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> io::Result<Events> {
        let mut events =
            self.events.take().unwrap_or_else(|| Events::with_capacity(EVENTS_PER_WAIT));
        match &mut *self.reactor.borrow_mut() {
            Some(reactor) => reactor.wait(&mut events, timeout)?,
            None => unreachable!("a closed loop does not run"),
        };
        Ok(events)
    }

    /// Passes each event to its source or handler. Returns the number of events.
    pub(crate) fn deliver(&self, events: Events, scheduler: &Scheduler) -> usize {
        let count = events.len();
        if let Some(reactor) = &*self.reactor.borrow() {
            let wakes = scheduler.wakes();
            for event in &events {
                match reactor.get(event.token()) {
                    Some(Registered::Source(source)) => source.deliver(event, &wakes),
                    Some(Registered::Handler(handler)) => {
                        if handler.deliver(event) {
                            scheduler.push(Entry::Handler(Rc::clone(handler)));
                        }
                    }
                    None => self.stale_events.set(self.stale_events.get() + 1),
                }
            }
        }
        self.events.set(Some(events));
        count
    }

    /// Registers a source for both directions. If `is_shared`, registers it for reading only,
    /// because it is a listener that other loops share.
    pub(crate) fn add_source(
        &self,
        fd: BorrowedFd<'_>,
        source: &Rc<Source<H>>,
        is_shared: bool,
    ) -> io::Result<Token> {
        let (interest, mode) = if is_shared {
            (Interest::READABLE, Mode::Exclusive)
        } else {
            (Interest::READABLE | Interest::WRITABLE | Interest::PRIORITY, Mode::Edge)
        };
        self.register(fd, interest, mode, Registered::Source(Rc::clone(source)))
    }

    /// Deregisters a source.
    pub(crate) fn remove_source(&self, token: Token) {
        drop(self.deregister(token));
    }

    /// Registers a handler with its descriptor, which the handler then owns.
    pub(crate) fn add_handler<T: AsFd + 'static>(
        &self,
        io: T,
        interest: Interest,
        mut f: impl FnMut(&T, Event) + 'static,
        origin: Origin,
    ) -> io::Result<HandlerId> {
        let handler = Rc::new(Handler::new(origin));
        let fd = io.as_fd(); // foreign code, so before the borrow
        let registered = Registered::Handler(Rc::clone(&handler));
        let token = self.register(fd, interest, Mode::Level, registered)?;
        self.handlers.set(self.handlers.get() + 1);
        handler.set_call(Box::new(move |event| f(&io, event)));
        Ok(HandlerId { token, loop_number: self.loop_number })
    }

    /// Replaces the interest of a handler. Returns `NotFound` if the handler was removed.
    pub(crate) fn update_handler(&self, handler: HandlerId, interest: Interest) -> io::Result<()> {
        let token = self.token_of(handler);
        match (&mut *self.reactor.borrow_mut(), token) {
            (Some(reactor), Some(token)) => reactor.modify(token, interest, Mode::Level),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Removes a handler and drops it with its descriptor. Returns false if the handler was already
    /// removed.
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
        let is_here =
            matches!(registered, Registered::Handler(_)) && handler.loop_number == self.loop_number;
        is_here.then_some(handler.token)
    }

    fn register(
        &self,
        fd: BorrowedFd<'_>,
        interest: Interest,
        mode: Mode,
        registered: Registered<H>,
    ) -> io::Result<Token> {
        if self.is_isolated {
            return Err(refused());
        }
        match &mut *self.reactor.borrow_mut() {
            Some(reactor) => reactor.register(fd, interest, mode, registered),
            None => Err(io::Error::other("the event loop is closed")),
        }
    }

    fn deregister(&self, token: Token) -> Option<Registered<H>> {
        self.reactor.borrow_mut().as_mut()?.deregister(token)
    }

    /// The counters of the reactor; after the loop is closed, its last counters.
    pub(crate) fn reactor_stats(&self) -> ReactorStats {
        self.reactor.borrow().as_ref().map_or(self.final_stats.get(), Reactor::stats)
    }

    /// The number of registered descriptors, handlers included.
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

    /// Ends the reactor. Drops the handlers, and wakes the tasks that wait for a descriptor: their
    /// next call finds the loop closed.
    pub(crate) fn close(&self) {
        let reactor = self.reactor.borrow_mut().take();
        self.handlers.set(0);
        self.final_stats.set(reactor.as_ref().map(Reactor::stats).unwrap_or_default());
        let states = reactor.map(Reactor::into_states).unwrap_or_default();
        for registered in &states {
            if let Registered::Source(source) = registered {
                source.close(); // all of them before a waker runs: it may use them on another loop
            }
        }
        for registered in states {
            if let Registered::Source(source) = &registered {
                source.wake_after_close(&mut |waker| shield("a waker", || waker.wake()));
            }
            shield("the destructor of a handler", || drop(registered));
        }
    }

    /// Closes epoll's descriptor in a forked child. Leaks the sources and handlers, because the
    /// parent still uses what they own.
    pub(crate) fn abandon(&self) {
        mem::forget(self.reactor.borrow_mut().take().map(Reactor::into_states));
    }
}
