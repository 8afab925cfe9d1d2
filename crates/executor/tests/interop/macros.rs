//! `tokio::select!`, `join!`, `try_join!` and `pin!` over tasks, timers and futures of the loop.

use std::future::pending;
use std::rc::Rc;

use squall_executor::future::Future;
use squall_executor::{Clock, EventLoop, interval, sleep, spawn, stats, yield_now};
use tokio::sync::mpsc;

use crate::support::{Log, SECOND, settle, within_a_limit};

#[test]
fn select_runs_the_first_branch_that_is_ready_and_drops_the_others() {
    within_a_limit(async {
        let answer = Future::new();
        let alive = Rc::new(());
        let selecting = spawn({
            let (answer, alive) = (answer.clone(), alive.clone());
            async move {
                tokio::select! {
                    answer = answer => answer.expect("it is not cancelled"),
                    () = async move { let _alive = alive; pending().await } => 0,
                    () = sleep(1000 * SECOND) => 1,
                }
            }
        });
        settle().await;
        assert_eq!(Rc::strong_count(&alive), 2);
        assert_eq!(stats().live_timers, 2, "its own, and the limit of the test");
        answer.set_result(42).expect("it is set once");
        assert_eq!(selecting.await.expect("no task panics"), 42);
        assert_eq!(Rc::strong_count(&alive), 1);
        assert_eq!(stats().live_timers, 1);
    });
}

#[test]
fn a_biased_select_takes_the_first_ready_branch_and_an_unbiased_one_takes_any() {
    within_a_limit(async {
        let (mut biased, mut unbiased) = ([0, 0], [0, 0]);
        for _ in 0..200 {
            let place = tokio::select! {
                biased;
                () = async {} => 0,
                () = async {} => 1,
            };
            biased[place] += 1;
            let place = tokio::select! {
                () = async {} => 0,
                () = async {} => 1,
            };
            unbiased[place] += 1;
        }
        assert_eq!(biased, [200, 0]);
        assert!(unbiased.iter().all(|count| *count > 0), "{unbiased:?}");
    });
}

#[test]
fn a_select_loop_over_messages_ticks_and_a_deadline_misses_none_of_them() {
    let clock = Clock::auto_advancing();
    let event_loop = EventLoop::builder().clock(clock).build().expect("a descriptor is left");
    event_loop.block_on(async {
        let (sender, mut receiver) = mpsc::channel(1);
        let sending = spawn(async move {
            for number in 0..5 {
                sleep(SECOND * 2).await;
                sender.send(number).await.expect("the loop receives");
            }
        });
        let (mut numbers, mut ticks) = (Vec::new(), 0);
        let mut every_second = interval(SECOND);
        let deadline = sleep(SECOND * 20 + SECOND / 2);
        tokio::pin!(deadline);
        loop {
            tokio::select! {
                Some(number) = receiver.recv() => numbers.push(number),
                _ = every_second.tick() => ticks += 1,
                () = &mut deadline => break,
            }
        }
        assert_eq!((numbers, ticks), (vec![0, 1, 2, 3, 4], 20));
        sending.await.expect("no task panics");
    });
}

#[test]
fn a_select_whose_branches_are_all_disabled_takes_else() {
    within_a_limit(async {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        assert_eq!(sender.send(1), Ok(()));
        drop(sender);
        let mut received = Vec::new();
        let has_more = false;
        loop {
            tokio::select! {
                Some(number) = receiver.recv() => received.push(number),
                number = async { 9 }, if has_more => received.push(number),
                else => break,
            }
        }
        assert_eq!(received, [1]);
    });
}

#[test]
fn join_runs_its_futures_together_and_keeps_their_order() {
    within_a_limit(async {
        let log = Log::new();
        let after = async |times, name| {
            for _ in 0..times {
                yield_now().await;
            }
            log.note(name);
            name
        };
        let outputs = tokio::join!(after(3, "slow"), after(1, "fast"), async { "at once" });
        assert_eq!(outputs, ("slow", "fast", "at once"));
        assert_eq!(log.take(), ["fast", "slow"]);

        let (first, second) = (Future::new(), Future::new());
        let both = spawn({
            let (first, second) = (first.clone(), second.clone());
            async move { tokio::join!(first, second) }
        });
        second.set_result(2).expect("it is set once");
        settle().await;
        assert!(!both.is_finished());
        first.set_result(1).expect("it is set once");
        assert_eq!(both.await.expect("no task panics"), (Ok(1), Ok(2)));
    });
}

#[test]
fn try_join_ends_at_the_first_error_and_drops_the_rest() {
    within_a_limit(async {
        let alive = Rc::new(());
        let guard = alive.clone();
        let outcome = tokio::try_join!(
            async move {
                let _guard = guard;
                pending::<Result<u32, &str>>().await
            },
            async {
                yield_now().await;
                Err::<u32, _>("failed")
            },
        );
        assert_eq!(outcome, Err("failed"));
        assert_eq!(Rc::strong_count(&alive), 1);
        let fine = tokio::try_join!(async { Ok::<_, &str>(1) }, async { Ok("two") });
        assert_eq!(fine, Ok((1, "two")));
    });
}
