//! Pre-fork at a terminal, which sends signals to a whole process group.

#![allow(unsafe_code, reason = "pseudo-terminals and sessions, for which std has no names")]

mod watched;

use std::ffi::CStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use squall_net::signal::{SIGHUP, SIGINT, SIGTERM, Signals};
use squall_net::{ForkOptions, Role, block_on, fork_processes};
use watched::{WATCHDOG, Watched, kill, process_of, say};

fn main() {
    let tests: [(&str, fn()); 5] = [
        // X8
        ("a_worker_that_was_forked_while_ctrl_c_was_pressed_is_signalled", in_a_fork),
        ("ctrl_c_is_passed_on_to_a_worker_in_a_session_of_its_own", own_session),
        ("a_worker_in_the_process_group_gets_ctrl_c_from_the_terminal_only", in_the_group),
        // X8
        ("closing_the_terminal_ends_all_workers", closed),
        ("ctrl_c_that_was_ignored_before_stays_ignored", ignored),
    ];
    watched::run(program, &tests);
}

/// The programs that the tests start.
fn program(name: &str) {
    if name == "in a fork" {
        // SAFETY: this program has one thread, so the handler may do what the program may do.
        assert_eq!(unsafe { libc::pthread_atfork(Some(wait_for_ctrl_c), None, None) }, 0);
    }
    let workers = if name == "in a fork" { 2 } else { 1 };
    match fork_processes(Some(workers), ForkOptions::default()).unwrap() {
        Role::Worker(number) => work(name, number),
        Role::Supervisor => say("all have ended"),
    }
}

fn work(name: &str, number: usize) {
    if name == "own session" {
        // SAFETY: the call takes no argument.
        assert!(unsafe { libc::setsid() } > 0);
    }
    block_on(async {
        let mut signals = Signals::new([SIGINT, SIGTERM]).unwrap();
        let _hang_ups = Signals::new([SIGHUP]).unwrap();
        say(&format!("worker {number} process {}", std::process::id()));
        while let Some(signal) = signals.next().await {
            say(&format!("worker {number} was sent signal {signal}"));
            match name {
                "ignored" if signal == SIGINT => {}
                // The parent takes SIGUSR1 last, so any second SIGINT has been sent by now.
                "in the group" => {
                    Signals::new([libc::SIGUSR1]).unwrap().next().await;
                    let more = squall_net::timeout(Duration::ZERO, signals.next()).await;
                    return say(if more.is_ok() { "twice" } else { "once" });
                }
                _ => return,
            }
        }
    });
}

/// Delays the second fork until Ctrl-C was pressed.
unsafe extern "C" fn wait_for_ctrl_c() {
    static FORKS: AtomicU32 = AtomicU32::new(0);
    if FORKS.fetch_add(1, Ordering::Relaxed) != 1 {
        return;
    }
    say("in the fork");
    let begin = Instant::now();
    // SAFETY: all zeros is a valid set.
    let mut waiting: libc::sigset_t = unsafe { std::mem::zeroed() };
    while begin.elapsed() < WATCHDOG {
        // SAFETY: the set is alive.
        unsafe { libc::sigpending(&raw mut waiting) };
        // SAFETY: the kernel has just written it.
        if unsafe { libc::sigismember(&raw const waiting, SIGINT) } == 1 {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Begins a new session with standard input as its controlling terminal.
fn take_terminal() -> std::io::Result<()> {
    // SAFETY: the call takes no argument.
    let session = unsafe { libc::setsid() };
    // SAFETY: the call takes integers.
    let taken = unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) };
    if session < 0 || taken < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}

/// A program at a terminal of its own.
struct Session {
    process: Watched,
    /// Bytes that are written here are typed at the terminal.
    keyboard: File,
}

impl Session {
    /// `None` on a machine without pseudo-terminals.
    fn start(name: &str) -> Option<Session> {
        Session::start_with(name, |_| {})
    }

    fn start_with(name: &str, change: impl FnOnce(&mut Command)) -> Option<Session> {
        // SAFETY: the call takes an integer.
        let keyboard =
            unsafe { libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC) };
        if keyboard < 0 {
            eprintln!("skipped: no terminal, {}", std::io::Error::last_os_error());
            return None;
        }
        // SAFETY: the descriptor was just made, and has no other owner.
        let keyboard = unsafe { File::from_raw_fd(keyboard) };
        // SAFETY: the descriptor is open.
        assert_eq!(unsafe { libc::unlockpt(keyboard.as_raw_fd()) }, 0);
        let mut path = [0; 64];
        // SAFETY: the buffer is alive and has the given length.
        let named = unsafe { libc::ptsname_r(keyboard.as_raw_fd(), path.as_mut_ptr(), path.len()) };
        assert_eq!(named, 0);
        // SAFETY: the call above has written a string that ends in NUL.
        let path = unsafe { CStr::from_ptr(path.as_ptr()) }.to_str().unwrap();
        let terminal = File::options().read(true).write(true).open(path).unwrap();
        let process = Watched::start_with(name, |command| {
            command.stdin(terminal);
            // SAFETY: `take_terminal` calls only async-signal-safe functions.
            unsafe { command.pre_exec(take_terminal) };
            change(command);
        });
        Some(Session { process, keyboard })
    }

    fn press_ctrl_c(&mut self) {
        self.keyboard.write_all(b"\x03").unwrap();
    }
}

