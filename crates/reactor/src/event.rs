//! What a wait brings back.

use std::fmt;

use crate::Token;

/// One descriptor's news.
///
/// The methods repeat what the kernel said and conclude nothing: a peer that closed shows as
/// [`is_read_closed`](Self::is_read_closed) while the bytes that it sent before are still to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Event {
    token: Token,
    flags: u32,
}

const IN: u32 = libc::EPOLLIN as u32;
const OUT: u32 = libc::EPOLLOUT as u32;
const PRI: u32 = libc::EPOLLPRI as u32;
const ERR: u32 = libc::EPOLLERR as u32;
const HUP: u32 = libc::EPOLLHUP as u32;
const RDHUP: u32 = libc::EPOLLRDHUP as u32;

impl Event {
    /// The registration that this is about. It may have been removed since: ask the reactor before acting on it.
    pub fn token(&self) -> Token {
        self.token
    }

    /// Tells whether there is something to read (`EPOLLIN`).
    pub fn is_readable(&self) -> bool {
        self.has(IN)
    }

    /// Tells whether there is room to write (`EPOLLOUT`).
    pub fn is_writable(&self) -> bool {
        self.has(OUT)
    }

    /// Tells whether the peer will send no more (`EPOLLRDHUP` or `EPOLLHUP`).
    pub fn is_read_closed(&self) -> bool {
        self.has(RDHUP | HUP)
    }

    /// Tells whether nothing more can be sent (`EPOLLHUP`, or an error on the writing side).
    pub fn is_write_closed(&self) -> bool {
        self.has(HUP) || self.flags & (OUT | ERR) == OUT | ERR || self.flags == ERR
    }

    /// Tells whether an error waits on the descriptor (`EPOLLERR`).
    pub fn is_error(&self) -> bool {
        self.has(ERR)
    }

    /// Tells whether out-of-band data or another exceptional condition waits (`EPOLLPRI`).
    pub fn is_priority(&self) -> bool {
        self.has(PRI)
    }

    /// The two reports together, for an owner that has not looked at the first one yet.
    ///
    /// # Panics
    /// If they are about different registrations.
    pub fn merge(self, later: Event) -> Event {
        assert_eq!(self.token, later.token, "only events of one registration can be merged");
        Event { token: self.token, flags: self.flags | later.flags }
    }

    fn has(&self, any_of: u32) -> bool {
        self.flags & any_of != 0
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names =
            [(IN, "IN"), (OUT, "OUT"), (PRI, "PRI"), (ERR, "ERR"), (HUP, "HUP"), (RDHUP, "RDHUP")];
        write!(f, "Event({:?}", self.token)?;
        for (_, name) in names.into_iter().filter(|(bit, _)| self.has(*bit)) {
            write!(f, " {name}")?;
        }
        f.write_str(")")
    }
}

/// The buffer that a wait fills.
///
/// When more descriptors are ready than it holds, the kernel serves the others first in the next wait: nobody is
/// passed over for ever.
pub struct Events {
    list: Vec<libc::epoll_event>,
}

impl Events {
    /// Makes room for `capacity` events a wait (at least one).
    pub fn with_capacity(capacity: usize) -> Events {
        Events { list: Vec::with_capacity(capacity.max(1)) }
    }

    /// How many events the last wait brought.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Tells whether the last wait brought none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The events of the last wait, in the kernel's order.
    pub fn iter(&self) -> EventsIter<'_> {
        EventsIter(self.list.iter())
    }

    /// The buffer, for the system call to fill.
    pub(crate) fn buffer(&mut self) -> &mut Vec<libc::epoll_event> {
        &mut self.list
    }
}

impl<'a> IntoIterator for &'a Events {
    type Item = Event;
    type IntoIter = EventsIter<'a>;

    fn into_iter(self) -> EventsIter<'a> {
        self.iter()
    }
}

/// Walks over [`Events`].
#[derive(Clone)]
pub struct EventsIter<'a>(std::slice::Iter<'a, libc::epoll_event>);

impl Iterator for EventsIter<'_> {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        let event = self.0.next()?;
        Some(Event { token: Token::from_bits(event.u64), flags: event.events })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for EventsIter<'_> {}

impl fmt::Debug for EventsIter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
