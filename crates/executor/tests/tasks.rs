//! Tasks: their outputs, aborts and panics, and when and on which thread they are dropped.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};
use std::time::Duration;

use squall_executor::{
    EventLoop, JoinHandle, add_callback, block_on, call_later, sleep, spawn, stats, timeout,
    yield_now,
};

/// Counts drops, and panics if one happens on another thread.
#[derive(Clone)]
struct Dropped {
    count: Arc<AtomicUsize>,
    thread: ThreadId,
}

struct Guard(Dropped);

impl Dropped {
    fn new() -> Dropped {
        Dropped { count: Arc::default(), thread: thread::current().id() }
    }

    fn guard(&self) -> Guard {
        Guard(self.clone())
    }

    fn times(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        assert_eq!(thread::current().id(), self.0.thread, "dropped on another thread");
        self.0.count.fetch_add(1, Ordering::SeqCst);
    }
}

// FUT-07
#[test]
fn a_task_returns_its_output_through_its_handle() {
    block_on(async {
        assert_eq!(spawn(async { 42 }).await.unwrap(), 42);
        let lazy = spawn(async { "never awaited" });
        assert!(!lazy.is_finished());
        yield_now().await;
        assert!(lazy.is_finished());
        assert_eq!(lazy.await.unwrap(), "never awaited");
    });
}

// FUT-24
#[test]
fn a_dropped_handle_detaches_its_task() {
    block_on(async {
        let done = Rc::new(Cell::new(false));
        drop(spawn({
            let done = done.clone();
            async move {
                sleep(Duration::from_millis(1)).await;
                done.set(true);
            }
        }));
        sleep(Duration::from_millis(5)).await;
        assert!(done.get());
    });
}

// FUT-25
#[test]
fn the_locals_of_a_finished_task_are_freed_at_completion() {
    block_on(async {
        let dropped = Dropped::new();
        let guard = dropped.guard();
        let task = spawn(async move { drop(guard) });
        yield_now().await;
        assert_eq!(dropped.times(), 1);
        assert!(task.is_finished());
    });
}

#[test]
fn abort_drops_the_future_later_and_not_inside_the_call() {
    block_on(async {
        let dropped = Dropped::new();
        let guard = dropped.guard();
        let task = spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        });
        yield_now().await;
        task.abort();
        assert_eq!(dropped.times(), 0);
        let error = task.await.unwrap_err();
        assert!(error.is_cancelled() && !error.is_panic());
        assert_eq!(dropped.times(), 1);
    });
}

#[test]
fn a_task_may_abort_itself_and_a_finished_one_keeps_its_output() {
    block_on(async {
        let own: Rc<RefCell<Option<JoinHandle<()>>>> = Rc::default();
        let dropped = Dropped::new();
        let (place, guard) = (own.clone(), dropped.guard());
        let task = spawn(async move {
            let _guard = guard;
            yield_now().await;
            place.borrow().as_ref().unwrap().abort();
            pending::<()>().await;
        });
        *own.borrow_mut() = Some(task);
        sleep(Duration::from_millis(1)).await;
        assert_eq!(dropped.times(), 1);

        let finished = spawn(async { 5 });
        yield_now().await;
        finished.abort();
        assert_eq!(finished.await.unwrap(), 5);
    });
}

#[test]
fn abort_on_drop_ends_the_task_with_its_handle() {
    block_on(async {
        let dropped = Dropped::new();
        let guard = dropped.guard();
        let task = spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        });
        drop(task.abort_on_drop());
        yield_now().await;
        assert_eq!(dropped.times(), 1);
    });
}

