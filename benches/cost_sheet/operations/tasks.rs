//! Tasks and their wakers.

use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};

use squall_net::{JoinHandle, block_on, spawn, yield_now};

use super::{Operation, in_task};
use crate::limit::Limit::{Allocations, Atomics, Calls, ClockReads};
use crate::meter::Meter;

pub(super) const OPERATIONS: &[Operation] =
    &[
        Operation::new("`spawn` a task that ends at once, many in a batch", spawn_detached)
            .at_most(&[Allocations(1.0)]),
        Operation::new("`spawn` a task that ends at once, and await it", spawn_and_await)
            .at_most(&[Allocations(1.0), Atomics(2.0)]),
        Operation::new("`spawn` a task, `abort` it while it waits, and await it", abort),
        Operation::new("`yield_now` in a task: a wake of itself and a poll", yield_in_task)
            .at_most(&[Allocations(0.0), Atomics(0.0), Calls(0.0), ClockReads(0.02)]),
        Operation::new("`yield_now` in the future of `block_on`", yield_in_block_on)
            .at_most(&[Calls(0.0), ClockReads(0.02)]),
        Operation::new("`Waker::clone` and drop", clone_and_drop_waker).at_most(&[Atomics(2.0)]),
        Operation::new("`Waker::wake_by_ref` of another task, and its poll", wake_by_ref)
            .at_most(&[Allocations(0.0), Atomics(0.0), Calls(0.0), ClockReads(0.02)]),
        Operation::new(
            "`Waker::wake` of a cloned waker of another task, and its poll",
            wake_by_value,
        )
        .at_most(&[Allocations(0.0), Atomics(2.0), Calls(0.0), ClockReads(0.02)]),
    ];

fn spawn_detached(meter: Meter) {
    in_task(async move {
        for run in meter.runs() {
            run.begin();
            for _ in 0..run.count {
                drop(spawn(async {}));
            }
            yield_now().await; // queued behind them
            run.end();
        }
    });
}

fn spawn_and_await(meter: Meter) {
    in_task(meter.measure_async(async || spawn(async {}).await.expect("it does not panic")));
}

fn abort(meter: Meter) {
    in_task(async move {
        meter.measure_frame_async(yield_now).await;
        let abort = async || {
            let task = spawn(pending::<()>());
            yield_now().await; // it waits now
            task.abort();
            task.await.is_err()
        };
        meter.measure_async(abort).await;
    });
}

fn yield_in_task(meter: Meter) {
    in_task(meter.measure_async(yield_now));
}

fn yield_in_block_on(meter: Meter) {
    block_on(meter.measure_async(yield_now));
}

fn clone_and_drop_waker(meter: Meter) {
    in_task(async move {
        let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
        meter.measure(|| waker.clone());
    });
}

/// Starts a task that never ends, and returns its waker.
async fn waiting_task() -> (JoinHandle<()>, Waker) {
    let slot = Rc::new(RefCell::new(None));
    let stored = Rc::clone(&slot);
    let task = spawn(poll_fn(move |cx| {
        stored.borrow_mut().get_or_insert_with(|| cx.waker().clone());
        Poll::Pending
    }));
    yield_now().await;
    let waker = slot.borrow().clone().expect("the task was polled");
    (task, waker)
}

fn wake_by_ref(meter: Meter) {
    in_task(async move {
        let (_task, waker) = waiting_task().await;
        meter.measure_frame_async(yield_now).await;
        let wake = async || {
            waker.wake_by_ref();
            yield_now().await;
        };
        meter.measure_async(wake).await;
    });
}

fn wake_by_value(meter: Meter) {
    in_task(async move {
        let (_task, waker) = waiting_task().await;
        meter.measure_frame_async(yield_now).await;
        let wake = async || {
            let owned = waker.clone();
            owned.wake();
            yield_now().await;
        };
        meter.measure_async(wake).await;
    });
}
