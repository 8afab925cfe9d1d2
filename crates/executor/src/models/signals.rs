//! Models of signals: the handler, on any thread, against the loop and the task of a stream.

use std::future::poll_fn;
use std::rc::Rc;

use libc::c_int;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::{Count, Loop, model, origin};
use crate::threads::signal::{SIGHUP, SIGTERM};
use crate::threads::signal_listener::SignalListener;

/// Runs turns until `done` returns true. As `Core::ask_kernel` does, each checks for signals after it
/// has collected messages.
fn run_until(event_loop: &Loop, listener: &SignalListener, done: impl Fn() -> bool) {
    loop {
        event_loop.run_ready();
        if done() {
            return;
        }
        event_loop.sleep_and_collect();
        if let Some(waker) = listener.take_waker_if_pending() {
            event_loop.scheduler.wake(waker);
        }
    }
}

/// Starts a task that calls `each` with every signal until it returns true. Returns the number of
/// tasks that have ended.
fn spawn_stream(
    event_loop: &Loop,
    listener: &Rc<SignalListener>,
    mut each: impl FnMut(c_int) -> bool + 'static,
) -> Count {
    let (listener, ended) = (Rc::clone(listener), Count::default());
    let count = ended.clone();
    let stream = async move {
        while !each(poll_fn(|cx| listener.poll_signal(cx)).await) {}
        count.add_one();
    };
    drop(event_loop.scheduler.spawn(stream, origin()));
    ended
}

// X3
#[test]
fn two_signals_on_two_threads_both_reach_the_stream_of_a_sleeping_loop() {
    model(|| {
        let event_loop = Loop::new();
        let listener = SignalListener::new(event_loop.scheduler.shared().clone());
        let listener = Rc::new(listener);
        let handlers = [SIGHUP, SIGTERM].map(|signal| {
            let pending = listener.pending();
            thread::spawn(move || pending.add(signal))
        });
        let mut missing = vec![SIGHUP, SIGTERM];
        let ended = spawn_stream(&event_loop, &listener, move |signal| {
            missing.retain(|other| *other != signal);
            missing.is_empty()
        });
        run_until(&event_loop, &listener, || ended.get() == 1);
        handlers.into_iter().for_each(|handler| handler.join().unwrap());
        event_loop.close();
    });
}

// X3: a signal that comes while the stream takes an earlier one of its kind is merged with it or
// comes again. In either case, the task sees what was written before the last signal
#[test]
fn a_signal_that_is_merged_shows_what_was_written_before_it() {
    model(|| {
        let event_loop = Loop::new();
        let listener = SignalListener::new(event_loop.scheduler.shared().clone());
        let listener = Rc::new(listener);
        let written = Arc::new(AtomicUsize::new(0));
        let handler = {
            let (pending, written) = (listener.pending(), written.clone());
            thread::spawn(move || {
                for value in 1..=2 {
                    written.store(value, Ordering::Relaxed);
                    pending.add(SIGHUP);
                }
            })
        };
        let ended = spawn_stream(&event_loop, &listener, move |_| {
            // Relaxed on purpose: only the signals can make the stores visible.
            written.load(Ordering::Relaxed) == 2
        });
        run_until(&event_loop, &listener, || ended.get() == 1);
        handler.join().unwrap();
        event_loop.close();
    });
}

// X3, W6
#[test]
fn a_signal_against_the_end_of_the_loop_is_lost_without_harm() {
    model(|| {
        let event_loop = Loop::new();
        let listener = SignalListener::new(event_loop.scheduler.shared().clone());
        let listener = Rc::new(listener);
        let ended = spawn_stream(&event_loop, &listener, |_| true);
        let pending = listener.pending();
        let handler = thread::spawn(move || pending.add(SIGHUP));
        event_loop.run_ready();
        event_loop.close();
        drop(listener.take_waker());
        drop(listener);
        handler.join().unwrap();
        assert!(ended.get() <= 1);
    });
}
