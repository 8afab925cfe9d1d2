//! The news that the server is shutting down, for every connection that waits for a request.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};

use slab::Slab;

#[derive(Debug, Default)]
pub(crate) struct Shutdown {
    begun: Cell<bool>,
    /// One for each connection that has ever waited.
    waiting: RefCell<Slab<Waker>>,
}

impl Shutdown {
    pub(crate) fn begin(&self) {
        self.begun.set(true);
        let wakers: Vec<_> = self.waiting.borrow().iter().map(|(_, waker)| waker.clone()).collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn watch(self: &Rc<Self>) -> Watch {
        Watch { shutdown: Rc::clone(self), place: None }
    }
}

/// One connection's view. It leaves its waker once: a connection is one task for all its life.
#[derive(Debug)]
pub(crate) struct Watch {
    shutdown: Rc<Shutdown>,
    place: Option<usize>,
}

impl Watch {
    pub(crate) fn begun(&self) -> bool {
        self.shutdown.begun.get()
    }

    pub(crate) fn has_begun(&mut self, cx: &Context<'_>) -> bool {
        let waiting = &self.shutdown.waiting;
        self.place.get_or_insert_with(|| waiting.borrow_mut().insert(cx.waker().clone()));
        self.begun()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let waker = self.shutdown.waiting.borrow_mut().remove(place);
            drop(waker);
        }
    }
}
