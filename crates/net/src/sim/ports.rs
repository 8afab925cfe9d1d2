//! The ports of a host: who listens where.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::rc::{Rc, Weak};

use super::backlog::Backlog;
use super::mailbox::Mailbox;

/// The ports that are drawn for sockets that choose none, as on Linux.
const EPHEMERAL: RangeInclusive<u16> = 32_768..=60_999;

#[derive(Default)]
pub(crate) struct Ports {
    listeners: Vec<(SocketAddr, Weak<Backlog>)>,
    mailboxes: Vec<(SocketAddr, Weak<Mailbox>)>,
    /// How many connections use a port as their own.
    connections: BTreeMap<u16, usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
}

impl Ports {
    pub(crate) fn add_listener(&mut self, address: SocketAddr, backlog: &Rc<Backlog>) {
        self.listeners.retain(|(_, listener)| listener.strong_count() > 0);
        self.listeners.push((address, Rc::downgrade(backlog)));
    }

    pub(crate) fn add_mailbox(&mut self, address: SocketAddr, mailbox: &Rc<Mailbox>) {
        self.mailboxes.retain(|(_, mailbox)| mailbox.strong_count() > 0);
        self.mailboxes.push((address, Rc::downgrade(mailbox)));
    }

    pub(crate) fn add_connection(&mut self, port: u16) {
        *self.connections.entry(port).or_default() += 1;
    }

    pub(crate) fn remove_connection(&mut self, port: u16) {
        if let Some(count) = self.connections.get_mut(&port) {
            *count -= 1;
            if *count == 0 {
                self.connections.remove(&port);
            }
        }
    }

    /// The listening socket that gets the connections to this address.
    pub(crate) fn listener_at(&self, address: SocketAddr) -> Option<Rc<Backlog>> {
        find(&self.listeners, address)
    }

    /// The UDP socket that gets the datagrams to this address.
    pub(crate) fn mailbox_at(&self, address: SocketAddr) -> Option<Rc<Mailbox>> {
        find(&self.mailboxes, address)
    }

    pub(crate) fn is_taken(&self, address: SocketAddr, protocol: Protocol) -> bool {
        match protocol {
            Protocol::Tcp => is_taken(&self.listeners, address),
            Protocol::Udp => is_taken(&self.mailboxes, address),
        }
    }

    /// Finds a port that nobody uses at this address, from a random number on.
    pub(crate) fn free_port(
        &self,
        mut address: SocketAddr,
        protocol: Protocol,
        random: u64,
    ) -> Option<u16> {
        let first = usize::try_from(random % EPHEMERAL.len() as u64).unwrap_or_default();
        let mut candidates = EPHEMERAL.skip(first).chain(EPHEMERAL.take(first));
        candidates.find(|port| {
            address.set_port(*port);
            let is_used = protocol == Protocol::Tcp && self.connections.contains_key(port);
            !is_used && !self.is_taken(address, protocol)
        })
    }
}

fn find<T>(bound: &[(SocketAddr, Weak<T>)], address: SocketAddr) -> Option<Rc<T>> {
    let gets = |bound: &SocketAddr| {
        bound.port() == address.port()
            && (bound.ip() == address.ip() || bound.ip().is_unspecified())
    };
    let mut getters = bound.iter().filter(|(bound, _)| gets(bound));
    getters.find_map(|(_, socket)| socket.upgrade())
}

fn is_taken<T>(bound: &[(SocketAddr, Weak<T>)], address: SocketAddr) -> bool {
    let overlaps = |bound: &SocketAddr| {
        let any = bound.ip().is_unspecified() || address.ip().is_unspecified();
        bound.port() == address.port() && (any || bound.ip() == address.ip())
    };
    bound.iter().any(|(bound, socket)| socket.strong_count() > 0 && overlaps(bound))
}
