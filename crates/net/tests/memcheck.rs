//! Three programs under valgrind's memcheck: it reports memory that is used before it was written or
//! after it was freed, and memory that nothing refers to when a process ends.
//!
//! Unlike AddressSanitizer, memcheck also sees the memory of std and of the C library. Version 3.19 does not know
//! `epoll_pwait2` and answers `ENOSYS`, so the programs then run on the fall-back.

mod watched;

use std::cell::RefCell;
use std::future::poll_fn;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use squall_executor::fault::{self, Call};
use squall_net::{
    EventLoop, ForkOptions, Handle, IoStream, Role, TcpServer, TcpStream, bind_sockets, block_on,
    call_later, fork_processes, remove_timeout, sleep, spawn, spawn_blocking, timeout, yield_now,
};
use watched::say;

/// valgrind makes a program about 40 times slower.
const WATCHDOG: Duration = Duration::from_secs(120);

fn main() {
    let tests: [(&str, fn()); 3] = [
        // W6, W8, W14
        ("tasks_timers_and_wakers_of_other_threads_are_clean_under_memcheck", || check("tasks")),
        // I9
        ("an_echo_of_a_hundred_messages_is_clean_under_memcheck", || check("echo")),
        // X1
        ("two_workers_that_were_forked_are_clean_under_memcheck", || check("prefork")),
    ];
    watched::run(program, &tests);
}

/// Runs a program under valgrind, which ends each of its processes with 99 if it has found an error.
fn check(name: &str) {
    if std::env::var("RUSTFLAGS").is_ok_and(|flags| flags.contains("sanitizer")) {
        return; // a program can have only one of the two
    }
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--quiet", "--error-exitcode=99", "--leak-check=full", "--fair-sched=yes"])
        .args(["--errors-for-leak-kinds=definite,indirect", "--show-leak-kinds=definite,indirect"])
        .arg(std::env::current_exe().unwrap())
        .args(["as", name]);
    let Ok(output) = run(&mut valgrind) else {
        return eprintln!("skipped: no valgrind to check the memory of \"{name}\" with");
    };
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}: {}\n{out}{err}", output.status);
    assert!(out.lines().any(|line| line == "done"), "{name}: {out}{err}");
    for line in out.lines().filter(|line| line.contains("epoll_wait")) {
        eprintln!("{name}: {line}");
    }
}

/// Runs a command for at most `WATCHDOG`.
fn run(command: &mut Command) -> std::io::Result<Output> {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let pid = child.id();
    let (ended, waits) = std::sync::mpsc::channel::<()>();
    let watchdog = thread::spawn(move || {
        if waits.recv_timeout(WATCHDOG) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            watched::kill(pid, "KILL");
        }
    });
    let output = child.wait_with_output();
    drop(ended);
    watchdog.join().unwrap();
    let output = output?;
    assert_ne!(output.status.signal(), Some(9), "it has not ended in {WATCHDOG:?}");
    Ok(output)
}

/// The programs that run under valgrind.
fn program(name: &str) {
    match name {
        "tasks" => tasks(),
        "echo" => block_on(echo()),
        "prefork" => prefork(),
        name => panic!("no program {name}"),
    }
    say_how_it_waited();
    say("done");
}

/// A reactor that is refused `epoll_pwait2` asks for it once, and from then on uses `epoll_wait`.
fn say_how_it_waited() {
    let (exact, coarse) = (fault::calls(Call::EpollPwait2), fault::calls(Call::EpollWait));
    if coarse > 0 {
        say(&format!("{coarse} calls of epoll_wait after {exact} refused calls of epoll_pwait2"));
    }
}

/// Tasks, timers and cancellations on one loop, with messages, wakes and outputs from other threads.
fn tasks() {
    block_on(async {
        let tasks: Vec<_> = (0..50).map(|n| spawn(sleep_and_yield(n))).collect();
        for (n, task) in tasks.into_iter().enumerate() {
            if n % 7 == 0 { task.abort() } else { assert_eq!(task.await.unwrap(), n) }
        }
        let unused = call_later(Duration::from_secs(1000), || unreachable!());
        assert!(remove_timeout(unused));
        assert!(timeout(Duration::from_micros(100), std::future::pending::<()>()).await.is_err());
        let sums = (1..=5_u32).map(|n| spawn_blocking(move || vec![n; 100].iter().sum::<u32>()));
        let sums: Vec<_> = sums.collect();
        for (n, sum) in (1..).zip(sums) {
            assert_eq!(sum.await.unwrap(), 100 * n);
        }
        assert!(spawn_blocking(|| panic!("on purpose")).await.unwrap_err().is_panic());
        other_threads().await;
    });
    a_loop_ends_against_wakes();
}

