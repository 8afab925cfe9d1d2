//! `Future`, whose value is set once.

use squall_net::executor::future::Future;
use squall_net::{add_callback, yield_now};

use super::{Operation, in_task};
use crate::limit::Limit::{Atomics, Calls, ClockReads};
use crate::meter::Meter;

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("`Future::new`, `set_result`, and an await that is ready", set_before_await)
        .at_most(&[Calls(0.0)]),
    Operation::new(
        "`Future::new`, and a task that awaits it until `set_result`",
        set_while_awaited,
    )
    .at_most(&[Atomics(2.0), Calls(0.0), ClockReads(0.02)]),
    Operation::new(
        "`Future::new`, 10 × `add_done_callback`, `set_result`, and 10 calls",
        ten_callbacks,
    )
    .at_most(&[Calls(0.0)]),
];

fn set_before_await(meter: Meter) {
    in_task(meter.measure_async(async || {
        let future = Future::new();
        future.set_result(7).expect("it is not set yet");
        future.await.expect("it was not cancelled")
    }));
}

fn set_while_awaited(meter: Meter) {
    in_task(async move {
        let call_back = async || {
            add_callback(|| {});
            yield_now().await;
        };
        meter.measure_frame_async(call_back).await;
        let set_by_callback = async || {
            let future = Future::new();
            let setter = future.clone();
            add_callback(move || setter.set_result(7).expect("it is not set yet"));
            future.await.expect("it was not cancelled")
        };
        meter.measure_async(set_by_callback).await;
    });
}

fn ten_callbacks(meter: Meter) {
    in_task(meter.measure_async(async || {
        let future = Future::new();
        for _ in 0..10 {
            future.add_done_callback(|_| {});
        }
        future.set_result(7).expect("it is not set yet");
        yield_now().await; // queued behind them
    }));
}
