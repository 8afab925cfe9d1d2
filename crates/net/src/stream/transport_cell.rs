//! A cell that lends a transport to one caller at a time.
//!
//! A transport may run foreign code, and that code may use the stream that the transport belongs
//! to. Such a nested use finds the transport lent, and gets `None`.

#![allow(unsafe_code, reason = "the transport is used where it is, without a move")]

use std::cell::{Cell, UnsafeCell};

pub(crate) struct TransportCell<S> {
    /// `None` after the transport was taken.
    transport: UnsafeCell<Option<S>>,
    /// True while the transport is lent, and for ever after it has panicked.
    is_lent: Cell<bool>,
}

impl<S> TransportCell<S> {
    pub(crate) fn new(transport: S) -> TransportCell<S> {
        TransportCell { transport: UnsafeCell::new(Some(transport)), is_lent: Cell::new(false) }
    }

    /// Calls `f` with the transport. Returns `None` if it is lent already, was taken, or has
    /// panicked.
    #[inline]
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut S) -> R) -> Option<R> {
        self.lend(|transport| transport.as_mut().map(f)).flatten()
    }

    /// Takes the transport out for good.
    pub(crate) fn take(&self) -> Option<S> {
        self.lend(Option::take).flatten()
    }

    /// Whether [`with`](Self::with) would call its closure.
    pub(crate) fn is_available(&self) -> bool {
        self.lend(|transport| transport.is_some()).unwrap_or(false)
    }

    #[inline]
    fn lend<R>(&self, f: impl FnOnce(&mut Option<S>) -> R) -> Option<R> {
        if self.is_lent.replace(true) {
            return None;
        }
        // SAFETY: `is_lent` was false, so no other reference to the transport exists. None is made
        // before it is false again, because only this function makes them. The cell is not `Sync`.
        let result = f(unsafe { &mut *self.transport.get() });
        self.is_lent.set(false);
        Some(result)
    }
}
