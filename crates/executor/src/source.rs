//! What the loop knows of a registered descriptor: its readiness, and who waits for it.
//!
//! The turn delivers events here, an [`AsyncFd`](crate::AsyncFd) looks at the bits and leaves its waker. Readiness is
//! sticky, since epoll tells of each change once: a bit stays until a call on the descriptor says that it does not hold.

use std::cell::Cell;
use std::rc::Rc;
use std::task::Waker;

use squall_reactor::{Event, Token};

use crate::handler::Handler;
use crate::loop_core::Core;

/// What the reactor keeps per descriptor.
#[derive(Clone)]
pub(crate) enum Registered {
    Source(Rc<Source>),
    Handler(Rc<Handler>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

pub(crate) struct Source {
    /// The loop that watches it.
    pub(crate) core: Rc<Core>,
    /// Its name in the reactor, from its registration on.
    pub(crate) token: Cell<Option<Token>>,
    bits: Cell<u8>,
    reader: Cell<Option<Waker>>,
    writer: Cell<Option<Waker>>,
    /// The async calls that wait, if any ever did. Away only while this page works on it.
    list: Cell<Option<Box<List>>>,
}

const READABLE: u8 = 1;
const WRITABLE: u8 = 2;
/// The peer will send no more: a read does not block any more.
const READ_CLOSED: u8 = 4;
/// Nothing more can be sent: a write fails at once.
const WRITE_CLOSED: u8 = 8;
/// Out-of-band data was seen. From then on bytes can follow without an event, behind the mark.
const URGENT: u8 = 16;
/// There is a list of async calls, which may be empty.
const HAS_LIST: u8 = 32;

impl Direction {
    /// The bits of which any lets a call go ahead.
    fn ready(self) -> u8 {
        match self {
            Direction::Read => READABLE | READ_CLOSED,
            Direction::Write => WRITABLE | WRITE_CLOSED,
        }
    }
}

impl Source {
    /// A source that was found not ready in one direction; the other was not tried, and is taken for ready.
    pub(crate) fn blocked(core: Rc<Core>, direction: Direction) -> Source {
        let bits = match direction {
            Direction::Read => WRITABLE,
            Direction::Write => READABLE,
        };
        Source {
            core,
            token: Cell::new(None),
            bits: Cell::new(bits),
            reader: Cell::new(None),
            writer: Cell::new(None),
            list: Cell::new(None),
        }
    }

    /// Tells whether its loop has gone, or is the parent's of this process.
    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.core.scheduler.is_closed()
    }

    /// Takes the kernel's news, and queues who waited for them.
    pub(crate) fn deliver(&self, event: Event) {
        let mut news = 0;
        let mut note = |holds, bit| news |= if holds { bit } else { 0 };
        // An error is told by the next call, whichever it is.
        note(event.is_readable() || event.is_error(), READABLE);
        note(event.is_writable() || event.is_error(), WRITABLE);
        note(event.is_read_closed(), READ_CLOSED);
        note(event.is_write_closed(), WRITE_CLOSED);
        note(event.is_priority(), URGENT);
        self.bits.set(self.bits.get() | news);
        if news & (READABLE | READ_CLOSED) != 0 {
            self.wake(Direction::Read);
        }
        if news & (WRITABLE | WRITE_CLOSED) != 0 {
            self.wake(Direction::Write);
        }
    }

    #[inline]
    fn wake(&self, direction: Direction) {
        if let Some(waker) = self.slot(direction).take() {
            self.core.wake(waker);
        }
        if self.bits.get() & HAS_LIST != 0 {
            self.wake_listed(Some(direction), |waker| self.core.wake(waker));
        }
    }

    /// Wakes everybody: the loop is gone, and who asks again will hear of it.
    pub(crate) fn close(&self, mut wake: impl FnMut(Waker)) {
        [self.reader.take(), self.writer.take()].into_iter().flatten().for_each(&mut wake);
        self.wake_listed(None, wake);
    }

    #[inline]
    pub(crate) fn is_ready(&self, direction: Direction) -> bool {
        self.bits.get() & direction.ready() != 0
    }

    /// A call said `WouldBlock`: only the next event can say otherwise.
    pub(crate) fn clear(&self, direction: Direction) {
        self.bits.set(self.bits.get() & !direction.ready());
    }

    /// A call moved less than it could: the descriptor is drained, or full, unless it was closed or has urgent data.
    #[inline]
    pub(crate) fn clear_unless_final(&self, direction: Direction) {
        let (gone, stays) = match direction {
            Direction::Read => (READABLE, READ_CLOSED | URGENT),
            Direction::Write => (WRITABLE, WRITE_CLOSED),
        };
        if self.bits.get() & stays == 0 {
            self.bits.set(self.bits.get() & !gone);
        }
    }
}

/// Who waits for one direction: one owner who polls, and any number of async calls.
///
/// Cloning and dropping a waker may run foreign code, which may come back here: both happen while every cell is in order.
impl Source {
    fn slot(&self, direction: Direction) -> &Cell<Option<Waker>> {
        match direction {
            Direction::Read => &self.reader,
            Direction::Write => &self.writer,
        }
    }

