//! The loop's ready queue: a ring buffer that grows. Only `shared_state` uses it.
//!
//! It is not a `VecDeque`, because each push and each pop of a `VecDeque` changes its length. A
//! wake that is followed by its poll would wait for that word of memory three times. Here each end
//! of the queue has its own word.

pub(crate) struct ReadyQueue<T> {
    /// Zero slots, or a power of two. The slots from `head` to `tail`, modulo the length, are
    /// filled, and no others.
    slots: Box<[Option<T>]>,
    /// The number of entries that were popped so far. It may wrap.
    head: usize,
    /// The number of entries that were pushed so far. It may wrap.
    tail: usize,
}

impl<T> ReadyQueue<T> {
    pub(crate) fn new() -> ReadyQueue<T> {
        ReadyQueue { slots: Box::new([]), head: 0, tail: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.tail.wrapping_sub(self.head)
    }

    /// Pushes an entry. Returns it if there is no free slot: then the queue must
    /// [`grow`](Self::grow) first.
    #[inline]
    pub(crate) fn push(&mut self, entry: T) -> Result<(), T> {
        match self.slots.get_mut(self.tail & self.slots.len().wrapping_sub(1)) {
            Some(slot @ None) => *slot = Some(entry),
            _ => return Err(entry),
        }
        self.tail = self.tail.wrapping_add(1);
        Ok(())
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<T> {
        let entry = self.slots.get_mut(self.head & self.slots.len().wrapping_sub(1))?.take()?;
        self.head = self.head.wrapping_add(1);
        Some(entry)
    }

    /// The entry that will be popped next.
    pub(crate) fn front(&self) -> Option<&T> {
        self.slots.get(self.head & self.slots.len().wrapping_sub(1))?.as_ref()
    }

    /// Doubles the number of slots. The first 64 come at once.
    pub(crate) fn grow(&mut self) {
        let len = self.len();
        let capacity = (self.slots.len() * 2).max(64);
        let mut slots = Vec::with_capacity(capacity);
        slots.extend(std::iter::from_fn(|| self.pop()).map(Some));
        slots.resize_with(capacity, || None);
        *self = ReadyQueue { slots: slots.into_boxed_slice(), head: 0, tail: len };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push<T: std::fmt::Debug>(queue: &mut ReadyQueue<T>, entry: T) {
        if let Err(entry) = queue.push(entry) {
            queue.grow();
            queue.push(entry).unwrap();
        }
    }

    #[test]
    fn entries_leave_in_the_order_in_which_they_came_wherever_the_ring_begins() {
        for begin in 0..130 {
            let mut queue = ReadyQueue::new();
            for n in 0..begin {
                push(&mut queue, n);
                assert_eq!(queue.pop(), Some(n));
            }
            assert!(queue.front().is_none());
            for n in 0..200 {
                push(&mut queue, n);
                assert_eq!(queue.len(), n + 1);
            }
            assert!(queue.front() == Some(&0));
            let popped: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
            assert_eq!(popped, (0..200).collect::<Vec<_>>());
            assert_eq!(queue.len(), 0);
        }
    }

    #[test]
    fn the_counts_may_wrap() {
        let mut queue = ReadyQueue::new();
        push(&mut queue, 1);
        queue.pop();
        (queue.head, queue.tail) = (usize::MAX, usize::MAX);
        for n in 0..3 {
            push(&mut queue, n);
        }
        assert_eq!(queue.len(), 3);
        let popped: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(popped, [0, 1, 2]);
    }
}
