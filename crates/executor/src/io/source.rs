//! Whether a registered descriptor is ready, and the tasks that wait for it.
//!
//! The [driver](super::driver) delivers events here. An [`AsyncFd`](crate::AsyncFd) reads the bits
//! and stores its waker. A readiness bit stays set until a call on the descriptor returns
//! `WouldBlock`, because edge-triggered epoll reports each change only once.

use std::cell::Cell;
use std::ptr;
use std::rc::Rc;
use std::task::{Poll, Waker};

use squall_reactor::{Event, Token};

use crate::io::direction::Direction;
use crate::io::waiter_list::{SlotKey, WaiterList};
use crate::sync::Arc;
use crate::task::scheduler::{Scheduler, Wakes};
use crate::task::shared_state::SharedState;
use crate::task::task::TaskKey;
use crate::task::waker::task_of_waker;

pub(crate) struct Source<H> {
    /// The loop that watches the descriptor. `None` before the first registration and after
    /// [`leave`](Source::leave).
    home: Cell<Option<Registration<H>>>,
    /// The address of that loop's shared state, which tells its tasks from others. Null if no loop
    /// watches, or the loop is closed.
    home_address: Cell<*const SharedState>,
    /// The tasks that wait through the `poll_` methods, if the bits say so. Both are tasks of the
    /// home loop. A key is not counted as a waker, so it does not keep the memory of a task when
    /// the descriptor outlives the task. It may then name a later task, which one event polls in
    /// vain.
    reader: Cell<TaskKey>,
    writer: Cell<TaskKey>,
    bits: Cell<u16>,
    /// All other waiting callers. `None` until there is one, and while a method of this file works
    /// on the list.
    list: Cell<Option<Box<WaiterList>>>,
}

/// The loop that watches a descriptor, and the token there.
struct Registration<H> {
    home: Rc<H>,
    token: Token,
}

/// What a source needs of its loop. A trait, because the loop is above this file.
pub(crate) trait Home {
    fn scheduler(&self) -> &Scheduler;

    fn remove_source(&self, token: Token);
}

const READABLE: u16 = 1;
const WRITABLE: u16 = 2;
/// The peer will send no more, so a read never blocks again.
const READ_CLOSED: u16 = 4;
/// Nothing more can be sent, so a write fails at once.
const WRITE_CLOSED: u16 = 8;
/// Out-of-band data was seen. From then on, bytes behind the mark can be left without an event.
const URGENT: u16 = 16;
/// The list of other callers exists, but may be empty.
const HAS_LIST: u16 = 32;
/// The task `reader` or `writer` waits.
const READER_WAITS: u16 = 64;
const WRITER_WAITS: u16 = 128;
/// A loop watches the descriptor, so readiness that is cleared comes back by an event.
const WATCHED: u16 = 256;

/// If any of these is set, a read is tried.
const READ_READY: u16 = READABLE | READ_CLOSED;
/// If any of these is set, a write is tried.
const WRITE_READY: u16 = WRITABLE | WRITE_CLOSED;

impl Direction {
    fn ready_bits(self) -> u16 {
        match self {
            Direction::Read => READ_READY,
            Direction::Write => WRITE_READY,
        }
    }

    fn waits_bit(self) -> u16 {
        match self {
            Direction::Read => READER_WAITS,
            Direction::Write => WRITER_WAITS,
        }
    }
}

impl<H> Default for Source<H> {
    /// Makes a source that no loop watches. Both directions count as ready.
    fn default() -> Source<H> {
        Source {
            home: Cell::new(None),
            home_address: Cell::new(ptr::null()),
            reader: Cell::new(TaskKey::NONE),
            writer: Cell::new(TaskKey::NONE),
            bits: Cell::new(READABLE | WRITABLE),
            list: Cell::new(None),
        }
    }
}

