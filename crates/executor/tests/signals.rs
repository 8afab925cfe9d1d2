//! Signals as streams. A signal reaches every stream of the process, so each test uses signals of
//! its own.

#![allow(unsafe_code, reason = "raise(3) and fork(2) have no safe wrapper")]

use std::cell::Cell;
use std::io::{self, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};
use std::thread;
use std::time::Duration;

use squall_executor::signal::{
    SIGALRM, SIGHUP, SIGINT, SIGIO, SIGQUIT, SIGTERM, SIGTSTP, SIGURG, SIGUSR1, SIGUSR2, SIGWINCH,
    Signals, ctrl_c, termination,
};
use squall_executor::{EventLoop, add_callback, block_on, sleep, spawn, stop, timeout, yield_now};

const WATCHDOG: Duration = Duration::from_secs(10);

fn raise(signal: i32) {
    // SAFETY: takes no pointer. A handler is installed, or the test wants the default action.
    assert_eq!(unsafe { libc::raise(signal) }, 0);
}

/// Runs a test of this file again, in a child process with `SQUALL_CHILD` set, and returns the exit
/// status of the child.
fn in_a_process(test: &str) -> ExitStatus {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env("SQUALL_CHILD", test);
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap()
}

/// Returns true in a process that `in_a_process` has started, and resets signals to their default
/// actions there. A process under `nohup` or a shell's `&` ignores some, and its children inherit
/// that.
fn is_the_child() -> bool {
    let is_child = std::env::var_os("SQUALL_CHILD").is_some();
    if is_child {
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP] {
            // SAFETY: the default action takes no function.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
    }
    is_child
}

/// Prints to stderr directly, because the test harness captures printed output.
fn skipped(why: &str) {
    io::stderr().write_all(format!("skipped: {why}\n").as_bytes()).unwrap();
}

fn on_a_loop<T>(future: impl Future<Output = T>) -> T {
    EventLoop::new().unwrap().run_sync(future, Some(WATCHDOG)).expect("it hangs")
}

// IOL-07
#[test]
fn a_signal_becomes_a_callback_on_the_loop() {
    on_a_loop(async {
        let mut signals = Signals::new([SIGUSR2, SIGWINCH]).unwrap();
        let called = Rc::new(Cell::new(false));
        raise(SIGUSR2);
        assert_eq!(signals.next().await, Some(SIGUSR2));
        add_callback({
            let called = called.clone();
            move || called.set(true)
        });
        yield_now().await;
        assert!(called.get());
        raise(SIGWINCH);
        raise(SIGUSR2);
        raise(SIGWINCH); // merged with the first
        let mut both = [signals.next().await.unwrap(), signals.next().await.unwrap()];
        both.sort_unstable();
        assert_eq!(both, [SIGUSR2, SIGWINCH]);
        let more = std::future::poll_fn(|cx| {
            std::task::Poll::Ready(std::pin::pin!(signals.next()).poll(cx).is_pending())
        });
        assert!(more.await);
    });
}

// IOL-X14, R10, T9
#[test]
fn a_signal_ends_a_sleep_of_the_loop_and_no_timer_is_lost() {
    let event_loop = EventLoop::new().unwrap();
    let stop_sending = Arc::new(AtomicBool::new(false));
    let fired = Rc::new(Cell::new(false));
    event_loop.call_later(Duration::from_millis(30), {
        let fired = fired.clone();
        move || {
            fired.set(true);
            stop();
        }
    });
    let mut signals = {
        let _entered = event_loop.enter();
        Signals::new([SIGALRM]).unwrap()
    };
    let seen = Rc::new(Cell::new(0));
    let task = event_loop.spawn({
        let seen = seen.clone();
        async move {
            while signals.next().await == Some(SIGALRM) {
                seen.set(seen.get() + 1);
            }
        }
    });
    let flag = stop_sending.clone();
    // The flood targets this thread. A signal to the process could still be on its way to another
    // thread after the last stream is gone.
    // SAFETY: takes no argument.
    let this_thread = unsafe { libc::pthread_self() };
    let flood = thread::spawn(move || {
        let mut sent = 0;
        while !flag.load(Ordering::Relaxed) {
            // SAFETY: the target thread joins this one, so it is alive. SIGALRM has a handler.
            unsafe { libc::pthread_kill(this_thread, SIGALRM) };
            sent += 1;
            thread::yield_now();
        }
        sent
    });
    event_loop.run().unwrap();
    stop_sending.store(true, Ordering::Relaxed);
    let sent: u32 = flood.join().unwrap();
    assert!(fired.get());
    assert!(seen.get() >= 1 && seen.get() <= sent, "{} of {sent}", seen.get());
    drop(task);
}

