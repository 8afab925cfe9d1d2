//! Whether a registered descriptor is ready, and the tasks that wait for it.
//!
//! The [driver](super::driver) delivers events here. An [`AsyncFd`](crate::AsyncFd) reads the bits
//! and stores its waker. A readiness bit stays set until a call on the descriptor returns
//! `WouldBlock`, because edge-triggered epoll reports each change only once.

use std::cell::Cell;
use std::task::Waker;

use squall_reactor::{Event, Token};

use crate::io::direction::Direction;
use crate::io::waiter_list::{SlotKey, WaiterList};

pub(crate) struct Source {
    /// The token of the registration. `None` before the source is registered.
    pub(crate) token: Cell<Option<Token>>,
    bits: Cell<u8>,
    reader: Cell<Option<Waker>>,
    writer: Cell<Option<Waker>>,
    /// The async calls, of which some wait. `None` until the first such call, and while a method of
    /// this file works on the list.
    list: Cell<Option<Box<WaiterList>>>,
}

const READABLE: u8 = 1;
const WRITABLE: u8 = 2;
/// The peer will send no more, so a read never blocks again.
const READ_CLOSED: u8 = 4;
/// Nothing more can be sent, so a write fails at once.
const WRITE_CLOSED: u8 = 8;
/// Out-of-band data was seen. From then on, bytes behind the mark can be left without an event.
const URGENT: u8 = 16;
/// The list of async calls exists, but may be empty.
const HAS_LIST: u8 = 32;

impl Direction {
    /// The bits for this direction. If any is set, a call is tried.
    fn ready_bits(self) -> u8 {
        match self {
            Direction::Read => READABLE | READ_CLOSED,
            Direction::Write => WRITABLE | WRITE_CLOSED,
        }
    }
}

impl Source {
    /// Makes a source that is not ready in `direction`. The other direction was not tried, and
    /// counts as ready.
    pub(crate) fn not_ready(direction: Direction) -> Source {
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

    /// Records an event, and passes the wakers of the tasks that waited for it to `wake`. `wake`
    /// must run no foreign code.
    pub(crate) fn deliver(&self, event: Event, mut wake: impl FnMut(Waker)) {
        let mut new = 0;
        let mut note = |holds, bit| new |= if holds { bit } else { 0 };
        // The next call returns a pending error, whether the call reads or writes.
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
            self.wake_listed(direction, wake);
        }
    }

    /// Wakes every waiting task, because the loop is closed. Each task's next call finds this out.
    pub(crate) fn close(&self, mut wake: impl FnMut(Waker)) {
        self.wake(Direction::Read, &mut wake);
        self.wake(Direction::Write, &mut wake);
    }

    #[inline]
    pub(crate) fn is_ready(&self, direction: Direction) -> bool {
        self.bits.get() & direction.ready_bits() != 0
    }

    /// Clears the readiness after a call returned `WouldBlock`. Only an event sets it again.
    pub(crate) fn clear(&self, direction: Direction) {
        self.bits.set(self.bits.get() & !direction.ready_bits());
    }

    /// Clears the readiness after a call moved fewer bytes than it could: the descriptor is drained
    /// or full. Does nothing if the direction is closed, or for a read if urgent data was seen.
    #[inline]
    pub(crate) fn clear_unless_final(&self, direction: Direction) {
        let (ready, final_bits) = match direction {
            Direction::Read => (READABLE, READ_CLOSED | URGENT),
            Direction::Write => (WRITABLE, WRITE_CLOSED),
        };
        if self.bits.get() & final_bits == 0 {
            self.bits.set(self.bits.get() & !ready);
        }
    }
}

/// The waiting callers of each direction: one owner, which polls, and any number of async calls.
///
/// Cloning or dropping a waker may run foreign code, which may call these methods again. So both
/// happen only while no cell is taken.
impl Source {
    fn slot(&self, direction: Direction) -> &Cell<Option<Waker>> {
        match direction {
            Direction::Read => &self.reader,
            Direction::Write => &self.writer,
        }
    }

    /// Returns true if the owner's stored waker wakes the same task as `waker`. Runs no foreign
    /// code.
    #[inline]
    pub(crate) fn will_wake(&self, direction: Direction, waker: &Waker) -> bool {
        let slot = self.slot(direction);
        let known = slot.take();
        let is_known = known.as_ref().is_some_and(|known| known.will_wake(waker));
        slot.set(known);
        is_known
    }

    /// Stores the owner's waker.
    pub(crate) fn wait(&self, direction: Direction, waker: Waker) {
        drop(self.slot(direction).replace(Some(waker)));
    }

    /// Makes a slot for an async call that will wait here.
    pub(crate) fn insert_listed(&self, direction: Direction) -> SlotKey {
        self.bits.set(self.bits.get() | HAS_LIST);
        self.with_list(|list| list.insert(direction))
    }

    /// Stores or replaces the waker of an async call.
    pub(crate) fn wait_listed(&self, key: SlotKey, waker: &Waker) {
        if self.with_list(|list| list.is_waiting_with(key, waker)) {
            return;
        }
        let waker = waker.clone();
        drop(self.with_list(|list| list.wait(key, waker)));
    }

    /// Removes the slot of an async call that has ended or was dropped.
    pub(crate) fn remove_listed(&self, key: SlotKey) {
        drop(self.with_list(|list| list.remove(key)));
    }

    /// Wakes the async calls that wait in one direction, in the order in which they began to wait.
    #[cold]
    fn wake_listed(&self, direction: Direction, wake: &mut impl FnMut(Waker)) {
        // A foreign waker may let other calls wait or end. So the number is taken once, and no cell
        // is taken while `wake` runs.
        let waiting = self.with_list(|list| list.waiting(direction));
        for _ in 0..waiting {
            if let Some(waker) = self.with_list(|list| list.take_first(direction)) {
                wake(waker);
            }
        }
    }

    /// Calls `f` with the list. `f` must not run foreign code.
    fn with_list<R>(&self, f: impl FnOnce(&mut WaiterList) -> R) -> R {
        let mut list = self.list.take().unwrap_or_default();
        let result = f(&mut list);
        self.list.set(Some(list));
        result
    }
}
