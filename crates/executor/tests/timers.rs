//! Timers, intervals and periodic callbacks, on a clock that the tests drive.

use std::cell::{Cell, RefCell};
use std::future::Future as _;
use std::future::pending;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use squall_executor::future::Future;
use squall_executor::{
    Clock, EventLoop, Interest, Interval, PeriodicCallback, RunError, Sleep, add_callback, call_at,
    call_later, interval, remove_timeout, sleep, sleep_until, spawn, stats, timeout, timeout_at,
};

const AT_ONCE: Option<Duration> = Some(Duration::ZERO);
const SECOND: Duration = Duration::from_secs(1);

/// A loop on a clock that the test moves.
struct TestLoop {
    event_loop: EventLoop,
    clock: Clock,
    begin: Instant,
}

impl TestLoop {
    fn new() -> TestLoop {
        let clock = Clock::manual();
        let event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
        TestLoop { event_loop, begin: clock.now(), clock }
    }

    /// Runs everything that is ready or due.
    fn settle(&self) {
        while self.event_loop.run_once(AT_ONCE).unwrap() > 0 {}
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.settle();
    }

    /// A sleep on this loop's clock.
    fn sleep(&self, duration: Duration) -> Sleep {
        let _entered = self.event_loop.enter();
        sleep(duration)
    }

    fn millis(&self, time: Instant) -> u128 {
        time.duration_since(self.begin).as_millis()
    }
}

/// A counter that callbacks share.
#[derive(Clone, Default)]
struct Count(Rc<Cell<u32>>);

impl Count {
    fn add(&self) {
        self.0.set(self.0.get() + 1);
    }

    fn next(&self) -> u32 {
        self.add();
        self.get()
    }

    fn get(&self) -> u32 {
        self.0.get()
    }
}

// IOL-02
#[test]
fn a_callback_that_a_timer_adds_does_not_wait_for_the_next_timer() {
    let test = TestLoop::new();
    let count = Count::default();
    test.event_loop.call_later(3600 * SECOND, || unreachable!());
    test.event_loop.call_later(Duration::ZERO, {
        let count = count.clone();
        move || add_callback(move || count.add())
    });
    test.settle();
    assert_eq!(count.get(), 1);
}

// IOL-14, IOL-15
#[test]
fn every_way_to_arm_a_timer_runs_its_callback_with_what_it_captured_unless_it_is_removed() {
    let test = TestLoop::new();
    let _entered = test.event_loop.enter();
    let log = Rc::new(RefCell::new(Vec::new()));
    let entry = |text: &'static str| {
        let log = log.clone();
        move || log.borrow_mut().push(text)
    };
    call_later(2 * SECOND, entry("later"));
    call_later(Duration::ZERO, entry("zero"));
    call_at(test.begin + SECOND, entry("at"));
    call_at(test.begin, entry("past"));
    let removed = [call_later(SECOND, entry("a")), call_at(test.begin + SECOND, entry("b"))];
    assert!(removed.into_iter().all(remove_timeout));
    assert!(!removed.into_iter().any(remove_timeout));
    test.advance(3 * SECOND);
    assert_eq!(*log.borrow(), ["zero", "past", "at", "later"]);
}

// T6
#[test]
fn a_delay_counts_from_the_call_and_not_from_the_beginning_of_a_long_turn() {
    let test = TestLoop::new();
    let count = Count::default();
    let clock = test.clock.clone();
    test.event_loop.add_callback({
        let count = count.clone();
        move || {
            clock.advance(Duration::from_millis(200)); // the callback takes this long
            call_later(Duration::from_millis(50), move || count.add());
        }
    });
    test.settle();
    test.advance(Duration::from_millis(49));
    assert_eq!(count.get(), 0);
    test.advance(Duration::from_millis(1));
    assert_eq!(count.get(), 1);
}

