//! Faults that other runtimes have had. Each test carries its id from docs/reliability.md.

#![allow(unsafe_code, reason = "wakers with tables of their own")]

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::process::Command;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};
use std::thread;
use std::time::{Duration, Instant};

use squall_executor::{
    AsyncFd, EventLoop, Interest, add_callback, add_handler, block_on, call_later, future, sleep,
    spawn, stats, stop, yield_now,
};

const WATCHDOG: Duration = Duration::from_secs(20);

fn on_a_loop<T>(future: impl Future<Output = T>) -> T {
    EventLoop::new().unwrap().run_sync(future, Some(WATCHDOG)).expect("it hangs")
}

// S1
#[test]
fn a_task_that_wakes_itself_starves_neither_descriptors_nor_timers() {
    on_a_loop(async {
        let spins = spawn(async {
            loop {
                yield_now().await;
            }
        })
        .abort_on_drop();
        let ticks = Rc::new(Cell::new(0_u32));
        fn tick(ticks: Rc<Cell<u32>>) {
            ticks.set(ticks.get() + 1);
            call_later(Duration::ZERO, move || tick(ticks));
        }
        tick(ticks.clone());
        let (client, server) = UnixStream::pair().unwrap();
        let (client, server) = (AsyncFd::new(client).unwrap(), AsyncFd::new(server).unwrap());
        let echo = spawn(async move {
            let mut byte = [0];
            while server.read_with(|mut io| io.read(&mut byte)).await.unwrap() == 1 {
                server.write_with(|mut io| io.write(&byte)).await.unwrap();
            }
        });
        let before = stats();
        for _ in 0..200 {
            client.write_with(|mut io| io.write(b"x")).await.unwrap();
            client.read_with(|mut io| io.read(&mut [0; 8])).await.unwrap();
        }
        let polls = stats().polls - before.polls;
        assert!(polls <= 200 * 5 * 61, "{polls} polls for 200 echoes");
        assert!(ticks.get() >= 200, "{} ticks", ticks.get());
        drop((client, spins));
        echo.await.unwrap();
    });
}

// S8
#[test]
fn a_thousand_callbacks_run_first_in_first_out() {
    let event_loop = EventLoop::new().unwrap();
    let log = Rc::new(RefCell::new(Vec::new()));
    for n in 0..1000 {
        let log = log.clone();
        event_loop.add_callback(move || log.borrow_mut().push(n));
    }
    event_loop.add_callback(stop);
    event_loop.run().unwrap();
    assert_eq!(*log.borrow(), (0..1000).collect::<Vec<_>>());
}

// W5
#[test]
fn a_message_from_another_thread_interrupts_a_long_sleep_every_time() {
    let event_loop = EventLoop::new().unwrap();
    event_loop.call_later(Duration::from_secs(60), || unreachable!());
    let handle = event_loop.handle();
    let (answer, answered) = channel();
    let sender = thread::spawn(move || {
        for n in 0..10_000_u32 {
            let answer = answer.clone();
            let message = move || {
                call_later(Duration::ZERO, move || answer.send(n).unwrap());
            };
            handle.add_callback(message).unwrap();
            assert_eq!(answered.recv_timeout(WATCHDOG), Ok(n));
        }
        handle.stop();
    });
    event_loop.run().unwrap();
    sender.join().unwrap();
}

// W7
#[test]
fn a_wake_after_the_end_of_the_loop_writes_to_no_descriptor() {
    let event_loop = EventLoop::new().unwrap();
    let (handle, slot) = (event_loop.handle(), Rc::new(RefCell::new(None)));
    let stored = slot.clone();
    drop(event_loop.spawn(poll_fn(move |cx| {
        *stored.borrow_mut() = Some(cx.waker().clone());
        Poll::<()>::Pending
    })));
    event_loop.run_once(Some(Duration::ZERO)).unwrap();
    let waker = slot.take().unwrap();
    drop(event_loop);
    // The kernel hands out the lowest free numbers, among them those of the loop.
    let mut pipes: Vec<_> = (0..64).map(|_| std::io::pipe().unwrap()).collect();
    waker.wake_by_ref();
    assert!(handle.add_callback(|| {}).is_err());
    handle.stop();
    waker.wake();
    for (reader, writer) in &mut pipes {
        writer.write_all(b"!").unwrap();
        let mut bytes = [0; 16];
        assert_eq!((reader.read(&mut bytes).unwrap(), bytes[0]), (1, b'!'));
    }
}

