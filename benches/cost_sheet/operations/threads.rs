//! Other threads.
//!
//! A loop that does not run is to other threads a loop that sleeps. So this thread can play both.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use squall_net::{EventLoop, Handle, add_callback, sleep, spawn, spawn_blocking, yield_now};

use super::{Operation, in_task};
use crate::limit::Limit::{Allocations, Atomics, Calls};
use crate::meter::{Meter, Run};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("`Handle::clone` and drop", clone_handle).at_most(&[
        Allocations(0.0),
        Atomics(2.0),
        Calls(0.0),
    ]),
    Operation::new("`Handle::add_callback` to a loop that runs, and the call", add_to_running)
        .at_most(&[Allocations(1.04), Calls(0.0)]),
    Operation::new(
        "`Handle::add_callback` to a loop that sleeps, and the call, beside two turns",
        add_to_sleeping,
    )
    .at_most(&[Allocations(1.04), Calls(1.0)]),
    Operation::new(
        "`Handle::spawn` on a loop that runs, without awaiting the handle",
        spawn_on_running,
    )
    .at_most(&[Calls(0.0)]),
    Operation::new(
        "`Waker::wake_by_ref` of a task of a loop that runs, and its poll",
        wake_running,
    )
    .at_most(&[Calls(0.0)]),
    Operation::new(
        "`Waker::wake_by_ref` of a task of a loop that sleeps, and its poll, beside two turns",
        wake_sleeping,
    )
    .at_most(&[Calls(1.0)]),
    Operation::new("`spawn_blocking` of a job that runs as a callback, and await it", blocking),
];

fn clone_handle(meter: Meter) {
    let event_loop = EventLoop::new().expect("descriptors are free");
    let handle = event_loop.handle();
    meter.measure(|| handle.clone());
}

/// Does something with a handle to the loop on another thread, while the loop is in a task.
async fn from_another_thread(run: &Run, f: impl Fn(&Handle) + Sync) {
    let handle = Handle::current();
    let count = run.count;
    let work = || (0..count).for_each(|_| f(&handle));
    thread::scope(|scope| scope.spawn(work).join().expect("no panic"));
    sleep(Duration::ZERO).await; // two turns: the first receives the messages, the second runs them
}

fn add_to_running(meter: Meter) {
    in_task(async move {
        for run in meter.runs() {
            run.begin();
            from_another_thread(&run, |handle| handle.add_callback(|| {}).expect("it runs")).await;
            run.end();
        }
    });
}

fn spawn_on_running(meter: Meter) {
    in_task(async move {
        for run in meter.runs() {
            run.begin();
            from_another_thread(&run, |handle| drop(handle.spawn(async || {}))).await;
            sleep(Duration::ZERO).await; // what the messages have spawned
            run.end();
        }
    });
}

fn add_to_sleeping(meter: Meter) {
    let event_loop = EventLoop::new().expect("descriptors are free");
    let handle = event_loop.handle();
    meter.measure_frame(|| two_turns(&event_loop));
    meter.measure(|| {
        handle.add_callback(|| {}).expect("the loop is open");
        two_turns(&event_loop);
    });
}

/// The first turn receives a message, and the second runs it.
fn two_turns(event_loop: &EventLoop) {
    for _ in 0..2 {
        event_loop.run_once(Some(Duration::ZERO)).expect("the loop is open");
    }
}

/// Spawns tasks that never end, and returns their wakers.
fn waiting_tasks(event_loop: &EventLoop, count: usize) -> Vec<Waker> {
    let wakers = Rc::new(RefCell::new(Vec::new()));
    for _ in 0..count {
        let (wakers, mut is_new) = (Rc::clone(&wakers), true);
        event_loop.spawn(poll_fn(move |cx| {
            if is_new {
                wakers.borrow_mut().push(cx.waker().clone());
            }
            is_new = false;
            Poll::<()>::Pending
        }));
    }
    two_turns(event_loop);
    wakers.take()
}

fn wake_running(meter: Meter) {
    for run in meter.runs() {
        let event_loop = EventLoop::new().expect("descriptors are free");
        let wakers = waiting_tasks(&event_loop, run.count);
        event_loop.block_on(async {
            run.begin();
            let wake = || wakers.iter().for_each(Waker::wake_by_ref);
            thread::scope(|scope| scope.spawn(wake).join().expect("no panic"));
            sleep(Duration::ZERO).await; // two turns, as above
            run.end();
        });
    }
}

fn wake_sleeping(meter: Meter) {
    let event_loop = EventLoop::new().expect("descriptors are free");
    let waker = waiting_tasks(&event_loop, 1).remove(0);
    meter.measure_frame(|| two_turns(&event_loop));
    meter.measure(|| {
        waker.wake_by_ref();
        two_turns(&event_loop);
    });
}

/// The loop's own threads would add a queue behind a lock, and futexes, of which a thread that is
/// fast enough needs none.
fn blocking(meter: Meter) {
    let as_callbacks = EventLoop::builder().blocking_executor(|job| add_callback(job));
    let event_loop = as_callbacks.build().expect("descriptors are free");
    let operation = async move {
        let call_back = async || {
            add_callback(|| {});
            yield_now().await;
        };
        meter.measure_frame_async(call_back).await;
        let block = async || spawn_blocking(|| {}).await.expect("no panic");
        meter.measure_async(block).await;
    };
    event_loop.block_on(async { spawn(operation).await.expect("no panic") });
}