// T8
#[test]
fn a_timer_that_is_due_runs_although_the_clock_stands_still() {
    let test = TestLoop::new();
    let count = Count::default();
    let again = count.clone();
    test.event_loop.call_at(test.begin, move || again.add());
    assert_eq!(test.event_loop.run_once(AT_ONCE).unwrap(), 1);
    assert_eq!((count.get(), test.event_loop.stats().turns), (1, 1));
}

// T1
#[test]
fn the_longest_times_are_legal_everywhere_and_never_come() {
    let test = TestLoop::new();
    let _entered = test.event_loop.enter();
    for forever in [Duration::MAX, Duration::MAX / 2, Duration::from_secs(u64::MAX / 4)] {
        call_later(forever, || unreachable!());
        drop(spawn(sleep(forever)));
        drop(spawn(timeout(forever, pending::<()>())));
        drop(spawn(async move { interval(forever).tick().await }));
        PeriodicCallback::new(forever, || unreachable!()).jitter(1.0).start();
    }
    test.advance(Duration::from_secs(3600 * 24 * 365 * 100));
    let stats = test.event_loop.stats();
    assert_eq!((stats.live_timers, stats.timers_fired, stats.live_tasks), (15, 0, 9));
    let far = test.begin + Duration::from_secs(3600 * 24 * 365 * 200);
    drop((spawn(sleep_until(far)), spawn(timeout_at(far, pending::<()>()))));
    test.settle();
    assert_eq!(test.event_loop.stats().live_timers, 17);
}

#[test]
fn a_million_cancelled_timers_leave_no_deadline_behind() {
    let test = TestLoop::new();
    for round in 0..4 {
        let timers: Vec<_> = (0..250_000)
            .map(|n| test.event_loop.call_later(SECOND * (n % 1000 + 1), || unreachable!()))
            .collect();
        assert_eq!(test.event_loop.stats().live_timers, 250_000, "round {round}");
        for timer in timers {
            assert!(test.event_loop.remove_timeout(timer));
        }
        assert_eq!(test.event_loop.next_deadline(), None);
    }
    test.advance(2000 * SECOND);
    assert_eq!(test.event_loop.stats().timers_fired, 0);
}

#[test]
fn a_sleep_that_is_reset_into_the_past_ends_in_the_next_turn_and_leaves_no_timer() {
    let test = TestLoop::new();
    test.advance(SECOND);
    let past = test.begin;
    let task = test.event_loop.spawn(async move {
        let mut sleep = sleep(SECOND);
        let polled = std::future::poll_fn(|cx| Poll::Ready(pin!(&mut sleep).poll(cx))).await;
        assert!(polled.is_pending());
        sleep.reset(past);
        (&mut sleep).await;
        assert_eq!(stats().live_timers, 0);
    });
    test.settle();
    assert!(task.is_finished());
}

#[test]
fn a_sleep_that_is_reset_into_the_past_from_outside_still_wakes_its_task() {
    let test = TestLoop::new();
    let timer = Rc::new(RefCell::new(test.sleep(60 * SECOND)));
    let task = test.event_loop.spawn({
        let timer = timer.clone();
        std::future::poll_fn(move |cx| pin!(&mut *timer.borrow_mut()).poll(cx))
    });
    test.advance(SECOND);
    timer.borrow_mut().reset(test.begin);
    test.settle();
    assert!(task.is_finished(), "its wake-up was lost");
}

#[test]
fn reset_after_counts_from_now_in_every_state_of_a_sleep() {
    let test = TestLoop::new();
    let outcome = Rc::new(Cell::new(0));
    let ends = outcome.clone();
    test.event_loop.spawn(async move {
        let begin = squall_executor::now();
        let mut nap = sleep(60 * SECOND);
        nap.reset_after(SECOND); // before the first poll
        (&mut nap).await;
        nap.reset_after(2 * SECOND); // after it has ended
        let polled = std::future::poll_fn(|cx| Poll::Ready(pin!(&mut nap).poll(cx))).await;
        assert!(polled.is_pending());
        sleep(SECOND).await;
        nap.reset_after(5 * SECOND); // while it is armed
        nap.await;
        assert_eq!(squall_executor::now() - begin, 7 * SECOND);
        let mut never = sleep(Duration::ZERO);
        never.reset_after(Duration::MAX);
        ends.set(1);
        never.await;
        ends.set(2);
    });
    for _ in 0..7 {
        test.settle();
        assert_eq!(outcome.get(), 0);
        test.advance(SECOND);
    }
    test.settle();
    test.advance(1000 * SECOND);
    test.settle();
    assert_eq!(outcome.get(), 1);
}

