//! Models of the slot through which one output goes from one thread to another.

use std::cell::Cell;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use loom::thread;

use super::{Count, CountedDrop, Event, Loop, model, origin};
use crate::error::JoinError;
use crate::threads::blocking_pool::{Blocking, Pool};
use crate::threads::output_channel::{RemoteJoinHandle, channel};
use crate::threads::spawn_blocking::{job_of, output_of};

/// Runs a loop until a task on it has got the outcome of `receiver`.
fn receive<T: 'static>(receiver: RemoteJoinHandle<T>) -> Result<T, JoinError> {
    let event_loop = Loop::new();
    let task = event_loop.scheduler.spawn(receiver, origin());
    event_loop.run_until(|| task.is_finished());
    let outcome = match pin!(task).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome.expect("the task does not panic"),
        Poll::Pending => unreachable!("it is finished"),
    };
    event_loop.close();
    outcome
}

// W1, W16
#[test]
fn an_output_wakes_the_loop_that_sleeps_until_it_comes() {
    model(|| {
        let (sender, receiver) = channel();
        let other_thread = thread::spawn(move || sender.send(Ok(7)));
        assert_eq!(receive(receiver).unwrap(), 7);
        other_thread.join().unwrap();
    });
}

// W16
#[test]
fn a_sender_that_is_dropped_wakes_the_receiver_with_a_cancellation() {
    model(|| {
        let (sender, receiver) = channel::<()>();
        let other_thread = thread::spawn(move || drop(sender));
        assert!(receive(receiver).unwrap_err().is_cancelled());
        other_thread.join().unwrap();
    });
}

// W16: the receiver is polled by one task and then by another, while the output is sent
#[test]
fn the_waker_of_the_last_poll_is_woken() {
    model(|| {
        let (sender, receiver) = channel();
        let other_thread = thread::spawn(move || sender.send(Ok(7)));
        let mut receiver = pin!(receiver);
        let (former, last) = (Event::new(), Event::new());
        let mut outcome = receiver.as_mut().poll(&mut Context::from_waker(&former.waker()));
        while outcome.is_pending() {
            outcome = receiver.as_mut().poll(&mut Context::from_waker(&last.waker()));
            if outcome.is_pending() {
                last.wait();
            }
        }
        assert!(matches!(outcome, Poll::Ready(Ok(7))));
        other_thread.join().unwrap();
    });
}

// W16: a closure that is not wanted any more and an output that is not taken are each dropped once
#[test]
fn a_handle_that_is_dropped_against_its_job_loses_neither_closure_nor_output() {
    model(|| {
        let (runs, closures, outputs) = (Count::default(), Count::default(), Count::default());
        let (job, mut handle) = {
            let (runs, outputs) = (runs.clone(), outputs.clone());
            let closure = CountedDrop(closures.clone());
            job_of(move || {
                let _closure = closure;
                runs.add_one();
                CountedDrop(outputs)
            })
        };
        let other_thread = thread::spawn(job);
        drop(pin!(&mut handle).poll(&mut Context::from_waker(Waker::noop())));
        drop(handle);
        other_thread.join().unwrap();
        assert_eq!((closures.get(), outputs.get()), (1, runs.get()));
    });
}

/// Runs `f` as `spawn_blocking` does, until a sleeping loop has got its output.
fn run_blocking(f: fn() -> i32) -> Result<i32, JoinError> {
    let event_loop = Loop::new();
    let pool = Pool::new(1);
    let (job, receiver) = job_of(f);
    let submitted = pool.submit(Box::new(job));
    let blocking = Blocking::new(0, None);
    let task = output_of(submitted, receiver, blocking.begin_job());
    let outcome = Rc::new(Cell::new(None));
    let task = event_loop.scheduler.spawn(task, origin());
    let waiting = {
        let outcome = Rc::clone(&outcome);
        event_loop.scheduler.spawn(async move { outcome.set(Some(task.await)) }, origin())
    };
    event_loop.run_until(|| waiting.is_finished());
    drop(waiting);
    pool.close();
    event_loop.close();
    outcome.take().expect("the task has finished")
}

#[test]
fn a_blocking_job_hands_its_output_to_a_sleeping_loop() {
    model(|| assert_eq!(run_blocking(|| 7).unwrap(), 7));
}

#[test]
fn a_blocking_job_hands_its_panic_to_a_sleeping_loop() {
    model(|| {
        // Without the panic hook, which would print each of the many panics.
        let outcome = run_blocking(|| resume_unwind(Box::new("on purpose")));
        let payload = outcome.unwrap_err().into_panic().expect("no cancellation");
        assert_eq!(payload.downcast_ref(), Some(&"on purpose"));
    });
}
