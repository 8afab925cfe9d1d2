//! Locks from other crates in place of Tornado's.
//!
//! `event_listener` and `tokio::sync` serve tasks strictly in the order of waiting. The semaphore
//! of `async_lock` serves all waiting tasks, but they may overtake each other.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use event_listener::Event;
use futures_lite::future::zip;
use futures_util::future::join_all;
use squall_executor::{JoinError, JoinHandle, spawn, timeout, yield_now};
use tokio::sync::{Mutex, Semaphore};

use crate::support::{Log, SECOND, TestLoop, settle, within_a_limit};

/// Tornado's `Event`: a flag that tasks can wait for.
#[derive(Default)]
struct Flag {
    is_set: Cell<bool>,
    event: Event,
}

impl Flag {
    fn set(&self) {
        self.is_set.set(true);
        self.event.notify(usize::MAX);
    }

    fn clear(&self) {
        self.is_set.set(false);
    }

    async fn wait(&self) {
        if !self.is_set.get() {
            self.event.listen().await;
        }
    }
}

// LCK-01
#[test]
fn a_condition_wakes_one_some_or_all_in_the_order_of_waiting() {
    within_a_limit(async {
        let (condition, log) = (Rc::new(Event::new()), Log::new());
        assert_eq!(condition.notify(1), 0, "no task waits, and the notification is not stored");
        for number in 0..8 {
            let (condition, log) = (condition.clone(), log.clone());
            drop(spawn(async move {
                condition.listen().await;
                log.note(number);
            }));
        }
        settle().await;
        condition.notify(1);
        assert!(log.take().is_empty(), "a waiter does not run inside the call");
        settle().await;
        assert_eq!(log.take(), [0]);
        condition.notify_additional(1);
        condition.notify_additional(2);
        settle().await;
        assert_eq!(log.take(), [1, 2, 3]);
        condition.notify(usize::MAX);
        settle().await;
        assert_eq!(log.take(), [4, 5, 6, 7]);
    });
}

// LCK-02
#[test]
fn a_wait_that_times_out_is_false_and_does_not_use_up_a_notification() {
    let test = TestLoop::new();
    let (condition, log) = (Rc::new(Event::new()), Log::new());
    for seconds in [1, 3] {
        let (condition, log) = (condition.clone(), log.clone());
        drop(test.start(async move {
            let in_time = timeout(seconds * SECOND, condition.listen()).await.is_ok();
            log.note((seconds, in_time));
        }));
    }
    test.advance(SECOND);
    assert_eq!(log.take(), [(1, false)]);
    condition.notify(1);
    test.settle();
    assert_eq!(log.take(), [(3, true)]);
    assert_eq!(test.event_loop.stats().live_timers, 0);
}

// LCK-05
#[test]
fn a_hundred_and_one_waiters_that_gave_up_leave_nothing_behind_and_the_next_one_stays() {
    let test = TestLoop::new();
    let (condition, semaphore) = (Rc::new(Event::new()), Rc::new(Semaphore::new(0)));
    let log = Log::new();
    for number in 0..102 {
        let patience = if number < 101 { SECOND } else { Duration::MAX };
        let (condition, semaphore, log) = (condition.clone(), semaphore.clone(), log.clone());
        drop(test.start(async move {
            let (notified, acquired) =
                zip(timeout(patience, condition.listen()), timeout(patience, semaphore.acquire()))
                    .await;
            log.note((number, notified.is_ok(), acquired.is_ok()));
        }));
    }
    assert_eq!(condition.total_listeners(), 102);
    test.advance(SECOND);
    assert!(log.take().into_iter().eq((0..101).map(|number| (number, false, false))));
    assert_eq!(condition.total_listeners(), 1);
    condition.notify(1);
    semaphore.add_permits(1);
    test.settle();
    assert_eq!(log.take(), [(101, true, true)]);
}

