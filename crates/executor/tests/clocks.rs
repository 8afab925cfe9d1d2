//! Clocks that a test moves, by hand or by the loop itself.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use squall_executor::{
    AsyncFd, Clock, EventLoop, PeriodicCallback, call_later, interval, now, sleep, spawn,
    spawn_blocking, stop, timeout, yield_now,
};

const SECOND: Duration = Duration::from_secs(1);

fn loop_with(clock: &Clock) -> EventLoop {
    EventLoop::builder().clock(clock.clone()).build().unwrap()
}

/// Runs `test` on a loop with the clock.
fn on_a_loop_with<T>(clock: &Clock, test: impl Future<Output = T>) -> T {
    loop_with(clock).block_on(test)
}

fn panic_text(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("it must panic");
    *payload.downcast::<String>().expect("a formatted text")
}

#[test]
fn a_wait_that_nothing_can_end_on_a_manual_clock_panics_with_advice() {
    let advice = "call Clock::advance_and_settle in a task, or use Clock::auto_advancing()";
    let clock = Clock::manual();
    let event_loop = loop_with(&clock);
    let waits: [&dyn Fn(); 5] = [
        &|| event_loop.block_on(sleep(SECOND)),
        &|| drop(event_loop.run_sync(pending::<()>(), Some(SECOND))),
        &|| event_loop.block_on(async { spawn(sleep(SECOND)).await.unwrap() }),
        &|| assert!(event_loop.block_on(timeout(SECOND, pending::<()>())).is_ok()),
        &|| drop(event_loop.run()),
    ];
    for wait in waits {
        let text = panic_text(wait);
        assert!(text.contains(advice), "{text}");
    }
    assert_eq!(event_loop.block_on(async { 42 }), 42, "the loop can still be used");
}

#[test]
fn a_manual_clock_waits_for_everything_that_can_wake_the_loop() {
    on_a_loop_with(&Clock::manual(), async {
        let limited = timeout(SECOND, spawn_blocking(|| thread::sleep(Duration::from_millis(5))));
        limited.await.unwrap().unwrap();

        let (here, mut there) = UnixStream::pair().unwrap();
        let here = AsyncFd::new(here).unwrap();
        let writer = thread::spawn(move || {
            thread::sleep(Duration::from_millis(5));
            there.write_all(b"x").unwrap();
            there
        });
        timeout(SECOND, here.readable()).await.unwrap().unwrap();
        drop((here, writer.join().unwrap()));

        // The thread has only a waker, of the task that waits for the channel.
        let (sender, receiver) = async_channel::bounded(1);
        let thread = thread::spawn(move || {
            thread::sleep(Duration::from_millis(5));
            sender.send_blocking(7).unwrap();
        });
        assert_eq!(timeout(SECOND, receiver.recv()).await, Ok(Ok(7)));
        thread.join().unwrap();
    });
    let event_loop = loop_with(&Clock::manual());
    let handle = event_loop.handle();
    let thread = thread::spawn(move || {
        thread::sleep(Duration::from_millis(5));
        handle.add_callback(stop)
    });
    event_loop.run().unwrap();
    thread.join().unwrap().unwrap();
}

#[test]
fn a_sleep_that_was_made_without_a_loop_counts_on_the_clock_of_its_loop() {
    let clock = Clock::manual();
    let event_loop = loop_with(&clock);
    let made_outside = sleep(SECOND);
    let limited_outside = timeout(SECOND, pending::<()>());
    let mut ticks_outside = interval(SECOND);
    thread::sleep(Duration::from_millis(5));
    event_loop.block_on(async {
        let ended = Rc::new(RefCell::new(Vec::new()));
        let log = |name| {
            let ended = ended.clone();
            move || ended.borrow_mut().push(name)
        };
        let (slept, limited, ticked) = (log("sleep"), log("timeout"), log("tick"));
        spawn(async move {
            made_outside.await;
            slept();
        });
        spawn(async move {
            limited_outside.await.unwrap_err();
            limited();
        });
        spawn(async move {
            ticks_outside.tick().await;
            ticked();
        });
        yield_now().await;
        clock.advance_and_settle(SECOND - Duration::from_nanos(1)).await;
        assert!(ended.borrow().is_empty(), "{ended:?}");
        clock.advance_and_settle(Duration::from_nanos(1)).await;
        assert_eq!(*ended.borrow(), ["sleep", "timeout", "tick"]);
    });
}