// R6
#[test]
fn a_descriptor_that_was_duplicated_is_silent_once_it_is_dropped() {
    let event_loop = EventLoop::new().unwrap();
    let _entered = event_loop.enter();
    let (ours, mut peer) = UnixStream::pair().unwrap();
    let duplicate = ours.try_clone().unwrap();
    let reader = event_loop.spawn(async move {
        let ours = AsyncFd::new(ours).unwrap();
        ours.readable().await.unwrap();
    });
    event_loop.run_once(Some(Duration::ZERO)).unwrap();
    assert_eq!(event_loop.stats().live_sources, 1);
    reader.abort();
    event_loop.run_once(Some(Duration::ZERO)).unwrap();
    peer.write_all(b"x").unwrap();
    assert_eq!(event_loop.run_once(Some(Duration::from_millis(2))).unwrap(), 0);
    let stats = event_loop.stats();
    assert_eq!((stats.live_sources, stats.stale_events), (0, 0));
    drop(duplicate);
}

// R8
#[test]
fn a_reset_without_a_waiting_task_does_not_spin_and_the_next_call_returns_it() {
    on_a_loop(async {
        let (ours, peer) = UnixStream::pair().unwrap();
        let ours = AsyncFd::new(ours).unwrap();
        {
            let first = pin!(ours.readable());
            // Registers the descriptor; the wait ends with this block.
            assert!(matches!(poll_once(first), Poll::Pending));
        }
        let mut unread = peer.try_clone().unwrap();
        ours.write_with(|mut io| io.write(b"never read")).await.unwrap();
        let _ = unread.write(b"");
        drop((peer, unread)); // closing with unread bytes resets the connection
        let turns = stats().turns;
        sleep(Duration::from_millis(30)).await;
        assert!(stats().turns - turns < 20, "{} turns", stats().turns - turns);
        let error = ours.read_with(|mut io| io.read(&mut [0; 8])).await;
        assert!(error.is_err() || error.is_ok_and(|n| n == 0));
    });
}

// R8; TORNADO 2.1.17
#[test]
fn a_handler_gets_a_hang_up_that_is_not_in_its_interest() {
    let event_loop = EventLoop::new().unwrap();
    let _entered = event_loop.enter();
    let (ours, peer) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    while (&ours).write(&[0; 65536]).is_ok() {} // fills the socket
    let calls = Rc::new(Cell::new(0));
    add_handler(ours, Interest::WRITABLE, {
        let calls = calls.clone();
        move |_, event| {
            assert!(event.is_write_closed() || event.is_error() || event.is_read_closed());
            calls.set(calls.get() + 1);
            stop();
        }
    })
    .unwrap();
    event_loop.run_once(Some(Duration::ZERO)).unwrap();
    assert_eq!(calls.get(), 0);
    drop(peer);
    event_loop.run().unwrap();
    assert_eq!(calls.get(), 1);
}

fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// The function of a waker that panics.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Slot {
    Clone,
    Wake,
    Drop,
}

thread_local! {
    static PANICS: Cell<Option<Slot>> = const { Cell::new(None) };
}

fn maybe_panic(slot: Slot) {
    if PANICS.get() == Some(slot) {
        PANICS.set(None); // a second panic during the unwind would abort
        panic!("a waker's {slot:?}");
    }
}

static BAD: RawWakerVTable = RawWakerVTable::new(
    |_| {
        maybe_panic(Slot::Clone);
        RawWaker::new(std::ptr::null(), &BAD)
    },
    |_| maybe_panic(Slot::Wake),
    |_| maybe_panic(Slot::Wake),
    |_| maybe_panic(Slot::Drop),
);

