//! Sleeps, periods, callbacks and time limits. None may be early.

use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;
use std::time::{Duration, Instant};

use squall_net::{
    Stats, call_later, interval, now, remove_timeout, sleep, sleep_until, timeout, yield_now,
};

use super::on_a_loop::on_a_loop;
use crate::journal;

const SHORT: Duration = Duration::from_micros(150);

pub(super) fn run() -> Stats {
    on_a_loop(async || {
        for _ in 0..20 {
            let begin = Instant::now();
            sleep(SHORT).await;
            elapsed("a sleep", begin, SHORT);
        }
        let mut ticks = interval(SHORT);
        for _ in 0..10 {
            ticks.tick().await;
            journal::steps(1);
        }
        drop(ticks);
        for _ in 0..10 {
            callback().await;
        }
        for _ in 0..10 {
            let begin = Instant::now();
            if timeout(SHORT, pending::<()>()).await.is_ok() {
                journal::fault(format_args!("a future that is never ready was ready"));
            }
            elapsed("a time limit", begin, SHORT);
        }
        for _ in 0..10 {
            let deadline = now() + SHORT;
            sleep_until(deadline).await;
            elapsed("a sleep to a point in time", deadline, Duration::ZERO);
        }
        Ok(())
    })
}

/// A timer that fires, beside one that is removed first.
async fn callback() {
    let fired = Rc::new(Cell::new(false));
    let begin = Instant::now();
    let removed = call_later(SHORT, || journal::fault(format_args!("a removed timer has fired")));
    call_later(SHORT, {
        let fired = Rc::clone(&fired);
        move || fired.set(true)
    });
    remove_timeout(removed);
    sleep(SHORT).await;
    while !fired.get() {
        yield_now().await;
    }
    elapsed("a callback", begin, SHORT);
}

fn elapsed(what: &str, begin: Instant, least: Duration) {
    journal::steps(1);
    match Instant::now().checked_duration_since(begin) {
        Some(time) if time >= least => {}
        time => journal::fault(format_args!("{what} of {least:?} has ended after {time:?}")),
    }
}
