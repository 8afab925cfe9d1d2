//! The living connections of a server: how many, how to end them, and who waits for one to end.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use slab::Slab;
use squall_executor::JoinHandle;
use squall_executor::future::Future;

pub(crate) struct Connections {
    /// The task of each connection. An entry is removed when its task's future is dropped.
    tasks: RefCell<Slab<Option<JoinHandle<()>>>>,
    /// The most connections that may live at once.
    limit: Cell<usize>,
    /// Connections that were ended by [`abort_all`](Self::abort_all).
    aborted: Cell<usize>,
    /// Set when the last connection ends. `Some` while a drain waits for that.
    idle: RefCell<Option<Future<()>>>,
    /// Set when a connection ends. `Some` while accepting waits for room.
    room: RefCell<Option<Future<()>>>,
}

impl Connections {
    pub(crate) fn new() -> Rc<Connections> {
        Rc::new(Connections {
            tasks: RefCell::default(),
            limit: Cell::new(usize::MAX),
            aborted: Cell::new(0),
            idle: RefCell::default(),
            room: RefCell::default(),
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

    /// Adds a connection, whose task `start` spawns. The task keeps the guard until its future is dropped.
    pub(crate) fn add(self: &Rc<Self>, start: impl FnOnce(ConnectionGuard) -> JoinHandle<()>) {
        let key = self.tasks.borrow_mut().insert(None);
        let task = start(ConnectionGuard { connections: Rc::clone(self), key });
        self.tasks.borrow_mut()[key] = Some(task); // the task runs in the next batch, not yet
    }

    /// Waits until another connection may begin.
    pub(crate) async fn wait_for_room(&self) {
        let room = self.room.borrow_mut().get_or_insert_default().clone();
        let _ = room.await; // it is never cancelled
    }

    /// Waits until no connection is left.
    pub(crate) async fn wait_until_idle(&self) {
        if self.len() > 0 {
            let idle = self.idle.borrow_mut().get_or_insert_default().clone();
            let _ = idle.await; // it is never cancelled
        }
    }

    /// Ends every connection: the loop drops its future in the next batch.
    pub(crate) fn abort_all(&self) {
        let tasks = self.tasks.borrow();
        tasks.iter().filter_map(|(_, task)| task.as_ref()).for_each(JoinHandle::abort);
        self.aborted.set(self.aborted.get() + tasks.len());
    }

    /// How many connections were ended by [`abort_all`](Self::abort_all).
    pub(crate) fn aborted(&self) -> usize {
        self.aborted.get()
    }

    fn remove(&self, key: usize) {
        let (task, is_last) = {
            let mut tasks = self.tasks.borrow_mut();
            (tasks.remove(key), tasks.is_empty())
        };
        drop(task); // detaches: a panic of the handler goes to the loop's hook
        let idle = if is_last { self.idle.take() } else { None };
        for waiting in [idle, self.room.take()].into_iter().flatten() {
            let _ = waiting.set_result(());
        }
    }
}

/// Removes a connection from its server when the task's future is dropped.
pub(crate) struct ConnectionGuard {
    connections: Rc<Connections>,
    key: usize,
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.connections.remove(self.key);
    }
}
