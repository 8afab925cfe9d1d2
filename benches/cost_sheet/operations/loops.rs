//! Loops and their turns.

use std::time::Duration;

use squall_net::{EventLoop, block_on};

use super::Operation;
use crate::limit::Limit::{Allocations, Calls};
use crate::meter::Meter;

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("`EventLoop::new` and drop", new_and_drop).timed(),
    Operation::new(
        "`block_on` of a future that is ready: a loop, a run and a drop",
        block_on_ready,
    )
    .timed(),
    Operation::new("`EventLoop::block_on` of a future that is ready", run_ready)
        .at_most(&[Allocations(1.0), Calls(0.0)]),
    Operation::new("`EventLoop::run_once` with nothing to do and no time to wait", turn_in_vain)
        .at_most(&[Allocations(0.0), Calls(1.0)]),
];

fn new_and_drop(meter: Meter) {
    meter.measure(|| EventLoop::new().expect("descriptors are free"));
}

fn block_on_ready(meter: Meter) {
    meter.measure(|| block_on(async {}));
}

fn run_ready(meter: Meter) {
    let event_loop = EventLoop::new().expect("descriptors are free");
    meter.measure(|| event_loop.block_on(async {}));
}

fn turn_in_vain(meter: Meter) {
    let event_loop = EventLoop::new().expect("descriptors are free");
    meter.measure(|| event_loop.run_once(Some(Duration::ZERO)));
}
