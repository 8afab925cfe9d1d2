//! What the loop knows of a registered descriptor: its readiness, and who waits for it.
//!
//! The turn delivers events here, an [`AsyncFd`](crate::AsyncFd) looks at the bits and leaves its waker. Readiness is
//! sticky, since epoll tells of each change once: a bit stays until a call on the descriptor says that it does not hold.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;

use squall_reactor::Event;

use crate::handler::Handler;

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
    bits: Cell<u8>,
    readers: Waiters,
    writers: Waiters,
    next_waiter: Cell<u64>,
}

const READABLE: u8 = 1;
const WRITABLE: u8 = 2;
/// The peer will send no more: a read does not block any more.
const READ_CLOSED: u8 = 4;
/// Nothing more can be sent: a write fails at once.
const WRITE_CLOSED: u8 = 8;
/// Out-of-band data was seen. From then on bytes can follow without an event, behind the mark.
const URGENT: u8 = 16;

impl Source {
    /// A source that was found not ready in one direction; the other was not tried, and is taken for ready.
    pub(crate) fn blocked(direction: Direction) -> Source {
        let bits = match direction {
            Direction::Read => WRITABLE,
            Direction::Write => READABLE,
        };
        Source::with_bits(bits)
    }

    fn with_bits(bits: u8) -> Source {
        Source {
            bits: Cell::new(bits),
            readers: Waiters::default(),
            writers: Waiters::default(),
            next_waiter: Cell::new(0),
        }
    }

    /// Takes the kernel's news, and wakes who waited for them through `wake`.
    pub(crate) fn deliver(&self, event: Event, mut wake: impl FnMut(Waker)) {
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
            self.readers.wake_all(&mut wake);
        }
        if news & (WRITABLE | WRITE_CLOSED) != 0 {
            self.writers.wake_all(&mut wake);
        }
    }

    /// Wakes everybody: the loop is gone, and who asks again will hear of it.
    pub(crate) fn close(&self, mut wake: impl FnMut(Waker)) {
        self.readers.wake_all(&mut wake);
        self.writers.wake_all(&mut wake);
    }

    pub(crate) fn is_ready(&self, direction: Direction) -> bool {
        let ready = match direction {
            Direction::Read => READABLE | READ_CLOSED,
            Direction::Write => WRITABLE | WRITE_CLOSED,
        };
        self.bits.get() & ready != 0
    }

    /// A call said `WouldBlock`: only the next event can say otherwise.
    pub(crate) fn clear(&self, direction: Direction) {
        let gone = match direction {
            Direction::Read => READABLE | READ_CLOSED,
            Direction::Write => WRITABLE | WRITE_CLOSED,
        };
        self.bits.set(self.bits.get() & !gone);
    }

    /// A call moved less than it could: the descriptor is drained, or full, unless it was closed or has urgent data.
    pub(crate) fn clear_unless_final(&self, direction: Direction) {
        let (gone, stays) = match direction {
            Direction::Read => (READABLE, READ_CLOSED | URGENT),
            Direction::Write => (WRITABLE, WRITE_CLOSED),
        };
        if self.bits.get() & stays == 0 {
            self.bits.set(self.bits.get() & !gone);
        }
    }

    pub(crate) fn waiters(&self, direction: Direction) -> &Waiters {
        match direction {
            Direction::Read => &self.readers,
            Direction::Write => &self.writers,
        }
    }

    /// A number for an async method that will wait here.
    pub(crate) fn new_waiter(&self) -> u64 {
        let number = self.next_waiter.get();
        self.next_waiter.set(number + 1);
        number
    }
}

/// Who waits for one direction: one owner who polls, and any number of async calls.
///
/// Cloning and dropping a waker may run foreign code, which may come back here: both happen outside of every borrow.
#[derive(Default)]
pub(crate) struct Waiters {
    slot: Cell<Option<Waker>>,
    list: RefCell<Vec<(u64, Waker)>>,
}

impl Waiters {
    /// Leaves the waker of the one who polls.
    pub(crate) fn set_slot(&self, waker: &Waker) {
        let known = self.slot.take();
        if known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.slot.set(known);
            return;
        }
        let waker = waker.clone();
        drop((self.slot.replace(Some(waker)), known));
    }

    /// Leaves, or renews, the waker of an async call.
    pub(crate) fn set_listed(&self, waiter: u64, waker: &Waker) {
        let is_known = |(number, known): &(u64, Waker)| *number == waiter && known.will_wake(waker);
        if self.list.borrow().iter().any(is_known) {
            return;
        }
        let waker = waker.clone();
        let former = self.take_listed(waiter);
        self.list.borrow_mut().push((waiter, waker));
        drop(former);
    }

    /// Forgets an async call that was dropped.
    pub(crate) fn remove_listed(&self, waiter: u64) {
        drop(self.take_listed(waiter));
    }

    fn take_listed(&self, waiter: u64) -> Option<(u64, Waker)> {
        let mut list = self.list.borrow_mut();
        let place = list.iter().position(|(number, _)| *number == waiter)?;
        Some(list.remove(place))
    }

    fn wake_all(&self, wake: &mut impl FnMut(Waker)) {
        self.slot.take().into_iter().for_each(&mut *wake);
        self.list.take().into_iter().for_each(|(_, waker)| wake(waker));
    }
}
