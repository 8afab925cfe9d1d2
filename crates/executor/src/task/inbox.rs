//! The queue of messages from other threads, and the state word that decides whether the loop must
//! be woken for them.
//!
//! ```text
//!   another thread                     the loop
//!   push(message)                      before a sleep:  word |= ASLEEP
//!   word |= MESSAGES                                    MESSAGES set before? then do not sleep
//!     ├─ ASLEEP without MESSAGES       after a sleep:   word &= !ASLEEP
//!     │  before? write the eventfd     to collect:      word &= !MESSAGES, then pop
//!     └─ CLOSED before?                at the end:      word |= CLOSED, then pop everything
//!        empty the queue
//! ```
//!
//! Both sides use read-modify-writes of the same word. So all of these operations are totally
//! ordered, and each acquires what the earlier ones released. If the push comes first, the loop
//! finds MESSAGES and does not sleep. If the loop comes first, the push finds ASLEEP and writes the
//! eventfd. The same argument covers CLOSED: either the loop pops the message, or the sending
//! thread does. MESSAGES is cleared *before* the queue is popped, so a message that arrives
//! meanwhile sets it again. In the opposite order, a message could stay in the queue while MESSAGES
//! is clear. `models/inbox.rs` checks this.
//!
//! [`Handle`](crate::Handle), wakes on other threads and signal handlers fill the inbox. The loop's
//! turn empties it. The inbox never looks into a message.

use crate::error::LoopClosed;
use crate::insight::panics::shield;
use crate::isolation::count_loop_woken;
use crate::sync::{AtomicU64, AtomicUsize, Notifier, Ordering, Queue};

pub(crate) struct Inbox<M> {
    queue: Queue<M>,
    /// A set of the flags MESSAGES, ASLEEP and CLOSED.
    word: AtomicUsize,
    notifier: Notifier,
    /// The number of messages that had to write the eventfd.
    eventfd_writes: AtomicU64,
}

/// The loop must collect messages. Set by a push, by a signal handler's [`notify`](Inbox::notify),
/// and by a collection that reached its limit. Cleared when a collection begins.
const MESSAGES: usize = 1;
/// The loop sleeps or does not run. It checks MESSAGES only after the eventfd was written.
const ASLEEP: usize = 2;
/// The loop is closed. A thread that pushes must empty the queue itself.
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
            count_loop_woken();
        }
        Ok(())
    }

    /// Makes the loop check its inbox. May be called on any thread and in a signal handler. Returns
    /// the word as it was before.
    pub(crate) fn notify(&self) -> usize {
        let before = self.word.fetch_or(MESSAGES, Ordering::AcqRel);
        if needs_wakeup(before) {
            self.notifier.notify();
        }
        before
    }

    /// Whether there are messages to collect. May miss a push that is not finished; before a sleep,
    /// [`prepare_to_sleep`](Self::prepare_to_sleep) makes the final check.
    pub(crate) fn has_messages(&self) -> bool {
        self.word.load(Ordering::Relaxed) & MESSAGES != 0
    }

    /// Passes at most `limit` messages to `each` and returns how many. The limit keeps a flood of
    /// messages from blocking the loop.
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

    /// Announces a sleep by setting ASLEEP. If there are messages, clears ASLEEP again and returns
    /// false: the loop must not sleep.
    pub(crate) fn prepare_to_sleep(&self) -> bool {
        let before = self.word.fetch_or(ASLEEP, Ordering::AcqRel);
        if before & MESSAGES != 0 {
            self.mark_awake();
            return false;
        }
        true
    }

    /// Records that the loop does not run, so that the next push writes the eventfd.
    pub(crate) fn mark_asleep(&self) {
        self.word.fetch_or(ASLEEP, Ordering::AcqRel);
    }

    /// Clears ASLEEP after a sleep or a [`mark_asleep`](Self::mark_asleep). From here on, a push
    /// does not write the eventfd.
    pub(crate) fn mark_awake(&self) {
        self.word.fetch_and(!ASLEEP, Ordering::AcqRel);
    }

    /// Refuses messages from now on and drops those that are left in the queue.
    pub(crate) fn close(&self) {
        self.word.fetch_or(CLOSED, Ordering::AcqRel);
        self.discard();
    }

    /// Whether messages are no longer collected: the loop is closed, or this process is a fork of
    /// the loop's process.
    pub(crate) fn is_closed(&self) -> bool {
        self.word.load(Ordering::Acquire) & CLOSED != 0 || self.is_forked()
    }

    /// Whether this process is a fork of the process that made the loop.
    pub(crate) fn is_forked(&self) -> bool {
        self.notifier.is_forked()
    }

    /// The number of messages that had to write the eventfd.
    pub(crate) fn eventfd_writes(&self) -> u64 {
        self.eventfd_writes.load(Ordering::Relaxed)
    }

    fn discard(&self) {
        while let Some(message) = self.queue.pop() {
            shield("the destructor of a message", || drop(message));
        }
    }
}