#[test]
fn every_stream_on_every_loop_gets_every_signal() {
    let (ready, is_ready) = std::sync::mpsc::channel();
    let others: Vec<_> = (0..2)
        .map(|_| {
            let ready = ready.clone();
            thread::spawn(move || {
                on_a_loop(async {
                    let mut signals = Signals::new([SIGURG]).unwrap();
                    ready.send(()).unwrap();
                    signals.next().await
                })
            })
        })
        .collect();
    (0..2).for_each(|_| is_ready.recv_timeout(WATCHDOG).unwrap());
    on_a_loop(async {
        let mut pair = [Signals::new([SIGURG]).unwrap(), Signals::new([SIGURG]).unwrap()];
        raise(SIGURG);
        for signals in &mut pair {
            assert_eq!(signals.next().await, Some(SIGURG));
        }
    });
    for other in others {
        assert_eq!(other.join().unwrap(), Some(SIGURG));
    }
}

#[test]
fn a_signal_that_cannot_be_handled_is_refused_and_nothing_is_left() {
    if is_the_child() {
        on_a_loop(async {
            for bad in [libc::SIGKILL, libc::SIGSTOP, libc::SIGSEGV, 0, -1, 65, i32::MAX, i32::MIN]
            {
                let error = Signals::new([SIGTERM, bad]).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{bad}");
                assert!(error.to_string().contains(&bad.to_string()), "{error}");
            }
            raise(SIGTERM);
            unreachable!("without a stream, the default action ends the process");
        });
    }
    let status = in_a_process("a_signal_that_cannot_be_handled_is_refused_and_nothing_is_left");
    assert_eq!(status.signal(), Some(SIGTERM), "{status}");
}

#[test]
fn process_1_of_a_container_survives_a_default_action_and_still_receives_signals() {
    let test = "process_1_of_a_container_survives_a_default_action_and_still_receives_signals";
    if is_the_child() {
        assert_eq!(std::process::id(), 1);
        on_a_loop(async { drop(Signals::new([SIGTERM]).unwrap()) });
        raise(SIGTERM); // the kernel takes no default action on process 1
        let received = on_a_loop(async {
            let mut signals = Signals::new([SIGTERM]).unwrap();
            raise(SIGTERM);
            signals.next().await
        });
        std::process::exit(if received == Some(SIGTERM) { 7 } else { 8 });
    }
    let mut container = Command::new("unshare");
    container.args(["-Urpf", "--mount-proc"]).arg(std::env::current_exe().unwrap());
    container.args(["--exact", test, "--nocapture", "--test-threads=1"]).env("SQUALL_CHILD", test);
    match container.stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(status) if matches!(status.code(), Some(7 | 8 | 101)) => {
            assert_eq!(status.code(), Some(7));
        }
        _ => skipped("this machine allows no process namespace"),
    }
}

#[test]
fn ctrl_c_of_a_loop_that_is_gone_is_an_error() {
    let event_loop = EventLoop::new().unwrap();
    let mut waits = Box::pin(ctrl_c());
    event_loop.block_on(async {
        assert!(timeout(Duration::ZERO, &mut waits).await.is_err());
    });
    drop(event_loop);
    assert!(on_a_loop(waits).is_err());
}

