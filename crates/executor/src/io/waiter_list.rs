//! The callers that wait for a descriptor with a waker: the owner of each direction, which polls,
//! and one queue of async calls for each direction, first in, first out.
//!
//! Any number of calls may wait, and each event wakes them all. So a call enters its queue, leaves
//! it and is found in constant time. Each call owns a slot from its first wait to its end, and the
//! waiting slots of a direction are linked:
//!
//! ```text
//!   first ─▶ slot 4 ◀─▶ slot 0 ◀─▶ slot 7 ◀─ last        slot 2: not waiting now
//! ```
//!
//! No method runs foreign code: a waker that is replaced or removed is returned, not dropped.

use std::task::Waker;

use slab::Slab;

use crate::io::direction::Direction;

/// How many slots an empty list keeps for the next calls.
const KEPT_SLOTS: usize = 16;

#[derive(Default)]
pub(crate) struct WaiterList {
    slots: Slab<Slot>,
    readers: Queue,
    writers: Queue,
    /// The owners' wakers, of the reading one and of the writing one.
    owners: [Option<Waker>; 2],
    #[cfg(test)]
    visited_slots: usize,
}

/// The slot of a call. Valid until [`WaiterList::remove`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotKey(usize);

struct Slot {
    direction: Direction,
    /// `Some` while the slot is in its queue.
    waker: Option<Waker>,
    /// The neighbours in the queue. `None` at its ends, and while the slot is not in it.
    previous: Option<SlotKey>,
    next: Option<SlotKey>,
}

#[derive(Default)]
struct Queue {
    /// Both are `None` if the queue is empty.
    first: Option<SlotKey>,
    last: Option<SlotKey>,
    len: usize,
}

impl WaiterList {
    /// Makes a slot for a call. It does not wait yet.
    pub(crate) fn insert(&mut self, direction: Direction) -> SlotKey {
        SlotKey(self.slots.insert(Slot { direction, waker: None, previous: None, next: None }))
    }

    /// Stores or removes the waker of a direction's owner, and returns the former.
    pub(crate) fn replace_owner(
        &mut self,
        direction: Direction,
        waker: Option<Waker>,
    ) -> Option<Waker> {
        std::mem::replace(&mut self.owners[direction as usize], waker)
    }

    /// The number of calls that wait in one direction.
    pub(crate) fn waiting(&self, direction: Direction) -> usize {
        match direction {
            Direction::Read => self.readers.len,
            Direction::Write => self.writers.len,
        }
    }

    /// Whether a call waits with a waker that wakes the same task as `waker`.
    pub(crate) fn is_waiting_with(&mut self, key: SlotKey, waker: &Waker) -> bool {
        self.slot(key).waker.as_ref().is_some_and(|known| known.will_wake(waker))
    }

    /// Lets a call wait behind the others, or replaces and returns its waker if it waits already.
    pub(crate) fn wait(&mut self, key: SlotKey, waker: Waker) -> Option<Waker> {
        let former = self.slot(key).waker.replace(waker);
        if former.is_none() {
            self.append(key);
        }
        former
    }

    /// Removes the first waiting call of a direction from its queue, and returns its waker. The
    /// call keeps its slot.
    pub(crate) fn take_first(&mut self, direction: Direction) -> Option<Waker> {
        let key = self.queue(direction).first?;
        self.unlink(key)
    }

    /// Removes the slot of a call that has ended. Returns its waker if it waits.
    pub(crate) fn remove(&mut self, key: SlotKey) -> Option<Waker> {
        let waker = self.unlink(key);
        self.slots.remove(key.0);
        if self.slots.is_empty() && self.slots.capacity() > KEPT_SLOTS {
            self.slots = Slab::new();
        }
        waker
    }

    fn append(&mut self, key: SlotKey) {
        let direction = self.slot(key).direction;
        let queue = self.queue(direction);
        queue.len += 1;
        let previous = queue.last.replace(key);
        match previous {
            Some(previous) => self.slot(previous).next = Some(key),
            None => self.queue(direction).first = Some(key),
        }
        self.slot(key).previous = previous;
    }

