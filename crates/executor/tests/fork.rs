//! What a loop, its tasks and its handles do in a child process after a fork.

#![allow(unsafe_code, reason = "fork(2) has no safe wrapper")]

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Duration;

use squall_executor::{
    AsyncFd, EventLoop, Handle, Interest, LoopClosed, PeriodicCallback, RunError, add_callback,
    add_handler, block_on, sleep, spawn, spawn_blocking, stop, timeout, yield_now,
};

const WATCHDOG: Duration = Duration::from_secs(10);

/// Forks. The child runs `$child` and exits. Both processes own what the closure captured.
macro_rules! in_a_child {
    ($child:expr) => {
        // SAFETY: only this thread exists in the child, and the child exits by `_exit`.
        match unsafe { libc::fork() } {
            0 => leave($child),
            pid => assert_succeeds(pid),
        }
    };
}

fn leave(child: impl FnOnce()) -> ! {
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(child));
    // SAFETY: `_exit` ends the child without running the exit handlers of the parent.
    unsafe { libc::_exit(i32::from(outcome.is_err())) }
}

fn assert_succeeds(child: i32) {
    assert!(child > 0, "fork failed");
    let mut status = 0;
    // SAFETY: `status` is a live int.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!((waited, status), (child, 0), "the child failed: see its panic above");
}

/// Counts its drops in this process.
struct Probe(Rc<Cell<u32>>);