#[test]
fn advance_and_settle_returns_when_what_was_due_has_run() {
    let clock = Clock::manual();
    on_a_loop_with(&clock, async {
        let steps = Rc::new(Cell::new(0));
        let step = {
            let steps = steps.clone();
            move || steps.set(steps.get() + 1)
        };
        let in_a_chain = step.clone();
        spawn(async move {
            sleep(SECOND).await;
            for _ in 0..100 {
                yield_now().await;
                in_a_chain();
            }
            // Due at once when it is armed, and armed by a task that was due.
            sleep(Duration::ZERO).await;
            in_a_chain();
        });
        call_later(SECOND, step.clone());
        call_later(2 * SECOND, || panic!("not due"));
        yield_now().await;
        clock.advance_and_settle(SECOND).await;
        assert_eq!(steps.get(), 102);
        // A task that never waits does not prevent the return.
        spawn(async {
            loop {
                yield_now().await;
            }
        });
        clock.advance_and_settle(Duration::ZERO).await;
    });
}

#[test]
fn only_the_clock_of_the_loop_settles_and_the_system_s_does_not_move() {
    let payload = catch_unwind(|| {
        on_a_loop_with(&Clock::manual(), async {
            Clock::manual().advance_and_settle(SECOND).await;
        })
    });
    let text_of_other = payload.unwrap_err().downcast::<&str>().unwrap();
    assert_eq!(*text_of_other, "the loop of this thread has another clock");
    let system = catch_unwind(|| Clock::system().advance(SECOND)).unwrap_err();
    assert!(system.downcast::<&str>().unwrap().contains("Clock::manual()"));
}

#[test]
fn an_auto_advancing_clock_jumps_from_timer_to_timer() {
    let clock = Clock::auto_advancing();
    let real = Instant::now();
    on_a_loop_with(&clock, async {
        let begin = now();
        let order = Rc::new(RefCell::new(Vec::new()));
        for hours in [3, 1, 2] {
            let order = order.clone();
            spawn(async move {
                sleep(3600 * hours * SECOND).await;
                order.borrow_mut().push((hours, (now() - begin).as_secs()));
            });
        }
        let calls = Rc::new(Cell::new(0));
        let counting = calls.clone();
        PeriodicCallback::new(600 * SECOND, move || counting.set(counting.get() + 1)).start();
        sleep(4 * 3600 * SECOND + SECOND).await;
        assert_eq!(*order.borrow(), [(1, 3600), (2, 7200), (3, 10800)]);
        assert_eq!(calls.get(), 24, "no call is skipped");
        assert!(timeout(SECOND, pending::<()>()).await.is_err());
    });
    assert!(real.elapsed() < Duration::from_secs(60));
}

#[test]
fn an_auto_advancing_clock_stands_still_while_a_blocking_job_runs() {
    let clock = Clock::auto_advancing();
    on_a_loop_with(&clock, async {
        let begin = now();
        let job = spawn_blocking(|| thread::sleep(Duration::from_millis(20)));
        timeout(SECOND, job).await.expect("the clock stands still").unwrap();
        assert_eq!(now(), begin);
        sleep(SECOND).await;
        assert_eq!(now(), begin + SECOND, "and jumps again afterwards");
    });
}

#[test]
fn an_auto_advancing_clock_lets_ready_descriptors_and_messages_go_first() {
    let clock = Clock::auto_advancing();
    on_a_loop_with(&clock, async {
        let begin = now();
        let (here, mut there) = UnixStream::pair().unwrap();
        let here = AsyncFd::new(here).unwrap();
        for _ in 0..100 {
            let reads = spawn(async { yield_now().await });
            reads.await.unwrap();
            there.write_all(b"x").unwrap();
            let read = here.read_with(|mut io| std::io::Read::read(&mut io, &mut [0]));
            assert_eq!(timeout(SECOND, read).await.unwrap().unwrap(), 1);
        }
        assert_eq!(now(), begin);
        // Nothing is written: the limit passes at once.
        assert!(timeout(SECOND, here.readable()).await.is_err());
        assert_eq!(now(), begin + SECOND);
    });
    let event_loop = loop_with(&clock);
    event_loop.call_later(3600 * SECOND, || ());
    let before = clock.now();
    assert_eq!(event_loop.run_once(Some(SECOND)).unwrap(), 0);
    assert_eq!(clock.now(), before + SECOND, "run_once moves the clock by its own limit at most");
}

#[test]
fn now_is_the_time_of_the_loop_and_runs_ahead_of_turn_time() {
    let clock = Clock::manual();
    on_a_loop_with(&clock, async {
        assert_eq!(now(), clock.now());
        clock.advance(SECOND);
        assert_eq!(now(), squall_executor::turn_time() + SECOND);
    });
    let outside = now();
    assert!(outside.elapsed() < Duration::from_secs(60));
}

// The handle may send and be dropped between two looks at the inbox.
#[test]
fn a_message_of_a_handle_that_is_gone_by_now_wakes_a_loop_on_a_manual_clock() {
    for _ in 0..2000 {
        let event_loop = loop_with(&Clock::manual());
        let handle = event_loop.handle();
        let thread = thread::spawn(move || handle.add_callback(stop));
        event_loop.run().unwrap();
        thread.join().unwrap().unwrap();
    }
}
