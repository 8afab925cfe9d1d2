//! The one door from other threads: a queue, and a word that says whether the loop must be woken.
//!
//! ```text
//!   another thread                              the loop
//!   push(message)                               before a sleep:  word |= ASLEEP ── MAIL was set? then do not sleep
//!   word |= MAIL ── ASLEEP without MAIL before?   after it:      word &= !ASLEEP
//!                   then write the eventfd        to collect:    word &= !MAIL, then pop
//!                └─ CLOSED before? then empty   at the end:      word |= CLOSED, then pop everything
//!                   the queue again
//! ```
//!
//! Both sides use read-modify-writes of the same word, so they are totally ordered and each acquires what the earlier
//! ones released. If the push's comes first, the loop's finds MAIL and does not sleep; if the loop's comes first, the
//! push finds ASLEEP and writes the eventfd. The same argument covers CLOSED: either the loop pops the message, or the
//! pusher does. MAIL is cleared *before* the queue is popped, so a message that comes meanwhile sets it again; the
//! opposite order would leave a message behind a cleared word. `models.rs` proves it.
//!
//! Called by [`Handle`](crate::Handle) and by foreign wakes; emptied by the loop's turn. It never runs a message.

use crate::callback::RemoteCallback;
use crate::error::LoopClosed;
use crate::panics::shield;
use crate::sync::{AtomicU64, AtomicUsize, Notifier, Ordering, Queue};
use crate::task::ForeignWake;

/// What another thread can ask of the loop.
pub(crate) enum Message {
    Wake(ForeignWake),
    /// The root future of the `block_on` with this number was woken.
    WakeRoot(usize),
    Callback(RemoteCallback),
}

pub(crate) struct Inbox {
    queue: Queue<Message>,
    word: AtomicUsize,
    notifier: Notifier,
    /// For how many messages the eventfd was written.
    written: AtomicU64,
}

/// Something was pushed since the loop last began to collect.
const MAIL: usize = 1;
/// Nobody will look at MAIL unless the eventfd is written: the loop sleeps or does not run.
const ASLEEP: usize = 2;
/// The loop is gone; whoever pushes must take his message back.
const CLOSED: usize = 4;

/// Tells whether the eventfd has to be written.
fn is_slept_through(before: usize) -> bool {
    before & (ASLEEP | MAIL | CLOSED) == ASLEEP
}

impl Inbox {
    pub(crate) fn new(notifier: Notifier) -> Inbox {
        Inbox {
            queue: Queue::new(),
            word: AtomicUsize::new(ASLEEP),
            notifier,
            written: AtomicU64::new(0),
        }
    }

    /// Hands a message to the loop, from any thread, and wakes it if it sleeps.
    pub(crate) fn send(&self, message: Message) -> Result<(), LoopClosed> {
        if self.is_closed() {
            return Err(LoopClosed);
        }
        self.queue.push(message);
        let before = self.ring();
        if before & CLOSED != 0 {
            self.discard();
            return Err(LoopClosed);
        }
        if is_slept_through(before) {
            self.written.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Lets the loop look for mail, from any thread and from a signal handler; returns what the word was before.
    pub(crate) fn ring(&self) -> usize {
        let before = self.word.fetch_or(MAIL, Ordering::AcqRel);
        if is_slept_through(before) {
            self.notifier.notify();
        }
        before
    }

    /// Tells whether a collection would find something. A push that is not finished yet may be missed: before a sleep
    /// [`fall_asleep`](Self::fall_asleep) decides.
    pub(crate) fn has_mail(&self) -> bool {
        self.word.load(Ordering::Relaxed) & MAIL != 0
    }

    /// Takes at most `limit` messages, so that a flood of them cannot hold the loop.
    pub(crate) fn collect(&self, limit: usize, mut each: impl FnMut(Message)) -> usize {
        self.word.fetch_and(!MAIL, Ordering::AcqRel);
        for taken in 0..limit {
            match self.queue.pop() {
                Some(message) => each(message),
                None => return taken,
            }
        }
        if !self.queue.is_empty() {
            self.word.fetch_or(MAIL, Ordering::AcqRel);
        }
        limit
    }

    /// Announces a sleep. `false`: there is mail, do not sleep; the announcement is taken back.
    pub(crate) fn fall_asleep(&self) -> bool {
        let before = self.word.fetch_or(ASLEEP, Ordering::AcqRel);
        if before & MAIL != 0 {
            self.wake_up();
            return false;
        }
        true
    }

    /// Says that nobody looks until the eventfd is written, mail or not: the loop does not run.
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

    /// Tells whether nobody will collect: the loop is gone, or this is a forked copy of it.
    pub(crate) fn is_closed(&self) -> bool {
        self.word.load(Ordering::Acquire) & CLOSED != 0 || self.is_forked()
    }

    /// Tells whether this process is a fork of the one whose loop it is.
    pub(crate) fn is_forked(&self) -> bool {
        self.notifier.is_forked()
    }

    /// For how many messages the eventfd was written.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    fn discard(&self) {
        while let Some(message) = self.queue.pop() {
            shield("the destructor of a message", || drop(message));
        }
    }
}
