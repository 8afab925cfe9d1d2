//! Tornado's style and Rust's in one small program: callbacks, timers and a `Future` beside
//! `async fn`, on the same loop.
//!
//! A periodic callback counts. A timer sets the total as the result of a `Future`. A coroutine and
//! a callback both wait for that `Future`.
//!
//! ```text
//! cargo run --example callbacks_and_coroutines
//! ```

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use squall_net::executor::future::Future;
use squall_net::{
    EventLoop, PeriodicCallback, RunError, add_callback, call_later, sleep, spawn, stop,
};

/// Waits for the total that a timer sets.
async fn wait_for(total: Future<u32>) {
    match total.await {
        Ok(total) => println!("coroutine: the total is {total}"),
        Err(cancelled) => println!("coroutine: {cancelled}"),
    }
}

fn main() -> Result<(), RunError> {
    let event_loop = EventLoop::new()?;

    // None of these callbacks runs before the loop does.
    event_loop.add_callback(|| println!("callback: runs first, in the order of adding"));
    event_loop.add_callback(|| {
        println!("callback: runs second");
        add_callback(|| println!("callback: added by the second, runs in the next batch"));
    });

    let total = Future::new();
    drop(event_loop.spawn(wait_for(total.clone())));
    event_loop.add_callback({
        let total = total.clone();
        move || total.add_done_callback(|total| println!("callback: done, {total:?}"))
    });
    let count = Rc::new(Cell::new(0));
    let ticker = PeriodicCallback::new(Duration::from_millis(20), {
        let count = count.clone();
        move || count.set(count.get() + 1)
    });
    event_loop.add_callback({
        let ticker = ticker.clone();
        move || ticker.start()
    });
    event_loop.call_later(Duration::from_millis(110), move || {
        ticker.stop();
        println!("timer: {} ticks were counted", count.get());
        if total.set_result(count.get()).is_err() {
            println!("timer: a result was set already");
        }
        println!("timer: set_result has not run the waiting task yet");
    });

    drop(event_loop.spawn(async {
        sleep(Duration::from_millis(150)).await;
        let answer = spawn(async { "a task of a task" }).await;
        println!("coroutine: {}", answer.expect("it does not panic"));
        call_later(Duration::ZERO, stop);
    }));
    event_loop.run()
}
