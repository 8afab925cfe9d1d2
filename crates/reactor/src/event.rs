//! Readiness events, and the buffer that a wait fills with them.

use std::fmt;

use crate::Token;

/// A readiness event of one registered descriptor.
///
/// The methods report the kernel's flags and infer nothing. After the peer has closed,
/// [`is_read_closed`](Self::is_read_closed) returns true even while bytes that the peer sent before
/// are still unread.
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
    /// The registration that the event belongs to. It may have been removed since: look the token
    /// up in the reactor before you act on the event.
    #[inline]
    pub fn token(&self) -> Token {
        self.token
    }

    /// Returns true if there is something to read (`EPOLLIN`).
    #[inline]
    pub fn is_readable(&self) -> bool {
        self.has(IN)
    }

    /// Returns true if there is room to write (`EPOLLOUT`).
    #[inline]
    pub fn is_writable(&self) -> bool {
        self.has(OUT)
    }

    /// Returns true if the peer will send no more (`EPOLLRDHUP` or `EPOLLHUP`).
    #[inline]
    pub fn is_read_closed(&self) -> bool {
        self.has(RDHUP | HUP)
    }

    /// Returns true if nothing more can be sent (`EPOLLHUP`, or an error on the writing side).
    #[inline]
    pub fn is_write_closed(&self) -> bool {
        self.has(HUP) || self.flags & (OUT | ERR) == OUT | ERR || self.flags == ERR
    }

    /// Returns true if the descriptor has a pending error (`EPOLLERR`).
    #[inline]
    pub fn is_error(&self) -> bool {
        self.has(ERR)
    }

    /// Returns true if there is out-of-band data or another exceptional condition (`EPOLLPRI`).
    #[inline]
    pub fn is_priority(&self) -> bool {
        self.has(PRI)
    }

    /// Returns true if the event reports nothing but what [`is_readable`](Self::is_readable) and
    /// [`is_writable`](Self::is_writable) return. Most events are of this kind.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.flags & !(IN | OUT) == 0
    }

    /// Combines this event with a later event of the same registration, for a caller that has not
    /// handled this event yet.
    ///
    /// # Panics
    /// If the two events belong to different registrations.
    pub fn merge(self, later: Event) -> Event {
        assert_eq!(self.token, later.token, "only events of one registration can be merged");
        Event { token: self.token, flags: self.flags | later.flags }
    }

    #[inline]
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

/// The buffer that [`Reactor::wait`](crate::Reactor::wait) fills.
///
/// If more descriptors are ready than the buffer holds, the kernel reports the others first in the
/// next wait, so no descriptor starves.
pub struct Events {
    list: Vec<libc::epoll_event>,
}

impl Events {
    /// Allocates room for `capacity` events per wait, and for at least one event.
    pub fn with_capacity(capacity: usize) -> Events {
        Events { list: Vec::with_capacity(capacity.max(1)) }
    }

    /// The number of events that the last wait returned.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Returns true if the last wait returned no event.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The events of the last wait, in the kernel's order.
    pub fn iter(&self) -> EventsIter<'_> {
        EventsIter(self.list.iter())
    }

    /// The vector that the system call fills.
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

/// An iterator over [`Events`].
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