// W12
#[test]
fn a_waker_that_panics_in_any_of_its_functions_breaks_nothing() {
    type Site = (&'static str, fn(&mut Context<'_>) -> Box<dyn FnOnce()>);
    let sites: [Site; 5] = [
        ("JoinHandle", |cx| {
            let mut task = spawn(async { yield_now().await });
            assert!(pin!(&mut task).poll(cx).is_pending());
            Box::new(move || drop(task))
        }),
        ("Future", |cx| {
            let value = future::Future::new();
            let mut waiter = value.clone();
            assert!(pin!(&mut waiter).poll(cx).is_pending());
            Box::new(move || {
                value.set_result(1).unwrap();
                drop(waiter);
            })
        }),
        ("Sleep", |cx| {
            let mut timer = sleep(Duration::from_millis(1));
            assert!(pin!(&mut timer).poll(cx).is_pending());
            add_callback(move || drop(spawn(timer)));
            Box::new(|| {})
        }),
        ("Sleep that is due", |cx| {
            let mut timer = sleep(Duration::ZERO);
            assert!(pin!(&mut timer).poll(cx).is_pending());
            Box::new(move || drop(timer))
        }),
        ("AsyncFd", |cx| {
            let (ours, mut peer) = UnixStream::pair().unwrap();
            let ours = AsyncFd::new(ours).unwrap();
            assert!(ours.poll_read_with(cx, |mut io| io.read(&mut [0; 8])).is_pending());
            Box::new(move || {
                peer.write_all(b"x").unwrap();
                drop(spawn(async move {
                    ours.read_with(|mut io| io.read(&mut [0; 8])).await.unwrap();
                }));
            })
        }),
    ];
    for (name, site) in sites {
        for slot in [Slot::Clone, Slot::Wake, Slot::Drop] {
            let event_loop = EventLoop::new().unwrap();
            let entered = event_loop.enter();
            // SAFETY: the table's functions use no data.
            let waker = unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &BAD)) };
            PANICS.set(Some(slot));
            let polled = catch_unwind(AssertUnwindSafe(|| site(&mut Context::from_waker(&waker))));
            assert_eq!(polled.is_err(), slot == Slot::Clone, "{name}, {slot:?}");
            if let Ok(after) = polled {
                let _ = catch_unwind(AssertUnwindSafe(after));
            }
            let ping = async {
                sleep(Duration::from_millis(2)).await;
                spawn(async { 7 }).await.unwrap()
            };
            let pong = event_loop.run_sync(ping, Some(WATCHDOG));
            assert_eq!(pong.unwrap(), 7, "{name}, {slot:?}");
            PANICS.set(None);
            drop((waker, entered));
        }
    }
}

/// Compiles only if no type is `Send`: for a `Send` type, two implementations apply, which is an
/// error.
macro_rules! assert_not_send {
    ($($type:ty),+ $(,)?) => {$({
        trait AmbiguousIfSend<A> {
            fn some() {}
        }
        impl<T: ?Sized> AmbiguousIfSend<()> for T {}
        impl<T: ?Sized + Send> AmbiguousIfSend<u8> for T {}
        <$type as AmbiguousIfSend<_>>::some();
    })+};
}

// W15
#[test]
fn types_of_a_loop_are_not_send_but_handles_and_wakers_are() {
    use squall_executor::{
        AbortOnDrop, AsyncFd, Entered, Handle, Interval, JoinHandle, PeriodicCallback,
        RemoteJoinHandle, Sleep, TimerId, signal::Signals,
    };
    assert_not_send!(
        EventLoop,
        Entered<'static>,
        JoinHandle<()>,
        AbortOnDrop<()>,
        Sleep,
        Interval,
        TimerId,
        PeriodicCallback,
        Signals,
        AsyncFd<OwnedFd>,
        future::Future<()>,
        future::Ready<()>,
    );
    fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Handle>();
    is_send_and_sync::<RemoteJoinHandle<()>>();
    is_send_and_sync::<Waker>();
}