#[test]
fn a_signal_that_arrives_while_the_waker_is_stored_is_not_missed() {
    static RAISES: RawWakerVTable = RawWakerVTable::new(
        |_| {
            raise(libc::SIGVTALRM); // between the first check and the second
            RawWaker::new(std::ptr::null(), &RAISES)
        },
        |_| {},
        |_| {},
        |_| {},
    );
    on_a_loop(async {
        let mut signals = Signals::new([libc::SIGVTALRM]).unwrap();
        // SAFETY: the table's functions use no data.
        let waker = unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &RAISES)) };
        let polled = std::pin::pin!(signals.next()).poll(&mut Context::from_waker(&waker));
        assert_eq!(polled, Poll::Ready(Some(libc::SIGVTALRM)));
    });
}

#[test]
fn a_stream_without_a_loop_panics_with_advice() {
    let panic = std::panic::catch_unwind(|| Signals::new([SIGHUP])).unwrap_err();
    let text = panic.downcast_ref::<&str>().copied().unwrap_or_default();
    assert!(text.contains("no event loop on this thread"), "{text}");
}

#[test]
fn a_stream_ends_with_its_loop() {
    let event_loop = EventLoop::new().unwrap();
    let mut signals = {
        let _entered = event_loop.enter();
        Signals::new([SIGIO]).unwrap()
    };
    let waits = Rc::new(Cell::new(None));
    raise(SIGIO);
    drop(event_loop);
    on_a_loop(async {
        waits.set(signals.next().await);
        assert_eq!(waits.get(), Some(SIGIO), "earlier signals are still returned");
        assert_eq!(signals.next().await, None);
    });
}

#[test]
fn the_default_action_is_off_while_a_stream_lives_and_back_after_the_last() {
    if is_the_child() {
        on_a_loop(async {
            let first = Signals::new([SIGTERM]).unwrap();
            let second = Signals::new([SIGTERM, SIGHUP]).unwrap();
            drop(first);
            raise(SIGTERM); // the second stream still receives it
            drop(second);
            drop(Signals::new([SIGTERM]).unwrap());
            raise(SIGTERM);
            unreachable!("the default action of SIGTERM ends the process");
        });
    }
    let test = "the_default_action_is_off_while_a_stream_lives_and_back_after_the_last";
    assert_eq!(in_a_process(test).signal(), Some(SIGTERM));
}

#[test]
fn ctrl_c_is_awaited_once_and_the_next_one_ends_the_process() {
    if is_the_child() {
        block_on(async {
            let waits = spawn(ctrl_c());
            yield_now().await;
            raise(SIGINT);
            waits.await.unwrap().unwrap();
            raise(SIGINT);
            unreachable!("no stream is left");
        });
    }
    let status = in_a_process("ctrl_c_is_awaited_once_and_the_next_one_ends_the_process");
    assert_eq!(status.signal(), Some(SIGINT));
}

// A program that `env --block-signal=TERM` has started inherits a blocked SIGTERM.
#[test]
fn a_signal_that_the_launcher_has_blocked_is_received() {
    let test = "a_signal_that_the_launcher_has_blocked_is_received";
    if is_the_child() {
        let signal = on_a_loop(async {
            let termination = spawn(termination());
            yield_now().await;
            let this_process = i32::try_from(std::process::id()).unwrap();
            // SAFETY: takes no pointer.
            assert_eq!(unsafe { libc::kill(this_process, SIGTERM) }, 0);
            termination.await.unwrap().unwrap()
        });
        std::process::exit(signal);
    }
    let mut command = Command::new("env");
    command.arg("--block-signal").arg(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env("SQUALL_CHILD", test);
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(SIGTERM), "{status}");
}

#[test]
fn an_action_from_before_the_first_stream_is_in_force_again_after_it() {
    if is_the_child() {
        // SAFETY: ignoring a signal takes no function.
        unsafe { libc::signal(SIGQUIT, libc::SIG_IGN) };
        on_a_loop(async {
            drop(Signals::new([SIGQUIT]).unwrap());
            raise(SIGQUIT);
        });
        std::process::exit(7);
    }
    let status = in_a_process("an_action_from_before_the_first_stream_is_in_force_again_after_it");
    assert_eq!(status.code(), Some(7), "the signal was ignored, as before: {status}");
}

