//! Callbacks.

use squall_net::{add_callback, add_future, yield_now};

use super::{Operation, in_task};
use crate::limit::Limit::{Allocations, Atomics, Calls, ClockReads};
use crate::meter::Meter;

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("`add_callback`, and the call", add_callbacks).at_most(&[
        Allocations(1.0),
        Atomics(0.0),
        Calls(0.0),
        ClockReads(0.02),
    ]),
    Operation::new("`add_callback` of a closure that owns 64 bytes, and the call", add_larger)
        .at_most(&[Allocations(1.0)]),
    Operation::new("`add_future` of a future that is ready, and the call", add_ready_future)
        .at_most(&[Allocations(1.0)]),
];

fn add_callbacks(meter: Meter) {
    in_task(batch(meter, || add_callback(|| {})));
}

fn add_larger(meter: Meter) {
    let bytes = [7_u8; 64];
    in_task(batch(meter, move || {
        add_callback(move || assert_eq!(std::hint::black_box(bytes)[63], 7))
    }));
}

fn add_ready_future(meter: Meter) {
    in_task(batch(meter, || add_future(async {}, |()| {})));
}

/// Measures an operation that queues an entry, with the run of the entry.
async fn batch(meter: Meter, operation: impl Fn()) {
    for run in meter.runs() {
        run.begin();
        for _ in 0..run.count {
            operation();
        }
        yield_now().await; // queued behind them
        run.end();
    }
}