#[test]
fn a_detached_handle_no_longer_aborts_and_an_aborted_one_needs_no_drop() {
    block_on(async {
        let task = spawn(async {
            yield_now().await;
            7
        });
        let handle = task.abort_on_drop().detach();
        assert_eq!(handle.await.unwrap(), 7);

        let task = spawn(pending::<()>()).abort_on_drop();
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

// FUT-X5
#[test]
fn a_task_that_is_woken_a_thousand_times_is_polled_once() {
    block_on(async {
        let polls = Rc::new(Cell::new(0));
        let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
        drop(spawn({
            let (polls, waker) = (polls.clone(), waker.clone());
            poll_fn(move |cx| {
                polls.set(polls.get() + 1);
                *waker.borrow_mut() = Some(cx.waker().clone());
                Poll::<()>::Pending
            })
        }));
        yield_now().await;
        let waker = waker.take().unwrap();
        (0..1000).for_each(|_| waker.wake_by_ref());
        yield_now().await;
        yield_now().await;
        assert_eq!(polls.get(), 2);
    });
}

// W10
#[test]
fn a_task_that_wakes_itself_in_its_last_poll_is_not_polled_again() {
    block_on(async {
        let polls = Rc::new(Cell::new(0));
        let task = spawn({
            let polls = polls.clone();
            poll_fn(move |cx| {
                polls.set(polls.get() + 1);
                cx.waker().wake_by_ref();
                Poll::Ready(())
            })
        });
        for _ in 0..3 {
            yield_now().await;
        }
        task.await.unwrap();
        assert_eq!((polls.get(), stats().live_tasks), (1, 0));
    });
}

#[test]
fn a_self_wake_costs_no_wait_of_its_own() {
    let event_loop = EventLoop::new().unwrap();
    event_loop.block_on(async {
        for _ in 0..6100 {
            yield_now().await;
        }
    });
    let stats = event_loop.stats();
    assert!(stats.waits <= 102, "{} waits for 6100 self-wakes", stats.waits);
}

// P1
#[test]
fn a_panic_reaches_the_handle_with_its_payload() {
    block_on(async {
        let number = std::hint::black_box(1);
        let error = spawn(async move { panic!("boom {number}") as () }).await.unwrap_err();
        assert!(error.to_string().contains("boom 1"));
        assert_eq!(error.into_panic().unwrap().downcast_ref::<String>().unwrap(), "boom 1");
    });
}

// P2
#[test]
fn panics_in_destructors_are_reported_and_leak_nothing() {
    struct PanicsInDrop {
        _guard: Guard,
    }
    impl Drop for PanicsInDrop {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }
    let dropped = Dropped::new();
    let reports = Rc::new(Cell::new(0));
    let hook = {
        let reports = reports.clone();
        move |_: &(dyn std::any::Any + Send)| reports.set(reports.get() + 1)
    };
    let event_loop = EventLoop::builder().on_panic(hook).build().unwrap();
    // The drops that panic: a future; an output without a handle; an output whose handle is dropped
    // later; a future when the loop closes.
    let (a, b, c, d) = (dropped.guard(), dropped.guard(), dropped.guard(), dropped.guard());
    let in_future = event_loop.spawn(async move {
        let _bomb = PanicsInDrop { _guard: a };
        pending::<()>().await;
    });
    drop(event_loop.spawn(async move { PanicsInDrop { _guard: b } }));
    let in_output = event_loop.spawn(async move { PanicsInDrop { _guard: c } });
    drop(event_loop.spawn(async move {
        let _bomb = PanicsInDrop { _guard: d };
        pending::<()>().await;
    }));
    event_loop.block_on(async {
        yield_now().await;
        in_future.abort();
        assert!(in_future.await.unwrap_err().is_cancelled());
        drop(in_output);
    });
    assert_eq!((reports.get(), dropped.times()), (3, 3));
    drop(event_loop);
    assert_eq!((reports.get(), dropped.times()), (4, 4));
}

// IOL-X16, P6
#[test]
fn closing_a_loop_drops_each_task_once_also_those_that_destructors_spawn() {
    struct Spawns(u32, Guard);
    impl Drop for Spawns {
        fn drop(&mut self) {
            if self.0 > 0 {
                for _ in 0..3 {
                    let next = Spawns(self.0 - 1, self.1.0.guard());
                    drop(spawn(async move {
                        let _next = next;
                        pending::<()>().await;
                    }));
                    let kept = self.1.0.guard();
                    add_callback(move || drop(kept));
                    let kept = self.1.0.guard();
                    call_later(Duration::ZERO, move || drop(kept));
                }
            }
        }
    }
    let dropped = Dropped::new();
    let event_loop = EventLoop::new().unwrap();
    let first = Spawns(2, dropped.guard());
    drop(event_loop.spawn(async move {
        let _first = first;
        pending::<()>().await;
    }));
    event_loop.run_once(Some(Duration::ZERO)).unwrap();
    drop(event_loop);
    // 1 + 3 + 9 tasks, and a callback and a timer for each of the 12 that destructors spawned.
    assert_eq!(dropped.times(), 13 + 24);
}

// W14
#[test]
fn tasks_that_store_their_own_waker_are_freed_with_their_loop() {
    let dropped = Dropped::new();
    for _ in 0..100 {
        let event_loop = EventLoop::new().unwrap();
        let guard = dropped.guard();
        let own: Rc<RefCell<Option<Waker>>> = Rc::default();
        drop(event_loop.spawn(poll_fn(move |cx| {
            let _guard = &guard;
            *own.borrow_mut() = Some(cx.waker().clone());
            Poll::<()>::Pending
        })));
        event_loop.run_once(Some(Duration::ZERO)).unwrap();
    }
    assert_eq!(dropped.times(), 100);
}

// W6, W8
#[test]
fn wakes_from_another_thread_while_the_loop_ends_do_no_harm() {
    let dropped = Dropped::new();
    const ROUNDS: usize = 300;
    for _ in 0..ROUNDS {
        let event_loop = EventLoop::new().unwrap();
        let guard = dropped.guard();
        let place: Arc<Mutex<Option<Waker>>> = Arc::default();
        drop(event_loop.spawn({
            let place = place.clone();
            poll_fn(move |cx| {
                let _guard = &guard;
                *place.lock().unwrap() = Some(cx.waker().clone());
                Poll::<()>::Pending
            })
        }));
        event_loop.run_once(Some(Duration::ZERO)).unwrap();
        let waker = place.lock().unwrap().take().unwrap();
        let barrier = Arc::new(std::sync::Barrier::new(2));
        let other = {
            let barrier = barrier.clone();
            thread::spawn(move || {
                barrier.wait();
                waker.wake_by_ref();
                waker.wake();
            })
        };
        barrier.wait();
        drop(event_loop);
        other.join().unwrap();
    }
    assert_eq!(dropped.times(), ROUNDS);
}

// W13
#[test]
fn wakers_and_destructors_may_call_back_into_the_loop() {
    struct Spawner;
    impl Wake for Spawner {
        fn wake(self: Arc<Self>) {
            drop(spawn(async {}));
            call_later(Duration::ZERO, || {});
        }
    }
    block_on(async {
        let waker = Waker::from(Arc::new(Spawner));
        let mut task = spawn(yield_now());
        let mut nap = pin!(sleep(Duration::ZERO));
        let mut cx = Context::from_waker(&waker);
        assert!(Pin::new(&mut task).poll(&mut cx).is_pending());
        assert!(nap.as_mut().poll(&mut cx).is_pending());
        sleep(Duration::from_millis(1)).await;
        assert!(task.is_finished());
    });
}

// FUT-17, FUT-18, FUT-19
#[test]
fn timeouts_return_outputs_end_late_futures_and_leave_no_timer() {
    block_on(async {
        assert!(timeout(Duration::from_millis(1), pending::<()>()).await.is_err());
        assert_eq!(timeout(Duration::from_secs(3600), async { 1 }).await, Ok(1));
        let late = timeout(Duration::ZERO, async {
            thread::sleep(Duration::from_millis(1));
            2
        });
        assert_eq!(late.await, Ok(2), "a ready future wins, however late");
        let slow = async {
            yield_now().await;
            3
        };
        assert_eq!(timeout(Duration::MAX, slow).await, Ok(3));
        assert_eq!(stats().live_timers, 0);
    });
}

// T1
#[test]
fn every_duration_and_every_instant_is_legal() {
    use std::time::Instant;
    block_on(async {
        for duration in [Duration::MAX, Duration::MAX / 2, Duration::from_secs(u64::MAX)] {
            let timer = call_later(duration, || panic!("never comes"));
            assert!(squall_executor::remove_timeout(timer));
            assert!(!squall_executor::remove_timeout(timer));
            assert!(timeout(Duration::from_micros(1), sleep(duration)).await.is_err());
        }
        squall_executor::call_at(Instant::now() - Duration::from_millis(1), || {});
        sleep(Duration::ZERO).await;
    });
}

#[test]
fn a_sleep_that_is_reset_ends_at_its_last_deadline() {
    use std::time::Instant;
    block_on(async {
        let begin = Instant::now();
        let mut nap = pin!(sleep(Duration::from_millis(1)));
        let deadline = begin + Duration::from_millis(4);
        let _ = futures_lite::future::poll_once(nap.as_mut()).await;
        nap.as_mut().get_mut().reset(deadline);
        nap.as_mut().await;
        assert!(Instant::now() >= deadline);
        nap.as_mut().get_mut().reset(Instant::now() + Duration::from_millis(1));
        nap.await;
        assert_eq!(stats().live_timers, 0);
    });
}

// P9
#[test]
fn deep_chains_of_tasks_need_no_deep_stack() {
    fn chain(depth: u32) -> Pin<Box<dyn Future<Output = u32>>> {
        Box::pin(
            async move { if depth == 0 { 0 } else { spawn(chain(depth - 1)).await.unwrap() + 1 } },
        )
    }
    let small = thread::Builder::new().stack_size(256 * 1024);
    let depth = small.spawn(|| block_on(chain(100_000))).unwrap().join().unwrap();
    assert_eq!(depth, 100_000);
}
