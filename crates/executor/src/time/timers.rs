//! Timers in (deadline, sequence) order: a heap of small nodes, and slots with the timers' values.
//!
//! Pure: no method reads a clock. Times are arguments, in nanoseconds since the loop was made.
//!
//! A timer that is cancelled or moved to an earlier time leaves a dead node in the heap. So no
//! index has to track where a timer's node is, and moving a node touches only its neighbours in one
//! array. A dead node is removed when it reaches the head. If the dead nodes outnumber the living
//! ones, all of them are removed together. So a million timers that are armed and cancelled leave
//! nothing behind.

use std::cmp::Reverse;
use std::marker::PhantomData;
use std::mem;

use crate::time::node_heap::{Node, NodeHeap};
use crate::time::slots::Slots;

/// Identifies one timer of one loop, and no later timer. It is not `Send`.
///
/// An id can be repeated only after one loop has armed 2⁴⁰ timers, or a process has made 2²⁴ loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerId {
    index: u32,
    sequence: u64,
    not_send: PhantomData<*const ()>,
}

impl TimerId {
    pub(crate) fn sequence(self) -> u64 {
        self.sequence
    }

    /// False for [`never_armed`](Self::never_armed).
    #[inline]
    pub(crate) fn was_armed(self) -> bool {
        self.sequence != u64::MAX
    }

    /// The id of a timer that was never armed.
    pub(crate) fn never_armed() -> TimerId {
        TimerId { index: u32::MAX, sequence: u64::MAX, not_send: PhantomData }
    }
}

pub(crate) struct Timers<T> {
    /// The first node is alive.
    heap: NodeHeap,
    slots: Slots<Slot<T>>,
    /// Nodes that [`take_due`](Timers::take_due) took off the heap and that have not run yet, the
    /// next one last.
    due: Vec<Node>,
    /// The number of timers that were postponed since their node was placed.
    postponed: usize,
    next_sequence: u64,
}

/// A node is alive while its slot holds the same sequence number and stamp.
struct Slot<T> {
    sequence: u64,
    /// The stamp of this timer's living node. Every timer has one such node, in the heap or in
    /// `due`.
    stamp: u32,
    /// The deadline of the living node.
    node_deadline: u64,
    /// The timer's deadline. Later than `node_deadline` if the timer was postponed since.
    deadline: u64,
    value: T,
}

impl<T> Slot<T> {
    /// Whether this is the living node of the slot's timer.
    fn is_of(&self, node: Node) -> bool {
        self.sequence == node.sequence && self.stamp == node.stamp
    }

    fn is_postponed(&self) -> bool {
        self.deadline > self.node_deadline
    }
}

/// Up to this many dead nodes, or empty slots, are not cleaned up.
const CLEANUP_THRESHOLD: usize = 64;

