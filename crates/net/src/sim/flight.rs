//! The packets of one direction of a connection that were sent and have not arrived.

use std::collections::VecDeque;

use bytes::Bytes;

use super::trace::Content;

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
    /// When the last packet arrives: no later one arrives before.
    last_arrival: u64,
    /// Whether the arrival of the first packet is scheduled.
    pub(crate) is_scheduled: bool,
    /// How often the first packet was sent in vain.
    pub(crate) attempts: u32,
}

impl Flight {
    pub(crate) fn push(&mut self, mut sent: Sent) {
        sent.arrives = sent.arrives.max(self.last_arrival);
        self.last_arrival = sent.arrives;
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

    /// Drops the packets that have not left at this time, but no reset: that of a host which does not
    /// know the connection any more leaves later.
    pub(crate) fn drop_unsent(&mut self, time: u64) {
        self.packets.retain(|sent| sent.leaves <= time || sent.content == Content::Reset);
    }

    pub(crate) fn clear(&mut self) {
        self.packets.clear();
    }
}
