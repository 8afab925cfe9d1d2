//! Tells every connection that waits for a request that the server shuts down.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};

use slab::Slab;

/// A server's shutdown state, shared with its connections.
#[derive(Debug, Default)]
pub(crate) struct Shutdown {
    has_begun: Cell<bool>,
    /// The wakers of all open connections that have waited for a request.
    wakers: RefCell<Slab<Waker>>,
}

impl Shutdown {
    /// Begins the shutdown and wakes all waiting connections.
    pub(crate) fn begin(&self) {
        self.has_begun.set(true);
        let wakers: Vec<_> = self.wakers.borrow().iter().map(|(_, waker)| waker.clone()).collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn watcher(self: &Rc<Self>) -> ShutdownWatcher {
        ShutdownWatcher { shutdown: Rc::clone(self), waker_key: None }
    }
}

/// One connection's access to the shutdown state. Stores the connection's waker once, because a
/// connection is one task as long as it lives.
#[derive(Debug)]
pub(crate) struct ShutdownWatcher {
    shutdown: Rc<Shutdown>,
    /// The key of this connection's waker in [`Shutdown::wakers`]; `None` before the first wait.
    waker_key: Option<usize>,
}

impl ShutdownWatcher {
    pub(crate) fn has_begun(&self) -> bool {
        self.shutdown.has_begun.get()
    }

    /// Stores the waker for the shutdown. Returns whether the shutdown has begun already.
    pub(crate) fn register(&mut self, cx: &Context<'_>) -> bool {
        let wakers = &self.shutdown.wakers;
        self.waker_key.get_or_insert_with(|| wakers.borrow_mut().insert(cx.waker().clone()));
        self.has_begun()
    }
}

impl Drop for ShutdownWatcher {
    fn drop(&mut self) {
        if let Some(key) = self.waker_key {
            let waker = self.shutdown.wakers.borrow_mut().remove(key);
            drop(waker);
        }
    }
}
