//! The state that a stream of signals shares with its loop and with the signal handler.

use std::cell::Cell;
use std::task::{Context, Poll, Waker};

use libc::c_int;

use crate::sync::{Arc, AtomicU64, Ordering};
use crate::task::shared_state::SharedState;

/// The state that a stream of signals shares with its loop, on the loop's thread.
pub(crate) struct SignalListener {
    pending: Arc<PendingSignals>,
    /// The waker of the task that waits for a signal.
    waker: Cell<Option<Waker>>,
    /// The signals that the stream listens to, as in [`PendingSignals`].
    heard: Cell<u64>,
}

/// The signals that have arrived. Shared with the signal handler, which may run on any thread.
pub(crate) struct PendingSignals {
    /// The pending signals. Signal `n` is bit `n - 1`.
    bits: AtomicU64,
    shared: Arc<SharedState>,
}

impl PendingSignals {
    /// Records a signal and makes the loop check for it. Safe in a signal handler.
    pub(crate) fn add(&self, signal: c_int) {
        // The bit is set before `notify`, whose read-modify-write releases it to the loop that
        // collects.
        self.bits.fetch_or(bit(signal), Ordering::Release);
        self.shared.inbox.notify();
    }
}

fn bit(signal: c_int) -> u64 {
    1 << (signal - 1)
}

impl SignalListener {
    pub(crate) fn new(shared: Arc<SharedState>) -> SignalListener {
        let pending = Arc::new(PendingSignals { bits: AtomicU64::new(0), shared });
        SignalListener { pending, waker: Cell::new(None), heard: Cell::new(0) }
    }

    pub(crate) fn listen_to(&self, signal: c_int) {
        self.heard.set(self.heard.get() | bit(signal));
    }

    /// Records a signal of an isolated loop, which has no signal handler. Returns the waker of the
    /// waiting task; `None` if the stream does not listen to the signal.
    pub(crate) fn raise(&self, signal: c_int) -> Option<Option<Waker>> {
        if self.heard.get() & bit(signal) == 0 {
            return None;
        }
        self.pending.bits.fetch_or(bit(signal), Ordering::Release);
        Some(self.take_waker())
    }

    pub(crate) fn pending(&self) -> Arc<PendingSignals> {
        Arc::clone(&self.pending)
    }

    /// Takes the waker of the waiting task if a signal is pending.
    pub(crate) fn take_waker_if_pending(&self) -> Option<Waker> {
        let is_pending = self.pending.bits.load(Ordering::Acquire) != 0;
        is_pending.then(|| self.waker.take()).flatten()
    }

    pub(crate) fn take_waker(&self) -> Option<Waker> {
        self.waker.take()
    }

    /// Returns a pending signal, or keeps the waker until one arrives.
    pub(crate) fn poll_signal(&self, cx: &Context<'_>) -> Poll<c_int> {
        if let Some(signal) = self.take_signal() {
            return Poll::Ready(signal);
        }
        drop(self.waker.replace(Some(cx.waker().clone())));
        // The loop finds a signal since the first check too, because it looks after this poll. To
        // return the signal now saves a turn.
        self.take_signal().map_or(Poll::Pending, Poll::Ready)
    }

    /// Takes a pending signal, the lowest number first.
    pub(crate) fn take_signal(&self) -> Option<c_int> {
        let pending = self.pending.bits.load(Ordering::Acquire);
        if pending == 0 {
            return None;
        }
        let signal = pending.trailing_zeros().cast_signed() + 1;
        // Acquire once more: the same signal may have come again since the load, and is then merged
        // with the one that is returned.
        self.pending.bits.fetch_and(!bit(signal), Ordering::Acquire);
        Some(signal)
    }
}