// LCK-06
#[test]
fn an_event_stays_set_until_it_is_cleared() {
    let test = TestLoop::new();
    let (flag, log) = (Rc::new(Flag::default()), Log::new());
    let wait = |name| {
        let (flag, log) = (flag.clone(), log.clone());
        drop(test.start(async move {
            log.note((name, timeout(SECOND, flag.wait()).await.is_ok()));
        }));
    };
    wait("before set");
    flag.set();
    flag.set();
    flag.clear();
    test.settle();
    assert_eq!(log.take(), [("before set", true)], "`set` wakes a task that waits at that moment");
    wait("after clear");
    assert_eq!(log.take(), []);
    test.advance(SECOND);
    assert_eq!(log.take(), [("after clear", false)]);
    flag.set();
    wait("after set");
    wait("and again");
    assert_eq!(log.take(), [("after set", true), ("and again", true)]);
}

// LCK-07
#[test]
fn a_semaphore_hands_its_permits_over_in_the_order_of_asking() {
    within_a_limit(async {
        let (semaphore, log) = (Rc::new(Semaphore::new(2)), Log::new());
        let (inside, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let tasks = (0..9).map(|number| {
            let (semaphore, log) = (semaphore.clone(), log.clone());
            let (inside, most) = (inside.clone(), most.clone());
            spawn(async move {
                let _permit = semaphore.acquire().await;
                log.note(number);
                inside.set(inside.get() + 1);
                most.set(inside.get().max(most.get()));
                for _ in 0..number % 3 {
                    yield_now().await;
                }
                inside.set(inside.get() - 1);
            })
        });
        join_all(tasks).await;
        assert_eq!((log.take(), most.get()), ((0..9).collect(), 2));
        assert_eq!(semaphore.available_permits(), 2);
        semaphore.add_permits(1);
        assert_eq!(semaphore.available_permits(), 3, "a release without an acquire adds one");
    });
}

// LCK-08
#[test]
fn an_acquire_that_timed_out_takes_nothing() {
    let test = TestLoop::new();
    let (semaphore, log) = (Rc::new(Semaphore::new(1)), Log::new());
    let permit = semaphore.try_acquire().expect("it is free");
    for seconds in [1, 9] {
        let (semaphore, log) = (semaphore.clone(), log.clone());
        drop(test.start(async move {
            let permit = timeout(seconds * SECOND, semaphore.acquire()).await;
            log.note((seconds, permit.is_ok()));
        }));
    }
    test.advance(SECOND);
    assert_eq!(log.take(), [(1, false)]);
    drop(permit);
    test.settle();
    assert_eq!(log.take(), [(9, true)]);
    assert_eq!(semaphore.available_permits(), 1);
}

// Tornado loses the permit here.
#[test]
fn a_permit_that_was_handed_to_a_cancelled_waiter_goes_to_the_next() {
    within_a_limit(async {
        let (semaphore, log) = (Rc::new(Semaphore::new(1)), Log::new());
        let permit = semaphore.try_acquire().expect("it is free");
        let waiters = ["first", "second"].map(|name| {
            let (semaphore, log) = (semaphore.clone(), log.clone());
            spawn(async move {
                let _permit = semaphore.acquire().await;
                log.note(name);
            })
        });
        settle().await;
        drop(permit); // wakes the first task,
        waiters[0].abort(); // which ends before it resumes
        settle().await;
        assert_eq!((log.take(), semaphore.available_permits()), (vec!["second"], 1));
    });
}

// LCK-09
#[test]
fn a_guard_releases_on_error_and_panic_and_keeps_two_tasks_apart() {
    async fn fails(mutex: &Mutex<u32>) -> Result<(), &'static str> {
        let mut guard = mutex.lock().await;
        *guard += 1;
        yield_now().await;
        Err("failed")
    }
    within_a_limit(async {
        let mutex = Rc::new(Mutex::new(0));
        assert_eq!(fails(&mutex).await, Err("failed"));
        let panics = spawn({
            let mutex = mutex.clone();
            async move {
                let _guard = mutex.lock().await;
                panic!("with the lock held");
            }
        });
        assert!(panics.await.is_err_and(|error: JoinError| error.is_panic()));
        assert_eq!(mutex.try_lock().ok().as_deref(), Some(&1));

        let log = Log::new();
        let tasks = ["a", "b"].map(|name| {
            let (mutex, log) = (mutex.clone(), log.clone());
            spawn(async move {
                for _ in 0..2 {
                    let _guard = mutex.lock().await;
                    log.note((name, "in"));
                    yield_now().await;
                    log.note((name, "out"));
                }
            })
        });
        join_all(tasks).await;
        let log = log.take();
        assert_eq!(log.len(), 8);
        assert!(log.chunks(2).all(|visit| visit == [(visit[0].0, "in"), (visit[0].0, "out")]));
    });
}

