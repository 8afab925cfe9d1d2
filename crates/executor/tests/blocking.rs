//! Blocking jobs, on the loop's own threads and on an executor that the user provides.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use squall_executor::fault::{self, Call};
use squall_executor::{
    EventLoop, JoinError, add_callback, add_future, block_on, spawn, spawn_blocking, stats, stop,
    timeout, yield_now,
};

const WATCHDOG: Duration = Duration::from_secs(10);

/// Runs a future on a loop of its own, for at most `WATCHDOG`.
fn on_a_loop<T>(future: impl Future<Output = T>) -> T {
    EventLoop::new().unwrap().run_sync(future, Some(WATCHDOG)).expect("it hangs")
}

// FUT-06
#[test]
fn blocking_work_runs_on_another_thread_and_its_output_returns() {
    on_a_loop(async {
        let here = thread::current().id();
        let there = spawn_blocking(|| thread::current().id()).await.unwrap();
        assert_ne!(here, there);
        assert_eq!(spawn_blocking(|| "forty-two".len()).await.unwrap(), 9);
    });
}

// IOL-26
#[test]
fn add_future_calls_back_on_the_loop_with_the_output_of_a_thread() {
    let event_loop = EventLoop::new().unwrap();
    let here = thread::current().id();
    let job = event_loop.spawn_blocking(|| thread::current().id());
    event_loop.add_future(job, move |there| {
        assert_eq!(thread::current().id(), here);
        assert_ne!(there.unwrap(), here);
        stop();
    });
    event_loop.run().unwrap();
}

// IOL-27
#[test]
fn jobs_that_wait_for_each_other_all_run_at_once() {
    on_a_loop(async {
        let barrier = Arc::new(Barrier::new(8));
        let jobs: Vec<_> = (0..8)
            .map(|_| {
                let barrier = Arc::clone(&barrier);
                spawn_blocking(move || barrier.wait().is_leader())
            })
            .collect();
        let mut leaders = 0;
        for job in jobs {
            leaders += u32::from(job.await.unwrap());
        }
        assert_eq!(leaders, 1);
    });
}

// IOL-28
#[test]
fn a_custom_executor_gets_exactly_the_submitted_jobs() {
    let jobs = Rc::new(RefCell::new(Vec::new()));
    let executor = {
        let jobs = jobs.clone();
        move |job| jobs.borrow_mut().push(job)
    };
    let event_loop = EventLoop::builder().blocking_executor(executor).build().unwrap();
    let run = async {
        let ran = spawn_blocking(|| 42);
        assert_eq!(jobs.borrow().len(), 1);
        jobs.borrow_mut().pop().unwrap()();
        assert_eq!(ran.await.unwrap(), 42);
        let dropped = spawn_blocking(|| 42);
        jobs.borrow_mut().clear();
        assert!(dropped.await.unwrap_err().is_cancelled(), "a job that is dropped is cancelled");
    };
    event_loop.run_sync(run, Some(WATCHDOG)).unwrap();
}

#[test]
fn a_panic_reaches_the_handle_with_its_payload_or_else_the_hook() {
    let reports = Rc::new(Cell::new(0));
    let hook = {
        let reports = reports.clone();
        move |_: &(dyn std::any::Any + Send)| reports.set(reports.get() + 1)
    };
    let event_loop = EventLoop::builder().on_panic(hook).build().unwrap();
    let run = async {
        let error: JoinError = spawn_blocking(|| panic!("on purpose")).await.unwrap_err();
        let payload = error.into_panic().unwrap();
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"on purpose"));
        assert_eq!(reports.get(), 0);
        drop(spawn_blocking(|| panic!("on purpose")));
        while reports.get() == 0 {
            yield_now().await;
        }
    };
    event_loop.run_sync(run, Some(WATCHDOG)).unwrap();
    assert_eq!(reports.get(), 1);
}

// FUT-20
#[test]
fn a_timeout_returns_a_finished_job_and_gives_up_on_a_slow_one() {
    on_a_loop(async {
        assert_eq!(timeout(WATCHDOG, spawn_blocking(|| 1)).await.unwrap().unwrap(), 1);
        let done = spawn_blocking(|| 2);
        while !done.is_finished() {
            yield_now().await;
        }
        assert_eq!(timeout(Duration::ZERO, done).await.unwrap().unwrap(), 2);
        let (_gate, closed) = channel::<()>();
        let slow = spawn_blocking(move || closed.recv().is_err());
        assert!(timeout(Duration::from_millis(1), slow).await.is_err());
        assert_eq!(stats().live_timers, 1, "only the timer of run_sync is left");
    });
}

#[test]
fn a_job_that_is_aborted_before_it_begins_is_dropped_unrun() {
    let event_loop = EventLoop::builder().blocking_threads(1).build().unwrap();
    let ran = Arc::new(AtomicBool::new(false));
    let run = async {
        let (gate, closed) = channel::<()>();
        let first = spawn_blocking(move || closed.recv().is_err());
        let second = spawn_blocking({
            let ran = ran.clone();
            move || ran.store(true, Ordering::Relaxed)
        });
        second.abort();
        assert!(second.await.unwrap_err().is_cancelled());
        drop(gate);
        assert!(first.await.unwrap());
        assert_eq!(spawn_blocking(|| 3).await.unwrap(), 3, "the thread has passed the second job");
    };
    event_loop.run_sync(run, Some(WATCHDOG)).unwrap();
    assert!(!ran.load(Ordering::Relaxed));
    assert_eq!(Arc::strong_count(&ran), 1);
}

