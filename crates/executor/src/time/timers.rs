//! Timers in (deadline, sequence) order: a four-ary heap of small nodes over a slab of what they stand for.
//!
//! Pure: every method takes the time it needs, in nanoseconds since the loop was made.
//!
//! A timer that is cancelled, or moved to an earlier time, leaves a dead node in the heap, so that the heap's nodes need not be
//! followed by an index: moving one touches nothing but its neighbours in one array. The dead go when they reach the head, or all
//! together when they outnumber the living: a million armed and cancelled timers leave nothing behind.
//!
//! Source: Daniel H. Larkin, Siddhartha Sen, Robert E. Tarjan, "A Back-to-Basics Empirical Study of Priority Queues"
//! (2014), for the choice of four children a node.

use std::collections::VecDeque;
use std::marker::PhantomData;

use slab::Slab;

/// Names one timer of one loop, and no later one: not before 2⁴⁰ timers of a loop, or 2²⁴ loops of a process, have come and
/// gone. It stays on its thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerId {
    index: usize,
    sequence: u64,
    not_send: PhantomData<*const ()>,
}

impl TimerId {
    pub(crate) fn sequence(self) -> u64 {
        self.sequence
    }

    /// The id of a timer that was never armed.
    pub(crate) fn never_armed() -> TimerId {
        TimerId { index: usize::MAX, sequence: u64::MAX, not_send: PhantomData }
    }
}

pub(crate) struct Timers<T> {
    /// Each node is at most as late as its four children. The first is alive.
    heap: Vec<Node>,
    slots: Slab<Slot<T>>,
    /// Taken off the heap by [`take_due`](Timers::take_due) and not run yet.
    due: VecDeque<Node>,
    /// Due, but armed in this very turn; filled only while the due ones are taken.
    too_young: Vec<Node>,
    /// How many timers were postponed since their node was placed.
    postponed: usize,
    next_sequence: u64,
}

/// A place in the order. It is alive while its slot holds the same sequence number and stamp.
#[derive(Clone, Copy)]
struct Node {
    deadline: u64,
    sequence: u64,
    slot: u32,
    /// Which node of its timer it is.
    stamp: u32,
}

struct Slot<T> {
    sequence: u64,
    /// The stamp of this timer's living node; every timer has one, in the heap or in `due`.
    stamp: u32,
    /// The deadline of that node.
    node_deadline: u64,
    /// The true deadline, which is later if the timer was postponed since.
    deadline: u64,
    value: T,
}

impl<T> Slot<T> {
    fn is_postponed(&self) -> bool {
        self.deadline > self.node_deadline
    }
}

/// How many dead nodes, or empty slots, are not worth a clean-up.
const FEW: usize = 64;
const CHILDREN: usize = 4;

impl Node {
    /// One number, so that two nodes are compared without a branch.
    fn key(&self) -> u128 {
        (u128::from(self.deadline) << 64) | u128::from(self.sequence)
    }
}

impl<T> Timers<T> {
    /// Sequence numbers begin at `first_sequence`: loops that begin far apart never mistake each other's ids.
    pub(crate) fn new(first_sequence: u64) -> Timers<T> {
        Timers {
            heap: Vec::new(),
            slots: Slab::new(),
            due: VecDeque::new(),
            too_young: Vec::new(),
            postponed: 0,
            next_sequence: first_sequence,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// How many were taken to run and did not yet, cancelled ones included.
    pub(crate) fn due_len(&self) -> usize {
        self.due.len()
    }

    #[inline]
    pub(crate) fn insert(&mut self, deadline: u64, value: T) -> TimerId {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let slot = Slot { sequence, stamp: 0, node_deadline: deadline, deadline, value };
        let index = self.slots.insert(slot);
        let slot = u32::try_from(index).expect("there is memory for 2^32 timers");
        self.push_node(Node { deadline, sequence, slot, stamp: 0 });
        TimerId { index, sequence, not_send: PhantomData }
    }

    /// Takes a timer out; `None` if it ran or was removed before.
    pub(crate) fn remove(&mut self, id: TimerId) -> Option<T> {
        self.slot(id)?;
        let Slot { node_deadline, value, .. } = self.take(id.index);
        if self.heap.first().is_some_and(|head| head.deadline >= node_deadline) {
            self.drop_dead_heads(); // it may have been the first
        }
        self.keep_small();
        Some(value)
    }

    /// What was armed; `None` if it ran or was removed.
    pub(crate) fn get_mut(&mut self, id: TimerId) -> Option<&mut T> {
        let slot = self.slots.get_mut(id.index)?;
        (slot.sequence == id.sequence).then_some(&mut slot.value)
    }

    /// Moves the deadline of a timer that has not run yet; `false` if it has, or was removed.
    ///
    /// A later one is only noted: the node comes up at its old time and is put back then. So a deadline that is pushed
    /// back at every request costs a store, and one extra wake-up of the loop in each of its spans.
    pub(crate) fn postpone(&mut self, id: TimerId, deadline: u64) -> bool {
        if self.slot(id).is_none() {
            return false;
        }
        let slot = &mut self.slots[id.index];
        self.postponed -= usize::from(slot.is_postponed());
        slot.deadline = deadline;
        self.postponed += usize::from(slot.is_postponed());
        if deadline < slot.node_deadline {
            slot.node_deadline = deadline;
            slot.stamp = slot.stamp.wrapping_add(1); // the former node is dead
            let slot_index = u32::try_from(id.index).expect("it was one when it was armed");
            let node =
                Node { deadline, sequence: id.sequence, slot: slot_index, stamp: slot.stamp };
            self.push_node(node);
            self.keep_small();
        }
        true
    }

    /// When the loop has to look again; a postponed timer may make this too early, never too late.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.heap.first().map(|node| node.deadline)
    }

    /// The sequence number of the timer that will be armed next.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Takes every timer that is due off the heap, before any of them runs, but for those that were armed since `sequence`
    /// was the next number: they wait for the next turn, even with a deadline in the past.
    pub(crate) fn take_due(&mut self, now: u64, sequence: u64) {
        while let Some(&node) = self.heap.first() {
            // The last moment is never: deadlines beyond it were saturated.
            if node.deadline > now || node.deadline == u64::MAX {
                break;
            }
            if let Some(node) = self.put_off(node) {
                self.heap[0] = node; // postponed: it comes up at its own place
                self.sift_down(0);
            } else {
                self.pop_node();
                if node.sequence < sequence {
                    self.due.push_back(node);
                } else {
                    self.too_young.push(node);
                }
            }
            self.drop_dead_heads();
        }
        while let Some(node) = self.too_young.pop() {
            self.push_node(node);
        }
    }

    /// The next due timer that was neither cancelled nor moved meanwhile.
    pub(crate) fn next_due(&mut self) -> Option<T> {
        loop {
            let node = self.due.pop_front()?;
            if !self.is_alive(node) {
                continue;
            }
            match self.put_off(node) {
                Some(node) => self.push_node(node),
                None => return Some(self.take(node.slot as usize).value),
            }
        }
    }

    /// Every timer that was neither run nor removed, with its deadline and sequence number, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = ((u64, u64), &T)> {
        self.slots.iter().map(|(_, slot)| ((slot.deadline, slot.sequence), &slot.value))
    }