impl Drop for Probe {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

// X1
#[test]
fn a_child_that_drops_the_loop_disturbs_neither_descriptors_nor_timers_nor_tasks_of_its_parent() {
    let (ours, mut peer) = UnixStream::pair().unwrap();
    let (watched, mut watched_peer) = UnixStream::pair().unwrap();
    let drops = Rc::new(Cell::new(0));
    let log = Rc::new(RefCell::new(Vec::new()));
    let event_loop = EventLoop::new().unwrap();
    let _timer = event_loop.call_later(Duration::from_millis(50), {
        let log = log.clone();
        move || log.borrow_mut().push("timer")
    });
    event_loop
        .add_handler(watched, Interest::READABLE, {
            let log = log.clone();
            move |mut stream: &UnixStream, _| {
                assert_eq!(stream.read(&mut [0; 8]).unwrap(), 1);
                log.borrow_mut().push("handler");
            }
        })
        .unwrap();
    let reader = event_loop.spawn({
        let probe = Probe(drops.clone());
        async move {
            let _probe = probe;
            let stream = AsyncFd::new(ours).unwrap();
            stream.read_with(|mut stream| stream.read(&mut [0; 8])).await.unwrap()
        }
    });
    event_loop.run_once(Some(Duration::ZERO)).unwrap(); // registers the reader
    in_a_child!(move || {
        assert!(matches!(event_loop.run(), Err(RunError::Forked)));
        assert!(matches!(event_loop.run_once(None), Err(RunError::Forked)));
        assert!(matches!(event_loop.run_sync(async {}, None), Err(RunError::Forked)));
        let panic = std::panic::catch_unwind(AssertUnwindSafe(|| event_loop.block_on(async {})));
        let text = panic.unwrap_err().downcast_ref::<String>().cloned().unwrap_or_default();
        assert!(text.contains("make a new one in the child"), "{text}");
        assert_eq!(event_loop.handle().add_callback(|| {}), Err(LoopClosed));
        let before = std::fs::read_dir("/proc/self/fd").unwrap().count();
        drop(event_loop);
        let after = std::fs::read_dir("/proc/self/fd").unwrap().count();
        assert_eq!(before - after, 1, "only the descriptor of epoll is closed");
        assert_eq!(drops.get(), 0, "only the parent runs the destructors of its tasks");
        assert_eq!(block_on(async { 42 }), 42, "the child runs a loop of its own");
    });
    assert!(!reader.is_finished());
    peer.write_all(b"x").unwrap();
    watched_peer.write_all(b"y").unwrap();
    let run = async { (reader.await.unwrap(), sleep(Duration::from_millis(60)).await) };
    assert_eq!(event_loop.run_sync(run, Some(WATCHDOG)).unwrap().0, 1);
    log.borrow_mut().sort_unstable();
    assert_eq!(*log.borrow(), ["handler", "timer"]);
    assert_eq!(drops.get(), 1);
    assert_eq!(event_loop.stats().stale_events, 0);
}

// X1
#[test]
fn a_callback_that_forks_ends_the_run_in_the_child_only() {
    let event_loop = EventLoop::new().unwrap();
    let child = Rc::new(Cell::new(-1));
    let later = Rc::new(Cell::new(false));
    event_loop.add_callback({
        let child = child.clone();
        move || {
            // SAFETY: both processes return from the callback; the child exits by `_exit` below.
            child.set(unsafe { libc::fork() });
            if child.get() == 0 {
                stop(); // does not hide the error
            }
        }
    });
    let behind = Rc::new(Cell::new(false));
    event_loop.add_callback({
        let behind = behind.clone();
        move || behind.set(true)
    });
    event_loop.call_later(Duration::ZERO, {
        let later = later.clone();
        move || {
            later.set(true);
            stop();
        }
    });
    let outcome = event_loop.run();
    if child.get() == 0 {
        leave(move || {
            assert!(matches!(outcome, Err(RunError::Forked)), "{outcome:?}");
            assert!(!behind.get() && !later.get(), "nothing runs twice");
            drop(event_loop);
        });
    }
    outcome.unwrap();
    assert!(behind.get() && later.get());
    assert_succeeds(child.get());
}

#[test]
fn a_callback_that_forks_may_run_a_loop_of_its_own_in_the_child() {
    let event_loop = EventLoop::new().unwrap();
    event_loop.add_callback(|| {
        in_a_child!(|| {
            let (a, mut b) = UnixStream::pair().unwrap();
            let own = EventLoop::new().unwrap();
            let read = own.block_on(async move {
                let stream = AsyncFd::new(a).unwrap();
                add_callback(move || b.write_all(b"hello").unwrap());
                stream.read_with(|mut stream| stream.read(&mut [0; 8])).await.unwrap()
            });
            assert_eq!(read, 5);
        });
        stop();
    });
    event_loop.run().unwrap();
}

#[test]
fn what_a_child_drops_stays_registered_in_the_parent() {
    let event_loop = EventLoop::new().unwrap();
    let (a, mut b) = UnixStream::pair().unwrap();
    let _entered = event_loop.enter();
    let seen = Rc::new(Cell::new(0));
    let handler = add_handler(a, Interest::READABLE, {
        let seen = seen.clone();
        move |mut a: &UnixStream, _| seen.set(a.read(&mut [0; 8]).unwrap())
    });
    let handler = handler.unwrap();
    let (idle, mut idle_peer) = UnixStream::pair().unwrap();
    let idle = Rc::new(AsyncFd::new(idle).unwrap());
    let waits = spawn({
        let idle = idle.clone();
        async move { idle.readable().await.unwrap() }
    });
    event_loop.run_once(Some(Duration::ZERO)).unwrap();
    in_a_child!(move || {
        assert!(squall_executor::remove_handler(handler));
        drop(idle);
        drop(waits);
        let (c, _d) = UnixStream::pair().unwrap();
        assert!(add_handler(c, Interest::READABLE, |_, _| {}).is_err());
    });
    b.write_all(b"xyz").unwrap();
    idle_peer.write_all(b"x").unwrap();
    event_loop.run_sync(waits, Some(WATCHDOG)).unwrap().unwrap();
    assert_eq!(seen.get(), 3);
}

// X1, X5
#[test]
fn wakers_and_handles_do_nothing_in_a_child() {
    let event_loop = EventLoop::new().unwrap();
    let handle: Handle = event_loop.handle();
    let slot = Rc::new(RefCell::new(None));
    let stored = slot.clone();
    drop(event_loop.spawn(std::future::poll_fn(move |cx| {
        *stored.borrow_mut() = Some(cx.waker().clone());
        std::task::Poll::<()>::Pending
    })));
    event_loop.run_once(Some(Duration::ZERO)).unwrap();
    let waker = slot.take().unwrap();
    let polls = event_loop.stats().polls;
    in_a_child!(move || {
        waker.wake_by_ref();
        assert!(handle.is_closed());
        handle.stop();
        drop(waker);
    });
    // The child sent no notice, so the loop sleeps for the whole timeout.
    assert_eq!(event_loop.run_once(Some(Duration::from_millis(5))).unwrap(), 0);
    let stats = event_loop.stats();
    assert_eq!((stats.polls, stats.wakeups_written), (polls, 0));
    assert!(stats.idle_time >= Duration::from_millis(5), "{:?}", stats.idle_time);
}

// X1, P7
#[test]
fn what_a_child_inherits_works_on_its_own_loop_or_is_a_clear_error() {
    let event_loop = EventLoop::new().unwrap();
    let (a, mut b) = UnixStream::pair().unwrap();
    let stream = AsyncFd::new(a).unwrap();
    let task = event_loop.spawn(std::future::pending::<()>());
    let calls = Rc::new(Cell::new(0));
    let periodic = PeriodicCallback::new(Duration::from_millis(1), {
        let calls = calls.clone();
        move || calls.set(calls.get() + 1)
    });
    event_loop.block_on(async {
        periodic.start();
        let read = stream.read_with(|mut stream| stream.read(&mut [0; 8]));
        assert!(timeout(Duration::ZERO, read).await.is_err()); // registers the stream
        spawn_blocking(|| ()).await.unwrap(); // leaves an idle thread in the pool
    });
    in_a_child!(move || {
        let job = event_loop.spawn_blocking(|| unreachable!("no thread of the pool exists here"));
        assert!(job.is_finished());
        drop(event_loop);
        assert!(task.is_finished() && !periodic.is_running());
        b.write_all(b"x").unwrap();
        let own = EventLoop::new().unwrap();
        let run = async {
            assert!(task.await.unwrap_err().is_cancelled());
            assert!(job.await.unwrap_err().is_cancelled());
            let read = stream.read_with(|mut stream| stream.read(&mut [0; 8])).await;
            assert_eq!(read.unwrap(), 1);
            let before = calls.get();
            periodic.start();
            while calls.get() == before {
                yield_now().await;
            }
        };
        own.run_sync(run, Some(WATCHDOG)).unwrap();
    });
}
