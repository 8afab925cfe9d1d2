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

    /// Lends the transport. Returns `None` if it is lent already, was taken, or has panicked.
    #[inline(always)] // on the shortest roads of a stream
    pub(crate) fn lend(&self) -> Option<Lent<'_, S>> {
        let lent = self.lend_place()?;
        match lent {
            Some(transport) => Some(Lent { transport, is_lent: &self.is_lent }),
            None => {
                self.is_lent.set(false);
                None
            }
        }
    }

    /// Takes the transport out for good, if it could be lent.
    pub(crate) fn take(&self) -> Option<S> {
        let taken = self.lend_place()?.take();
        self.is_lent.set(false);
        taken
    }

    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "`is_lent` makes sure that there is only one")]
    fn lend_place(&self) -> Option<&mut Option<S>> {
        if self.is_lent.replace(true) {
            return None;
        }
        // SAFETY: `is_lent` was false, so no other reference to the transport exists: only this
        // function makes them, and what sets `is_lent` to false again has given its reference up.
        // The cell is not `Sync`.
        Some(unsafe { &mut *self.transport.get() })
    }
}

/// A lent transport. If it is dropped without [`end`](Self::end), as by a panic, the transport is
/// never lent again.
pub(crate) struct Lent<'a, S> {
    transport: &'a mut S,
    is_lent: &'a Cell<bool>,
}

impl<S> Lent<'_, S> {
    #[inline(always)]
    pub(crate) fn get(&mut self) -> &mut S {
        self.transport
    }

    #[inline(always)]
    pub(crate) fn end(self) {
        self.is_lent.set(false);
    }
}