#[test]
fn a_sleep_tells_its_deadline_in_every_state() {
    let test = TestLoop::new();
    let outcome = Rc::new(Cell::new(false));
    let ends = outcome.clone();
    let begin = test.begin;
    test.event_loop.spawn(async move {
        let mut nap = sleep(SECOND);
        assert_eq!(nap.deadline(), Some(begin + SECOND)); // before the first poll
        (&mut nap).await;
        assert_eq!(nap.deadline(), Some(begin + SECOND)); // after the end
        nap.reset(begin + 3 * SECOND);
        assert_eq!(nap.deadline(), Some(begin + 3 * SECOND));
        assert!(std::future::poll_fn(|cx| Poll::Ready(pin!(&mut nap).poll(cx))).await.is_pending());
        nap.reset_after(SECOND); // while it is armed
        assert_eq!(nap.deadline(), Some(begin + 2 * SECOND));
        nap.reset_after(Duration::MAX);
        assert_eq!(nap.deadline(), None);
        ends.set(true);
    });
    test.settle();
    test.advance(SECOND);
    test.settle();
    assert!(outcome.get());
    assert_eq!(sleep(SECOND).deadline(), None); // no loop, so its clock is not known
}

#[test]
fn a_sleep_whose_first_poll_has_no_loop_waits_its_whole_time_later() {
    let mut nap = Box::pin(sleep(60 * SECOND));
    let poll = || nap.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(poll)).is_err());
    let limited = squall_executor::block_on(timeout(Duration::from_millis(1), nap));
    assert!(limited.is_err(), "the sleep has ended early");
}

#[test]
fn reset_after_counts_on_the_clock_of_the_loop_that_is_entered() {
    let (test, other) = (TestLoop::new(), EventLoop::new().unwrap());
    let mut nap = test.sleep(SECOND);
    let waker = Waker::noop();
    {
        let _entered = test.event_loop.enter();
        assert!(pin!(&mut nap).poll(&mut Context::from_waker(waker)).is_pending());
    }
    test.advance(3600 * SECOND);
    other.block_on(async {
        nap.reset_after(Duration::from_millis(1));
        timeout(20 * SECOND, nap).await.expect("it counted on the clock of the first loop");
    });
}

// T4
#[test]
fn a_sleep_that_is_moved_while_it_is_due_has_not_fired_and_is_removed_with_its_drop() {
    for new in [15, 22] {
        let test = TestLoop::new();
        let timer = Rc::new(RefCell::new(Box::pin(test.sleep(20 * SECOND))));
        let cx = &mut Context::from_waker(Waker::noop());
        let entered = test.event_loop.enter();
        assert!(timer.borrow_mut().as_mut().poll(cx).is_pending());
        test.event_loop.call_later(10 * SECOND, {
            let (timer, begin) = (timer.clone(), test.begin);
            move || timer.borrow_mut().reset(begin + SECOND * new)
        });
        test.clock.advance(25 * SECOND);
        // Runs the callback; the sleep waits for the next turn.
        test.event_loop.run_once(AT_ONCE).unwrap();
        assert_eq!(test.event_loop.stats().timers_fired, 1);
        drop(timer);
        assert_eq!(test.event_loop.stats().live_timers, 0);
        drop(entered);
    }
}

