//! `Clock::advance_and_settle`: moves a test's clock and lets the loop run what became due.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use crate::current;
use crate::stream_support::wake_in_next_turn;
use crate::time::clock::Clock;

/// The turns after which tasks that are always ready no longer prevent the return.
const MAX_TURNS: usize = 1000;

impl Clock {
    /// Moves the clock forward, as [`advance`](Self::advance) does, and waits until the timers that
    /// became due have fired and the tasks that they woke wait again.
    ///
    /// Call this in a task of the loop that has this clock.
    ///
    /// ```
    /// use std::{cell::Cell, rc::Rc, time::Duration};
    /// use squall_executor::{Clock, EventLoop, call_later};
    ///
    /// let clock = Clock::manual();
    /// let event_loop = EventLoop::builder().clock(clock.clone()).build()?;
    /// event_loop.block_on(async {
    ///     let called = Rc::new(Cell::new(false));
    ///     let flag = called.clone();
    ///     call_later(Duration::from_secs(60), move || flag.set(true));
    ///     clock.advance_and_settle(Duration::from_secs(60)).await;
    ///     assert!(called.get());
    /// });
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Panics
    /// If this is the system's clock, if an `Instant` cannot hold the new time, or if the loop of
    /// this thread has another clock.
    ///
    /// # Cancel safety
    /// Cancel safe: the clock is moved by the first poll.
    pub async fn advance_and_settle(&self, by: Duration) {
        let core = current::get();
        assert!(self.is_clone_of(core.clock.clock()), "the loop of this thread has another clock");
        self.advance(by);
        let mut turns = 0;
        poll_fn(|cx| {
            let is_settled = turns > 0 && !core.has_due_timer() && core.scheduler.ready_len() == 0;
            if is_settled || turns == MAX_TURNS {
                return Poll::Ready(());
            }
            turns += 1;
            wake_in_next_turn(cx.waker());
            Poll::Pending
        })
        .await;
    }
}