// LCK-10
#[test]
fn a_permit_comes_back_once_however_its_guard_ends() {
    async fn leaves_early(semaphore: Rc<Semaphore>) -> Option<()> {
        let _permit = semaphore.acquire().await.ok()?;
        yield_now().await;
        None
    }
    within_a_limit(async {
        let semaphore = Rc::new(Semaphore::new(2));
        assert_eq!(leaves_early(semaphore.clone()).await, None);
        let aborted = spawn(leaves_early(semaphore.clone()));
        yield_now().await;
        assert_eq!(semaphore.available_permits(), 1);
        aborted.abort();
        assert!(aborted.await.is_err());
        // There is no `release` and no `unlock`: dropping the guard gives the permit back, once.
        drop(semaphore.acquire().await);
        assert_eq!(semaphore.available_permits(), 2);
    });
}

// LCK-11
#[test]
fn a_mutex_is_handed_over_in_the_order_of_asking() {
    within_a_limit(async {
        let (mutex, log) = (Rc::new(Mutex::new(())), Log::new());
        let held = mutex.lock().await;
        let tasks: Vec<_> = (0..5)
            .map(|number| {
                let (mutex, log) = (mutex.clone(), log.clone());
                spawn(async move {
                    let _guard = mutex.lock().await;
                    log.note(number);
                    yield_now().await;
                })
            })
            .collect();
        settle().await;
        drop(held);
        assert!(mutex.try_lock().is_err(), "the first waiter owns it already");
        drop(mutex.lock().await);
        assert_eq!(log.take(), [0, 1, 2, 3, 4]);
        assert!(tasks.iter().all(JoinHandle::is_finished));
    });
}

#[test]
fn the_locks_of_async_lock_serve_all_waiters() {
    within_a_limit(async {
        let lock = Rc::new(async_lock::RwLock::new(0));
        let barrier = Rc::new(async_lock::Barrier::new(5));
        let tasks = (0..5).map(|_| {
            let (lock, barrier) = (lock.clone(), barrier.clone());
            spawn(async move {
                *lock.write().await += 1;
                let is_leader = barrier.wait().await.is_leader();
                (*lock.read().await, is_leader)
            })
        });
        let seen: Result<Vec<_>, _> = join_all(tasks).await.into_iter().collect();
        let seen = seen.expect("no task panics");
        assert!(seen.iter().all(|(count, _)| *count == 5), "no task reads before the last write");
        assert_eq!(seen.iter().filter(|(_, is_leader)| *is_leader).count(), 1);

        let (mutex, log) = (Rc::new(async_lock::Mutex::new(())), Log::new());
        let tasks = (0..5).map(|number| {
            let (mutex, log) = (mutex.clone(), log.clone());
            spawn(async move {
                let _guard = mutex.lock().await;
                yield_now().await;
                log.note(number);
            })
        });
        join_all(tasks).await;
        assert_eq!(log.take().len(), 5);
    });
}
