//! Tests that depend on the exact numbers of descriptors. They run one at a time, in a process of
//! their own.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use squall_reactor::fault::{self, Call};
use squall_reactor::{Events, Interest, Mode, Reactor};

/// Passes only if an event is lost.
const WATCHDOG: Option<Duration> = Some(Duration::from_secs(10));

fn alone() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pair() -> (UnixStream, UnixStream) {
    UnixStream::pair().unwrap()
}

fn new<S>() -> (Reactor<S>, Events) {
    (Reactor::new().unwrap(), Events::with_capacity(64))
}

// R5, IOL-05 (the tests of the executor cover its part)
#[test]
fn a_stale_event_is_dropped() {
    let _alone = alone();
    let (mut reactor, mut events) = new();
    let ((a, mut a_peer), (b, mut b_peer)) = (pair(), pair());
    let old_number = b.as_raw_fd();
    let a_token = reactor.register(a.as_fd(), Interest::READABLE, Mode::Level, 'a').unwrap();
    let b_token = reactor.register(b.as_fd(), Interest::READABLE, Mode::Level, 'b').unwrap();
    a_peer.write_all(b"x").unwrap();
    b_peer.write_all(b"x").unwrap();
    assert_eq!(reactor.wait(&mut events, WATCHDOG).unwrap(), 2);

    // The handler of a's event replaces b by a new socket, which gets b's number and b's slot.
    assert_eq!(reactor.deregister(b_token), Some('b'));
    drop(b);
    let (c, _c_peer) = pair();
    assert_eq!(c.as_raw_fd(), old_number, "the kernel hands out the lowest free number");
    let c_token = reactor.register(c.as_fd(), Interest::READABLE, Mode::Level, 'c').unwrap();

    let reported: Vec<_> = events.iter().filter_map(|event| reactor.get(event.token())).collect();
    assert_eq!(reported, [&'a']);
    assert_ne!(b_token, c_token);
    assert_eq!(reactor.get(a_token), Some(&'a'));
}

// R21
#[test]
fn late_deregistration_of_a_closed_fd_does_not_remove_the_file_that_reuses_its_number() {
    let _alone = alone();
    let (mut reactor, mut events) = new();
    let (old, _old_peer) = pair();
    let number = old.as_raw_fd();
    let old_token = reactor.register(old.as_fd(), Interest::READABLE, Mode::Level, "old").unwrap();
    drop(old);
    let (new, mut new_peer) = pair();
    assert_eq!(new.as_raw_fd(), number, "the kernel hands out the lowest free number");
    let new_token = reactor.register(new.as_fd(), Interest::READABLE, Mode::Level, "new").unwrap();

    assert_eq!(reactor.get(old_token), None);
    let refused = reactor.modify(old_token, Interest::WRITABLE, Mode::Level).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::NotFound);
    assert_eq!(reactor.deregister(old_token), Some("old"));
    assert_eq!(reactor.deregister(old_token), None);

    new_peer.write_all(b"x").unwrap();
    assert_eq!(reactor.wait(&mut events, WATCHDOG).unwrap(), 1);
    assert_eq!(events.iter().next().unwrap().token(), new_token);
}

// R13
#[test]
fn a_reactor_that_cannot_be_made_leaves_no_descriptor() {
    let _alone = alone();
    if !fault::ACTIVE {
        return eprintln!("skipped: faults are injected in debug builds only");
    }
    for call in [Call::EpollCreate, Call::EventfdCreate, Call::EpollAdd] {
        fault::inject(call, 0, 1, 24 /* EMFILE */);
        assert_eq!(Reactor::<()>::new().unwrap_err().raw_os_error(), Some(24));
    }
    // Each attempt opens at most two descriptors. If it leaked one, the next file would get a
    // higher number.
    let numbers: Vec<_> = (0..3)
        .map(|_| {
            fault::inject(Call::EpollAdd, 0, 1, 24);
            assert!(Reactor::<()>::new().is_err());
            File::open("/dev/null").unwrap().as_raw_fd()
        })
        .collect();
    assert!(numbers.iter().all(|number| *number == numbers[0]), "leaked: {numbers:?}");
}
