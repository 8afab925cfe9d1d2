//! `Future` and `promise`: Tornado's futures.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use squall_executor::future::{Cancelled, Future, promise};
use squall_executor::{add_callback, add_future, block_on, sleep, spawn, yield_now};

// TORNADO 2.2.1
#[test]
fn set_result_schedules_tasks_and_callbacks_in_the_order_in_which_they_came() {
    block_on(async {
        let log = Rc::new(RefCell::new(Vec::new()));
        let future = Future::new();
        for n in 0..6 {
            let note = {
                let log = log.clone();
                move || log.borrow_mut().push(n)
            };
            if n % 2 == 0 {
                future.add_done_callback(move |_| note());
            } else {
                let future = future.clone();
                drop(spawn(async move {
                    future.await.unwrap();
                    note();
                }));
                yield_now().await; // the task waits before the next callback is added
            }
        }
        future.set_result(()).unwrap();
        assert!(log.borrow().is_empty(), "a waiter ran inside set_result");
        let after = log.clone();
        add_callback(move || after.borrow_mut().push(6));
        sleep(Duration::from_micros(1)).await;
        assert_eq!(*log.borrow(), [0, 1, 2, 3, 4, 5, 6]);
    });
}

// FUT-01, FUT-X3
#[test]
fn a_future_is_set_once_and_cancelled_at_most_once() {
    let set = Future::new();
    assert_eq!(set.set_result(1), Ok(()));
    assert_eq!(set.set_result(2), Err(2));
    assert!(!set.cancel());
    assert_eq!((set.done(), set.cancelled()), (true, false));
    let cancelled = Future::new();
    assert!(cancelled.cancel());
    assert_eq!(cancelled.set_result(3), Err(3));
    block_on(async {
        assert_eq!(set.await, Ok(1));
        assert_eq!(cancelled.await, Err(Cancelled));
    });
}

#[test]
fn cancelling_wakes_the_waiters() {
    block_on(async {
        let future = Future::<u8>::new();
        let waiter = spawn(future.clone());
        yield_now().await;
        future.cancel();
        assert_eq!(waiter.await.unwrap(), Err(Cancelled));
    });
}

// FUT-X2
#[test]
fn one_failing_callback_does_not_stop_the_others() {
    block_on(async {
        let reached = Rc::new(RefCell::new(false));
        let future = Future::new();
        future.add_done_callback(|_| panic!("on purpose"));
        future.add_done_callback({
            let reached = reached.clone();
            move |future| *reached.borrow_mut() = future.with_result(|value| *value == 9).unwrap()
        });
        future.set_result(9).unwrap();
        yield_now().await;
        assert!(*reached.borrow());
    });
}

// TORNADO 2.2.2
#[test]
fn a_callback_on_a_done_future_still_runs_later() {
    block_on(async {
        let ran = Rc::new(RefCell::new(false));
        let future = Future::new();
        future.set_result(()).unwrap();
        future.add_done_callback({
            let ran = ran.clone();
            move |_| *ran.borrow_mut() = true
        });
        assert!(!*ran.borrow());
        yield_now().await;
        assert!(*ran.borrow());
    });
}

#[test]
fn values_that_are_not_clone_can_be_taken() {
    struct Whole(u8);
    block_on(async {
        let future = Future::new();
        let waiter = spawn({
            let future = future.clone();
            async move {
                future.ready().await.unwrap();
                future.take().map(|whole: Whole| whole.0)
            }
        });
        yield_now().await;
        assert!(future.set_result(Whole(7)).is_ok());
        assert_eq!(waiter.await.unwrap(), Some(7));
        assert!(future.done() && future.take().is_none());
    });
}

#[test]
fn exceptions_are_results_too() {
    let future: Future<Result<(), String>> = Future::new();
    future.set_exception("broken".into()).unwrap();
    assert_eq!(future.set_exception("again".into()), Err("again".into()));
    assert_eq!(block_on(future), Ok(Err("broken".into())));
}

#[test]
fn an_aborted_waiter_is_forgotten_and_a_future_that_is_never_set_is_freed() {
    let probe = Rc::new(());
    block_on(async {
        let future = Future::<()>::new();
        let waiter = spawn(future.clone());
        yield_now().await;
        waiter.abort();
        yield_now().await;
        future.set_result(()).unwrap();

        let unset = Future::<()>::new();
        let kept = probe.clone();
        let view = unset.clone();
        unset.add_done_callback(move |_| drop((kept, view)));
        // The callback owns `view`: a reference cycle, which cancelling breaks.
        unset.cancel();
        yield_now().await;
    });
    assert_eq!(Rc::strong_count(&probe), 1);
}

#[test]
fn a_future_outlives_loops_and_is_set_between_them() {
    let future = Future::new();
    future.set_result(5).unwrap();
    assert_eq!(block_on(future.clone()), Ok(5));
    assert_eq!(block_on(future), Ok(5));
}

// IOL-26 (the part on the loop)
#[test]
fn add_future_calls_back_with_the_output() {
    block_on(async {
        let answer = Rc::new(RefCell::new(0));
        add_future(async { 42 }, {
            let answer = answer.clone();
            move |value| *answer.borrow_mut() = value
        });
        yield_now().await;
        assert_eq!(*answer.borrow(), 42);
    });
}

#[test]
fn a_setter_that_is_dropped_unset_cancels_all_waiters() {
    block_on(async {
        let (setter, future) = promise::<u32>();
        let waits = [spawn(future.clone()), spawn(future.clone())];
        yield_now().await;
        assert!(!setter.is_done());
        drop(setter);
        for wait in waits {
            assert_eq!(wait.await.unwrap(), Err(Cancelled));
        }

        let (setter, future) = promise();
        future.cancel();
        assert!(setter.is_done());
        assert_eq!(setter.set_result(1), Err(1), "the waiting side has cancelled");

        let (setter, future) = promise();
        setter.set_result(2).unwrap();
        assert_eq!(future.await, Ok(2), "dropping a setter after `set_result` cancels nothing");
    });
}