/// The registration.
impl<H: Home> Source<H> {
    /// Returns true if a loop watches the descriptor that still runs. False if that loop is closed,
    /// or if this is a forked child and the loop is the parent's.
    pub(crate) fn is_watched(&self) -> bool {
        let registration = self.home.take();
        let is_open = |here: &Registration<H>| !here.home.scheduler().is_closed();
        let is_watched = registration.as_ref().is_some_and(is_open);
        self.home.set(registration); // it was empty, so nothing is dropped
        is_watched
    }

    /// Records that a loop watches the descriptor from now on. `direction` was tried in vain; the
    /// other was not tried, and counts as ready.
    pub(crate) fn settle(&self, home: Rc<H>, token: Token, direction: Direction) {
        let ready = (READABLE | WRITABLE) & !direction.ready_bits();
        self.bits.set(self.bits.get() & HAS_LIST | WATCHED | ready);
        self.home_address.set(Arc::as_ptr(home.scheduler().shared()));
        let former = self.home.replace(Some(Registration { home, token }));
        drop(former); // last, because the end of a loop runs foreign code
    }

    /// Deregisters the descriptor. From now on both directions count as ready.
    pub(crate) fn leave(&self) {
        let former = self.home.take();
        if let Some(Registration { home, token }) = former {
            self.home_address.set(ptr::null());
            self.bits.set(self.bits.get() & HAS_LIST | READABLE | WRITABLE);
            home.remove_source(token);
        }
    }

    /// As [`leave`](Self::leave), because the descriptor's owner drops it. Wakes the tasks that wait:
    /// their next poll finds the descriptor gone.
    #[inline]
    pub(crate) fn end(&self) {
        if self.bits.get() & (READER_WAITS | WRITER_WAITS | HAS_LIST) != 0 {
            self.wake_all();
        }
        self.leave();
    }

    /// Wakes every task that waits, as an event would. May run foreign code if the loop is closed.
    #[cold]
    pub(crate) fn wake_all(&self) {
        let Some(registration) = self.home.take() else { return };
        let home = Rc::clone(&registration.home);
        self.home.set(Some(registration)); // it was empty, so nothing is dropped
        let bits = self.bits.get();
        self.bits.set(bits & !(READER_WAITS | WRITER_WAITS));
        for (waits, key) in [(READER_WAITS, &self.reader), (WRITER_WAITS, &self.writer)] {
            if bits & waits != 0 {
                home.scheduler().wake_task_at_any_time(key.get());
            }
        }
        if bits & HAS_LIST != 0 {
            self.wake_listed(READ_READY | WRITE_READY, &mut |waker| {
                home.scheduler().wake_at_any_time(waker);
            });
        }
    }
}

/// Readiness.
impl<H: Home> Source<H> {
    /// Records an event, and wakes the tasks that waited for it.
    #[inline]
    pub(crate) fn deliver(&self, event: Event, wakes: &Wakes<'_>) {
        let mut new = 0;
        let mut note = |holds, bit| new |= if holds { bit } else { 0 };
        note(event.is_readable(), READABLE);
        note(event.is_writable(), WRITABLE);
        if !event.is_plain() {
            // The next call returns a pending error, whether the call reads or writes.
            note(event.is_error(), READABLE | WRITABLE);
            note(event.is_read_closed(), READ_CLOSED);
            note(event.is_write_closed(), WRITE_CLOSED);
            note(event.is_priority(), URGENT);
        }
        let mut bits = self.bits.get() | new;
        if bits & READER_WAITS != 0 && new & READ_READY != 0 {
            bits &= !READER_WAITS;
            wakes.wake_task(self.reader.get());
        }
        if bits & WRITER_WAITS != 0 && new & WRITE_READY != 0 {
            bits &= !WRITER_WAITS;
            wakes.wake_task(self.writer.get());
        }
        self.bits.set(bits);
        if bits & HAS_LIST != 0 {
            self.wake_listed(new, &mut |waker| wakes.wake(waker));
        }
    }

    /// Lets no task of the loop wait any more, because the loop is closed.
    pub(crate) fn close(&self) {
        self.home_address.set(ptr::null());
    }

