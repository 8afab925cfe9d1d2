//! The ports of a host: who listens where.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::rc::{Rc, Weak};

use crate::sim::backlog::Backlog;
use crate::sim::mailbox::Mailbox;

/// The ports that are drawn for sockets that choose none, as on Linux.
const EPHEMERAL: RangeInclusive<u16> = 32_768..=60_999;

#[derive(Default)]
pub(crate) struct Ports {
    listeners: Vec<(SocketAddr, Weak<Backlog>)>,
    /// The number of listening sockets that were ever made.
    listeners_made: u64,
    mailboxes: Vec<(SocketAddr, Weak<Mailbox>)>,
    /// The connections of this host's clients, by their own ports.
    connections: BTreeMap<u16, Vec<Client>>,
}

/// The own address of a connection and that of its peer.
pub(crate) type Pair = (SocketAddr, SocketAddr);

struct Client {
    pair: Pair,
    /// Whether the code has chosen the port, and so lets other sockets use it (`SO_REUSEADDR`).
    shares_port: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
}

impl Ports {
    /// Makes the backlog of a listening socket, with room for `limit` connections.
    pub(crate) fn add_listener(&mut self, address: SocketAddr, limit: usize) -> Rc<Backlog> {
        let backlog = Rc::new(Backlog::new(self.listeners_made, limit));
        self.listeners_made += 1;
        self.listeners.retain(|(_, listener)| listener.strong_count() > 0);
        self.listeners.push((address, Rc::downgrade(&backlog)));
        backlog
    }

    pub(crate) fn add_mailbox(&mut self, address: SocketAddr, mailbox: &Rc<Mailbox>) {
        self.mailboxes.retain(|(_, mailbox)| mailbox.strong_count() > 0);
        self.mailboxes.push((address, Rc::downgrade(mailbox)));
    }

    /// Returns false if there is such a connection already.
    pub(crate) fn add_connection(&mut self, pair: Pair, shares_port: bool) -> bool {
        let clients = self.connections.entry(pair.0.port()).or_default();
        let is_new = clients.iter().all(|client| client.pair != pair);
        if is_new {
            clients.push(Client { pair, shares_port });
        }
        is_new
    }

    pub(crate) fn remove_connection(&mut self, pair: Pair) {
        let port = pair.0.port();
        if let Some(clients) = self.connections.get_mut(&port) {
            clients.retain(|client| client.pair != pair);
            if clients.is_empty() {
                self.connections.remove(&port);
            }
        }
    }

    /// The listening socket that gets the connections to this address.
    pub(crate) fn listener_at(&self, address: SocketAddr) -> Option<Rc<Backlog>> {
        find(&self.listeners, address)
    }

    /// The UDP socket that gets the datagrams of a sender to this address.
    pub(crate) fn mailbox_at(
        &self,
        address: SocketAddr,
        sender: SocketAddr,
    ) -> Option<Rc<Mailbox>> {
        find(&self.mailboxes, address).filter(|mailbox| mailbox.takes_from(sender))
    }

    /// Sets the address of a UDP socket.
    pub(crate) fn move_mailbox(&mut self, mailbox: &Rc<Mailbox>, address: SocketAddr) {
        let is_it = |bound: &Weak<Mailbox>| bound.as_ptr() == Rc::as_ptr(mailbox);
        for (bound, _) in self.mailboxes.iter_mut().filter(|(_, bound)| is_it(bound)) {
            *bound = address;
        }
    }

    pub(crate) fn is_taken(&self, address: SocketAddr, protocol: Protocol) -> bool {
        match protocol {
            Protocol::Tcp => {
                let clients = self.connections.get(&address.port()).into_iter().flatten();
                let mut keepers = clients.filter(|client| !client.shares_port);
                is_taken(&self.listeners, address)
                    || keepers.any(|client| overlaps(client.pair.0, address))
            }
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
    bound.iter().any(|(bound, socket)| socket.strong_count() > 0 && overlaps(*bound, address))
}

/// Whether a packet could be for both addresses.
fn overlaps(a: SocketAddr, b: SocketAddr) -> bool {
    let any = a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() == b.port() && (any || a.ip() == b.ip())
}
