//! A slot for one waker.

use std::cell::Cell;
use std::task::Waker;

/// Empty at first, and again after a wake or a clear. Cloning, using or dropping a waker may run
/// foreign code, so the slot does that while nothing is borrowed.
#[derive(Default)]
pub(crate) struct WakerSlot(Cell<Option<Waker>>);

impl WakerSlot {
    /// Stores a waker, unless the stored one would wake the same task.
    #[inline]
    pub(crate) fn set(&self, waker: &Waker) {
        let stored = self.0.take();
        if stored.as_ref().is_some_and(|stored| stored.will_wake(waker)) {
            self.0.set(stored);
        } else {
            let waker = waker.clone();
            drop((self.0.replace(Some(waker)), stored));
        }
    }

    /// Takes the waker and wakes it.
    pub(crate) fn wake(&self) {
        if let Some(waker) = self.0.take() {
            waker.wake();
        }
    }

    pub(crate) fn clear(&self) {
        drop(self.0.take());
    }
}