async fn sleep_and_yield(n: usize) -> usize {
    sleep(Duration::from_micros(200 * (n as u64 % 5))).await;
    yield_now().await;
    n
}

/// Three threads wake a task, send callbacks and wait for the output of a task.
async fn other_threads() {
    let (wakes, callbacks) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (waker, wakers) = std::sync::mpsc::channel::<Waker>();
    let waking = thread::spawn({
        let wakes = Arc::clone(&wakes);
        move || {
            for waker in wakers {
                wakes.fetch_add(1, Ordering::Relaxed);
                waker.wake();
            }
        }
    });
    let handle = Handle::current();
    let sending = thread::spawn({
        let (handle, callbacks) = (handle.clone(), Arc::clone(&callbacks));
        move || {
            for _ in 0..100 {
                let callbacks = Arc::clone(&callbacks);
                let add_one = move || _ = callbacks.fetch_add(1, Ordering::Relaxed);
                handle.add_callback(add_one).unwrap();
            }
        }
    });
    let asking = thread::spawn(move || {
        let answer = handle.spawn(async || {
            sleep(Duration::from_millis(1)).await;
            String::from("from the loop")
        });
        futures_lite::future::block_on(answer.unwrap()).unwrap()
    });
    poll_fn(|cx| {
        if wakes.load(Ordering::Relaxed) < 100 {
            waker.send(cx.waker().clone()).unwrap();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
    drop(waker);
    while callbacks.load(Ordering::Relaxed) < 100 || !asking.is_finished() {
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(asking.join().unwrap(), "from the loop");
    waking.join().unwrap();
    sending.join().unwrap();
}

/// Drops loops whose tasks own their own wakers, which another thread wakes, clones and drops.
fn a_loop_ends_against_wakes() {
    for _ in 0..20 {
        let event_loop = EventLoop::new().unwrap();
        let (waker, wakers) = std::sync::mpsc::channel::<Waker>();
        let task = {
            let own = Rc::new(RefCell::new(None));
            poll_fn(move |cx| {
                *own.borrow_mut() = Some(cx.waker().clone());
                let _ = waker.send(cx.waker().clone());
                Poll::<()>::Pending
            })
        };
        drop(event_loop.spawn(task));
        let other_thread = thread::spawn(move || {
            for waker in wakers {
                waker.wake_by_ref();
                drop(waker.clone());
            }
        });
        for _ in 0..5 {
            event_loop.run_once(Some(Duration::ZERO)).unwrap();
        }
        drop(event_loop);
        other_thread.join().unwrap();
    }
}

fn echo_server() -> TcpServer {
    TcpServer::new(async |mut stream: IoStream, _| {
        loop {
            let line = stream.read_until(b"\n").await?;
            stream.write(line)?;
        }
    })
}

/// Sends lines of growing length and reads them back.
async fn talk(address: std::net::SocketAddr, messages: usize) {
    let mut client = IoStream::new(TcpStream::connect(address).await.unwrap());
    for n in 0..messages {
        let line = format!("{}\n", "x".repeat(n * n));
        client.write(line.as_bytes()).unwrap();
        assert_eq!(client.read_until(b"\n").await.unwrap(), line);
    }
}

async fn echo() {
    let server = echo_server();
    let address = server.listen("127.0.0.1:0").unwrap();
    talk(address, 100).await;
    server.drain(Duration::from_secs(10)).await;
}

/// Two workers that share a socket. Each serves, talks to whichever worker accepts, and ends.
fn prefork() {
    let sockets = bind_sockets(0, Some("127.0.0.1"), Default::default()).unwrap();
    let address = sockets[0].local_addr().unwrap();
    let Role::Worker(_) = fork_processes(Some(2), ForkOptions::default()).unwrap() else {
        return;
    };
    block_on(async {
        let server = echo_server();
        server.add_sockets(sockets).unwrap();
        talk(address, 20).await;
        server.drain(Duration::from_secs(10)).await;
    });
}