#[test]
fn a_signal_that_stops_the_process_by_default_stops_it_again() {
    if is_the_child() {
        on_a_loop(async {
            drop(Signals::new([SIGTSTP]).unwrap());
            raise(SIGTSTP); // stops here until the parent sends SIGCONT
            let mut signals = Signals::new([SIGTSTP]).unwrap();
            raise(SIGTSTP);
            assert_eq!(signals.next().await, Some(SIGTSTP));
        });
        std::process::exit(7);
    }
    let test = "a_signal_that_stops_the_process_by_default_stops_it_again";
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env("SQUALL_CHILD", test);
    // In an orphaned process group, the kernel would ignore SIGTSTP.
    command.process_group(0);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    let mut status = 0;
    // SAFETY: `status` is a live int.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, libc::WUNTRACED) };
    assert_eq!(waited, pid);
    assert!(libc::WIFSTOPPED(status), "{status:x}");
    // SAFETY: takes no pointer; the child is ours.
    unsafe { libc::kill(pid, libc::SIGCONT) };
    assert_eq!(child.wait().unwrap().code(), Some(7));
}

// X2
#[test]
fn a_forked_child_neither_inherits_the_streams_nor_wakes_its_parent() {
    if is_the_child() {
        let event_loop = EventLoop::new().unwrap();
        let _entered = event_loop.enter();
        let mut signals = Signals::new([SIGTERM]).unwrap();
        raise(SIGTERM); // for the stream of the parent
        // SAFETY: the child ends by a signal.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let ended = EventLoop::new().unwrap().run_sync(signals.next(), Some(WATCHDOG));
            assert_eq!(ended.unwrap(), None);
            assert!(
                Signals::new([SIGHUP]).is_err(),
                "the loop of this thread belongs to the parent"
            );
            drop(signals);
            raise(SIGTERM);
            // SAFETY: ends the child, which should not get here.
            unsafe { libc::_exit(9) };
        }
        let mut status = 0;
        // SAFETY: `status` is a live int.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!(libc::WTERMSIG(status), SIGTERM, "the default action was in force in the child");
        let next = event_loop.run_sync(signals.next(), Some(WATCHDOG)).unwrap();
        assert_eq!(next, Some(SIGTERM));
        assert_eq!(event_loop.run_once(Some(Duration::from_millis(5))).unwrap(), 0);
        raise(SIGTERM);
        let next = event_loop.run_sync(signals.next(), Some(WATCHDOG)).unwrap();
        assert_eq!(next, Some(SIGTERM));
        std::process::exit(7);
    }
    let status = in_a_process("a_forked_child_neither_inherits_the_streams_nor_wakes_its_parent");
    assert_eq!(status.code(), Some(7), "{status}");
}

// X3
#[test]
fn a_flood_of_signals_during_allocations_and_locks_does_no_harm() {
    let event_loop = EventLoop::new().unwrap();
    let run = async {
        let mut signals = Signals::new([SIGUSR1]).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let flood = {
            let stop = stop.clone();
            // SAFETY: takes no pointer.
            let thread: libc::pthread_t = unsafe { libc::pthread_self() };
            thread::spawn(move || {
                for _ in 0..100_000 {
                    // SAFETY: the target thread joins this one, so it is alive. SIGUSR1 has a
                    // handler.
                    unsafe { libc::pthread_kill(thread, SIGUSR1) };
                }
                stop.store(true, Ordering::Relaxed);
            })
        };
        let mut seen = 0;
        while !stop.load(Ordering::Relaxed) {
            let texts: Vec<_> = (0..50).map(|n| "x".repeat(n * 10)).collect();
            std::hint::black_box(texts);
            drop(spawn(async { sleep(Duration::ZERO).await }));
            seen += u32::from(signals.next().await.is_some());
            if seen % 64 == 0 {
                yield_now().await;
            }
            raise(SIGUSR1); // ends the next wait even if the flood is over
        }
        flood.join().unwrap();
        seen
    };
    let seen = event_loop.run_sync(run, Some(6 * WATCHDOG)).unwrap();
    assert!(seen > 0);
}
