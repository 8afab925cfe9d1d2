//! The loop: order, turns, stop, panics, and what other threads can do.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use squall_executor::fault::{self, Call};
use squall_executor::{
    Clock, EventLoop, Interest, LoopClosed, RunError, add_callback, block_on, call_later, sleep,
    spawn, stats, stop, wake_in_next_turn, yield_now,
};

const AT_ONCE: Option<Duration> = Some(Duration::ZERO);

/// A list that callbacks write to.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn add(&self, text: impl ToString) {
        self.0.borrow_mut().push(text.to_string());
    }

    fn taken(&self) -> Vec<String> {
        self.0.take()
    }
}

// IOL-X2
#[test]
fn callbacks_run_in_the_order_added_and_what_they_add_runs_in_the_next_batch() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    for n in 0..3 {
        let log = log.clone();
        event_loop.add_callback(move || {
            log.add(n);
            let log = log.clone();
            add_callback(move || log.add(n + 10));
        });
    }
    event_loop.add_callback(|| add_callback(|| add_callback(stop)));
    event_loop.run().unwrap();
    assert_eq!(log.taken(), ["0", "1", "2", "10", "11", "12"]);
}

// S2, S5
#[test]
fn neither_a_callback_that_adds_itself_nor_a_timer_of_zero_starves_the_others() {
    fn again(count: Rc<Cell<u64>>) {
        count.set(count.get() + 1);
        add_callback(move || again(count));
    }
    fn rearm(count: Rc<Cell<u64>>) {
        count.set(count.get() + 1);
        call_later(Duration::ZERO, move || rearm(count));
    }
    let (callbacks, timers) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let event_loop = EventLoop::new().unwrap();
    let (mut a, b) = UnixStream::pair().unwrap();
    std::io::Write::write_all(&mut a, b"x").unwrap();
    let _entered = event_loop.enter();
    again(callbacks.clone());
    rearm(timers.clone());
    let handler = squall_executor::add_handler(b, Interest::READABLE, |_, _| stop());
    handler.unwrap();
    event_loop.run().unwrap();
    assert!(callbacks.get() <= 4 * 61, "{} callbacks before the descriptor", callbacks.get());
    assert!((1..=4).contains(&timers.get()), "{} timers, one a turn", timers.get());
}

/// Registers a descriptor that never becomes ready, so that the loop has a reason to ask the
/// kernel.
fn watch_a_quiet_descriptor(event_loop: &EventLoop) -> UnixStream {
    let (quiet, peer) = UnixStream::pair().unwrap();
    event_loop.add_handler(quiet, Interest::READABLE, |_, _| unreachable!()).unwrap();
    peer
}

#[test]
fn a_large_batch_asks_the_kernel_every_sixty_one_entries() {
    let event_loop = EventLoop::new().unwrap();
    let _peer = watch_a_quiet_descriptor(&event_loop);
    for _ in 0..610 {
        event_loop.add_callback(|| {});
    }
    assert_eq!(event_loop.run_once(AT_ONCE).unwrap(), 610);
    let stats = event_loop.stats();
    assert_eq!((stats.turns, stats.waits), (1, 10));
}

#[test]
fn a_busy_loop_that_watches_no_descriptor_makes_no_system_call() {
    let event_loop = EventLoop::new().unwrap();
    for _ in 0..610 {
        event_loop.add_callback(|| {});
    }
    event_loop.add_callback(stop);
    event_loop.run().unwrap();
    assert_eq!((event_loop.stats().callbacks, event_loop.stats().waits), (611, 0));
}

#[test]
fn a_turn_runs_batches_until_sixty_one_entries_ran() {
    let event_loop = EventLoop::new().unwrap();
    let _peer = watch_a_quiet_descriptor(&event_loop);
    event_loop.spawn(async {
        loop {
            yield_now().await;
        }
    });
    for _ in 0..10 {
        event_loop.run_once(AT_ONCE).unwrap();
    }
    let stats = event_loop.stats();
    assert_eq!((stats.turns, stats.waits, stats.polls), (10, 10, 610));
}

// IOL-X6
#[test]
fn a_stop_before_the_run_lets_it_return_at_once_and_the_next_run_is_normal() {
    let event_loop = EventLoop::new().unwrap();
    let ran = Rc::new(Cell::new(false));
    event_loop.stop();
    event_loop.add_callback({
        let ran = ran.clone();
        move || {
            ran.set(true);
            stop();
        }
    });
    event_loop.run().unwrap();
    assert!(!ran.get());
    event_loop.run().unwrap();
    assert!(ran.get());
}

