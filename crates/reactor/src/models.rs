//! loom models of the notifier: every interleaving of a few threads on a full counter.
//!
//! Run them with `RUSTFLAGS="--cfg loom" cargo test -p squall-reactor --release --lib models`.

use std::io;

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use crate::notifier::must_repeat;

/// Runs a model with at most two preemptions, or as many as `LOOM_MAX_PREEMPTIONS` allows.
fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    builder.check(f);
}

/// An eventfd whose counter is full at `FULL`, registered edge-triggered with an epoll.
struct Eventfd {
    state: Mutex<State>,
    /// Tells the waiting thread that there was a write.
    edge: Condvar,
}

struct State {
    count: u64,
    /// There was a write since epoll last looked at the eventfd.
    is_on_ready_list: bool,
}

const FULL: u64 = 2;

impl Eventfd {
    fn new(count: u64) -> Arc<Eventfd> {
        let state = Mutex::new(State { count, is_on_ready_list: false });
        Arc::new(Eventfd { state, edge: Condvar::new() })
    }

    fn write(&self) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        if state.count == FULL {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.count += 1;
        state.is_on_ready_list = true;
        self.edge.notify_one();
        Ok(())
    }

    fn empty(&self) -> io::Result<u64> {
        let mut state = self.state.lock().unwrap();
        match std::mem::take(&mut state.count) {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }

    fn notify(&self) {
        while must_repeat(|| self.write(), || self.empty()) {}
    }

    /// As `epoll_wait(2)`: returns after a write, unless the counter was emptied meanwhile.
    fn wait(&self) {
        let mut state = self.state.lock().unwrap();
        loop {
            if std::mem::take(&mut state.is_on_ready_list) && state.count > 0 {
                return;
            }
            state = self.edge.wait(state).unwrap();
        }
    }
}

/// Starts a thread that announces `notices` times that it has done something.
fn notify(
    eventfd: &Arc<Eventfd>,
    done: &Arc<AtomicUsize>,
    notices: usize,
) -> thread::JoinHandle<()> {
    let (eventfd, done) = (eventfd.clone(), done.clone());
    thread::spawn(move || {
        for _ in 0..notices {
            done.fetch_add(1, Ordering::Relaxed);
            eventfd.notify();
        }
    })
}

/// Waits as a loop does that sleeps until everything is done. loom reports a lost notice as a
/// deadlock.
fn wait_until_done(eventfd: &Eventfd, done: &AtomicUsize, expected: usize) {
    while done.load(Ordering::Relaxed) < expected {
        eventfd.wait();
    }
}

// R15, R16
#[test]
fn a_notice_reaches_the_waiting_loop_however_full_the_counter_is() {
    for count in 0..=FULL {
        model(move || {
            let (eventfd, done) = (Eventfd::new(count), Arc::new(AtomicUsize::new(0)));
            let thread = notify(&eventfd, &done, 2);
            wait_until_done(&eventfd, &done, 2);
            thread.join().unwrap();
        });
    }
}

// R15: each finds the counter full and empties it, maybe after the other has written
#[test]
fn two_threads_that_find_the_counter_full_lose_no_notice() {
    model(|| {
        let (eventfd, done) = (Eventfd::new(FULL), Arc::new(AtomicUsize::new(0)));
        let threads = [notify(&eventfd, &done, 1), notify(&eventfd, &done, 1)];
        wait_until_done(&eventfd, &done, 2);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}
