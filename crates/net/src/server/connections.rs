//! The open connections of a server: counts and aborts them, and wakes the tasks that wait for
//! their end.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::rc::Rc;

use slab::Slab;
use squall_executor::JoinHandle;
use squall_executor::future::Future;

use crate::stream::stream_error::{Cause, StreamError};

pub(crate) struct Connections<P> {
    /// The task of each connection. An entry is removed when its task's future is dropped.
    tasks: RefCell<Slab<Option<JoinHandle<()>>>>,
    /// How many connections may be open at once.
    limit: Cell<usize>,
    /// How many connections [`abort_all`](Self::abort_all) has aborted.
    aborted: Cell<usize>,
    /// Set when the last connection ends. `Some` while a drain waits for that.
    idle: RefCell<Option<Future<()>>>,
    /// Set when a connection ends. `Some` while an accept loop waits for that.
    connection_ended: RefCell<Option<Future<()>>>,
    /// Called with the error of each handler.
    pub(crate) on_error: RefCell<Option<ErrorHook<P>>>,
}

/// The peer's address, and why its handler has failed.
pub(crate) type ErrorHook<P> = Rc<dyn Fn(&P, &io::Error)>;

impl<P: fmt::Debug> Connections<P> {
    pub(crate) fn new() -> Rc<Connections<P>> {
        Rc::new(Connections {
            tasks: RefCell::default(),
            limit: Cell::new(usize::MAX),
            aborted: Cell::new(0),
            idle: RefCell::default(),
            connection_ended: RefCell::default(),
            on_error: RefCell::default(),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.tasks.borrow().len()
    }

    pub(crate) fn set_limit(&self, most: usize) {
        self.limit.set(most);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len() >= self.limit.get()
    }

    /// Adds a connection. `start` spawns its task, which keeps the guard until the task's future is
    /// dropped.
    pub(crate) fn add(self: &Rc<Self>, start: impl FnOnce(ConnectionGuard<P>) -> JoinHandle<()>) {
        let key = {
            let mut tasks = self.tasks.borrow_mut();
            let len = tasks.len();
            if len == tasks.capacity() {
                tasks.reserve_exact(len / 8 + 16); // a list that doubles is half empty
            }
            tasks.insert(None)
        };
        let task = start(ConnectionGuard { connections: Rc::clone(self), key });
        self.tasks.borrow_mut()[key] = Some(task); // still there: the task runs in the next batch
    }

    /// Waits until a connection ends.
    pub(crate) async fn wait_until_connection_ends(&self) {
        let ended = self.connection_ended.borrow_mut().get_or_insert_default().clone();
        let _ = ended.await; // this future is never cancelled
    }

    /// Waits until no connection is open.
    pub(crate) async fn wait_until_idle(&self) {
        if self.len() > 0 {
            let idle = self.idle.borrow_mut().get_or_insert_default().clone();
            let _ = idle.await; // this future is never cancelled
        }
    }

    /// Aborts every connection. The loop drops the futures of their tasks in the next batch.
    pub(crate) fn abort_all(&self) {
        // A task that was aborted before has no handle any more, and is not counted again.
        let handles = |tasks: &mut Slab<Option<JoinHandle<()>>>| {
            tasks.iter_mut().filter_map(|(_, task)| task.take()).collect::<Vec<_>>()
        };
        let tasks = handles(&mut self.tasks.borrow_mut());
        tasks.iter().for_each(JoinHandle::abort);
        self.aborted.set(self.aborted.get() + tasks.len());
    }

    /// Returns how many connections [`abort_all`](Self::abort_all) has aborted.
    pub(crate) fn aborted(&self) -> usize {
        self.aborted.get()
    }

    /// Reports the error of a handler: to the hook, or else to the log. Errors that a peer can cause
    /// are logged at debug level, so that they cannot fill the log.
    #[cold]
    pub(crate) fn report(&self, peer: &P, error: &io::Error) {
        let on_error = self.on_error.borrow().clone();
        if let Some(on_error) = on_error {
            return on_error(peer, error);
        }
        let is_caused_by_peer = Cause::of(error).is_of_peer()
            || error.get_ref().is_some_and(|source| source.is::<StreamError>());
        if is_caused_by_peer {
            log::debug!("connection of {peer:?} ended: {error}");
        } else {
            log::error!("handler of {peer:?} failed: {error}");
        }
    }
}

impl<P> Connections<P> {
    fn remove(&self, key: usize) {
        let (task, is_last) = {
            let mut tasks = self.tasks.borrow_mut();
            (tasks.remove(key), tasks.is_empty())
        };
        drop(task); // detaches the task: a panic of the handler goes to the loop's panic hook
        if is_last && let Some(idle) = self.idle.take() {
            let _ = idle.set_result(()); // it was never set before
        }
        if let Some(ended) = self.connection_ended.take() {
            let _ = ended.set_result(()); // as above
        }
    }
}

/// Removes a connection from its server when the future of the connection's task is dropped.
pub(crate) struct ConnectionGuard<P> {
    pub(crate) connections: Rc<Connections<P>>,
    key: usize,
}

impl<P> Drop for ConnectionGuard<P> {
    fn drop(&mut self) {
        self.connections.remove(self.key);
    }
}
