//! The connections that wait at a listening socket to be accepted.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use crate::sim::connection::Connection;
use crate::sim::waiting::Waiting;

pub(crate) struct Backlog {
    /// Tells the listening sockets of a host apart.
    pub(crate) number: u64,
    queue: RefCell<VecDeque<Rc<Connection>>>,
    limit: usize,
    pub(crate) waiting: Waiting,
}

impl Backlog {
    pub(crate) fn new(number: u64, limit: usize) -> Backlog {
        Backlog { number, queue: RefCell::default(), limit, waiting: Waiting::default() }
    }

    /// As in the kernel, a backlog of `n` has room for `n + 1` connections.
    pub(crate) fn is_full(&self) -> bool {
        self.queue.borrow().len() > self.limit
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.borrow().is_empty()
    }

    pub(crate) fn push(&self, connection: &Rc<Connection>) {
        self.queue.borrow_mut().push_back(Rc::clone(connection));
    }

    pub(crate) fn pop(&self) -> Option<Rc<Connection>> {
        self.queue.borrow_mut().pop_front()
    }
}
