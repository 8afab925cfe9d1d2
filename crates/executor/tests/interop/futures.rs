//! `futures_util` and `futures_lite` in place of Tornado's `gen.multi`, `WaitIterator`,
//! `chain_future` and the like.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::{Future as StdFuture, pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::thread;

use futures_lite::future::{or, zip};
use futures_util::future::{Either, FutureExt, join_all, select, select_all, try_join_all};
use futures_util::stream::{self, FuturesUnordered, StreamExt};
use squall_executor::future::{Cancelled, Future};
use squall_executor::{spawn, timeout, yield_now};

use crate::support::{Log, SECOND, TestLoop, settle, within_a_limit};

/// Yields `times` times, then returns `value`.
async fn after<T>(times: u32, value: T) -> T {
    for _ in 0..times {
        yield_now().await;
    }
    value
}

/// Counts how often `future` is polled.
fn counted<F: StdFuture>(
    polls: &Rc<Cell<usize>>,
    future: F,
) -> impl StdFuture<Output = F::Output> + use<F> {
    let (polls, mut future) = (polls.clone(), Box::pin(future));
    poll_fn(move |cx| {
        polls.set(polls.get() + 1);
        future.as_mut().poll(cx)
    })
}

// FUT-10
#[test]
fn a_join_gives_results_in_the_order_of_its_arguments() {
    within_a_limit(async {
        let log = Log::new();
        let slow = after(3, "slow").inspect(|name| log.note(*name));
        let fast = after(1, "fast").inspect(|name| log.note(*name));
        assert_eq!(zip(slow, fast).await, ("slow", "fast"));
        assert_eq!(log.take(), ["fast", "slow"]);

        let (first, second) = (Future::new(), Future::new());
        let both = spawn(join_all([first.clone(), second.clone()]));
        second.set_result(2).expect("it is set once");
        settle().await;
        assert!(!both.is_finished());
        first.set_result(1).expect("it is set once");
        assert_eq!(both.await.expect("no task panics"), [Ok(1), Ok(2)]);
    });
}

#[test]
fn join_all_waits_for_all_and_collect_finds_the_first_error_of_the_list() {
    within_a_limit(async {
        let done = Rc::new(Cell::new(0));
        let children = [(3, Err("first")), (1, Err("second")), (5, Ok(()))]
            .map(|(times, result)| after(times, result).inspect(|_| done.set(done.get() + 1)));
        let outcome: Result<Vec<()>, &str> = join_all(children).await.into_iter().collect();
        assert_eq!((outcome, done.get()), (Err("first"), 3));
    });
}

#[test]
fn try_join_all_ends_at_the_first_error_in_time_and_drops_the_rest() {
    within_a_limit(async {
        let alive = Rc::new(());
        let children = [(9, Ok(())), (1, Err("second")), (0, Ok(()))].map(|(times, result)| {
            let alive = alive.clone();
            async move {
                let _alive = alive;
                after(times, result).await
            }
        });
        assert_eq!(try_join_all(children).await, Err("second"));
        assert_eq!(Rc::strong_count(&alive), 1);
    });
}

// FUT-11
#[test]
fn a_join_of_a_keyed_set_returns_the_same_keys() {
    within_a_limit(async {
        let children = BTreeMap::from([("a", after(2, 1)), ("b", after(0, 2)), ("c", after(1, 3))]);
        let keyed = children.into_iter().map(|(key, child)| child.map(move |value| (key, value)));
        let joined: BTreeMap<_, _> = join_all(keyed).await.into_iter().collect();
        assert_eq!(joined, BTreeMap::from([("a", 1), ("b", 2), ("c", 3)]));
    });
}

// FUT-12
#[test]
fn a_join_of_nothing_is_ready_at_once() {
    within_a_limit(async {
        let nothing: [Future<u32>; 0] = [];
        assert_eq!(join_all(nothing).now_or_never(), Some(vec![]));
        let nothing: [Future<u32>; 0] = [];
        assert_eq!(try_join_all(nothing).now_or_never(), Some(Ok(vec![])));
    });
}

// FUT-13
#[test]
fn a_join_of_two_thousand_polls_a_child_only_when_it_was_woken() {
    within_a_limit(async {
        let polls = Rc::new(Cell::new(0));
        let ready = (0..2000).map(|number| counted(&polls, async move { number }));
        assert!(join_all(ready).await.into_iter().eq(0..2000));
        assert_eq!(polls.take(), 2000);

        let inputs: Vec<Future<usize>> = (0..2000).map(|_| Future::new()).collect();
        let joined = spawn(join_all(inputs.iter().map(|input| counted(&polls, input.clone()))));
        for (number, input) in inputs.iter().enumerate().rev() {
            input.set_result(number).expect("it is set once");
            yield_now().await;
        }
        assert!(joined.await.expect("no task panics").into_iter().eq((0..2000).map(Ok)));
        assert!(polls.get() <= 4000, "{} polls of 2000 children", polls.get());
    });
}

// FUT-15
#[test]
fn the_same_future_listed_twice_gives_its_value_twice() {
    within_a_limit(async {
        let answer = Future::new();
        let twice = spawn(join_all([answer.clone(), answer.clone()]));
        yield_now().await;
        answer.set_result(42).expect("it is set once");
        assert_eq!(twice.await.expect("no task panics"), [Ok(42), Ok(42)]);

        let polls = Rc::new(Cell::new(0));
        let shared = counted(&polls, after(1, 7)).shared();
        assert_eq!(join_all([shared.clone(), shared]).await, [7, 7]);
        assert_eq!(polls.get(), 2, "any future can be shared, and runs once");
    });
}