// FUT-08, FUT-09
#[test]
fn errors_appear_in_the_future_and_may_be_replaced_or_swallowed() {
    async fn fails(late: bool) -> Result<u32, String> {
        if late {
            yield_now().await;
        }
        Err("first".to_owned())
    }
    on_a_loop(async {
        for late in [false, true] {
            let task = spawn(fails(late)); // the call itself does not fail
            assert_eq!(task.await.unwrap(), Err("first".to_owned()));
            let replaced = async { fails(late).await.map_err(|error| format!("not {error}")) };
            assert_eq!(replaced.await, Err("not first".to_owned()));
            let swallowed = async move { fails(late).await.unwrap_or(42) };
            assert_eq!(spawn(swallowed).await.unwrap(), 42);
            let panics = spawn(async move {
                if late {
                    yield_now().await;
                }
                panic!("on purpose")
            });
            let error: squall_executor::JoinError = match panics.await {
                Err(error) => error,
                Ok(()) => unreachable!(),
            };
            assert!(error.is_panic());
        }
    });
}

// R16, W1; SQUALL_WAKES sets the number of wakes
#[test]
fn every_wake_of_a_sleeping_loop_arrives() {
    static WAKES: AtomicU64 = AtomicU64::new(0);
    let wakes = std::env::var("SQUALL_WAKES").map(|wakes| wakes.parse().expect("a number"));
    let each: u64 = wakes.unwrap_or(if cfg!(debug_assertions) { 100_000 } else { 1_000_000 }) / 2;
    let begin = Instant::now();
    let event_loop = EventLoop::new().unwrap();
    let senders: Vec<_> = (0..2)
        .map(|_| {
            let handle = event_loop.handle();
            thread::spawn(move || {
                for n in 0..each {
                    let (answer, answered) = channel::<()>();
                    let count = move || {
                        WAKES.fetch_add(1, Ordering::Relaxed);
                        drop(answer);
                    };
                    handle.add_callback(count).unwrap();
                    if n % 64 == 0 {
                        let outcome = answered.recv_timeout(WATCHDOG);
                        assert_eq!(
                            outcome,
                            Err(RecvTimeoutError::Disconnected),
                            "the loop is frozen"
                        );
                    }
                }
            })
        })
        .collect();
    let handle = event_loop.handle();
    let end = thread::spawn(move || {
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        handle.stop();
    });
    event_loop.run().unwrap();
    end.join().unwrap();
    assert_eq!(WAKES.load(Ordering::Relaxed), 2 * each);
    let stats = event_loop.stats();
    let text = format!(
        "{} wakes in {:?}, {} of them with a system call\n",
        2 * each,
        begin.elapsed(),
        stats.wakeups_written
    );
    let _ = std::io::stderr().write_all(text.as_bytes());
    assert!(stats.wakeups_written < stats.messages, "{stats:?}");
}

// T10
#[test]
fn a_machine_that_has_run_for_a_hundred_years_is_no_different() {
    if std::env::var_os("SQUALL_CHILD").is_some() {
        block_on(async {
            let begin = Instant::now();
            sleep(Duration::from_millis(2)).await;
            assert!(begin.elapsed() >= Duration::from_millis(2));
        });
        return;
    }
    let mut unshare = Command::new("unshare");
    unshare.args(["--time", "--fork", "--monotonic", "3000000000", "--boottime", "3000000000"]);
    unshare.arg(std::env::current_exe().unwrap()).arg("--exact");
    unshare.arg("a_machine_that_has_run_for_a_hundred_years_is_no_different");
    match unshare.env("SQUALL_CHILD", "1").output() {
        Ok(output) if String::from_utf8_lossy(&output.stdout).contains("1 passed") => {}
        Ok(output) if String::from_utf8_lossy(&output.stdout).contains("running 1 test") => {
            panic!("{}", String::from_utf8_lossy(&output.stdout))
        }
        // Bypasses the test harness, which captures printed output.
        _ => std::io::stderr()
            .write_all(b"skipped: this machine allows no time namespace\n")
            .unwrap(),
    }
}

// IOL-16
#[test]
fn the_end_of_the_loop_closes_the_descriptors_of_its_handlers() {
    let event_loop = EventLoop::new().unwrap();
    let (ours, mut peer) = UnixStream::pair().unwrap();
    event_loop.add_handler(ours, Interest::READABLE, |_, _| {}).unwrap();
    drop(event_loop);
    assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0);
}
