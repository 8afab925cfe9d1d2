//! The reactor's public API: tokens, modes, timeouts and the notifier.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use squall_reactor::fault::{self, Call};
use squall_reactor::{Events, Interest, Mode, Reactor};

/// Passes only if an event is lost.
const WATCHDOG: Option<Duration> = Some(Duration::from_secs(10));
const AT_ONCE: Option<Duration> = Some(Duration::ZERO);

fn pair() -> (UnixStream, UnixStream) {
    let (a, b) = UnixStream::pair().unwrap();
    a.set_nonblocking(true).unwrap();
    (a, b)
}

fn new<S>() -> (Reactor<S>, Events) {
    (Reactor::new().unwrap(), Events::with_capacity(64))
}

#[test]
fn level_mode_reports_readiness_for_as_long_as_it_lasts() {
    let (mut reactor, mut events) = new();
    let (a, mut b) = pair();
    let token = reactor.register(a.as_fd(), Interest::READABLE, Mode::Level, "a").unwrap();
    assert_eq!(reactor.wait(&mut events, AT_ONCE).unwrap(), 0);
    b.write_all(b"x").unwrap();
    for _ in 0..2 {
        assert_eq!(reactor.wait(&mut events, WATCHDOG).unwrap(), 1);
        let event = events.iter().next().unwrap();
        assert!(event.token() == token && event.is_readable() && !event.is_writable());
        assert_eq!(reactor.get(token), Some(&"a"));
    }
}

#[test]
fn edge_mode_reports_each_arrival_once() {
    let (mut reactor, mut events) = new();
    let (a, mut b) = pair();
    reactor.register(a.as_fd(), Interest::READABLE, Mode::Edge, ()).unwrap();
    for _ in 0..2 {
        b.write_all(b"x").unwrap();
        assert_eq!(reactor.wait(&mut events, WATCHDOG).unwrap(), 1);
        assert_eq!(reactor.wait(&mut events, AT_ONCE).unwrap(), 0);
    }
}

#[test]
fn oneshot_mode_is_silent_until_it_is_armed_again() {
    let (mut reactor, mut events) = new();
    let (a, mut b) = pair();
    let token = reactor.register(a.as_fd(), Interest::READABLE, Mode::OneShot, ()).unwrap();
    b.write_all(b"x").unwrap();
    assert_eq!(reactor.wait(&mut events, WATCHDOG).unwrap(), 1);
    b.write_all(b"y").unwrap();
    assert_eq!(reactor.wait(&mut events, AT_ONCE).unwrap(), 0);
    reactor.modify(token, Interest::READABLE, Mode::OneShot).unwrap();
    assert_eq!(reactor.wait(&mut events, WATCHDOG).unwrap(), 1);
}

// R20 (what the kernel refuses)
#[test]
fn exclusive_mode_watches_a_listener_and_refuses_what_the_kernel_would() {
    let (mut reactor, mut events) = new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let fd = listener.as_fd();
    let refused = reactor.register(fd, Interest::PRIORITY, Mode::Exclusive, ()).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput);
    let token = reactor.register(fd, Interest::READABLE, Mode::Exclusive, ()).unwrap();
    let refused = reactor.modify(token, Interest::READABLE, Mode::Exclusive).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput);
    let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    assert_eq!(reactor.wait(&mut events, WATCHDOG).unwrap(), 1);
}

// IOL-05
#[test]
fn registering_a_file_twice_is_refused_and_the_first_stays() {
    let (mut reactor, mut events) = new();
    let (a, mut b) = pair();
    let token = reactor.register(a.as_fd(), Interest::READABLE, Mode::Level, 1).unwrap();
    let refused = reactor.register(a.as_fd(), Interest::READABLE, Mode::Level, 2).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::AlreadyExists);
    b.write_all(b"x").unwrap();
    reactor.wait(&mut events, WATCHDOG).unwrap();
    assert_eq!(events.iter().next().map(|event| event.token()), Some(token));
    assert_eq!(reactor.len(), 1);
}