// FUT-21
#[test]
fn a_set_of_futures_gives_them_in_the_order_of_completion() {
    within_a_limit(async {
        let mut nothing = FuturesUnordered::<Future<u32>>::new();
        assert_eq!(nothing.next().await, None);

        let ready: FuturesUnordered<_> =
            ["a", "b", "c"].into_iter().enumerate().map(|item| async move { item }).collect();
        assert_eq!(ready.collect::<Vec<_>>().await, [(0, "a"), (1, "b"), (2, "c")]);

        let slow: FuturesUnordered<_> = [5, 1, 3]
            .into_iter()
            .enumerate()
            .map(|(index, times)| {
                after(times, if times == 1 { Err("failed") } else { Ok(()) })
                    .map(move |result| (index, result))
            })
            .collect();
        let outcomes: Vec<_> = slow.collect().await;
        assert_eq!(
            outcomes,
            [(1, Err("failed")), (2, Ok(())), (0, Ok(()))],
            "an error does not end it"
        );
    });
}

#[test]
fn select_returns_the_first_output_and_the_other_futures() {
    within_a_limit(async {
        let children = [4, 1, 2].map(|times| Box::pin(after(times, times)));
        let (first, index, rest) = select_all(children).await;
        assert_eq!((first, index, rest.len()), (1, 1, 2));
        let (first, index, _) = select_all(rest).await;
        assert_eq!((first, index), (2, 1));

        let (slow, fast) = (pin!(after(3, "slow")), pin!(after(1, "fast")));
        let Either::Right((first, slow)) = select(slow, fast).await else {
            panic!("the slow future won")
        };
        assert_eq!((first, slow.await), ("fast", "slow"));
        assert_eq!(or(after(1, "left"), after(1, "right")).await, "left");
        assert_eq!(or(pending(), after(2, "ready")).await, "ready");
    });
}

// FUT-23
#[test]
fn the_future_of_the_next_item_keeps_the_set_alive() {
    within_a_limit(async {
        let answer = Future::new();
        let set: FuturesUnordered<_> = [answer.clone()].into_iter().collect();
        let next = spawn(set.into_future().map(|(item, _rest)| item));
        yield_now().await;
        answer.set_result(42).expect("it is set once");
        assert_eq!(next.await.expect("no task panics"), Some(Ok(42)));
    });
}

// FUT-02
#[test]
fn a_chain_of_futures_copies_a_later_result() {
    within_a_limit(async {
        let (a, b, c) = (Future::new(), Future::new(), Future::new());
        for (from, to) in [(a.clone(), b.clone()), (b.clone(), c.clone())] {
            drop(spawn(async move {
                if let Ok(value) = from.await {
                    let _ = to.set_result(value); // an error if another task has set it
                }
            }));
        }
        settle().await;
        assert!(!c.done());
        a.set_result(42).expect("it is set once");
        assert_eq!(c.await, Ok(42));

        let (a, b) = (Future::new(), Future::new());
        let chained = b.clone();
        let chain = spawn(async move { chained.set_result(a.await) });
        yield_now().await;
        assert_eq!(b.set_result(Ok(1)), Ok(()), "b is done before a");
        chain.abort();
        assert_eq!(b.await, Ok(Ok::<_, Cancelled>(1)));
    });
}

// FUT-03
#[test]
fn a_chain_from_thread_to_thread_to_the_loop_delivers() {
    within_a_limit(async {
        let (to_second, from_first) = async_channel::bounded(1);
        let (to_loop, from_second) = async_channel::bounded(1);
        let answer = Future::new();
        let chained = answer.clone();
        drop(spawn(async move { chained.set_result(from_second.recv().await) }));
        settle().await; // the task waits, and another thread will wake it
        let second = thread::spawn(move || {
            let value = from_first.recv_blocking().expect("the first thread sends");
            to_loop.send_blocking(value).expect("the loop waits");
        });
        let first = thread::spawn(move || to_second.send_blocking(42));
        assert_eq!(answer.await, Ok(Ok(42)));
        assert_eq!(first.join().expect("no thread panics"), Ok(()));
        second.join().expect("no thread panics");
    });
}

#[test]
fn awaiting_a_done_future_does_not_let_others_run() {
    within_a_limit(async {
        let log = Log::new();
        for yields in [0, 1] {
            let tasks = ["a", "b"].map(|name| {
                let log = log.clone();
                spawn(async move {
                    for _ in 0..3 {
                        log.note(name);
                        after(yields, ()).await;
                    }
                })
            });
            join_all(tasks).await;
        }
        assert_eq!(log.take().concat(), "aaabbbababab");
    });
}

#[test]
fn a_timeout_over_a_borrowed_task_leaves_it_running() {
    let test = TestLoop::new();
    let log = Log::new();
    let answer = Future::new();
    drop(test.start({
        let (log, answer) = (log.clone(), answer.clone());
        async move {
            let mut task = spawn(answer);
            log.note(timeout(SECOND, &mut task).await.is_ok());
            log.note(matches!(task.await, Ok(Ok("late"))));
        }
    }));
    test.advance(SECOND);
    assert_eq!(log.take(), [false]);
    answer.set_result("late").expect("it is set once");
    test.settle();
    assert_eq!(log.take(), [true]);
}

#[test]
fn a_stream_runs_at_most_the_given_number_at_once() {
    within_a_limit(async {
        let (inside, most) = (Cell::new(0), Cell::new(0));
        let numbers = stream::iter(0..100).map(|number| {
            let (inside, most) = (&inside, &most);
            async move {
                inside.set(inside.get() + 1);
                most.set(inside.get().max(most.get()));
                after(1 + number % 4, ()).await;
                inside.set(inside.get() - 1);
                number
            }
        });
        assert!(numbers.buffered(7).collect::<Vec<_>>().await.into_iter().eq(0..100));
        assert_eq!((inside.get(), most.get()), (0, 7));
    });
}
