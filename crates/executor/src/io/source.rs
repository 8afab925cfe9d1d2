//! Whether a registered descriptor is ready, and the tasks that wait for it.
//!
//! The [driver](super::driver) delivers events here; an [`AsyncFd`](crate::AsyncFd) reads the bits and leaves its waker. Readiness
//! is sticky, since epoll reports each change once: a bit stays until a call on the descriptor returns `WouldBlock`.

use std::cell::Cell;
use std::task::Waker;

use squall_reactor::{Event, Token};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

pub(crate) struct Source {
    /// Its registration, from the moment when it is registered.
    pub(crate) token: Cell<Option<Token>>,
    bits: Cell<u8>,
    reader: Cell<Option<Waker>>,
    writer: Cell<Option<Waker>>,
    /// The waiting async calls. `None` until the first one, and while a method of this file works on the list.
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
    /// A source that was found not ready in one direction. The other direction was not tried, and counts as ready.
    pub(crate) fn blocked(direction: Direction) -> Source {
        let bits = match direction {
            Direction::Read => WRITABLE,
            Direction::Write => READABLE,
        };
        Source {
            token: Cell::new(None),
            bits: Cell::new(bits),
            reader: Cell::new(None),
            writer: Cell::new(None),
            list: Cell::new(None),
        }
    }

    /// Records an event, and passes the wakers of the tasks that waited for it to `wake`, which must run no foreign code.
    pub(crate) fn deliver(&self, event: Event, mut wake: impl FnMut(Waker)) {
        let mut new = 0;
        let mut note = |holds, bit| new |= if holds { bit } else { 0 };
        // An error is returned by the next call, whichever it is.
        note(event.is_readable() || event.is_error(), READABLE);
        note(event.is_writable() || event.is_error(), WRITABLE);
        note(event.is_read_closed(), READ_CLOSED);
        note(event.is_write_closed(), WRITE_CLOSED);
        note(event.is_priority(), URGENT);
        self.bits.set(self.bits.get() | new);
        if new & (READABLE | READ_CLOSED) != 0 {
            self.wake(Direction::Read, &mut wake);
        }
        if new & (WRITABLE | WRITE_CLOSED) != 0 {
            self.wake(Direction::Write, &mut wake);
        }
    }

    #[inline]
    fn wake(&self, direction: Direction, wake: &mut impl FnMut(Waker)) {
        if let Some(waker) = self.slot(direction).take() {
            wake(waker);
        }
        if self.bits.get() & HAS_LIST != 0 {
            self.wake_listed(Some(direction), wake);
        }
    }

    /// Wakes every waiting task: the loop is gone, and the next call finds that out.
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
