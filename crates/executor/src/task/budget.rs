//! The number of operations that a task may complete in one poll.
//!
//! A socket that always has data lets its task run on without ever waiting, and then neither timers
//! nor other tasks run. So each operation that can be ready again at once counts here. An operation
//! beyond the budget wakes its task and returns pending, and the turn ends after the current batch:
//! timers and descriptors go first. This costs one decrement for each operation, and no clock
//! reading.
//!
//! The scheduler renews the budget before it runs an entry. [`AsyncFd`](crate::AsyncFd),
//! [`Future`](crate::future::Future) and the in-memory streams of `squall-net` use it. Outside of a
//! running loop the budget is practically unlimited.
//!
//! Source: tokio's cooperative scheduling.

use std::cell::Cell;
use std::task::{Poll, Waker};

/// The operations of one poll. With 20 µs of work for each, timers are late by a millisecond.
const OPERATIONS_PER_POLL: i32 = 64;
/// The operations beyond the budget that return pending. If there are more in the same poll, the
/// task does not return to the loop: it blocks in an executor of its own, which must get on.
const REFUSALS_PER_POLL: i32 = 64;
const UNLIMITED: i32 = i32::MAX;

thread_local! {
    /// The operations that are left. Negative once operations were refused.
    static REMAINING: Cell<i32> = const { Cell::new(UNLIMITED) };
    /// Whether an operation was refused since the last `take_exhausted`.
    static IS_EXHAUSTED: Cell<bool> = const { Cell::new(false) };
}

/// Gives the next entry of the ready queue a whole budget.
#[inline]
pub(crate) fn renew() {
    REMAINING.set(OPERATIONS_PER_POLL);
}

/// Ends the limit, because the loop does not run any more.
pub(crate) fn lift() {
    REMAINING.set(UNLIMITED);
}

/// Counts an operation that is about to be tried. If the budget is used up, wakes the task and
/// returns pending: the operation must not be tried.
#[inline]
pub fn poll_spend(waker: &Waker) -> Poll<()> {
    let remaining = REMAINING.get() - 1;
    REMAINING.set(remaining);
    if remaining >= 0 { Poll::Ready(()) } else { refuse(waker, remaining) }
}

#[cold]
fn refuse(waker: &Waker, remaining: i32) -> Poll<()> {
    if remaining < -REFUSALS_PER_POLL {
        renew();
        return Poll::Ready(());
    }
    IS_EXHAUSTED.set(true);
    waker.wake_by_ref();
    Poll::Pending
}

/// Takes back the count of an operation that would have blocked.
#[inline]
pub fn refund() {
    REMAINING.set(REMAINING.get().saturating_add(1));
}

/// Calls `f` with an unlimited budget: for a last attempt that nothing would repeat.
pub fn without_limit<R>(f: impl FnOnce() -> R) -> R {
    let remaining = REMAINING.replace(UNLIMITED);
    let result = f();
    REMAINING.set(remaining);
    result
}

/// Whether an entry has used up its budget since the last call.
#[inline]
pub(crate) fn take_exhausted() -> bool {
    IS_EXHAUSTED.replace(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_beyond_the_budget_are_refused_and_a_task_that_never_returns_gets_on() {
        let waker = Waker::noop();
        renew();
        let outcomes = |n| (0..n).filter(|_| poll_spend(waker).is_ready()).count();
        assert_eq!(outcomes(OPERATIONS_PER_POLL), 64);
        assert!(!take_exhausted());
        assert_eq!(outcomes(REFUSALS_PER_POLL), 0);
        assert!(take_exhausted() && !take_exhausted());
        assert_eq!(outcomes(OPERATIONS_PER_POLL), 64, "it blocks in an executor of its own");
        lift();
        assert_eq!(outcomes(10_000), 10_000);
    }

    #[test]
    fn operations_that_would_block_cost_nothing() {
        let waker = Waker::noop();
        renew();
        for _ in 0..10_000 {
            assert!(poll_spend(waker).is_ready());
            refund();
        }
    }
}
