//! The tasks that wait for the same thing.

use std::cell::RefCell;
use std::task::Waker;

#[derive(Default)]
pub(crate) struct Waiting(RefCell<Vec<Waker>>);

impl Waiting {
    pub(crate) fn add(&self, waker: &Waker) {
        let is_known = self.0.borrow().iter().any(|known| known.will_wake(waker));
        if !is_known {
            let waker = waker.clone();
            self.0.borrow_mut().push(waker);
        }
    }

    pub(crate) fn wake_all(&self) {
        self.0.take().into_iter().for_each(Waker::wake);
    }
}