    /// Tells whether this is the waker that the owner has left; runs no foreign code.
    #[inline]
    pub(crate) fn will_wake(&self, direction: Direction, waker: &Waker) -> bool {
        let slot = self.slot(direction);
        let known = slot.take();
        let is_known = known.as_ref().is_some_and(|known| known.will_wake(waker));
        slot.set(known);
        is_known
    }

    /// Leaves the waker of the owner.
    pub(crate) fn wait(&self, direction: Direction, waker: Waker) {
        drop(self.slot(direction).replace(Some(waker)));
    }

    /// A number for an async call that will wait here.
    pub(crate) fn new_waiter(&self) -> u64 {
        self.with_list(|list| {
            list.numbers += 1;
            list.numbers
        })
    }

    /// Leaves, or renews, the waker of an async call.
    pub(crate) fn wait_listed(&self, direction: Direction, number: u64, waker: &Waker) {
        let is_known = |waiter: &Waiter| waiter.number == number && waiter.waker.will_wake(waker);
        if self.with_list(|list| list.waiters.iter().any(is_known)) {
            return;
        }
        let waiter = Waiter { direction, number, waker: waker.clone() };
        let former = self.with_list(|list| {
            let former = list.take(number);
            list.waiters.push(waiter);
            former
        });
        drop(former);
    }

    /// Forgets an async call that was dropped.
    pub(crate) fn remove_listed(&self, number: u64) {
        drop(self.with_list(|list| list.take(number)));
    }

    /// Wakes the async calls of one direction, or all.
    #[cold]
    fn wake_listed(&self, direction: Option<Direction>, wake: impl FnMut(Waker)) {
        let Some(mut list) = self.list.take() else { return };
        let is_told = |waiter: &Waiter| direction.is_none_or(|told| told == waiter.direction);
        let (told, others) = list.waiters.drain(..).partition(is_told);
        let told: Vec<Waiter> = told;
        list.waiters = others;
        self.list.set(Some(list));
        told.into_iter().map(|waiter| waiter.waker).for_each(wake);
    }

    /// `f` must not run foreign code.
    fn with_list<R>(&self, f: impl FnOnce(&mut List) -> R) -> R {
        self.bits.set(self.bits.get() | HAS_LIST);
        let mut list = self.list.take().unwrap_or_default();
        let result = f(&mut list);
        self.list.set(Some(list));
        result
    }
}

#[derive(Default)]
struct List {
    waiters: Vec<Waiter>,
    /// How many numbers were given out.
    numbers: u64,
}

struct Waiter {
    direction: Direction,
    number: u64,
    waker: Waker,
}

impl List {
    fn take(&mut self, number: u64) -> Option<Waiter> {
        let place = self.waiters.iter().position(|waiter| waiter.number == number)?;
        Some(self.waiters.remove(place))
    }
}
