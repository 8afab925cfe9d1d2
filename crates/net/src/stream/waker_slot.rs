//! A slot for one waker.

use std::cell::Cell;
use std::task::Waker;

/// Empty at first, and after its waker was used. Wakers are cloned, used and dropped while nothing is borrowed, since that may run
/// foreign code.
#[derive(Default)]
pub(crate) struct WakerSlot(Cell<Option<Waker>>);

impl WakerSlot {
    /// Stores a waker, unless the stored one would wake the same task.
    #[inline]
    pub(crate) fn set(&self, waker: &Waker) {
        let known = self.0.take();
        if known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.0.set(known);
        } else {
            let waker = waker.clone();
            drop((self.0.replace(Some(waker)), known));
        }
    }

    pub(crate) fn wake(&self) {
        if let Some(waker) = self.0.take() {
            waker.wake();
        }
    }

    pub(crate) fn clear(&self) {
        drop(self.0.take());
    }
}
