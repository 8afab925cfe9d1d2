//! The wakers of all tasks that wait for the same thing.

use std::cell::Cell;
use std::task::Waker;

/// Empty at first, and again after a wake. Each task is in the list once, however often it polls.
/// As in [`WakerSlot`](super::waker_slot::WakerSlot), no borrow is held while a waker runs.
#[derive(Default)]
pub(crate) struct WakerList(Cell<Vec<Waker>>);

impl WakerList {
    /// Adds a waker, unless one in the list would wake the same task.
    pub(crate) fn add(&self, waker: &Waker) {
        let mut wakers = self.0.take();
        if !wakers.iter().any(|listed| listed.will_wake(waker)) {
            wakers.push(waker.clone());
        }
        wakers.append(&mut self.0.take()); // the clone may have run code that added another
        self.0.set(wakers);
    }

    /// Takes the wakers and wakes them, the first one first.
    pub(crate) fn wake_all(&self) {
        self.0.take().into_iter().for_each(Waker::wake);
    }
}
