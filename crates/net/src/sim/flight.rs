//! The packets of one direction of a connection that were sent and have not arrived.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::sim::trace::Content;

/// A packet under way. The times are in nanoseconds since the simulation began.
pub(crate) struct Sent {
    pub(crate) content: Content,
    pub(crate) bytes: Bytes,
    /// When its last bit is on the wire.
    pub(crate) leaves: u64,
    pub(crate) arrives: u64,
}

#[derive(Default)]
pub(crate) struct Flight {
    packets: VecDeque<Sent>,
    /// When the last packet leaves, and when it arrives: no later one does before. The link may have
    /// become faster meanwhile.
    last_departure: u64,
    last_arrival: u64,
    /// Whether the arrival of the first packet is scheduled.
    pub(crate) is_scheduled: bool,
    /// How often the first packet was sent in vain.
    pub(crate) attempts: u32,
}

impl Flight {
    pub(crate) fn push(&mut self, mut sent: Sent) {
        sent.leaves = sent.leaves.max(self.last_departure);
        sent.arrives = sent.arrives.max(self.last_arrival);
        (self.last_departure, self.last_arrival) = (sent.leaves, sent.arrives);
        self.packets.push_back(sent);
    }

    pub(crate) fn first(&self) -> Option<&Sent> {
        self.packets.front()
    }

    pub(crate) fn pop(&mut self) -> Option<Sent> {
        self.packets.pop_front()
    }

    /// Puts a packet back that did not find room at its goal.
    pub(crate) fn put_back(&mut self, sent: Sent) {
        self.packets.push_front(sent);
    }

    /// The sender resets the connection at this time. What is on the wire then arrives, but the rest
    /// is not sent, and what was lost is not sent again.
    pub(crate) fn sender_resets(&mut self, time: u64) {
        if self.attempts > 0 {
            self.packets.clear();
            // The reset does not wait for the next attempt.
            (self.attempts, self.is_scheduled) = (0, false);
        }
        self.packets.retain(|sent| sent.leaves <= time);
    }

    /// The first packet was lost. If the sender has reset the connection meanwhile, it is not sent
    /// again, and what follows it is of no use: drops all but the reset, and returns when that
    /// arrives.
    pub(crate) fn keep_reset(&mut self) -> Option<u64> {
        let last = self.packets.back().filter(|last| last.content == Content::Reset)?;
        let arrives = last.arrives;
        self.packets.retain(|sent| sent.content == Content::Reset);
        Some(arrives)
    }

    /// The sender has lost its power at this time. What was on the wire then arrives, but what was
    /// lost before is not sent again, and what follows it is of no use. A reset stays: a host that
    /// runs again sends it for a connection that it does not know.
    pub(crate) fn sender_is_gone(&mut self, time: u64) {
        let on_wire = |sent: &Sent| self.attempts == 0 && sent.leaves <= time;
        self.packets.retain(|sent| on_wire(sent) || sent.content == Content::Reset);
    }

    pub(crate) fn clear(&mut self) {
        self.packets.clear();
    }
}