    /// Takes a slot out of its queue and returns its waker. `None` if it is not in the queue.
    fn unlink(&mut self, key: SlotKey) -> Option<Waker> {
        let slot = self.slot(key);
        let waker = slot.waker.take()?;
        let direction = slot.direction;
        let (previous, next) = (slot.previous.take(), slot.next.take());
        match previous {
            Some(previous) => self.slot(previous).next = next,
            None => self.queue(direction).first = next,
        }
        match next {
            Some(next) => self.slot(next).previous = previous,
            None => self.queue(direction).last = previous,
        }
        self.queue(direction).len -= 1;
        Some(waker)
    }

    fn queue(&mut self, direction: Direction) -> &mut Queue {
        match direction {
            Direction::Read => &mut self.readers,
            Direction::Write => &mut self.writers,
        }
    }

    fn slot(&mut self, key: SlotKey) -> &mut Slot {
        #[cfg(test)]
        {
            self.visited_slots += 1;
        }
        &mut self.slots[key.0]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    /// Stores its number when it is woken.
    struct Numbered(usize, Arc<AtomicUsize>);

    impl Wake for Numbered {
        fn wake(self: Arc<Self>) {
            self.1.store(self.0, Ordering::Relaxed);
        }
    }

    struct Wakers(Arc<AtomicUsize>);

    impl Wakers {
        fn new() -> Wakers {
            Wakers(Arc::default())
        }

        fn make(&self, number: usize) -> Waker {
            Arc::new(Numbered(number, Arc::clone(&self.0))).into()
        }

        /// The number with which a waker was made.
        fn number_of(&self, waker: Waker) -> usize {
            waker.wake();
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn waking_and_waiting_again_visits_a_few_slots_for_each_call() {
        let waker = Wakers::new().make(0);
        for calls in [10, 10_000] {
            let mut list = WaiterList::default();
            let keys: Vec<_> = (0..calls).map(|_| list.insert(Direction::Read)).collect();
            for _event in 0..3 {
                for key in &keys {
                    assert!(!list.is_waiting_with(*key, &waker));
                    list.wait(*key, waker.clone());
                    assert!(list.is_waiting_with(*key, &waker));
                }
                assert_eq!(list.waiting(Direction::Read), calls);
                while list.take_first(Direction::Read).is_some() {}
            }
            keys.into_iter().for_each(|key| drop(list.remove(key)));
            let visits = list.visited_slots;
            assert!(visits <= 30 * calls, "{visits} visits for {calls} calls and 3 events");
            assert!(list.slots.capacity() <= KEPT_SLOTS, "an empty list keeps little memory");
        }
    }

    #[test]
    fn random_scripts_wake_in_the_order_in_which_calls_began_to_wait() {
        let wakers = Wakers::new();
        let mut list = WaiterList::default();
        // The calls that exist, and for each direction the numbers of those that wait.
        let mut calls: Vec<(SlotKey, usize, Direction)> = Vec::new();
        let mut expected = [VecDeque::new(), VecDeque::new()];
        let mut random = 7_u32;
        for number in 0..20_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let choice = usize::try_from(random >> 8).unwrap();
            let direction = if choice & 1 == 0 { Direction::Read } else { Direction::Write };
            let queue = &mut expected[choice & 1];
            let call = (!calls.is_empty()).then(|| choice / 16 % calls.len().max(1));
            match (choice / 2 % 8, call) {
                (0..3, _) if calls.len() < 40 => {
                    calls.push((list.insert(direction), number, direction));
                }
                (3..6, Some(call)) => {
                    let (key, number, direction) = calls[call];
                    let queue = &mut expected[usize::from(direction == Direction::Write)];
                    let was_waiting = queue.contains(&number);
                    assert_eq!(list.wait(key, wakers.make(number)).is_some(), was_waiting);
                    if !was_waiting {
                        queue.push_back(number);
                    }
                }
                (6, Some(call)) => {
                    let (key, number, direction) = calls.swap_remove(call);
                    let queue = &mut expected[usize::from(direction == Direction::Write)];
                    let removed = list.remove(key).map(|waker| wakers.number_of(waker));
                    assert_eq!(removed, queue.contains(&number).then_some(number));
                    queue.retain(|waiting| *waiting != number);
                }
                _ => {
                    let first = list.take_first(direction).map(|waker| wakers.number_of(waker));
                    assert_eq!(first, queue.pop_front());
                }
            }
            assert_eq!(list.waiting(Direction::Read), expected[0].len());
            assert_eq!(list.waiting(Direction::Write), expected[1].len());
        }
    }
}
