//! What a reactor does in a child process after a fork.

#![allow(unsafe_code, reason = "fork(2) has no safe wrapper")]

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use squall_reactor::{Events, Interest, Mode, Process, Reactor};

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

fn leave(child: impl FnOnce() -> Result<(), &'static str>) -> ! {
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child));
    if let Ok(Err(what)) = &found {
        let _ = std::io::stderr().write_all(what.as_bytes());
    }
    // SAFETY: `_exit` ends the child without running the exit handlers of the parent.
    unsafe { libc::_exit(i32::from(!matches!(found, Ok(Ok(()))))) }
}

fn assert_succeeds(child: i32) {
    assert!(child > 0, "fork failed");
    let mut status = 0;
    // SAFETY: `status` is a live int.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!((waited, status), (child, 0), "the child failed");
}

fn check(holds: bool, what: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(what) }
}

// X1
#[test]
fn a_child_cannot_touch_the_epoll_of_its_parent() {
    let (a, mut b) = UnixStream::pair().unwrap();
    let mut reactor = Reactor::new().unwrap();
    let token = reactor.register(a.as_fd(), Interest::READABLE, Mode::Level, "a").unwrap();
    let (c, _d) = UnixStream::pair().unwrap();
    in_a_child!(move || {
        let mut events = Events::with_capacity(4);
        check(reactor.is_forked(), "is_forked")?;
        check(reactor.wait(&mut events, Some(Duration::ZERO)).is_err(), "wait")?;
        let added = reactor.register(c.as_fd(), Interest::READABLE, Mode::Level, "c");
        check(added.is_err(), "register")?;
        check(reactor.modify(token, Interest::WRITABLE, Mode::Level).is_err(), "modify")?;
        reactor.notifier().notify();
        check(reactor.deregister(token) == Some("a"), "deregister")?;
        drop(reactor);
        let mut own = Reactor::new().map_err(|_| "new")?;
        let own_token = own.register(c.as_fd(), Interest::WRITABLE, Mode::Level, "c");
        check(own.wait(&mut events, None).is_ok_and(|count| count == 1), "a reactor of its own")?;
        check(own_token.is_ok(), "register on its own")
    });
    assert!(!reactor.is_forked());
    let mut events = Events::with_capacity(4);
    assert_eq!(
        reactor.wait(&mut events, Some(Duration::ZERO)).unwrap(),
        0,
        "the notice of the child woke the parent"
    );
    b.write_all(b"x").unwrap();
    assert_eq!(reactor.wait(&mut events, Some(Duration::from_secs(10))).unwrap(), 1);
    assert_eq!(reactor.get(token), Some(&"a"));
    assert_eq!(reactor.stats().deregistrations, 0);
}

#[test]
fn a_process_differs_from_its_child_and_grandchild() {
    let parent = Process::current().unwrap();
    in_a_child!(|| {
        check(!parent.is_current(), "the child takes itself for its parent")?;
        let child = Process::current().map_err(|_| "current")?;
        check(child.is_current() && child != parent, "the child does not recognise itself")
    });
    assert!(parent.is_current());
}
