//! Models of the pool for blocking jobs. A job that were lost would let its event not happen, and a
//! thread that were left would not end: loom reports a deadlock for either.

use std::panic::resume_unwind;

use loom::thread;
use squall_reactor::fault::{self, Call};

use super::{Count, CountedDrop, Event, model};
use crate::threads::blocking_pool::{Job, Pool};

fn happen(event: &Event) -> Job {
    let event = event.clone();
    Box::new(move || event.happen())
}

// X10
#[test]
fn a_job_that_meets_the_last_thread_in_its_idle_time_out_runs() {
    model(|| {
        let pool = Pool::new(1);
        let clock = thread::spawn(pool.clock());
        let (first, second) = (Event::new(), Event::new());
        pool.submit(happen(&first)).unwrap();
        first.wait();
        pool.submit(happen(&second)).unwrap();
        second.wait();
        drop(pool);
        clock.join().unwrap();
    });
}

#[test]
fn two_jobs_that_find_one_idle_thread_get_a_thread_each() {
    model(|| {
        let pool = Pool::new(2);
        let (idle, first, second) = (Event::new(), Event::new(), Event::new());
        pool.submit(happen(&idle)).unwrap();
        idle.wait();
        let waits = {
            let (first, second) = (first.clone(), second.clone());
            move || {
                second.wait();
                first.happen();
            }
        };
        pool.submit(Box::new(waits)).unwrap();
        pool.submit(happen(&second)).unwrap();
        first.wait();
        drop(pool);
    });
}

/// A job of which the model sees when it was dropped, after a run or without one.
fn counted(runs: &Count, drops: &Count, is_gone: &Event) -> Job {
    struct Tells(#[allow(dead_code, reason = "it is only dropped")] CountedDrop, Event);
    impl Drop for Tells {
        fn drop(&mut self) {
            self.1.happen();
        }
    }
    let (runs, tells) = (runs.clone(), Tells(CountedDrop(drops.clone()), is_gone.clone()));
    Box::new(move || {
        let _tells = tells;
        runs.add_one();
    })
}

#[test]
fn jobs_against_the_end_of_the_pool_run_or_are_dropped_and_no_thread_stays() {
    model(|| {
        let pool = Pool::new(2);
        let (runs, drops) = (Count::default(), Count::default());
        let gone = [Event::new(), Event::new()];
        for is_gone in &gone {
            pool.submit(counted(&runs, &drops, is_gone)).unwrap();
        }
        pool.close();
        pool.submit(Box::new(|| unreachable!("the pool is closed"))).unwrap();
        gone.iter().for_each(Event::wait);
        assert!(runs.get() <= 2 && drops.get() == 2, "{} runs, {} drops", runs.get(), drops.get());
    });
}

#[test]
fn idle_threads_all_end_with_their_pool() {
    model(|| {
        let pool = Pool::new(2);
        let events = [Event::new(), Event::new()];
        for event in &events {
            pool.submit(happen(event)).unwrap();
        }
        events.iter().for_each(Event::wait);
        drop(pool);
    });
}

#[test]
fn a_job_that_panics_ends_neither_its_thread_nor_the_next_job() {
    model(|| {
        let pool = Pool::new(1);
        let done = Event::new();
        // Without the panic hook, which would print each of the many panics.
        pool.submit(Box::new(|| resume_unwind(Box::new("on purpose")))).unwrap();
        pool.submit(happen(&done)).unwrap();
        done.wait();
        assert_eq!(pool.threads(), 1);
        drop(pool);
    });
}

// X10: the second thread cannot be started, while the first may be about to end
#[test]
fn a_job_whose_thread_cannot_be_started_runs_on_another_or_is_an_error() {
    if !fault::ACTIVE {
        return eprintln!("skipped: this build has no fault seam");
    }
    model(|| {
        let calls_before = fault::calls(Call::Thread);
        fault::inject(Call::Thread, 1, 1, 11 /* EAGAIN */);
        let pool = Pool::new(2);
        let clock = thread::spawn(pool.clock());
        let (runs, drops) = (Count::default(), Count::default());
        let gone = [Event::new(), Event::new()];
        pool.submit(counted(&runs, &drops, &gone[0])).unwrap();
        let second = pool.submit(counted(&runs, &drops, &gone[1]));
        gone.iter().for_each(Event::wait);
        assert_eq!((runs.get(), drops.get()), (if second.is_ok() { 2 } else { 1 }, 2));
        drop(pool);
        clock.join().unwrap();
        // The plan must not outlive this execution, in which an idle thread may have run both.
        while fault::calls(Call::Thread) < calls_before + 2 {
            let _ = fault::check(Call::Thread);
        }
    });
}