    /// Wakes every waiting task of a loop that is closed. Each task's next call finds this out.
    /// `wake` may run foreign code.
    pub(crate) fn wake_after_close(&self, wake: &mut dyn FnMut(Waker)) {
        // The tasks of the closed loop are gone.
        if self.bits.get() & HAS_LIST != 0 {
            self.wake_listed(READ_READY | WRITE_READY, wake);
        }
    }

    /// Wakes the waiting callers in the list, in the directions of which `new` holds a bit.
    #[cold]
    fn wake_listed(&self, new: u16, wake: &mut dyn FnMut(Waker)) {
        for direction in [Direction::Read, Direction::Write] {
            if new & direction.ready_bits() == 0 {
                continue;
            }
            if let Some(waker) = self.with_list(|list| list.replace_owner(direction, None)) {
                wake(waker);
            }
            // A foreign waker may let other calls wait or end. So the number is taken once, and no
            // cell is taken while `wake` runs.
            let waiting = self.with_list(|list| list.waiting(direction));
            for _ in 0..waiting {
                if let Some(waker) = self.with_list(|list| list.take_first(direction)) {
                    wake(waker);
                }
            }
        }
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
    /// or full. Does nothing if no loop watches the descriptor, if the direction is closed, or for a
    /// read if urgent data was seen.
    #[inline]
    pub(crate) fn clear_unless_final(&self, direction: Direction) {
        let (ready, final_bits) = match direction {
            Direction::Read => (READABLE, READ_CLOSED | URGENT),
            Direction::Write => (WRITABLE, WRITE_CLOSED),
        };
        let bits = self.bits.get();
        if bits & (WATCHED | final_bits) == WATCHED {
            self.bits.set(bits & !ready);
        }
    }
}

/// The waiting callers of each direction: one owner, which polls, and any number of async calls.
///
/// Cloning or dropping a waker may run foreign code, which may call these methods again. So both
/// happen only while no cell is taken.
impl<H: Home> Source<H> {
    /// As [`wait_here`](Self::wait_here), for the callers that rarely wait.
    #[inline(never)]
    pub(crate) fn wait(&self, direction: Direction, waker: &Waker) -> Poll<()> {
        self.wait_here(direction, waker)
    }

    /// Lets the owner wait. Ready if no loop would wake it.
    #[inline(always)]
    pub(crate) fn wait_here(&self, direction: Direction, waker: &Waker) -> Poll<()> {
        let Some(task) = task_of_waker(waker).filter(|task| task.is_at(self.home_address.get()))
        else {
            return self.wait_otherwise(direction, waker);
        };
        let key = task.key();
        match direction {
            Direction::Read => self.reader.set(key),
            Direction::Write => self.writer.set(key),
        }
        let bits = self.bits.get();
        self.bits.set(bits | direction.waits_bit());
        if bits & HAS_LIST != 0 {
            self.remove_owner(direction);
        }
        Poll::Pending
    }

    /// As [`wait`](Self::wait), if no loop watches, or with a waker that is not that of a task of the
    /// home loop.
    #[cold]
    fn wait_otherwise(&self, direction: Direction, waker: &Waker) -> Poll<()> {
        if !self.is_watched() {
            return Poll::Ready(());
        }
        let waker = waker.clone();
        self.bits.set(self.bits.get() & !direction.waits_bit() | HAS_LIST);
        drop(self.with_list(|list| list.replace_owner(direction, Some(waker))));
        Poll::Pending
    }

    #[cold]
    fn remove_owner(&self, direction: Direction) {
        drop(self.with_list(|list| list.replace_owner(direction, None)));
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

    /// Calls `f` with the list. `f` must not run foreign code.
    fn with_list<R>(&self, f: impl FnOnce(&mut WaiterList) -> R) -> R {
        let mut list = self.list.take().unwrap_or_default();
        let result = f(&mut list);
        self.list.set(Some(list));
        result
    }
}
