//! Limits how many requests of a client run at a time. The others wait in order.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use squall_net::executor::future::Future;

/// The slots of a client. A slot that becomes free goes to the request that has waited longest.
#[derive(Debug)]
pub(crate) struct Slots {
    /// The number of slots that no request has. 0 while a request waits.
    free: Cell<usize>,
    /// The requests that wait, oldest first. One that gave up is cancelled and may still be here.
    waiting: RefCell<VecDeque<Future<Slot>>>,
}

/// The right to run one request. Dropping it passes the slot on.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Rc<Slots>,
}

impl Slots {
    pub(crate) fn new(count: usize) -> Rc<Slots> {
        Rc::new(Slots { free: Cell::new(count), waiting: RefCell::default() })
    }

    /// Waits for a slot. Dropping the future gives up the place in the queue.
    pub(crate) async fn acquire(self: &Rc<Self>) -> Slot {
        if self.free.get() > 0 {
            self.free.set(self.free.get() - 1);
            return Slot { slots: Rc::clone(self) };
        }
        let place = Place { slots: Rc::clone(self), granted: Future::new() };
        self.waiting.borrow_mut().push_back(place.granted.clone());
        // No error: only the drop of the place cancels the future.
        let _ = place.granted.ready().await;
        place.granted.take().expect("a slot is set once and taken once")
    }

    /// Removes requests that gave up from both ends of the queue, so that they do not pile up.
    fn remove_cancelled(&self) {
        let mut waiting = self.waiting.borrow_mut();
        while waiting.front().is_some_and(Future::done) {
            waiting.pop_front();
        }
        while waiting.back().is_some_and(Future::done) {
            waiting.pop_back();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        loop {
            let next = self.slots.waiting.borrow_mut().pop_front();
            match next {
                Some(next) if next.done() => {} // this request gave up
                Some(next) => {
                    let _ = next.set_result(Slot { slots: Rc::clone(&self.slots) });
                    return;
                }
                None => return self.slots.free.set(self.slots.free.get() + 1),
            }
        }
    }
}

/// A place in the queue. If it is dropped with a slot that was granted and not taken, the slot is
/// dropped too, and so passed on.
struct Place {
    slots: Rc<Slots>,
    granted: Future<Slot>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.granted.cancel() {
            self.slots.remove_cancelled();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future as StdFuture;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<F: StdFuture>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn slots_go_to_waiting_requests_in_order_and_past_those_that_gave_up() {
        let slots = Slots::new(1);
        let Poll::Ready(slot) = poll(pin!(slots.acquire())) else { panic!("one slot is free") };
        let (mut second, mut fourth) = (pin!(slots.acquire()), pin!(slots.acquire()));
        assert!(poll(second.as_mut()).is_pending());
        let mut third = Box::pin(slots.acquire());
        assert!(poll(third.as_mut()).is_pending());
        assert!(poll(fourth.as_mut()).is_pending());
        drop(third);
        drop(slot);
        assert!(poll(fourth.as_mut()).is_pending());
        let Poll::Ready(slot) = poll(second.as_mut()) else { panic!("second must be next") };
        drop(slot);
        let Poll::Ready(slot) = poll(fourth.as_mut()) else { panic!("fourth must be next") };
        drop(slot);
        assert_eq!((slots.free.get(), slots.waiting.borrow().len()), (1, 0));
    }

    #[test]
    fn a_slot_that_was_granted_and_not_taken_is_passed_on() {
        let slots = Slots::new(1);
        let Poll::Ready(slot) = poll(pin!(slots.acquire())) else { panic!("one slot is free") };
        let mut second = Box::pin(slots.acquire());
        let mut third = Box::pin(slots.acquire());
        assert!(poll(second.as_mut()).is_pending() && poll(third.as_mut()).is_pending());
        drop(slot);
        drop(second);
        assert!(poll(third.as_mut()).is_ready());
        drop(third);
        assert_eq!(slots.free.get(), 1);
    }

    #[test]
    fn requests_that_gave_up_leave_the_queue_without_recursion() {
        let slots = Slots::new(1);
        let Poll::Ready(slot) = poll(pin!(slots.acquire())) else { panic!("one slot is free") };
        let mut first = Box::pin(slots.acquire());
        assert!(poll(first.as_mut()).is_pending());
        let mut others: Vec<_> = (0..100_000).map(|_| Box::pin(slots.acquire())).collect();
        assert!(others.iter_mut().all(|other| poll(other.as_mut()).is_pending()));
        drop(others);
        assert_eq!(slots.waiting.borrow().len(), 1);
        drop(slot);
        assert!(poll(first.as_mut()).is_ready());
        assert_eq!(slots.free.get(), 1);
    }
}
