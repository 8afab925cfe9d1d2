//! What a stream of signals shares with its loop, and with the signal handler.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

use libc::c_int;

use crate::shared::Shared;
use crate::sync;

/// The loop's half and the stream's.
pub(crate) struct Listener {
    bell: std::sync::Arc<Bell>,
    waker: Cell<Option<Waker>>,
}

/// The handler's half.
pub(crate) struct Bell {
    /// Signal `n` is bit `n - 1`.
    pending: AtomicU64,
    shared: sync::Arc<Shared>,
}

impl Bell {
    /// Notes a signal and lets the loop look. Safe in a signal handler.
    pub(crate) fn ring(&self, signal: c_int) {
        // Before the ring, whose read-modify-write releases it to the loop that collects.
        self.pending.fetch_or(bit(signal), Ordering::Release);
        self.shared.inbox.ring();
    }
}

fn bit(signal: c_int) -> u64 {
    1 << (signal - 1)
}

impl Listener {
    pub(crate) fn new(shared: sync::Arc<Shared>) -> Listener {
        let bell = std::sync::Arc::new(Bell { pending: AtomicU64::new(0), shared });
        Listener { bell, waker: Cell::new(None) }
    }

    pub(crate) fn bell(&self) -> std::sync::Arc<Bell> {
        std::sync::Arc::clone(&self.bell)
    }

    /// The waker of a stream that has something to give out.
    pub(crate) fn take_waker(&self) -> Option<Waker> {
        let is_pending = self.bell.pending.load(Ordering::Acquire) != 0;
        is_pending.then(|| self.waker.take()).flatten()
    }

    pub(crate) fn take_any_waker(&self) -> Option<Waker> {
        self.waker.take()
    }

    pub(crate) fn set_waker(&self, waker: &Waker) {
        drop(self.waker.replace(Some(waker.clone())));
    }

    /// One of the signals that came, the lowest number first.
    pub(crate) fn take_signal(&self) -> Option<c_int> {
        let pending = self.bell.pending.load(Ordering::Acquire);
        if pending == 0 {
            return None;
        }
        let signal = pending.trailing_zeros().cast_signed() + 1;
        self.bell.pending.fetch_and(!bit(signal), Ordering::Relaxed);
        Some(signal)
    }
}