impl<T> Timers<T> {
    /// Sequence numbers begin at `first_sequence`. If those of two loops begin far apart, an id of
    /// one loop never matches a timer of the other.
    pub(crate) fn new(first_sequence: u64) -> Timers<T> {
        Timers {
            heap: NodeHeap::new(),
            slots: Slots::new(),
            due: Vec::new(),
            postponed: 0,
            next_sequence: first_sequence,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The number of taken timers that have not run yet, cancelled ones included.
    pub(crate) fn due_len(&self) -> usize {
        self.due.len()
    }

    pub(crate) fn insert(&mut self, deadline: u64, value: T) -> TimerId {
        self.insert_with(deadline, || value)
    }

    /// As [`insert`](Self::insert), with the value that `make` returns. It is built in the timer's
    /// slot if the closure owns nothing that must be dropped.
    #[inline]
    pub(crate) fn insert_with(&mut self, deadline: u64, make: impl FnOnce() -> T) -> TimerId {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let index = self.slots.insert_with(|| {
            let value = make();
            Slot { sequence, stamp: 0, node_deadline: deadline, deadline, value }
        });
        self.heap.push(Node { deadline, sequence, slot: index, stamp: 0 });
        TimerId { index, sequence, not_send: PhantomData }
    }

    /// Removes a timer and returns its value. Returns `None` if it ran or was removed before.
    pub(crate) fn remove(&mut self, id: TimerId) -> Option<T> {
        let node = self.node_of(id)?;
        let value = self.take(node.slot);
        self.node_died(node);
        value
    }

    /// As [`remove`](Self::remove), but drops the value where it is. The value's destructor must not
    /// run foreign code.
    #[inline]
    pub(crate) fn discard(&mut self, id: TimerId) {
        if let Some(node) = self.node_of(id) {
            self.count_out(node.slot);
            self.slots.discard(node.slot);
            self.start_over_if_empty(node.slot);
            self.node_died(node);
        }
    }

    /// The value of a timer. `None` if it ran or was removed.
    pub(crate) fn get_mut(&mut self, id: TimerId) -> Option<&mut T> {
        let slot = self.slots.get_mut(id.index)?;
        (slot.sequence == id.sequence).then_some(&mut slot.value)
    }

    /// Changes the deadline of a timer that has not run yet. Returns false if it ran or was
    /// removed.
    ///
    /// A later deadline is only recorded. The node comes up at its old deadline, and is moved then.
    /// So extending a timeout at every request costs one store, plus one extra wake-up of the loop
    /// for each period of the timeout's length.
    #[inline]
    pub(crate) fn postpone(&mut self, id: TimerId, deadline: u64) -> bool {
        let slot = self.slots.get_mut(id.index);
        let Some(slot) = slot.filter(|slot| slot.sequence == id.sequence) else { return false };
        self.postponed -= usize::from(slot.is_postponed());
        slot.deadline = deadline;
        self.postponed += usize::from(slot.is_postponed());
        if deadline < slot.node_deadline {
            self.advance(id, deadline);
        }
        true
    }

    /// Replaces the node of a timer by one with an earlier deadline.
    #[inline(never)] // keeps `postpone` small
    fn advance(&mut self, id: TimerId, deadline: u64) {
        let Some(slot) = self.slots.get_mut(id.index) else { return };
        slot.node_deadline = deadline;
        slot.stamp = slot.stamp.wrapping_add(1); // the former node is dead
        let (slot, stamp) = (id.index, slot.stamp);
        self.heap.push(Node { deadline, sequence: id.sequence, slot, stamp });
        self.limit_dead_nodes();
    }

    /// The time at which the loop must call [`take_due`](Self::take_due) again. A postponed timer
    /// may make this too early, never too late.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.heap.first().map(|node| node.deadline)
    }

    /// The sequence number of the timer that will be armed next.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Takes every timer that is due off the heap, before any of them runs.
    ///
    /// Timers with the sequence number `sequence` or a higher one stay, even if their deadline has
    /// passed. They wait for the next turn.
    pub(crate) fn take_due(&mut self, now: u64, sequence: u64) {
        // `u64::MAX` means never: later deadlines were saturated to it.
        let now = now.min(u64::MAX - 1);
        if self.next_deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        let mut due = mem::take(&mut self.due);
        self.heap.take_until(now, &mut due);
        due.retain_mut(|node| {
            if let Some(moved) = self.replace_if_postponed(*node) {
                *node = moved;
            }
            let is_due = node.deadline <= now && node.sequence < sequence;
            if !is_due {
                self.heap.push(*node);
            }
            is_due
        });
        due.sort_unstable_by_key(|node| Reverse(node.key()));
        self.due = due;
        self.drop_dead_heads();
    }

    /// Returns the next due timer that was neither cancelled nor moved meanwhile.
    pub(crate) fn next_due(&mut self) -> Option<T> {
        loop {
            let node = self.due.pop()?;
            if !self.is_alive(node) {
                continue;
            }
            match self.replace_if_postponed(node) {
                Some(node) => self.heap.push(node),
                None => return self.take(node.slot),
            }
        }
    }

    /// Every timer that neither ran nor was removed, with its deadline and sequence number, in no
    /// particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = ((u64, u64), &T)> {
        self.slots.iter().map(|slot| ((slot.deadline, slot.sequence), &slot.value))
    }

