//! Helpers of the tests: a limit for every wait, a loop on a clock that the test moves, and a log.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use squall_executor::{Clock, EventLoop, JoinHandle, yield_now};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Runs `future` on a loop of its own, for at most ten seconds.
pub(crate) fn within_a_limit<F: Future>(future: F) -> F::Output {
    let event_loop = EventLoop::new().expect("a descriptor is left");
    event_loop.run_sync(future, Some(10 * SECOND)).expect("it ends in time")
}

/// Yields often enough that all ready tasks run, and a chain of wakes after them.
pub(crate) async fn settle() {
    for _ in 0..20 {
        yield_now().await;
    }
}

/// A loop on a clock that the test moves.
pub(crate) struct TestLoop {
    pub(crate) event_loop: EventLoop,
    clock: Clock,
}

impl TestLoop {
    pub(crate) fn new() -> TestLoop {
        let clock = Clock::manual();
        let event_loop = EventLoop::builder().clock(clock.clone()).build();
        TestLoop { event_loop: event_loop.expect("a descriptor is left"), clock }
    }

    /// Spawns `future`, and runs the loop until all tasks wait.
    pub(crate) fn start<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        let task = self.event_loop.spawn(future);
        self.settle();
        task
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.settle();
    }

    /// Runs everything that is ready or due, and everything that follows from it.
    pub(crate) fn settle(&self) {
        for _ in 0..1000 {
            self.event_loop.run_once(Some(Duration::ZERO)).expect("the loop runs");
            if self.event_loop.next_deadline().is_none_or(|deadline| deadline > self.clock.now()) {
                return;
            }
        }
        panic!("the loop never becomes idle");
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