// R17
#[test]
fn a_regular_file_is_refused_and_leaves_no_slot() {
    let (mut reactor, _) = new();
    let file = File::open("/proc/self/exe").unwrap();
    let refused = reactor.register(file.as_fd(), Interest::READABLE, Mode::Level, ()).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
    assert!(reactor.is_empty());
}

// R7
#[test]
fn a_failed_registration_leaves_no_slot() {
    if !fault::ACTIVE {
        return eprintln!("skipped: faults are injected in debug builds only");
    }
    let (mut reactor, _) = new();
    let (a, _b) = pair();
    for errno in [28 /* ENOSPC */, 12 /* ENOMEM */, 9 /* EBADF */] {
        fault::inject(Call::EpollAdd, 0, 1, errno);
        let refused = reactor.register(a.as_fd(), Interest::READABLE, Mode::Level, ()).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(errno));
        assert!(reactor.is_empty());
    }
    reactor.register(a.as_fd(), Interest::READABLE, Mode::Level, ()).unwrap();
}

#[test]
fn a_notice_ends_the_current_wait_or_the_next_one() {
    let (mut reactor, mut events) = new::<()>();
    let notifier = reactor.notifier();
    notifier.notify();
    assert_eq!(reactor.wait(&mut events, None).unwrap(), 0);
    assert_eq!(reactor.wait(&mut events, AT_ONCE).unwrap(), 0);
    let other = std::thread::spawn(move || notifier.notify());
    assert_eq!(reactor.wait(&mut events, None).unwrap(), 0);
    other.join().unwrap();
}

#[test]
fn each_notice_is_a_new_edge_although_the_eventfd_is_never_read() {
    let (mut reactor, mut events) = new::<()>();
    let notifier = reactor.notifier();
    for _ in 0..1000 {
        notifier.notify();
        // Without a new edge, this wait would never end.
        assert_eq!(reactor.wait(&mut events, None).unwrap(), 0);
    }
}

// IOL-04, T2
#[test]
fn a_short_timeout_is_never_cut_short() {
    let (mut reactor, mut events) = new::<()>();
    for micros in [1, 50, 900] {
        let (begin, timeout) = (Instant::now(), Duration::from_micros(micros));
        assert_eq!(reactor.wait(&mut events, Some(timeout)).unwrap(), 0);
        assert!(begin.elapsed() >= timeout);
    }
}

#[test]
fn the_longest_timeouts_are_legal() {
    let (mut reactor, mut events) = new::<()>();
    for timeout in [Duration::MAX, Duration::from_secs(u64::MAX / 2)] {
        reactor.notifier().notify();
        assert_eq!(reactor.wait(&mut events, Some(timeout)).unwrap(), 0);
    }
}

#[test]
fn epoll_pwait2_is_tried_once_and_epoll_wait_replaces_it() {
    if !fault::ACTIVE {
        return eprintln!("skipped: faults are injected in debug builds only");
    }
    for errno in [38 /* ENOSYS */, 1 /* EPERM */] {
        let (mut reactor, mut events) = new::<()>();
        let (fine, coarse) = (fault::calls(Call::EpollPwait2), fault::calls(Call::EpollWait));
        fault::inject(Call::EpollPwait2, 0, 1, errno);
        for _ in 0..3 {
            let (begin, timeout) = (Instant::now(), Duration::from_micros(300));
            reactor.wait(&mut events, Some(timeout)).unwrap();
            assert!(begin.elapsed() >= timeout, "rounded down with errno {errno}");
        }
        assert_eq!(fault::calls(Call::EpollPwait2) - fine, 1);
        assert_eq!(fault::calls(Call::EpollWait) - coarse, 3);
    }
}

// R10
#[test]
fn an_interrupted_wait_returns_no_events() {
    if !fault::ACTIVE {
        return eprintln!("skipped: faults are injected in debug builds only");
    }
    let (mut reactor, mut events) = new();
    let (a, mut b) = pair();
    reactor.register(a.as_fd(), Interest::READABLE, Mode::Level, ()).unwrap();
    b.write_all(b"x").unwrap();
    fault::inject(Call::EpollPwait2, 1, 1, 4 /* EINTR */);
    assert_eq!(reactor.wait(&mut events, WATCHDOG).unwrap(), 1);
    assert_eq!(reactor.wait(&mut events, WATCHDOG).unwrap(), 0);
    assert!(events.is_empty(), "events of the previous wait were returned again");
    assert_eq!(reactor.wait(&mut events, WATCHDOG).unwrap(), 1);
}

