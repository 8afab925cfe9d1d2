//! What waits for one client.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Waker;

use async_tungstenite::tungstenite::Utf8Bytes;

use crate::wire::ending::Ending;

/// The sums over all clients of a process.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    /// The bytes in all queues, and the most that they ever were.
    pub(crate) queued_bytes: Cell<usize>,
    pub(crate) most_queued_bytes: Cell<usize>,
    /// The clients that were cut off because they read too slowly.
    pub(crate) cut_off: Cell<u64>,
}

/// The frames that wait for a client: a bounded queue between the rooms and its session.
///
/// A frame that goes to many clients is shared between their queues, and yet counts in each.
#[derive(Debug)]
pub(crate) struct SendQueue {
    state: RefCell<State>,
    /// The most bytes of [`State::live`].
    max_bytes: usize,
    /// The client's messages that are submitted and not acknowledged.
    unacknowledged: Cell<usize>,
    totals: Rc<Totals>,
}

#[derive(Debug, Default)]
struct State {
    /// What the room had before the client joined. Sent first, and not counted: the room keeps these
    /// frames anyway, and its own limits bound them.
    backlog: VecDeque<Utf8Bytes>,
    /// What came since. Empty after an [`Ending`] is set.
    live: VecDeque<Utf8Bytes>,
    /// The bytes of all frames in `live`.
    live_bytes: usize,
    ending: Option<Ending>,
    /// The session's task, while it waits.
    waker: Option<Waker>,
}

impl SendQueue {
    pub(crate) fn new(max_bytes: usize, totals: Rc<Totals>) -> SendQueue {
        let state = RefCell::default();
        SendQueue { state, max_bytes, unacknowledged: Cell::new(0), totals }
    }

    /// Queues a frame. If the queue is full, the client has read too slowly: then its frames are
    /// dropped and its session ends.
    pub(crate) fn push(&self, frame: Utf8Bytes) {
        let mut state = self.state.borrow_mut();
        if state.ending.is_some() {
            return;
        }
        if state.live_bytes + frame.len() > self.max_bytes {
            drop(state);
            self.totals.cut_off.set(self.totals.cut_off.get() + 1);
            return self.end(Ending::Cut("the client reads too slowly"));
        }
        state.live_bytes += frame.len();
        self.add_to_total(frame.len());
        state.live.push_back(frame);
        drop(state);
        self.wake();
    }

    /// Queues frames that the room keeps anyway, before all others.
    pub(crate) fn push_backlog(&self, frames: impl IntoIterator<Item = Utf8Bytes>) {
        let frames: Vec<_> = frames.into_iter().collect();
        self.state.borrow_mut().backlog.extend(frames);
        self.wake();
    }

    /// Takes the next frame.
    pub(crate) fn pop(&self) -> Option<Utf8Bytes> {
        let mut state = self.state.borrow_mut();
        if let Some(frame) = state.backlog.pop_front() {
            return Some(frame);
        }
        let frame = state.live.pop_front()?;
        state.live_bytes -= frame.len();
        self.totals.queued_bytes.set(self.totals.queued_bytes.get() - frame.len());
        Some(frame)
    }

    pub(crate) fn is_empty(&self) -> bool {
        let state = self.state.borrow();
        state.backlog.is_empty() && state.live.is_empty()
    }

    /// Tells the session to end. Only the first ending counts. A client that is cut off gets nothing
    /// any more, so its frames are dropped at once.
    pub(crate) fn end(&self, ending: Ending) {
        let mut state = self.state.borrow_mut();
        state.ending.get_or_insert(ending);
        drop(state);
        if let Ending::Cut(_) = ending {
            self.clear();
        }
        self.wake();
    }

    pub(crate) fn ending(&self) -> Option<Ending> {
        self.state.borrow().ending
    }

    /// Stores the waker of the session's task. A push, an ending and an acknowledgement wake it.
    pub(crate) fn register(&self, waker: &Waker) {
        let mut state = self.state.borrow_mut();
        if !state.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            let former = state.waker.replace(waker.clone());
            drop(state);
            drop(former);
        }
    }

    /// The client's messages that are not acknowledged yet.
    pub(crate) fn unacknowledged(&self) -> usize {
        self.unacknowledged.get()
    }

    /// Counts a message as submitted.
    pub(crate) fn submitted(&self) {
        self.unacknowledged.set(self.unacknowledged.get() + 1);
    }

    /// Counts a submitted message as done: acknowledged, or lost with the database.
    pub(crate) fn settled(&self) {
        self.unacknowledged.set(self.unacknowledged.get() - 1);
        self.wake();
    }

    fn clear(&self) {
        let state = std::mem::take(&mut *self.state.borrow_mut());
        self.totals.queued_bytes.set(self.totals.queued_bytes.get() - state.live_bytes);
        let mut now = self.state.borrow_mut();
        now.ending = state.ending;
        now.waker = state.waker;
    }

    fn add_to_total(&self, bytes: usize) {
        let total = self.totals.queued_bytes.get() + bytes;
        self.totals.queued_bytes.set(total);
        self.totals.most_queued_bytes.set(self.totals.most_queued_bytes.get().max(total));
    }

    fn wake(&self) {
        let waker = self.state.borrow_mut().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for SendQueue {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_ends_the_session_and_holds_nothing() {
        let totals = Rc::new(Totals::default());
        let queue = SendQueue::new(10, Rc::clone(&totals));
        queue.push_backlog([Utf8Bytes::from("not counted")]);
        queue.push("1234567890".into());
        assert_eq!((queue.ending(), totals.queued_bytes.get()), (None, 10));
        queue.push("1".into());
        assert!(matches!(queue.ending(), Some(Ending::Cut(_))));
        assert_eq!((queue.pop(), totals.queued_bytes.get(), totals.cut_off.get()), (None, 0, 1));
        queue.push("1".into());
        assert_eq!((queue.pop(), totals.cut_off.get()), (None, 1));
        assert_eq!(totals.most_queued_bytes.get(), 10);
    }

    #[test]
    fn frames_leave_in_order_and_the_backlog_first() {
        let totals = Rc::new(Totals::default());
        let queue = SendQueue::new(10, Rc::clone(&totals));
        queue.push("b".into());
        queue.push_backlog([Utf8Bytes::from("a")]);
        queue.push("c".into());
        queue.end(Ending::Left);
        let frames: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(frames, ["a", "b", "c"]);
        queue.end(Ending::Cut("too late"));
        assert_eq!(queue.ending(), Some(Ending::Left));
        drop(queue);
        assert_eq!(totals.queued_bytes.get(), 0);
    }
}
