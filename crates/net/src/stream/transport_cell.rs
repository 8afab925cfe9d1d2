//! A cell that lends a transport to one caller at a time.
//!
//! A transport may run foreign code, and that code may use the stream that the transport belongs
//! to. Such a nested use finds the transport lent, and gets `None`.

#![allow(unsafe_code, reason = "the transport is used where it is, without a move")]

use std::cell::{Cell, UnsafeCell};
use std::mem;

pub(crate) struct TransportCell<S> {
    /// `None` after the transport was taken.
    transport: UnsafeCell<Option<S>>,
    loan: Cell<Loan>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Loan {
    Free,
    Lent,
    /// The transport has panicked while it was lent. It is not lent again.
    Panicked,
}

impl<S> TransportCell<S> {
    pub(crate) fn new(transport: S) -> TransportCell<S> {
        TransportCell { transport: UnsafeCell::new(Some(transport)), loan: Cell::new(Loan::Free) }
    }

    /// Lends the transport. Returns `None` if it is lent already, was taken, or has panicked.
    #[inline(always)] // on the shortest roads of a stream
    pub(crate) fn lend(&self) -> Option<Lent<'_, S>> {
        if self.loan.get() != Loan::Free {
            return None;
        }
        let transport = self.place().as_mut()?;
        self.loan.set(Loan::Lent);
        Some(Lent { transport, loan: &self.loan })
    }

    /// Takes the transport out for good, unless it is lent.
    pub(crate) fn take(&self) -> Option<S> {
        if self.loan.get() == Loan::Lent { None } else { self.place().take() }
    }

    /// The place of the transport. The caller has checked that the transport is not lent.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "see the argument")]
    fn place(&self) -> &mut Option<S> {
        // SAFETY: no other reference to the transport exists: only this function makes them. The
        // one that `take` uses ends with it. The one in a `Lent` ends when its loan ends, and until
        // then the callers do not come here. The cell is not `Sync`.
        unsafe { &mut *self.transport.get() }
    }
}

/// A lent transport. If it is dropped without [`end`](Self::end), the transport has panicked.
pub(crate) struct Lent<'a, S> {
    transport: &'a mut S,
    loan: &'a Cell<Loan>,
}

impl<S> Lent<'_, S> {
    #[inline(always)]
    pub(crate) fn get(&mut self) -> &mut S {
        self.transport
    }

    #[inline(always)]
    pub(crate) fn end(self) {
        self.loan.set(Loan::Free);
        mem::forget(self);
    }
}

impl<S> Drop for Lent<'_, S> {
    fn drop(&mut self) {
        self.loan.set(Loan::Panicked);
    }
}
