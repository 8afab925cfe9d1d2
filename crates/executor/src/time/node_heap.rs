//! A four-ary heap of timers' nodes. Only [`timers`](super::timers) uses it.
//!
//! The heap knows the order of the nodes, and nothing of the timers behind them.
//!
//! Source: Daniel H. Larkin, Siddhartha Sen, Robert E. Tarjan, "A Back-to-Basics Empirical Study of
//! Priority Queues" (2014), for the choice of four children a node.

use std::ops::Range;

/// A timer's place in the order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub(super) deadline: u64,
    pub(super) sequence: u64,
    pub(super) slot: u32,
    /// Distinguishes the successive nodes of one timer.
    pub(super) stamp: u32,
}

impl Node {
    /// The deadline and the sequence number as one number, so that two nodes are compared without a
    /// branch.
    #[inline]
    pub(super) fn key(&self) -> u128 {
        (u128::from(self.deadline) << 64) | u128::from(self.sequence)
    }
}

pub(super) struct NodeHeap {
    /// No node is later than its four children.
    nodes: Vec<Node>,
}

const CHILDREN: usize = 4;

/// The positions of a node's children, whether they exist or not.
fn children_of(position: usize) -> Range<usize> {
    let first = position * CHILDREN + 1;
    first..first + CHILDREN
}

impl NodeHeap {
    pub(super) fn new() -> NodeHeap {
        NodeHeap { nodes: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The earliest node.
    #[inline]
    pub(super) fn first(&self) -> Option<&Node> {
        self.nodes.first()
    }

    /// The last node of the array. It may be any node without children.
    #[inline]
    pub(super) fn last(&self) -> Option<&Node> {
        self.nodes.last()
    }

    #[inline(always)] // otherwise the node is built in memory, and read before the stores complete
    pub(super) fn push(&mut self, node: Node) {
        let end = self.nodes.len();
        self.nodes.push(node);
        let position = self.make_way(end, node);
        if position < end {
            self.nodes[position] = node;
        }
    }

    /// Removes the earliest node.
    pub(super) fn pop_first(&mut self) {
        self.nodes.swap_remove(0);
        if !self.nodes.is_empty() {
            self.sift_down(0);
        }
    }

    /// Removes the [last](Self::last) node.
    #[inline]
    pub(super) fn pop_last(&mut self) {
        self.nodes.pop();
    }

    /// Moves the nodes whose deadline is at most `until` to the end of `taken`, in no particular
    /// order.
    ///
    /// This is less work than popping them one by one and sorts nothing.
    pub(super) fn take_until(&mut self, until: u64, taken: &mut Vec<Node>) {
        if self.is_due(0, until) {
            self.take_subtree(0, until, taken);
        }
    }

    /// As [`take_until`](Self::take_until), of the node at `position`, which is due, and those
    /// below it. A node that is not due has no due nodes below it.
    fn take_subtree(&mut self, position: usize, until: u64, taken: &mut Vec<Node>) {
        for child in children_of(position) {
            if self.is_due(child, until) {
                self.take_subtree(child, until, taken);
            }
        }
        // The last node of the array fills the hole. It may be due itself.
        while self.is_due(position, until) {
            taken.push(self.nodes.swap_remove(position));
        }
        if position < self.nodes.len() {
            self.sift_down(position);
        }
    }

    fn is_due(&self, position: usize, until: u64) -> bool {
        self.nodes.get(position).is_some_and(|node| node.deadline <= until)
    }

    /// Removes all other nodes, and memory that is not needed any more.
    pub(super) fn retain(&mut self, is_kept: impl FnMut(&Node) -> bool) {
        self.nodes.retain(is_kept);
        self.nodes.shrink_to(2 * self.nodes.len());
        for position in (0..self.nodes.len().div_ceil(CHILDREN)).rev() {
            self.sift_down(position);
        }
    }

    pub(super) fn clear(&mut self) {
        self.nodes.clear();
    }

    /// Moves the parents of `position` that are later than `node` one step away from the root.
    /// Returns the position that is free for `node` then.
    #[inline(always)] // as `push`
    fn make_way(&mut self, mut position: usize, node: Node) -> usize {
        while position > 0 {
            let parent = (position - 1) / CHILDREN;
            if self.nodes[parent].key() <= node.key() {
                break;
            }
            self.nodes[position] = self.nodes[parent];
            position = parent;
        }
        position
    }

    /// Moves the node at `position` away from the root until no child is earlier.
    fn sift_down(&mut self, mut position: usize) {
        let node = self.nodes[position];
        loop {
            let Range { start, end } = children_of(position);
            let children = start..end.min(self.nodes.len());
            let Some(earliest) = children.min_by_key(|&child| self.nodes[child].key()) else {
                break;
            };
            if node.key() <= self.nodes[earliest].key() {
                break;
            }
            self.nodes[position] = self.nodes[earliest];
            position = earliest;
        }
        self.nodes[position] = node;
    }
}

#[cfg(test)]
impl NodeHeap {
    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// # Panics
    /// If a node is later than one of its children.
    pub(super) fn check_order(&self) {
        for position in 1..self.nodes.len() {
            let parent = (position - 1) / CHILDREN;
            assert!(self.nodes[parent].key() <= self.nodes[position].key());
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn heap_of(deadlines: &[u64]) -> NodeHeap {
        let mut heap = NodeHeap::new();
        for (sequence, deadline) in (0..).zip(deadlines) {
            heap.push(Node { deadline: *deadline, sequence, slot: 0, stamp: 0 });
        }
        heap
    }

    fn sorted_keys(nodes: &[Node]) -> Vec<u128> {
        let mut keys: Vec<_> = nodes.iter().map(Node::key).collect();
        keys.sort_unstable();
        keys
    }

    proptest! {
        #[test]
        fn exactly_the_due_nodes_are_taken_and_the_others_stay_a_heap(
            deadlines in vec(0..60_u64, 0..300),
            until in 0..60_u64,
        ) {
            let mut heap = heap_of(&deadlines);
            let (due, later): (Vec<_>, Vec<_>) =
                heap.nodes().iter().partition(|node| node.deadline <= until);
            let mut taken = Vec::new();
            heap.take_until(until, &mut taken);
            assert_eq!(sorted_keys(&taken), sorted_keys(&due));
            assert_eq!(sorted_keys(heap.nodes()), sorted_keys(&later));
            heap.check_order();
        }

        #[test]
        fn nodes_leave_the_earliest_first(deadlines in vec(0..60_u64, 0..300)) {
            let mut heap = heap_of(&deadlines);
            for key in sorted_keys(heap.nodes()) {
                assert_eq!(heap.first().map(Node::key), Some(key));
                heap.pop_first();
                heap.check_order();
            }
            assert_eq!(heap.len(), 0);
        }
    }
}