    /// Removes all timers and returns their values, in no particular order.
    pub(crate) fn drain(&mut self) -> Vec<T> {
        self.heap.clear();
        self.due.clear();
        self.postponed = 0;
        self.slots.drain().map(|slot| slot.value).collect()
    }

    /// The living node of a timer.
    #[inline]
    fn node_of(&self, id: TimerId) -> Option<Node> {
        let slot = self.slots.get(id.index).filter(|slot| slot.sequence == id.sequence)?;
        let (deadline, stamp) = (slot.node_deadline, slot.stamp);
        Some(Node { deadline, sequence: id.sequence, slot: id.index, stamp })
    }

    #[inline]
    fn take(&mut self, index: u32) -> Option<T> {
        self.count_out(index);
        let slot = self.slots.remove(index)?;
        self.start_over_if_empty(index);
        Some(slot.value)
    }

    /// To be called before a timer's slot becomes free.
    #[inline]
    fn count_out(&mut self, index: u32) {
        let is_postponed = self.slots.get(index).is_some_and(Slot::is_postponed);
        self.postponed -= usize::from(is_postponed);
    }

    /// To be called after a timer's slot became free.
    #[inline]
    fn start_over_if_empty(&mut self, index: u32) {
        if self.slots.len() == 0 && index as usize >= CLEANUP_THRESHOLD {
            // There were many timers. New ones must not be stored in the holes that the last ones
            // left.
            self.slots.start_over();
        }
    }

    /// Removes the node of a timer that was removed, if that is cheap. Otherwise a dead node stays.
    #[inline]
    fn node_died(&mut self, node: Node) {
        // A timer that was armed last is often the last in the array too.
        let is_last = |last: &Node| last.sequence == node.sequence && last.stamp == node.stamp;
        if self.heap.last().is_some_and(is_last) {
            self.heap.pop_last();
        } else if self.heap.first().is_some_and(|head| head.deadline >= node.deadline) {
            self.drop_dead_heads(); // the removed timer may have been the first
        }
        self.limit_dead_nodes();
    }

    /// Whether some node is dead. Every timer has exactly one living node, so comparing the numbers
    /// is enough.
    fn has_dead(&self) -> bool {
        self.heap.len() + self.due.len() > self.slots.len()
    }

    fn is_alive(&self, node: Node) -> bool {
        self.slots.get(node.slot).is_some_and(|slot| slot.is_of(node))
    }

    /// If this is the living node of a timer that was postponed, marks it as dead and returns the
    /// node that replaces it. Otherwise returns `None`.
    fn replace_if_postponed(&mut self, node: Node) -> Option<Node> {
        if self.postponed == 0 {
            return None; // without reading the slot, which lies elsewhere in memory
        }
        let slot = self.slots.get_mut(node.slot)?;
        if !slot.is_of(node) || !slot.is_postponed() {
            return None;
        }
        self.postponed -= 1;
        slot.node_deadline = slot.deadline;
        slot.stamp = slot.stamp.wrapping_add(1);
        Some(Node { deadline: slot.deadline, stamp: slot.stamp, ..node })
    }

    fn drop_dead_heads(&mut self) {
        while self.has_dead() && self.heap.first().is_some_and(|head| !self.is_alive(*head)) {
            self.heap.pop_first();
        }
    }

    /// Removes all dead nodes if the heap has more than two nodes for each timer, plus
    /// [`CLEANUP_THRESHOLD`].
    fn limit_dead_nodes(&mut self) {
        if self.heap.len() > 2 * self.slots.len() + CLEANUP_THRESHOLD {
            self.drop_all_dead_nodes();
        }
    }

    #[cold]
    fn drop_all_dead_nodes(&mut self) {
        let slots = &self.slots;
        self.heap.retain(|node| slots.get(node.slot).is_some_and(|slot| slot.is_of(*node)));
    }
}

#[cfg(all(test, not(loom)))]
mod properties;
#[cfg(test)]
mod tests;
