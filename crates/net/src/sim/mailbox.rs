//! The datagrams that have arrived at a UDP socket.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::Bytes;

use crate::sim::waiting::Waiting;

/// The bytes that wait in a socket, at most. Datagrams that find no room are dropped.
const ROOM: usize = 208 << 10;

#[derive(Default)]
pub(crate) struct Mailbox {
    received: RefCell<VecDeque<(SocketAddr, Bytes)>>,
    bytes: Cell<usize>,
    /// The only peer of a socket that is connected.
    pub(crate) peer: Cell<Option<SocketAddr>>,
    /// The error that the next call returns.
    pub(crate) error: Cell<Option<i32>>,
    pub(crate) waiting: Waiting,
}

impl Mailbox {
    /// Whether the socket gets the datagrams of this sender.
    pub(crate) fn takes_from(&self, sender: SocketAddr) -> bool {
        self.peer.get().is_none_or(|peer| peer == sender)
    }

    /// Stores a datagram, unless the socket is full.
    pub(crate) fn put(&self, sender: SocketAddr, datagram: Bytes) {
        let bytes = self.bytes.get() + datagram.len();
        if bytes <= ROOM {
            self.bytes.set(bytes);
            self.received.borrow_mut().push_back((sender, datagram));
        }
    }

    pub(crate) fn first(&self) -> Option<(SocketAddr, Bytes)> {
        self.received.borrow().front().cloned()
    }

    pub(crate) fn remove_first(&self) {
        if let Some((_, datagram)) = self.received.borrow_mut().pop_front() {
            self.bytes.set(self.bytes.get() - datagram.len());
        }
    }
}