#[test]
fn the_limit_of_run_sync_counts_from_the_call() {
    let test = TestLoop::new();
    let clock = test.clock.clone();
    test.event_loop.add_callback(move || clock.advance(10 * SECOND));
    let late = test.event_loop.run_sync(pending::<()>(), Some(10 * SECOND));
    assert!(matches!(late, Err(RunError::TimedOut)));
}

#[test]
fn the_kernel_is_asked_between_many_timers_that_are_due_at_once() {
    let test = TestLoop::new();
    let (quiet, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
    test.event_loop.add_handler(quiet, Interest::READABLE, |_, _| unreachable!()).unwrap();
    for _ in 0..610 {
        test.event_loop.call_later(SECOND, || {});
    }
    test.clock.advance(SECOND);
    assert_eq!(test.event_loop.run_once(AT_ONCE).unwrap(), 610);
    assert_eq!(test.event_loop.stats().waits, 10);
}

#[test]
fn many_short_runs_keep_neither_timers_nor_messages_waiting() {
    let test = TestLoop::new();
    let (timers, messages) = (Count::default(), std::sync::Arc::new(()));
    let timer = timers.clone();
    test.event_loop.call_later(Duration::ZERO, move || timer.add());
    let (handle, message) = (test.event_loop.handle(), messages.clone());
    std::thread::spawn(move || handle.add_callback(move || drop(message))).join().unwrap().unwrap();
    for _ in 0..100 {
        test.event_loop.block_on(async {});
    }
    assert_eq!((timers.get(), std::sync::Arc::strong_count(&messages)), (1, 1));
}

// T7
#[test]
fn an_interval_ticks_on_its_grid_and_skips_what_was_missed() {
    let test = TestLoop::new();
    let ticks = Rc::new(RefCell::new(Vec::new()));
    drop(test.event_loop.spawn({
        let ticks = ticks.clone();
        async move {
            let mut interval = interval(Duration::from_millis(10));
            loop {
                let tick = interval.tick().await;
                ticks.borrow_mut().push(tick);
            }
        }
    }));
    test.settle();
    for pause in [9, 1, 10, 5, 4, 1, 5000, 3, 7, 10] {
        test.advance(Duration::from_millis(pause));
    }
    let ticks: Vec<_> = ticks.borrow().iter().map(|tick| test.millis(*tick)).collect();
    assert_eq!(
        ticks,
        [10, 20, 30, 40, 5040, 5050],
        "one tick for the five seconds that were missed"
    );
}

#[test]
fn a_tick_that_was_dropped_is_given_to_the_next_call() {
    let test = TestLoop::new();
    let _entered = test.event_loop.enter();
    let mut interval: Interval = interval(SECOND);
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(pin!(interval.tick()).poll(cx).is_pending());
    test.advance(SECOND);
    let Poll::Ready(tick) = pin!(interval.tick()).poll(cx) else { panic!("the tick is lost") };
    assert_eq!(test.millis(tick), 1000);
    assert!(pin!(interval.tick()).poll(cx).is_pending());
    drop(interval);
    assert_eq!(test.event_loop.stats().live_timers, 0);
}

#[test]
fn an_interval_is_a_stream() {
    let test = TestLoop::new();
    let ticks = Count::default();
    drop(test.event_loop.spawn({
        let ticks = ticks.clone();
        async move {
            use futures_lite::StreamExt;
            interval(SECOND).take(3).for_each(|_| ticks.add()).await;
        }
    }));
    test.settle();
    (0..5).for_each(|_| test.advance(SECOND));
    assert_eq!((ticks.get(), test.event_loop.stats().live_tasks), (3, 0));
}

fn panic_text(f: impl FnOnce()) -> String {
    let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).unwrap_err();
    match payload.downcast_ref::<&str>() {
        Some(text) => (*text).to_owned(),
        None => payload.downcast_ref::<String>().cloned().unwrap_or_default(),
    }
}

