//! Timers.

use std::future::{Future, poll_fn, ready};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use squall_net::{
    Sleep, call_later, interval, now, remove_timeout, sleep, timeout, turn_time, yield_now,
};

use super::{Operation, in_task};
use crate::limit::Limit::{Allocations, Atomics, Calls, ClockReads};
use crate::meter::Meter;

const HOUR: Duration = Duration::from_secs(3600);

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("`call_later` and `remove_timeout`", call_later_and_remove).at_most(&[
        Allocations(1.0),
        Atomics(0.0),
        Calls(0.0),
        ClockReads(1.0),
    ]),
    Operation::new("`call_later` of zero, and the call, many in a turn", call_later_fires)
        .at_most(&[Allocations(1.0), Atomics(0.0), Calls(0.0), ClockReads(1.0)]),
    Operation::new("`sleep` that is polled once and dropped", arm_and_cancel).at_most(&[
        Allocations(0.0),
        Atomics(0.0),
        Calls(0.0),
        ClockReads(1.0),
    ]),
    Operation::new("`sleep` of zero, awaited: two turns of the loop", sleep_zero)
        .at_most(&[Allocations(0.0), Calls(0.0)]),
    Operation::new("`Sleep::reset` to a later time", reset_later).at_most(&[
        Allocations(0.0),
        Atomics(0.0),
        Calls(0.0),
        ClockReads(0.0),
    ]),
    Operation::new("`Sleep::reset_after`, to a later time", reset_after).at_most(&[
        Allocations(0.0),
        Atomics(0.0),
        Calls(0.0),
        ClockReads(1.0),
    ]),
    Operation::new("`timeout` of a future that is ready", timeout_of_ready).at_most(&[
        Allocations(0.0),
        Atomics(0.0),
        Calls(0.0),
        ClockReads(1.0),
    ]),
    Operation::new(
        "`timeout` of a future that waits once, beside that future alone",
        timeout_of_waiting,
    )
    .at_most(&[Allocations(0.0), Atomics(0.0), Calls(0.0), ClockReads(1.0)]),
    Operation::new("`Interval::tick` that is due in the next turn, with two turns", tick)
        .at_most(&[Allocations(0.0), Calls(0.0)]),
    Operation::new("`now`", read_clock).at_most(&[
        Allocations(0.0),
        Atomics(0.0),
        Calls(0.0),
        ClockReads(1.0),
    ]),
    Operation::new("`turn_time`", read_turn_time).at_most(&[
        Allocations(0.0),
        Atomics(0.0),
        Calls(0.0),
        ClockReads(0.0),
    ]),
];

fn call_later_and_remove(meter: Meter) {
    in_task(async move { meter.measure(|| remove_timeout(call_later(HOUR, || {}))) });
}

fn call_later_fires(meter: Meter) {
    in_task(async move {
        for run in meter.runs() {
            run.begin();
            for _ in 0..run.count {
                call_later(Duration::ZERO, || {});
            }
            sleep(Duration::ZERO).await; // fires after them
            run.end();
        }
    });
}

/// Polls a sleep for the first time.
async fn arm(sleep: Pin<&mut Sleep>) {
    let mut sleep = sleep;
    poll_fn(|cx| {
        assert!(sleep.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

fn arm_and_cancel(meter: Meter) {
    in_task(meter.measure_async(async || arm(pin!(sleep(HOUR))).await));
}

fn sleep_zero(meter: Meter) {
    in_task(meter.measure_async(async || sleep(Duration::ZERO).await));
}

fn reset_later(meter: Meter) {
    in_task(async move {
        let mut sleep = sleep(HOUR);
        arm(Pin::new(&mut sleep)).await;
        let mut deadline = now() + HOUR;
        meter.measure(|| {
            deadline += Duration::from_millis(1);
            sleep.reset(deadline);
        });
    });
}

fn reset_after(meter: Meter) {
    in_task(async move {
        let mut sleep = sleep(HOUR);
        arm(Pin::new(&mut sleep)).await;
        meter.measure(|| sleep.reset_after(HOUR));
    });
}

fn timeout_of_ready(meter: Meter) {
    in_task(meter.measure_async(async || timeout(HOUR, ready(())).await));
}

fn timeout_of_waiting(meter: Meter) {
    in_task(async move {
        meter.measure_frame_async(yield_now).await;
        meter.measure_async(async || timeout(HOUR, yield_now()).await).await;
    });
}

fn tick(meter: Meter) {
    in_task(async move {
        let mut ticks = interval(Duration::from_nanos(1));
        meter.measure_async(async || ticks.tick().await).await;
    });
}

fn read_clock(meter: Meter) {
    in_task(async move { meter.measure(now) });
}

fn read_turn_time(meter: Meter) {
    in_task(async move { meter.measure(turn_time) });
}
