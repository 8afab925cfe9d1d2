//! The queue of messages from other threads, and the word that says whether the loop must be woken for them.
//!
//! ```text
//!   another thread                              the loop
//!   push(message)                               before a sleep:  word |= ASLEEP ── MESSAGES set before? then do not sleep
//!   word |= MESSAGES                            after a sleep:   word &= !ASLEEP
//!     ├─ ASLEEP without MESSAGES before?        to collect:      word &= !MESSAGES, then pop
//!     │  then write the eventfd                 at the end:      word |= CLOSED, then pop everything
//!     └─ CLOSED before? then empty the queue
//! ```
//!
//! Both sides use read-modify-writes of the same word. So all of them are totally ordered, and each acquires what the earlier
//! ones released. If the push comes first, the loop finds MESSAGES and does not sleep. If the loop comes first, the push finds ASLEEP
//! and writes the eventfd. The same argument covers CLOSED: either the loop pops the message, or the sending thread does.
//! MESSAGES is cleared *before* the queue is popped, so a message that arrives meanwhile sets it again; the opposite order would leave
//! a message behind a cleared word. `models.rs` checks this.
//!
//! Used by [`Handle`](crate::Handle), by wakes on other threads and by signal handlers; emptied by the loop's turn. The inbox never
//! looks into a message.

use crate::error::LoopClosed;
use crate::insight::panics::shield;
use crate::sync::{AtomicU64, AtomicUsize, Notifier, Ordering, Queue};

pub(crate) struct Inbox<M> {
    queue: Queue<M>,
    /// Some of MESSAGES, ASLEEP and CLOSED.
    word: AtomicUsize,
    notifier: Notifier,
    /// How many messages had to write the eventfd.
    eventfd_writes: AtomicU64,
}

/// A message was pushed since the loop last began to collect.
const MESSAGES: usize = 1;
/// The loop sleeps or does not run: it looks at MESSAGES only after the eventfd was written.
const ASLEEP: usize = 2;
/// The loop is gone: a thread that pushes must take its message back.
const CLOSED: usize = 4;

/// Whether the eventfd has to be written, given the word before a push.
fn needs_wakeup(before: usize) -> bool {
    before & (ASLEEP | MESSAGES | CLOSED) == ASLEEP
}

impl<M> Inbox<M> {
    pub(crate) fn new(notifier: Notifier) -> Inbox<M> {
        Inbox {
            queue: Queue::new(),
            word: AtomicUsize::new(ASLEEP),
            notifier,
            eventfd_writes: AtomicU64::new(0),
        }
    }

    /// Sends a message to the loop, from any thread, and wakes the loop if it sleeps.
    pub(crate) fn send(&self, message: M) -> Result<(), LoopClosed> {
        if self.is_closed() {
            return Err(LoopClosed);
        }
        self.queue.push(message);
        let before = self.notify();
        if before & CLOSED != 0 {
            self.discard();
            return Err(LoopClosed);
        }
        if needs_wakeup(before) {
            self.eventfd_writes.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Makes the loop look into its inbox, from any thread or signal handler; returns the word as it was before.
    pub(crate) fn notify(&self) -> usize {
        let before = self.word.fetch_or(MESSAGES, Ordering::AcqRel);
        if needs_wakeup(before) {
            self.notifier.notify();
        }
        before
    }

    /// Whether a collection would find something. May miss a push that is not finished; before a sleep,
    /// [`prepare_to_sleep`](Self::prepare_to_sleep) decides.
    pub(crate) fn has_messages(&self) -> bool {
        self.word.load(Ordering::Relaxed) & MESSAGES != 0
    }

    /// Pops at most `limit` messages and returns how many. The limit keeps a flood of messages from holding the loop.
    pub(crate) fn collect(&self, limit: usize, mut each: impl FnMut(M)) -> usize {
        self.word.fetch_and(!MESSAGES, Ordering::AcqRel);
        for taken in 0..limit {
            match self.queue.pop() {
                Some(message) => each(message),
                None => return taken,
            }
        }
        if !self.queue.is_empty() {
            self.word.fetch_or(MESSAGES, Ordering::AcqRel);
        }
        limit
    }

    /// Announces a sleep. Returns false, and withdraws the announcement, if there are messages: then the loop must not sleep.
    pub(crate) fn prepare_to_sleep(&self) -> bool {
        let before = self.word.fetch_or(ASLEEP, Ordering::AcqRel);
        if before & MESSAGES != 0 {
            self.wake_up();
            return false;
        }
        true
    }

    /// Notes that the loop does not run, so that the next push writes the eventfd.
    pub(crate) fn rest(&self) {
        self.word.fetch_or(ASLEEP, Ordering::AcqRel);
    }

    /// Ends a sleep or a rest: from here on a push needs no eventfd.
    pub(crate) fn wake_up(&self) {
        self.word.fetch_and(!ASLEEP, Ordering::AcqRel);
    }

    /// Refuses messages from now on and drops those that are left.
    pub(crate) fn close(&self) {
        self.word.fetch_or(CLOSED, Ordering::AcqRel);
        self.discard();
    }

    /// Whether no message will be collected any more: the loop is gone, or this process is a fork of the loop's.
    pub(crate) fn is_closed(&self) -> bool {
        self.word.load(Ordering::Acquire) & CLOSED != 0 || self.is_forked()
    }

    /// Whether this process is a fork of the one that made the loop.
    pub(crate) fn is_forked(&self) -> bool {
        self.notifier.is_forked()
    }

    /// How many messages had to write the eventfd.
    pub(crate) fn eventfd_writes(&self) -> u64 {
        self.eventfd_writes.load(Ordering::Relaxed)
    }

    fn discard(&self) {
        while let Some(message) = self.queue.pop() {
            shield("the destructor of a message", || drop(message));
        }
    }
}