    /// Takes everything out, in no order.
    pub(crate) fn drain(&mut self) -> Vec<T> {
        self.heap.clear();
        self.due.clear();
        self.postponed = 0;
        self.slots.drain().map(|slot| slot.value).collect()
    }

    fn slot(&self, id: TimerId) -> Option<&Slot<T>> {
        self.slots.get(id.index).filter(|slot| slot.sequence == id.sequence)
    }

    #[inline]
    fn take(&mut self, index: usize) -> Slot<T> {
        let slot = self.slots.remove(index);
        self.postponed -= usize::from(slot.is_postponed());
        if self.slots.is_empty() && index >= FEW {
            self.slots.clear(); // after a crowd: the next ones go side by side again, and not where the last left holes
        }
        slot
    }

    /// Tells whether some node stands for nobody: every timer has one living node.
    fn has_dead(&self) -> bool {
        self.heap.len() + self.due.len() + self.too_young.len() > self.slots.len()
    }

    fn is_alive(&self, node: Node) -> bool {
        let slot = self.slots.get(node.slot as usize);
        slot.is_some_and(|slot| slot.sequence == node.sequence && slot.stamp == node.stamp)
    }

    /// The node that a living one is replaced by, if its timer was postponed since.
    fn put_off(&mut self, node: Node) -> Option<Node> {
        if self.postponed == 0 {
            return None; // without a look at the slot, which is far away
        }
        let slot = &mut self.slots[node.slot as usize];
        if !slot.is_postponed() {
            return None;
        }
        self.postponed -= 1;
        slot.node_deadline = slot.deadline;
        slot.stamp = slot.stamp.wrapping_add(1);
        Some(Node { deadline: slot.deadline, stamp: slot.stamp, ..node })
    }

    fn drop_dead_heads(&mut self) {
        while self.has_dead() && self.heap.first().is_some_and(|head| !self.is_alive(*head)) {
            self.pop_node();
        }
    }

    fn keep_small(&mut self) {
        if self.heap.len() > 2 * self.slots.len() + FEW {
            self.drop_all_dead();
        }
    }

    /// Keeps the living and puts them in order again.
    #[cold]
    fn drop_all_dead(&mut self) {
        let mut heap = std::mem::take(&mut self.heap);
        heap.retain(|node| self.is_alive(*node));
        heap.shrink_to(2 * heap.len());
        self.heap = heap;
        for position in (0..self.heap.len().div_ceil(CHILDREN)).rev() {
            self.sift_down(position);
        }
    }

    #[inline(always)] // or the node would be put together in memory, and read again before it is there
    fn push_node(&mut self, node: Node) {
        let position = self.heap.len();
        self.heap.push(node);
        self.sift_up(position, node);
    }

    fn pop_node(&mut self) {
        self.heap.swap_remove(0);
        if !self.heap.is_empty() {
            self.sift_down(0);
        }
    }

    /// Moves `node`, which is at `position`, towards the root until its parent is not later.
    fn sift_up(&mut self, mut position: usize, node: Node) {
        while position > 0 {
            let parent = (position - 1) / CHILDREN;
            if self.heap[parent].key() <= node.key() {
                break;
            }
            self.heap[position] = self.heap[parent];
            position = parent;
        }
        self.heap[position] = node;
    }

    /// Moves the node at `position` away from the root until no child is earlier.
    fn sift_down(&mut self, mut position: usize) {
        let node = self.heap[position];
        loop {
            let first = position * CHILDREN + 1;
            let children = first..(first + CHILDREN).min(self.heap.len());
            let Some(earliest) = children.min_by_key(|&child| self.heap[child].key()) else {
                break;
            };
            if node.key() <= self.heap[earliest].key() {
                break;
            }
            self.heap[position] = self.heap[earliest];
            position = earliest;
        }
        self.heap[position] = node;
    }
}

#[cfg(test)]
mod tests;
