//! What the loop reports about itself: counters, times, observers, slow callbacks, and dumps of what
//! is live.

use std::cell::RefCell;
use std::future::pending;
use std::mem::forget;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use squall_executor::{
    Builder, Clock, EventLoop, Interest, ObservedEntry, Observer, SlowCallback, Work, add_callback,
    add_handler, add_observer, call_later, remove_observer, sleep, spawn_named, stop, yield_now,
};

const AT_ONCE: Option<Duration> = Some(Duration::ZERO);
const MILLISECOND: Duration = Duration::from_millis(1);

/// Collects the reports of slow callbacks.
#[derive(Clone, Default)]
struct Reports(Rc<RefCell<Vec<SlowCallback>>>);

impl Reports {
    fn taken(&self) -> Vec<SlowCallback> {
        self.0.take()
    }
}

fn with_reports(builder: Builder, threshold: Duration) -> (EventLoop, Reports) {
    let reports = Reports::default();
    let hook = {
        let reports = reports.clone();
        move |slow: &SlowCallback| reports.0.borrow_mut().push(slow.clone())
    };
    (builder.slow_callback(threshold, hook).build().unwrap(), reports)
}

// S9
#[test]
fn an_entry_that_holds_the_loop_is_reported_with_the_line_that_made_it() {
    let clock = Clock::manual();
    let (event_loop, reports) =
        with_reports(EventLoop::builder().clock(clock.clone()), 10 * MILLISECOND);
    let work = |millis: u32| {
        let clock = clock.clone();
        move || clock.advance(MILLISECOND * millis)
    };
    let line = line!() + 1;
    event_loop.add_callback(work(300));
    event_loop.add_callback(work(9));
    event_loop.call_later(Duration::ZERO, work(10));
    drop(event_loop.spawn_named("busy", {
        let work = work(20);
        async move { work() }
    }));
    event_loop.run_once(AT_ONCE).unwrap();
    event_loop.run_once(AT_ONCE).unwrap();
    let seen: Vec<_> = reports
        .taken()
        .iter()
        .map(|slow| (slow.work, slow.name.clone(), slow.location.unwrap().line(), slow.elapsed))
        .collect();
    let expected = [
        (Work::Callback, None, line, 300 * MILLISECOND),
        (Work::Task, Some("busy".to_owned()), line + 3, 20 * MILLISECOND),
        (Work::Timer, None, line + 2, 10 * MILLISECOND),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_report_reads_as_a_sentence() {
    let clock = Clock::manual();
    let (event_loop, reports) =
        with_reports(EventLoop::builder().clock(clock.clone()), MILLISECOND);
    drop(event_loop.spawn_named("the busy one", {
        let clock = clock.clone();
        async move { clock.advance(7 * MILLISECOND) }
    }));
    event_loop.run_once(AT_ONCE).unwrap();
    let text = reports.taken()[0].to_string();
    assert!(text.starts_with("a task \"the busy one\" of "), "{text}");
    assert!(text.contains("health.rs:"), "{text}");
    assert!(text.ends_with(" held the loop for 7ms"), "{text}");
}

#[test]
fn handlers_and_the_root_future_are_timed_too_and_the_root_s_line_is_that_of_block_on() {
    let clock = Clock::manual();
    let (event_loop, reports) =
        with_reports(EventLoop::builder().clock(clock.clone()), MILLISECOND);
    let (a, mut b) = UnixStream::pair().unwrap();
    let line = line!() + 1;
    event_loop.block_on(async {
        let handler_clock = clock.clone();
        let handler = add_handler(a, Interest::READABLE, move |mut a: &UnixStream, _| {
            std::io::Read::read(&mut a, &mut [0; 8]).unwrap();
            handler_clock.advance(2 * MILLISECOND);
        });
        handler.unwrap();
        std::io::Write::write_all(&mut b, b"x").unwrap();
        sleep(Duration::ZERO).await;
        yield_now().await;
        clock.advance(3 * MILLISECOND);
    });
    let seen: Vec<_> = reports
        .taken()
        .iter()
        .map(|slow| (slow.work, slow.location.unwrap().line(), slow.elapsed))
        .collect();
    let handler = (Work::Handler, line + 2, 2 * MILLISECOND);
    assert_eq!(seen, [handler, (Work::BlockOn, line, 3 * MILLISECOND)]);
}

#[test]
fn a_hook_that_panics_or_adds_callbacks_does_no_harm() {
    let clock = Clock::manual();
    let builder = EventLoop::builder().clock(clock.clone());
    let hook = |_: &SlowCallback| {
        add_callback(stop);
        panic!("on purpose");
    };
    let event_loop = builder.slow_callback(MILLISECOND, hook).build().unwrap();
    event_loop.add_callback(move || clock.advance(MILLISECOND));
    event_loop.run().unwrap();
}

#[test]
fn busy_and_idle_time_are_counted_by_the_turn() {
    let clock = Clock::manual();
    let event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
    let work = |millis: u32| {
        let clock = clock.clone();
        move || clock.advance(MILLISECOND * millis)
    };
    event_loop.add_callback(work(5));
    event_loop.run_once(AT_ONCE).unwrap();
    clock.advance(100 * MILLISECOND); // while the loop does not run
    event_loop.add_callback(work(2));
    event_loop.call_later(Duration::ZERO, work(4));
    event_loop.run_once(AT_ONCE).unwrap();
    let stats = event_loop.stats();
    assert_eq!((stats.busy_time, stats.idle_time), (11 * MILLISECOND, Duration::ZERO));
    assert_eq!(stats.longest_turn, 6 * MILLISECOND);
    event_loop.add_callback({
        let last = work(300);
        move || {
            last();
            stop(); // ends the run in the middle of a turn
        }
    });
    event_loop.run().unwrap();
    assert_eq!(event_loop.stats().longest_turn, 300 * MILLISECOND);
    let real = EventLoop::new().unwrap();
    assert_eq!(real.run_once(Some(2 * MILLISECOND)).unwrap(), 0);
    assert!(real.stats().idle_time >= 2 * MILLISECOND);
}

#[test]
fn stats_count_live_handlers_sources_timers_and_tasks() {
    let event_loop = EventLoop::new().unwrap();
    let _entered = event_loop.enter();
    let (a, _b) = UnixStream::pair().unwrap();
    let handler = add_handler(a, Interest::READABLE, |_, _| {}).unwrap();
    let timer = call_later(Duration::MAX, || {});
    let task = event_loop.spawn(pending::<()>());
    let stats = event_loop.stats();
    let live = (stats.live_handlers, stats.live_sources, stats.live_timers, stats.live_tasks);
    assert_eq!(live, (1, 1, 1, 1));
    squall_executor::remove_handler(handler);
    squall_executor::remove_timeout(timer);
    task.abort();
    event_loop.run_once(AT_ONCE).unwrap();
    let stats = event_loop.stats();
    let live = (stats.live_handlers, stats.live_sources, stats.live_timers, stats.live_tasks);
    assert_eq!(live, (0, 0, 0, 0));
}

#[test]
fn a_dump_names_every_task_timer_and_handler_with_its_line_and_age() {
    let clock = Clock::manual();
    let event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
    let _entered = event_loop.enter();
    let line = line!() + 1;
    drop(spawn_named("waits", pending::<()>()));
    drop(event_loop.spawn(async { sleep(Duration::from_secs(60)).await }));
    call_later(Duration::MAX, || {});
    let (a, _b) = UnixStream::pair().unwrap();
    add_handler(a, Interest::READABLE, |_, _| {}).unwrap();
    let before = event_loop.dump();
    assert!(before.tasks.iter().all(|task| task.is_ready));
    event_loop.run_once(AT_ONCE).unwrap();
    clock.advance(Duration::from_secs(10));
    event_loop.run_once(AT_ONCE).unwrap();
    let dump = event_loop.dump();
    let tasks: Vec<_> = dump
        .tasks
        .iter()
        .map(|task| (task.name.as_deref(), task.location.line(), task.age.as_secs(), task.is_ready))
        .collect();
    assert_eq!(tasks, [(Some("waits"), line, 10, false), (None, line + 1, 10, false)]);
    let timers: Vec<_> = dump
        .timers
        .iter()
        .map(|timer| (timer.is_callback, timer.location.line(), timer.due_in))
        .collect();
    let expected = [(false, line + 1, Duration::from_secs(50)), (true, line + 2, Duration::MAX)];
    assert_eq!(timers, expected);
    assert_eq!((dump.handlers.len(), dump.handlers[0].location.line()), (1, line + 4));
    let text = dump.to_string();
    for part in [
        "tasks: 2\n",
        "waiting, 10.0s old, of ",
        ", \"waits\"\n",
        "timers: 2\n  sleep, due in 50.0s, 10.0s old, of ",
        "  callback, never due, 10.0s old, of ",
        "handlers: 1\n  10.0s old, of ",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[test]
fn a_task_that_reuses_the_slot_of_a_named_task_has_no_name() {
    let event_loop = EventLoop::new().unwrap();
    drop(event_loop.spawn_named("short", async {}));
    event_loop.run_once(AT_ONCE).unwrap();
    drop(event_loop.spawn(pending::<()>()));
    assert_eq!(event_loop.dump().tasks[0].name, None);
}

#[test]
fn a_task_of_a_closed_loop_names_none_of_the_loop_that_its_future_has_entered() {
    struct Enters(Rc<EventLoop>);
    impl Drop for Enters {
        fn drop(&mut self) {
            forget(self.0.enter());
        }
    }
    let other = Rc::new(EventLoop::new().unwrap());
    drop(other.spawn(pending::<()>()));
    let future = {
        let enters = Enters(Rc::clone(&other));
        async move { drop(enters) }
    };
    let spawns =
        SpawnsInDrop(Some(Box::new(move || drop(spawn_named("of a closed loop", future)))));
    let event_loop = EventLoop::new().unwrap();
    drop(event_loop.spawn(async move {
        let _spawns = spawns;
        pending::<()>().await;
    }));
    event_loop.run_once(AT_ONCE).unwrap();
    drop(event_loop);
    assert_eq!(other.dump().tasks[0].name, None);
}

/// Calls a closure when it is dropped.
struct SpawnsInDrop(Option<Box<dyn FnOnce()>>);

impl Drop for SpawnsInDrop {
    fn drop(&mut self) {
        self.0.take().unwrap()();
    }
}

#[test]
fn a_dump_shows_timers_in_the_order_in_which_they_will_run() {
    let clock = Clock::manual();
    let event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
    let first = line!() + 1;
    event_loop.call_later(3 * MILLISECOND, || {});
    event_loop.call_later(MILLISECOND, || {});
    event_loop.call_later(2 * MILLISECOND, || {});
    event_loop.call_later(MILLISECOND, || {});
    clock.advance(Duration::from_secs(1)); // all are late
    event_loop.block_on(async {}); // reads the clock, and runs no timer
    let dump = event_loop.dump();
    let lines: Vec<_> = dump.timers.iter().map(|timer| timer.location.line() - first).collect();
    assert_eq!(lines, [1, 3, 2, 0]);
}

/// Notes what it sees, with the times since the clock was made.
struct Notes {
    notes: Rc<RefCell<Vec<String>>>,
    begin: Instant,
}

impl Notes {
    fn of(clock: &Clock) -> (Notes, Rc<RefCell<Vec<String>>>) {
        let notes = Rc::default();
        (Notes { notes: Rc::clone(&notes), begin: clock.now() }, notes)
    }
}

impl Observer for Notes {
    fn begins(&self, entry: &ObservedEntry, now: Instant) {
        let name = entry.name.as_deref().unwrap_or("-");
        let note = format!("{} {name} at {:?}", entry.work, now - self.begin);
        self.notes.borrow_mut().push(note);
    }

    fn ended(&self, entry: &ObservedEntry, elapsed: Duration) {
        self.notes.borrow_mut().push(format!("{} ran {elapsed:?}", entry.work));
    }
}

#[test]
fn an_observer_sees_each_entry_begin_and_end() {
    let clock = Clock::manual();
    let event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
    let work = |millis: u32| {
        let clock = clock.clone();
        move || clock.advance(MILLISECOND * millis)
    };
    let (observer, notes) = Notes::of(&clock);
    event_loop.add_callback(work(1)); // queued before the observer, and runs after it
    event_loop.add_observer(observer);
    event_loop.call_later(Duration::ZERO, work(2));
    let task = work(4);
    drop(event_loop.spawn_named("named", async move { task() }));
    event_loop.run_once(AT_ONCE).unwrap();
    let expected = [
        "callback - at 0ns",
        "callback ran 1ms",
        "task named at 1ms",
        "task ran 4ms",
        "timer - at 5ms",
        "timer ran 2ms",
    ];
    assert_eq!(*notes.borrow(), expected);
}

#[test]
fn an_entry_begins_and_ends_for_the_same_observers() {
    let clock = Clock::manual();
    let event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
    let (first, notes_of_first) = Notes::of(&clock);
    let (second, notes_of_second) = Notes::of(&clock);
    let first = event_loop.add_observer(first);
    event_loop.add_callback(move || {
        assert!(remove_observer(first));
        assert!(!remove_observer(first), "it is removed already");
        add_observer(second);
    });
    event_loop.call_later(Duration::ZERO, || {});
    event_loop.run_once(AT_ONCE).unwrap();
    assert_eq!(*notes_of_first.borrow(), ["callback - at 0ns", "callback ran 0ns"]);
    assert_eq!(*notes_of_second.borrow(), ["timer - at 0ns", "timer ran 0ns"]);
    assert_eq!(Rc::strong_count(&notes_of_first), 1, "a removed observer is dropped");
    drop(event_loop);
    assert_eq!(Rc::strong_count(&notes_of_second), 1, "a loop that ends drops its observers");
}

#[test]
fn observers_and_the_hook_for_slow_callbacks_see_the_same_entries() {
    let clock = Clock::manual();
    let (event_loop, reports) =
        with_reports(EventLoop::builder().clock(clock.clone()), MILLISECOND);
    let (observer, notes) = Notes::of(&clock);
    event_loop.add_observer(observer);
    event_loop.add_callback(move || clock.advance(MILLISECOND));
    event_loop.run_once(AT_ONCE).unwrap();
    assert_eq!(reports.taken()[0].elapsed, MILLISECOND);
    assert_eq!(*notes.borrow(), ["callback - at 0ns", "callback ran 1ms"]);
}

/// Fails in every way.
struct Panics;

impl Observer for Panics {
    fn begins(&self, _entry: &ObservedEntry, _now: Instant) {
        panic!("on purpose")
    }

    fn ended(&self, _entry: &ObservedEntry, _elapsed: Duration) {
        panic!("on purpose")
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        panic!("on purpose")
    }
}

#[test]
fn an_observer_that_panics_holds_up_neither_the_loop_nor_other_observers() {
    let clock = Clock::manual();
    let event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
    let panics = event_loop.add_observer(Panics);
    let (observer, notes) = Notes::of(&clock);
    event_loop.add_observer(observer);
    event_loop.add_callback(|| {});
    event_loop.run_once(AT_ONCE).unwrap();
    assert_eq!(*notes.borrow(), ["callback - at 0ns", "callback ran 0ns"]);
    assert!(event_loop.remove_observer(panics));
    let panics = event_loop.add_observer(Panics);
    event_loop.add_callback(move || assert!(remove_observer(panics)));
    event_loop.run_once(AT_ONCE).unwrap();
}

#[test]
fn an_observer_is_removed_through_its_own_loop_only() {
    let (one, other) = (EventLoop::new().unwrap(), EventLoop::new().unwrap());
    let observer = one.add_observer(Notes::of(&Clock::system()).0);
    assert!(!other.remove_observer(observer));
    assert!(!remove_observer(observer), "no loop is entered");
    assert!(one.remove_observer(observer));
}
