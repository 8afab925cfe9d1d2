//! What the tests stand on: a limit for every wait, a loop whose time the test moves, and a log of what happened.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use squall_executor::{Clock, EventLoop, JoinHandle, yield_now};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Runs `future` on a loop of its own, ten seconds at most.
pub(crate) fn within_a_limit<F: Future>(future: F) -> F::Output {
    let event_loop = EventLoop::new().expect("a descriptor is left");
    event_loop.run_sync(future, Some(10 * SECOND)).expect("it ends in time")
}

/// Lets everything run that can, with room for a chain of wakes.
pub(crate) async fn settle() {
    for _ in 0..20 {
        yield_now().await;
    }
}

/// A loop whose time the test moves.
pub(crate) struct Stage {
    pub(crate) event_loop: EventLoop,
    clock: Clock,
}

impl Stage {
    pub(crate) fn new() -> Stage {
        let clock = Clock::manual();
        let event_loop = EventLoop::builder().clock(clock.clone()).build();
        Stage { event_loop: event_loop.expect("a descriptor is left"), clock }
    }

    /// Starts `future` and lets everything run until only time can cause more.
    pub(crate) fn play<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        let task = self.event_loop.spawn(future);
        self.rest();
        task
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.rest();
    }

    /// Runs all that is ready now, and what comes of it.
    pub(crate) fn rest(&self) {
        for _ in 0..1000 {
            self.event_loop.run_once(Some(Duration::ZERO)).expect("the loop runs");
            if self.event_loop.next_deadline().is_none_or(|deadline| deadline > self.clock.now()) {
                return;
            }
        }
        panic!("the loop never comes to rest");
    }
}

/// What happened, in order.
pub(crate) struct Log<T>(Rc<RefCell<Vec<T>>>);

impl<T> Log<T> {
    pub(crate) fn new() -> Log<T> {
        Log(Rc::default())
    }

    pub(crate) fn note(&self, what: T) {
        self.0.borrow_mut().push(what);
    }

    pub(crate) fn take(&self) -> Vec<T> {
        self.0.take()
    }
}

impl<T> Clone for Log<T> {
    fn clone(&self) -> Log<T> {
        Log(self.0.clone())
    }
}