fn in_a_fork() {
    let Some(mut session) = Session::start("in a fork") else { return };
    let mut lines = session.process.lines(1);
    if lines != ["in the fork"] {
        lines = session.process.lines(1); // the first worker printed before
    }
    assert_eq!(lines, ["in the fork"]);
    session.press_ctrl_c();
    assert_eq!(session.process.rest()[0], "all have ended");
    assert!(session.process.end().success());
}

fn own_session() {
    let Some(mut session) = Session::start("own session") else { return };
    session.process.lines(1);
    session.press_ctrl_c();
    assert_eq!(session.process.rest(), ["all have ended", "worker 0 was sent signal 2"]);
    assert!(session.process.end().success());
}

fn in_the_group() {
    let Some(mut session) = Session::start("in the group") else { return };
    session.process.lines(1);
    session.press_ctrl_c();
    assert_eq!(session.process.lines(1), ["worker 0 was sent signal 2"]);
    session.process.has_taken();
    session.process.kill("USR1");
    assert_eq!(session.process.rest(), ["all have ended", "once"]);
    assert!(session.process.end().success());
}

fn closed() {
    let Some(Session { mut process, keyboard }) = Session::start("closed") else { return };
    process.lines(1);
    drop(keyboard);
    assert_eq!(process.rest(), ["all have ended", "worker 0 was sent signal 15"]);
    assert!(process.end().success());
}

fn ignored() {
    let session = Session::start_with("ignored", |command| {
        let ignore = || {
            // SAFETY: ignoring a signal takes no function.
            unsafe { libc::signal(SIGINT, libc::SIG_IGN) };
            Ok(())
        };
        // SAFETY: `ignore` calls only `signal`, which is async-signal-safe.
        unsafe { command.pre_exec(ignore) };
    });
    let Some(mut session) = session else { return };
    let begun = session.process.lines(1);
    session.press_ctrl_c();
    // The worker has a stream for SIGINT. The parent still ignores Ctrl-C.
    assert_eq!(session.process.lines(1), ["worker 0 was sent signal 2"]);
    kill(process_of(&begun[0]), "KILL");
    let begun = session.process.lines(1);
    assert!(begun[0].starts_with("worker 0 process"), "{begun:?}");
    session.process.kill("INT"); // not from the terminal, so the parent passes it on
    assert_eq!(session.process.lines(1), ["worker 0 was sent signal 2"]);
    session.process.kill("TERM"); // the worker goes on after an interrupt
    assert_eq!(session.process.rest(), ["all have ended", "worker 0 was sent signal 15"]);
    assert!(session.process.end().success());
}
