//! The locks of `tokio::sync` that `locks.rs` does not show: `RwLock`, `Barrier`, `Notify`,
//! `OnceCell` and `SetOnce`. They need no runtime of tokio's.

use std::rc::Rc;

use futures_util::future::join_all;
use squall_executor::{spawn, yield_now};
use tokio::sync::{Barrier, Notify, OnceCell, RwLock, SetOnce};

use crate::support::{Log, settle, within_a_limit};

#[test]
fn a_reader_that_comes_after_a_waiting_writer_waits_for_it() {
    within_a_limit(async {
        let (lock, log) = (Rc::new(RwLock::new(0)), Log::new());
        let first = lock.read().await;
        assert!(lock.try_read().is_ok(), "readers share the lock");
        let writer = spawn({
            let (lock, log) = (lock.clone(), log.clone());
            async move {
                let mut number = lock.write().await;
                *number += 1;
                log.note(("written", *number));
            }
        });
        settle().await;
        let reader = spawn({
            let (lock, log) = (lock.clone(), log.clone());
            async move { log.note(("read", *lock.read().await)) }
        });
        settle().await;
        assert!(log.take().is_empty());
        drop(first);
        writer.await.expect("no task panics");
        reader.await.expect("no task panics");
        assert_eq!(log.take(), [("written", 1), ("read", 1)]);
    });
}

#[test]
fn a_barrier_lets_all_go_on_together_and_has_one_leader_each_time() {
    within_a_limit(async {
        let (barrier, log) = (Rc::new(Barrier::new(3)), Log::new());
        let tasks = (0..3).map(|number| {
            let (barrier, log) = (barrier.clone(), log.clone());
            spawn(async move {
                let mut is_leader = [false; 2];
                for (round, is_leader) in is_leader.iter_mut().enumerate() {
                    for _ in 0..number {
                        yield_now().await;
                    }
                    log.note((round, "comes"));
                    *is_leader = barrier.wait().await.is_leader();
                    log.note((round, "goes"));
                }
                is_leader
            })
        });
        let leaders: Result<Vec<_>, _> = join_all(tasks).await.into_iter().collect();
        let leaders = leaders.expect("no task panics");
        for round in 0..2 {
            assert_eq!(leaders.iter().filter(|is_leader| is_leader[round]).count(), 1);
        }
        let log = log.take();
        for round in 0..2 {
            let of_round: Vec<_> = log.iter().filter(|(of, _)| *of == round).collect();
            let (before, after) = of_round.split_at(3);
            assert!(before.iter().all(|(_, what)| *what == "comes"), "{log:?}");
            assert!(after.iter().all(|(_, what)| *what == "goes"), "{log:?}");
        }
    });
}

#[test]
fn a_notify_stores_one_notification_and_wakes_waiters_in_order() {
    within_a_limit(async {
        let (notify, log) = (Rc::new(Notify::new()), Log::new());
        notify.notify_one();
        notify.notify_one();
        notify.notified().await;
        let tasks: Vec<_> = (0..5)
            .map(|number| {
                let (notify, log) = (notify.clone(), log.clone());
                spawn(async move {
                    notify.notified().await;
                    log.note(number);
                })
            })
            .collect();
        settle().await;
        assert!(log.take().is_empty(), "the second notification was merged with the first");
        notify.notify_one();
        notify.notify_one();
        assert!(log.take().is_empty(), "a waiter does not run inside the call");
        settle().await;
        assert_eq!(log.take(), [0, 1]);
        notify.notify_one(); // wakes task 2,
        tasks[2].abort(); // which ends before it resumes
        settle().await;
        assert_eq!(log.take(), [3]);
        notify.notify_waiters();
        settle().await;
        assert_eq!(log.take(), [4]);
    });
}

#[test]
fn a_once_cell_runs_one_initializer_at_a_time_until_it_succeeds() {
    within_a_limit(async {
        let (cell, log) = (Rc::new(OnceCell::new()), Log::new());
        let tasks = [Err("failed"), Ok(1), Ok(2)].map(|outcome| {
            let (cell, log) = (cell.clone(), log.clone());
            spawn(async move {
                let initialize = async || {
                    log.note(outcome);
                    yield_now().await;
                    outcome
                };
                cell.get_or_try_init(initialize).await.copied()
            })
        });
        let outcomes: Result<Vec<_>, _> = join_all(tasks).await.into_iter().collect();
        assert_eq!(outcomes.expect("no task panics"), [Err("failed"), Ok(1), Ok(1)]);
        assert_eq!(log.take(), [Err("failed"), Ok(1)]);
        assert_eq!(cell.get(), Some(&1));
    });
}

#[test]
fn a_set_once_wakes_every_waiter_with_its_value() {
    within_a_limit(async {
        let value = Rc::new(SetOnce::new());
        let tasks = [0, 1].map(|_| {
            let value = value.clone();
            spawn(async move { *value.wait().await })
        });
        settle().await;
        assert!(value.set(42).is_ok());
        assert!(value.set(43).is_err());
        let seen: Result<Vec<_>, _> = join_all(tasks).await.into_iter().collect();
        assert_eq!(seen.expect("no task panics"), [42, 42]);
    });
}