// IOL-38
#[test]
fn a_period_of_zero_is_refused() {
    for text in [
        panic_text(|| drop(interval(Duration::ZERO))),
        panic_text(|| drop(PeriodicCallback::new(Duration::ZERO, || {}))),
        panic_text(|| drop(PeriodicCallback::new_async(Duration::ZERO, async || {}))),
    ] {
        assert!(text.contains("must be longer than zero"), "{text}");
    }
    let text = panic_text(|| drop(PeriodicCallback::new(SECOND, || {}).jitter(1.5)));
    assert!(text.contains("between 0 and 1, not 1.5"), "{text}");
}

// IOL-38
#[test]
fn a_periodic_callback_runs_from_start_to_stop_and_again_after_the_next_start() {
    let test = TestLoop::new();
    let _entered = test.event_loop.enter();
    let count = Count::default();
    let periodic = PeriodicCallback::new(Duration::from_millis(10), {
        let count = count.clone();
        move || count.add()
    });
    test.advance(SECOND);
    assert_eq!((count.get(), periodic.is_running()), (0, false));
    periodic.start();
    periodic.start(); // changes nothing
    test.advance(Duration::from_millis(9));
    assert_eq!(count.get(), 0, "the first call comes after one period");
    test.advance(Duration::from_millis(1));
    test.advance(Duration::from_millis(10));
    test.advance(Duration::from_millis(10));
    assert_eq!((count.get(), periodic.is_running()), (3, true));
    periodic.clone().stop();
    assert_eq!(test.event_loop.stats().live_timers, 0);
    test.advance(SECOND);
    assert_eq!((count.get(), periodic.is_running()), (3, false));
    periodic.start();
    test.advance(Duration::from_millis(10));
    assert_eq!(count.get(), 4);
}

#[test]
fn a_periodic_callback_may_stop_itself_and_a_panic_does_not_stop_it() {
    let test = TestLoop::new();
    let _entered = test.event_loop.enter();
    let count = Count::default();
    let own = Rc::new(RefCell::new(None::<PeriodicCallback>));
    let periodic = PeriodicCallback::new(SECOND, {
        let (count, own) = (count.clone(), own.clone());
        move || match count.next() {
            1 => panic!("on purpose"),
            2 => {}
            _ => own.borrow().as_ref().unwrap().stop(),
        }
    });
    *own.borrow_mut() = Some(periodic.clone());
    periodic.start();
    (0..9).for_each(|_| test.advance(SECOND));
    assert_eq!((count.get(), periodic.is_running()), (3, false));
    own.take();
}

#[test]
fn a_call_that_takes_too_long_is_followed_by_a_pause_and_not_by_a_burst() {
    let test = TestLoop::new();
    let _entered = test.event_loop.enter();
    let begins = Rc::new(RefCell::new(Vec::new()));
    let durations = [9, 10, 11, 35, 0];
    PeriodicCallback::new(10 * SECOND, {
        let (begins, clock, begin) = (begins.clone(), test.clock.clone(), test.begin);
        move || {
            let call = begins.borrow().len();
            begins.borrow_mut().push(clock.now().duration_since(begin).as_secs());
            clock.advance(SECOND * durations[call.min(4)]);
        }
    })
    .start();
    for _ in 0..300 {
        test.advance(SECOND / 2);
    }
    assert_eq!(begins.borrow()[..6], [10, 20, 40, 60, 100, 110]);
}

#[test]
fn async_calls_never_overlap_and_a_panic_in_one_does_not_end_them() {
    let test = TestLoop::new();
    let _entered = test.event_loop.enter();
    let (begun, ended) = (Count::default(), Count::default());
    let periodic = PeriodicCallback::new_async(SECOND, {
        let (begun, ended) = (begun.clone(), ended.clone());
        async move || {
            let call = begun.next();
            sleep(SECOND * 5 / 2).await;
            assert!(call != 2, "on purpose");
            ended.add();
        }
    });
    periodic.start();
    for _ in 0..40 {
        test.advance(SECOND / 4);
        assert!(begun.get() - ended.get() <= 1 + u32::from(begun.get() > 2));
    }
    // The calls: 1 s to 3.5 s; 4 s to 6.5 s, with a panic; 7 s to 9.5 s; and the fourth from 10 s.
    assert_eq!((begun.get(), ended.get()), (4, 2));
    periodic.stop();
    test.advance(10 * SECOND);
    assert_eq!((begun.get(), ended.get()), (4, 3), "a call that is under way runs to its end");
}