// R11, NET-X2
#[test]
fn descriptors_are_close_on_exec() {
    let (reactor, _) = new::<()>();
    for fd in [reactor.as_fd().as_raw_fd(), reactor.notifier().as_fd().as_raw_fd()] {
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
        let flags = i32::from_str_radix(flags, 8).unwrap();
        assert!(flags & 0o2_000_000 != 0, "O_CLOEXEC is missing on {fd}: {flags:o}");
    }
}

// S7
#[test]
fn more_ready_descriptors_than_the_buffer_holds_are_all_served() {
    let mut reactor = Reactor::new().unwrap();
    let mut events = Events::with_capacity(4);
    let pairs: Vec<_> = (0..20).map(|_| pair()).collect();
    for (number, (a, b)) in pairs.iter().enumerate() {
        reactor.register(a.as_fd(), Interest::READABLE, Mode::Level, number).unwrap();
        (&mut &*b).write_all(b"x").unwrap();
    }
    let mut served = vec![0; 20];
    for _ in 0..5 {
        assert_eq!(reactor.wait(&mut events, WATCHDOG).unwrap(), 4);
        events.iter().for_each(|event| served[*reactor.get(event.token()).unwrap()] += 1);
    }
    assert_eq!(served, [1; 20]);
}

#[test]
fn a_closed_peer_is_reported_while_its_bytes_are_unread() {
    let (mut reactor, mut events) = new();
    let (mut a, mut b) = pair();
    reactor.register(a.as_fd(), Interest::READABLE, Mode::Edge, ()).unwrap();
    b.write_all(b"last words").unwrap();
    drop(b);
    assert_eq!(reactor.wait(&mut events, WATCHDOG).unwrap(), 1);
    let event = events.iter().next().unwrap();
    assert!(event.is_readable() && event.is_read_closed());
    let mut bytes = String::new();
    a.read_to_string(&mut bytes).unwrap();
    assert_eq!(bytes, "last words");
}

#[test]
fn a_reactor_can_be_registered_with_another() {
    let (mut outer, mut events) = new();
    let (mut inner, mut inner_events) = new();
    let (a, mut b) = pair();
    inner.register(a.as_fd(), Interest::READABLE, Mode::Level, ()).unwrap();
    outer.register(inner.as_fd(), Interest::READABLE, Mode::Level, ()).unwrap();
    assert_eq!(outer.wait(&mut events, AT_ONCE).unwrap(), 0);
    b.write_all(b"x").unwrap();
    assert_eq!(outer.wait(&mut events, WATCHDOG).unwrap(), 1);
    assert_eq!(inner.wait(&mut inner_events, AT_ONCE).unwrap(), 1);
}

// R20
#[test]
fn a_worker_that_pauses_leaves_the_rest_of_the_backlog_to_another() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let mut workers = [Reactor::new().unwrap(), Reactor::new().unwrap()];
    let tokens: Vec<_> = workers
        .iter_mut()
        .map(|worker| worker.register(listener.as_fd(), Interest::READABLE, Mode::Exclusive, ()))
        .collect();
    let _clients: Vec<_> = (0..10).map(|_| TcpStream::connect(address).unwrap()).collect();
    let mut events = Events::with_capacity(4);
    let [first, second] = &mut workers;
    assert_eq!(first.wait(&mut events, Some(Duration::from_secs(10))).unwrap(), 1);
    (0..3).for_each(|_| drop(listener.accept().unwrap()));
    first.deregister(*tokens[0].as_ref().unwrap()).unwrap(); // the first worker pauses
    let mut accepted = 3;
    while second.wait(&mut events, Some(Duration::ZERO)).unwrap() == 1 {
        drop(listener.accept().unwrap());
        accepted += 1;
    }
    assert_eq!(accepted, 10);
}