// P8; TORNADO 2.1.11
#[test]
fn stop_lets_the_batch_finish_and_keeps_what_it_added() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    for n in 0..10 {
        let log = log.clone();
        event_loop.add_callback(move || {
            log.add(n);
            stop();
            add_callback(move || log.add(n + 10));
        });
    }
    event_loop.run().unwrap();
    assert_eq!(log.taken(), (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
    event_loop.add_callback(stop);
    event_loop.run().unwrap();
    assert_eq!(log.taken(), (10..20).map(|n| n.to_string()).collect::<Vec<_>>());
}

// P4, IOL-24
#[test]
fn a_loop_inside_a_running_loop_is_refused_and_the_outer_one_goes_on() {
    let event_loop = EventLoop::new().unwrap();
    let value = event_loop.block_on(async {
        let inner = EventLoop::new().unwrap();
        assert!(matches!(inner.run(), Err(RunError::AlreadyRunning)));
        assert!(matches!(inner.run_once(AT_ONCE), Err(RunError::AlreadyRunning)));
        assert!(matches!(inner.run_sync(async {}, None), Err(RunError::AlreadyRunning)));
        let panic = std::panic::catch_unwind(|| block_on(async {})).unwrap_err();
        let text = panic.downcast_ref::<&str>().copied().unwrap_or_default();
        assert!(text.contains("await the future, or spawn it"), "{text}");
        sleep(Duration::from_micros(1)).await;
        7
    });
    assert_eq!(value, 7);
    assert_eq!(event_loop.block_on(async { 8 }), 8);
}

#[test]
fn a_call_without_a_loop_panics_with_advice() {
    let panic = std::panic::catch_unwind(|| add_callback(|| {})).unwrap_err();
    let text = panic.downcast_ref::<&str>().copied().unwrap_or_default();
    assert!(text.contains("no event loop on this thread"), "{text}");
}

// P1, IOL-20, IOL-21
#[test]
fn a_panic_in_a_callback_timer_or_task_is_reported_once_and_the_loop_goes_on() {
    let reports = Rc::new(RefCell::new(Vec::new()));
    let hook = {
        let reports = reports.clone();
        move |payload: &(dyn std::any::Any + Send)| {
            reports.borrow_mut().push(payload.downcast_ref::<&str>().copied().unwrap_or("?"));
        }
    };
    let event_loop = EventLoop::builder().on_panic(hook).build().unwrap();
    event_loop.add_callback(|| panic!("callback"));
    event_loop.call_later(Duration::ZERO, || panic!("timer"));
    drop(event_loop.spawn(async { panic!("task") }));
    let watched = event_loop.spawn(async { panic!("watched") });
    event_loop.block_on(async {
        sleep(Duration::from_millis(1)).await;
        assert!(watched.await.unwrap_err().is_panic());
    });
    assert_eq!(*reports.borrow(), ["callback", "task", "timer"]);
}

#[test]
fn block_on_passes_the_panic_of_its_future_on_and_the_loop_stays_usable() {
    let event_loop = EventLoop::new().unwrap();
    let run = std::panic::AssertUnwindSafe(|| event_loop.block_on(async { panic!("mine") }));
    assert!(std::panic::catch_unwind(run).is_err());
    assert_eq!(event_loop.block_on(async { 1 }), 1);
}

#[test]
fn block_on_takes_a_future_that_borrows_and_ignores_stop() {
    let text = String::from("borrowed");
    let event_loop = EventLoop::new().unwrap();
    let length = event_loop.block_on(async {
        stop();
        yield_now().await;
        text.len()
    });
    assert_eq!(length, 8);
}

// IOL-29, IOL-30, IOL-31
#[test]
fn run_sync_returns_values_and_errors_from_before_and_after_an_await() {
    let event_loop = EventLoop::new().unwrap();
    let before = event_loop.run_sync(async { Err::<(), _>("early") }, None).unwrap();
    assert_eq!(before, Err("early"));
    let after = async {
        yield_now().await;
        Ok::<_, ()>(42)
    };
    assert_eq!(event_loop.run_sync(after, Some(Duration::from_secs(10))).unwrap(), Ok(42));
}

// IOL-32
#[test]
fn run_sync_that_times_out_drops_its_future_and_leaves_nothing() {
    let event_loop = EventLoop::new().unwrap();
    let alive = Rc::new(());
    let future = {
        let alive = alive.clone();
        async move {
            let _alive = alive;
            sleep(Duration::from_secs(100)).await;
        }
    };
    let limit = Some(Duration::from_millis(1));
    assert!(matches!(event_loop.run_sync(future, limit), Err(RunError::TimedOut)));
    assert_eq!(Rc::strong_count(&alive), 1);
    assert_eq!(event_loop.stats().live_timers, 0);
    event_loop.add_callback(stop);
    let stopped = event_loop.run_sync(sleep(Duration::MAX), None);
    assert!(matches!(stopped, Err(RunError::Stopped)));
}

#[test]
fn a_stale_waker_of_one_block_on_never_polls_the_next_root() {
    let event_loop = EventLoop::new().unwrap();
    let stale = event_loop.block_on(poll_fn(|cx| Poll::Ready(cx.waker().clone())));
    let mut polls = 0;
    event_loop.block_on(poll_fn(|cx| {
        polls += 1;
        if polls == 1 {
            stale.wake_by_ref();
            let waker = cx.waker().clone();
            call_later(Duration::from_millis(2), move || waker.wake());
            return Poll::Pending;
        }
        Poll::Ready(())
    }));
    assert_eq!(polls, 2);
}

// IOL-03, IOL-08
#[test]
fn another_thread_wakes_a_sleeping_loop_and_stops_it() {
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let thread = std::thread::spawn(move || handle.stop());
    event_loop.run().unwrap(); // without a wake-up it would sleep for ever
    thread.join().unwrap();
}

// IOL-X13, W1
#[test]
fn eight_threads_lose_no_message_keep_their_order_and_share_wake_ups() {
    const EACH: usize = 10_000;
    let event_loop = EventLoop::new().unwrap();
    let (sender, receiver) = mpsc::channel();
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let (handle, sender) = (event_loop.handle(), sender.clone());
            std::thread::spawn(move || {
                for n in 0..EACH {
                    let sender = sender.clone();
                    handle.add_callback(move || sender.send((thread, n)).unwrap()).unwrap();
                }
            })
        })
        .collect();
    let mut next = [0; 8];
    let mut left = 8 * EACH;
    event_loop.block_on(async {
        while left > 0 {
            for (thread, n) in receiver.try_iter() {
                assert_eq!(n, next[thread]);
                next[thread] += 1;
                left -= 1;
            }
            sleep(Duration::from_micros(100)).await;
        }
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let stats = event_loop.stats();
    assert_eq!(stats.messages, 8 * EACH as u64);
    assert!(stats.wakeups_written < stats.messages);
}

#[test]
fn a_message_to_an_awake_loop_writes_no_eventfd() {
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    event_loop.block_on(async move {
        let before = stats().wakeups_written;
        // The loop is inside this poll, hence awake, while the other thread sends.
        std::thread::spawn(move || {
            for _ in 0..100 {
                handle.add_callback(|| {}).unwrap();
            }
        })
        .join()
        .unwrap();
        yield_now().await;
        assert_eq!(stats().wakeups_written, before);
    });
}

// S3
#[test]
fn messages_are_taken_in_bounded_portions() {
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    for _ in 0..3000 {
        handle.add_callback(|| {}).unwrap();
    }
    event_loop.run_once(AT_ONCE).unwrap();
    assert_eq!(event_loop.stats().messages, 1024);
    while event_loop.run_once(AT_ONCE).unwrap() > 0 {}
    assert_eq!(event_loop.stats().callbacks, 3000);
}

#[test]
fn a_handle_spawns_a_future_that_is_not_send_and_brings_its_output_back() {
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let thread = std::thread::spawn(move || {
        let task = handle.spawn(async || {
            let local = Rc::new(20);
            sleep(Duration::from_millis(1)).await;
            *local + 1
        });
        let output = block_on(task.unwrap()).unwrap();
        let failed = handle.spawn(async || panic!("remote")).unwrap();
        assert!(block_on(failed).unwrap_err().is_panic());
        handle.stop();
        output
    });
    event_loop.run().unwrap();
    assert_eq!(thread.join().unwrap(), 21);
}

#[test]
fn a_closed_loop_refuses_messages_and_its_tasks_handles_return_cancelled() {
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let remote = handle.spawn(async || std::future::pending::<()>().await).unwrap();
    let local = event_loop.spawn(std::future::pending::<()>());
    drop(event_loop);
    assert!(handle.is_closed());
    assert_eq!(handle.add_callback(|| {}), Err(LoopClosed));
    assert!(handle.spawn(async || {}).is_err());
    assert!(block_on(remote).unwrap_err().is_cancelled());
    assert!(block_on(local).unwrap_err().is_cancelled());
}

// IOL-23
#[test]
fn loops_on_two_threads_do_not_interfere() {
    let threads = [1, 2].map(|_| {
        std::thread::spawn(|| {
            for _ in 0..10 {
                block_on(async { spawn(yield_now()).await.unwrap() });
            }
        })
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn entered_loops_nest_and_guards_may_be_dropped_in_any_order() {
    let (a, b) = (EventLoop::new().unwrap(), EventLoop::new().unwrap());
    let in_a = a.enter();
    let in_b = b.enter();
    add_callback(|| {});
    drop(in_a);
    add_callback(|| {});
    drop(in_b);
    assert_eq!((a.run_once(AT_ONCE).unwrap(), b.run_once(AT_ONCE).unwrap()), (0, 2));
    let none_is_left = std::panic::catch_unwind(|| add_callback(|| {})).is_err();
    assert!(none_is_left);
    let (in_b, in_a) = (b.enter(), a.enter());
    drop(in_b);
    add_callback(|| {});
    drop(in_a);
    assert_eq!((a.run_once(AT_ONCE).unwrap(), b.run_once(AT_ONCE).unwrap()), (1, 0));
}

#[test]
fn an_hour_passes_in_no_time_on_a_manual_clock() {
    let clock = Clock::manual();
    let event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
    let log = Log::default();
    for minutes in [60, 10, 30] {
        let log = log.clone();
        event_loop.call_later(Duration::from_secs(minutes * 60), move || log.add(minutes));
    }
    for _ in 0..60 {
        clock.advance(Duration::from_secs(60));
        event_loop.run_once(AT_ONCE).unwrap();
    }
    assert_eq!(log.taken(), ["10", "30", "60"]);
}

// IOL-X14, R10, T9
#[test]
fn an_interrupted_sleep_loses_no_timer_and_fires_none_early() {
    if !fault::ACTIVE {
        return eprintln!("skipped: faults are injected in debug builds only");
    }
    let begin = Instant::now();
    fault::inject(Call::EpollPwait2, 0, 5, 4 /* EINTR */);
    block_on(sleep(Duration::from_millis(3)));
    assert!(begin.elapsed() >= Duration::from_millis(3));
}

// R13
#[test]
fn a_loop_that_cannot_be_made_is_an_error() {
    if !fault::ACTIVE {
        return eprintln!("skipped: faults are injected in debug builds only");
    }
    for call in [Call::EpollCreate, Call::EventfdCreate, Call::EpollAdd] {
        fault::inject(call, 0, 1, 24 /* EMFILE */);
        assert_eq!(EventLoop::new().unwrap_err().raw_os_error(), Some(24));
    }
}

#[test]
fn a_loop_can_be_embedded_by_its_descriptor_and_deadline() {
    let event_loop = EventLoop::new().unwrap();
    assert_eq!(event_loop.next_deadline(), None);
    let readable =
        || squall_reactor::is_ready(std::os::fd::AsFd::as_fd(&event_loop), Interest::READABLE);
    assert!(!readable().unwrap());
    let handle = event_loop.handle();
    std::thread::spawn(move || handle.add_callback(|| {}).unwrap()).join().unwrap();
    assert!(
        readable().unwrap(),
        "a message to a loop that does not run makes its descriptor readable"
    );
    assert!(event_loop.next_deadline().unwrap() <= Instant::now());
    event_loop.run_once(AT_ONCE).unwrap();
    assert_eq!(event_loop.run_once(AT_ONCE).unwrap(), 1);
    event_loop.call_later(Duration::from_secs(5), || {});
    let left = event_loop.next_deadline().unwrap() - Instant::now();
    assert!(left <= Duration::from_secs(5) && left > Duration::from_secs(3));
}

// S4: a stream does this once it has used up its byte budget for the turn
#[test]
fn a_task_that_waits_for_the_next_turn_is_polled_once_a_turn_and_prevents_sleep() {
    block_on(async {
        let before = stats();
        for round in 1..=10 {
            let mut has_waited = false;
            poll_fn(|cx| {
                if std::mem::replace(&mut has_waited, true) {
                    return Poll::Ready(());
                }
                wake_in_next_turn(cx.waker());
                Poll::Pending
            })
            .await;
            let now = stats();
            assert_eq!((now.turns - before.turns, now.polls - before.polls), (round, round));
        }
    });
    wake_in_next_turn(Waker::noop()); // without a loop, wakes at once
}