#[test]
fn a_restart_during_an_async_call_begins_no_second_one_beside_it() {
    let test = TestLoop::new();
    let _entered = test.event_loop.enter();
    let (begun, gate) = (Count::default(), Future::<()>::new());
    let periodic = PeriodicCallback::new_async(SECOND, {
        let (begun, gate) = (begun.clone(), gate.clone());
        async move || {
            begun.add();
            let _ = gate.ready().await;
        }
    });
    periodic.start();
    test.advance(SECOND);
    periodic.stop();
    periodic.start();
    (0..5).for_each(|_| test.advance(SECOND));
    assert_eq!(begun.get(), 1);
    gate.set_result(()).unwrap();
    test.settle();
    test.advance(SECOND);
    assert_eq!(begun.get(), 2, "the end of the first call schedules the next");
    periodic.stop();
    periodic.start();
    test.settle();
    periodic.stop();
    assert_eq!(test.event_loop.stats().live_timers, 0);
}

#[test]
fn jitter_of_a_half_moves_each_period_by_at_most_a_quarter() {
    let test = TestLoop::new();
    let _entered = test.event_loop.enter();
    let times = Rc::new(RefCell::new(vec![test.begin]));
    PeriodicCallback::new(Duration::from_millis(1000), {
        let (times, clock) = (times.clone(), test.clock.clone());
        move || times.borrow_mut().push(clock.now())
    })
    .jitter(0.5)
    .start();
    for _ in 0..20_000 {
        test.advance(Duration::from_millis(5));
    }
    let times = times.borrow();
    let gaps: Vec<_> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
    assert!((90..=110).contains(&gaps.len()), "{} calls in 100 s", gaps.len());
    assert!(gaps.iter().all(|gap| (745..=1255).contains(gap)), "{gaps:?}");
    assert!(gaps.iter().any(|gap| *gap < 950) && gaps.iter().any(|gap| *gap > 1050), "{gaps:?}");
}

#[test]
fn a_periodic_callback_is_dropped_with_its_loop_and_may_be_started_on_another() {
    let count = Count::default();
    let periodic = PeriodicCallback::new(SECOND, {
        let count = count.clone();
        move || count.add()
    });
    let first = TestLoop::new();
    {
        let _entered = first.event_loop.enter();
        periodic.start();
    }
    drop(first.event_loop);
    assert!(!periodic.is_running());
    let second = TestLoop::new();
    let _entered = second.event_loop.enter();
    periodic.start();
    second.advance(SECOND);
    assert_eq!(count.get(), 1);
    assert_eq!(Rc::strong_count(&count.0), 2);
    periodic.stop();
    drop(periodic);
    assert_eq!(Rc::strong_count(&count.0), 1, "the last handle drops the closure");
}

// T2
#[test]
fn a_short_sleep_costs_one_wait_and_is_not_rounded_to_milliseconds() {
    let event_loop = EventLoop::new().unwrap();
    let shortest = event_loop.block_on(async {
        let mut shortest = Duration::MAX;
        for _ in 0..1000 {
            let begin = Instant::now();
            sleep(Duration::from_micros(50)).await;
            shortest = shortest.min(begin.elapsed());
        }
        shortest
    });
    let waits = event_loop.stats().waits;
    assert!(waits <= 3 * 1000, "{waits} waits for 1000 timers");
    // A busy machine makes some sleeps long. Rounding would make even the shortest a millisecond.
    assert!(shortest < Duration::from_millis(1), "{shortest:?}");
}
