//! Carries the packets of connections from host to host.
//!
//! ```text
//!   send ──▶ flight ──(the link draws when)──▶ arrive ──▶ receive ──▶ the other end
//!              ▲                                 │
//!              └── again after 0.2, 0.4 … 120 s ◀┴── the link is cut, the host has no power
//! ```
//!
//! The packets of one direction arrive in order. A packet that cannot arrive is sent again, as by
//! the kernel, which gives up after 15 minutes.

use std::rc::Rc;
use std::task::Waker;

use bytes::Bytes;

use crate::sim::connection::{Connection, End, Reaction, Side};
use crate::sim::current::Place;
use crate::sim::flight::{Flight, Sent};
use crate::sim::trace::{Content, Packet};
use crate::sim::world::{Event, World};

/// How often a packet of an open connection is sent, and a request for one.
const MAX_ATTEMPTS: u32 = 16;
const MAX_REQUESTS: u32 = 7;
/// The time after the first attempt, in nanoseconds. It doubles with each.
const RETRANSMISSION: u64 = 200_000_000;
/// The longest time between two attempts, in nanoseconds.
const MAX_DELAY: u64 = 120_000_000_000;
/// The time after the first request, in nanoseconds.
const REQUEST_DELAY: u64 = 1_000_000_000;

impl World {
    /// Sends a packet from this end.
    pub(crate) fn send(
        self: &Rc<Self>,
        connection: &Rc<Connection>,
        from: Side,
        content: Content,
        bytes: Bytes,
    ) {
        let (here, there) = (connection.end(from), connection.end(from.other()));
        let transit = self.transit(here.host, there.host, bytes.len());
        let mut flight = here.flight();
        let (leaves, arrives) = (transit.leaves, transit.arrives);
        flight.push(Sent { content, bytes, leaves, arrives });
        let first = flight.first().map_or(arrives, |first| first.arrives);
        self.schedule_arrival(connection, from, &mut flight, first);
    }

    fn schedule_arrival(
        &self,
        connection: &Rc<Connection>,
        from: Side,
        flight: &mut Flight,
        time: u64,
    ) {
        if !flight.is_scheduled {
            flight.is_scheduled = true;
            let arrival = Event::Arrival(Rc::clone(connection), from);
            self.schedule_event(time.max(self.now()), arrival);
        }
    }

    /// Passes on the packets from this end that arrive now.
    pub(crate) fn arrive(self: &Rc<Self>, connection: &Rc<Connection>, from: Side) {
        let (here, there) = (connection.end(from), connection.end(from.other()));
        here.flight().is_scheduled = false;
        if self.is_lost(here) {
            here.flight().sender_is_gone(self.machine(here.host).power.crashed_at());
        }
        loop {
            let mut flight = here.flight();
            let Some(first) = flight.first() else { return };
            if first.arrives > self.now() {
                let arrives = first.arrives;
                return self.schedule_arrival(connection, from, &mut flight, arrives);
            }
            let packet = packet(here, there, first.content);
            drop(flight);
            if !self.carries(packet) {
                return self.send_again(connection, from);
            }
            let Some(mut sent) = here.flight().pop() else { return };
            match self.receive(connection, from.other(), &mut sent) {
                Reaction::Taken if sent.content == Content::End => here.end_has_arrived(),
                Reaction::Taken => {}
                Reaction::Answer(content) => {
                    self.send(connection, from.other(), content, Bytes::new());
                }
                Reaction::Refused if sent.content == Content::Reset => {}
                Reaction::Refused => {
                    self.send(connection, from.other(), Content::Reset, Bytes::new());
                }
                Reaction::NoRoom => {
                    here.flight().put_back(sent);
                    return self.send_again(connection, from);
                }
            }
            here.flight().attempts = 0;
            self.wake(there);
        }
    }

    /// Receives a packet at this end.
    fn receive(
        self: &Rc<Self>,
        connection: &Rc<Connection>,
        at: Side,
        sent: &mut Sent,
    ) -> Reaction {
        let end = connection.end(at);
        let machine = self.machine(end.host);
        let is_request = sent.content == Content::Request;
        if !is_request && self.is_lost(end) {
            return Reaction::Refused;
        }
        if !is_request && sent.content != Content::Established {
            return end.receive(sent.content, &mut sent.bytes);
        }
        let listener = machine.ports.borrow().listener_at(end.address);
        match listener {
            None => Reaction::Refused,
            // A later socket than the one that was asked knows nothing of the connection.
            Some(listener) if !is_request && end.listener.get() != Some(listener.number) => {
                Reaction::Refused
            }
            Some(listener) if listener.is_full() => Reaction::NoRoom,
            Some(listener) if is_request => {
                end.crashes.set(Some(machine.power.crashes()));
                end.listener.set(Some(listener.number));
                Reaction::Answer(Content::Acceptance)
            }
            Some(listener) => {
                end.open();
                listener.push(connection);
                self.place(end.host).enter(|| listener.waiting.wake_all());
                Reaction::Taken
            }
        }
    }

    /// Schedules the next attempt for a packet that was lost.
    fn send_again(self: &Rc<Self>, connection: &Rc<Connection>, from: Side) {
        let end = connection.end(from);
        let mut flight = end.flight();
        let Some(first) = flight.first() else { return };
        if first.content == Content::Reset || self.is_lost(end) {
            return flight.clear(); // a reset is sent once, and nobody is there to send again
        }
        let is_request = first.content == Content::Request;
        if let Some(arrives) = flight.keep_reset() {
            return self.schedule_arrival(connection, from, &mut flight, arrives);
        }
        let attempts = flight.attempts;
        flight.attempts += 1;
        if attempts == if is_request { MAX_REQUESTS } else { MAX_ATTEMPTS } {
            drop(flight);
            end.time_out();
            return self.wake(end);
        }
        let delay = if is_request { REQUEST_DELAY } else { RETRANSMISSION } << attempts;
        let time = self.now() + delay.min(MAX_DELAY);
        self.schedule_arrival(connection, from, &mut flight, time);
    }

    /// Whether the host of this end has lost its power since the end was made.
    pub(crate) fn is_lost(&self, end: &End) -> bool {
        let crashes = self.machine(end.host).power.crashes();
        end.crashes.get().is_some_and(|before| before != crashes)
    }

    /// Wakes the tasks that wait at this end.
    pub(crate) fn wake(self: &Rc<Self>, end: &End) {
        let wakers = end.take_wakers();
        if wakers.iter().any(Option::is_some) {
            self.place(end.host).enter(|| wakers.into_iter().flatten().for_each(Waker::wake));
        }
    }

    pub(crate) fn place(self: &Rc<Self>, number: usize) -> Place {
        Place { world: Rc::clone(self), machine: self.machine(number) }
    }
}

fn packet(from: &End, to: &End, content: Content) -> Packet {
    let ports = (from.address.port(), to.address.port());
    Packet { from: from.host, to: to.host, ports, content }
}