#[test]
fn closing_a_loop_drops_jobs_that_have_not_begun_and_waits_for_none() {
    let (gate, closed) = channel::<()>();
    let (begun, has_begun) = channel();
    let (waiting, dropped) = channel::<()>();
    let (output, delivered) = channel();
    let event_loop = EventLoop::builder().blocking_threads(1).build().unwrap();
    drop(event_loop.spawn_blocking(move || {
        begun.send(()).unwrap();
        let _ = closed.recv();
        output.send(()).unwrap();
    }));
    drop(event_loop.spawn_blocking(move || drop(waiting)));
    has_begun.recv_timeout(WATCHDOG).unwrap();
    drop(event_loop); // while the first job still runs
    assert!(dropped.recv_timeout(WATCHDOG).is_err());
    assert!(delivered.try_recv().is_err());
    drop(gate);
    delivered.recv_timeout(WATCHDOG).expect("a job that has begun runs to its end");
}

#[test]
fn a_closing_loop_cancels_blocking_work_and_runs_none() {
    struct Spawns(Arc<AtomicBool>, Rc<Cell<bool>>);
    impl Drop for Spawns {
        fn drop(&mut self) {
            let ran = self.0.clone();
            let job = spawn_blocking(move || ran.store(true, Ordering::Relaxed));
            self.1.set(job.is_finished());
        }
    }
    let builder = || EventLoop::builder().blocking_threads(1);
    let given = builder().blocking_executor(|job| thread::spawn(job).join().unwrap());
    for builder in [builder(), given] {
        let (ran, was_finished) = (Arc::new(AtomicBool::new(false)), Rc::new(Cell::new(false)));
        let event_loop = builder.build().unwrap();
        let spawns = Spawns(ran.clone(), was_finished.clone());
        drop(event_loop.spawn(async move {
            let _spawns = spawns;
            std::future::pending::<()>().await;
        }));
        event_loop.run_once(Some(Duration::ZERO)).unwrap();
        drop(event_loop);
        assert!(was_finished.get());
        assert!(!ran.load(Ordering::Relaxed) && Arc::strong_count(&ran) == 1);
    }
}

#[test]
fn a_panic_of_a_task_that_another_thread_spawned_and_detached_is_reported() {
    let reports = Rc::new(Cell::new(0));
    let hook = {
        let reports = reports.clone();
        move |_: &(dyn std::any::Any + Send)| reports.set(reports.get() + 1)
    };
    let event_loop = EventLoop::builder().on_panic(hook).build().unwrap();
    drop(event_loop.handle().spawn(async || panic!("on purpose")).unwrap());
    while event_loop.run_once(Some(Duration::ZERO)).unwrap() > 0 {}
    assert_eq!(reports.get(), 1);
}

#[test]
fn a_process_that_a_job_starts_inherits_no_signal_mask() {
    on_a_loop(async {
        let blocked = spawn_blocking(|| {
            let status = std::process::Command::new("cat").arg("/proc/self/status").output();
            String::from_utf8(status.unwrap().stdout).unwrap()
        });
        let status = blocked.await.unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
        assert_eq!(
            u64::from_str_radix(line.trim(), 16),
            Ok(0),
            "the process inherits a mask: {line}"
        );
    });
}

// X10
#[test]
fn a_job_for_which_no_thread_can_be_started_is_an_error() {
    if !fault::ACTIVE {
        return eprintln!("skipped: this build has no fault seam");
    }
    on_a_loop(async {
        fault::inject(Call::Thread, 0, 1, 11 /* EAGAIN */);
        let error = spawn_blocking(|| ()).await.unwrap_err();
        assert!(error.is_panic());
        let text = io::Error::from(error).to_string();
        assert!(text.contains("cannot start a thread for a blocking job"), "{text}");
        spawn_blocking(|| ()).await.unwrap();
    });
}

#[test]
fn callbacks_go_on_while_a_job_blocks() {
    block_on(async {
        let (gate, closed) = channel::<()>();
        let job = spawn_blocking(move || closed.recv().is_err());
        let gate = Cell::new(Some(gate));
        fn count_down(left: u32, gate: Cell<Option<std::sync::mpsc::Sender<()>>>) {
            match left {
                0 => drop(gate.take()),
                left => add_callback(move || count_down(left - 1, gate)),
            }
        }
        count_down(1000, gate);
        assert!(job.await.unwrap());
    });
}

#[test]
#[should_panic(expected = "at least one thread")]
fn a_pool_without_threads_is_refused() {
    drop(EventLoop::builder().blocking_threads(0));
}

#[test]
fn ten_thousand_jobs_all_return() {
    on_a_loop(async {
        let mut sum = 0;
        let jobs: Vec<_> = (0..10_000_u64).map(|n| spawn_blocking(move || n)).collect();
        for job in jobs {
            sum += job.await.unwrap();
        }
        assert_eq!(sum, 49_995_000);
        let done = Rc::new(Cell::new(false));
        add_future(spawn(async {}), {
            let done = done.clone();
            move |_| done.set(true)
        });
        while !done.get() {
            yield_now().await;
        }
    });
}
