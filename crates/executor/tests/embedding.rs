//! squall inside another loop: a plain `poll(2)` loop that has descriptors of its own.

#![allow(unsafe_code, reason = "poll(2) has no safe wrapper in std")]

use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use squall_executor::{AsyncFd, EventLoop, sleep, spawn_blocking};

/// `poll(2)`: returns which of `fds` are readable; on timeout, none is.
fn poll<const N: usize>(fds: [BorrowedFd<'_>; N], timeout: Option<Duration>) -> [bool; N] {
    let mut entries =
        fds.map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 });
    let millis = timeout.map_or(-1, |t| i32::try_from(t.as_nanos().div_ceil(1_000_000)).unwrap());
    // SAFETY: `entries` is an array of `N` live `pollfd`s.
    let ready = unsafe { libc::poll(entries.as_mut_ptr(), N as libc::nfds_t, millis) };
    assert!(ready >= 0, "{}", std::io::Error::last_os_error());
    entries.map(|entry| entry.revents != 0)
}

#[test]
fn a_poll_loop_runs_squall_beside_its_own_descriptors() {
    let log = Rc::new(RefCell::new(Vec::new()));
    let note = |text: &'static str| {
        let log = log.clone();
        move || log.borrow_mut().push(text)
    };
    let event_loop = EventLoop::new().unwrap();
    let (foreign, mut foreign_peer) = UnixStream::pair().unwrap();
    let (ours, mut our_peer) = UnixStream::pair().unwrap();
    event_loop.add_callback(note("callback"));
    event_loop.call_later(Duration::from_millis(2), note("timer"));
    let (read, slept, blocked) = (note("read"), note("slept"), note("blocking"));
    let task = event_loop.spawn(async move {
        let ours = AsyncFd::new(ours).unwrap();
        ours.read_with(|mut ours| ours.read(&mut [0; 8])).await.unwrap();
        read();
        sleep(Duration::from_millis(2)).await;
        slept();
        spawn_blocking(|| thread::sleep(Duration::from_millis(1))).await.unwrap();
        blocked();
    });
    let handle = event_loop.handle();
    let sender = thread::spawn(move || {
        our_peer.write_all(b"x").unwrap();
        handle.add_callback(|| {}).unwrap();
        foreign_peer.write_all(b"y").unwrap();
        (our_peer, foreign_peer)
    });
    let end = Instant::now() + Duration::from_secs(10);
    let mut seen_foreign = false;
    while !(task.is_finished() && seen_foreign && log.borrow().contains(&"timer")) {
        assert!(Instant::now() < end, "{:?}", log.borrow());
        let next = event_loop.next_deadline();
        let timeout = next.map(|next| next.saturating_duration_since(Instant::now()));
        let longest = Some(timeout.unwrap_or(end - Instant::now()));
        let [squall, foreign_ready] = poll([event_loop.as_fd(), foreign.as_fd()], longest);
        if foreign_ready && !seen_foreign {
            assert_eq!((&foreign).read(&mut [0; 8]).unwrap(), 1);
            seen_foreign = true;
        }
        let is_due = event_loop.next_deadline().is_some_and(|next| next <= Instant::now());
        if squall || is_due {
            event_loop.run_once(Some(Duration::ZERO)).unwrap();
        }
    }
    sender.join().unwrap();
    let mut log = log.take();
    assert_eq!(log.remove(0), "callback");
    log.sort_unstable();
    assert_eq!(log, ["blocking", "read", "slept", "timer"]);
    assert_eq!(event_loop.stats().idle_time, Duration::ZERO, "poll slept, and not squall");
}

#[test]
fn the_descriptor_of_an_idle_loop_is_quiet_and_one_message_makes_it_readable() {
    let event_loop = EventLoop::new().unwrap();
    event_loop.run_once(Some(Duration::ZERO)).unwrap();
    assert_eq!(
        (poll([event_loop.as_fd()], Some(Duration::ZERO)), event_loop.next_deadline()),
        ([false], None)
    );
    let handle = event_loop.handle();
    thread::spawn(move || handle.add_callback(|| {})).join().unwrap().unwrap();
    assert_eq!(poll([event_loop.as_fd()], Some(Duration::from_secs(10))), [true]);
    assert!(event_loop.next_deadline().is_some_and(|due| due <= Instant::now()));
    let mut ran = 0;
    while event_loop.next_deadline().is_some() {
        ran += event_loop.run_once(Some(Duration::ZERO)).unwrap();
    }
    assert!(ran >= 1);
    assert_eq!(event_loop.stats().callbacks, 1);
    assert_eq!(
        poll([event_loop.as_fd()], Some(Duration::ZERO)),
        [false],
        "the outer loop would spin"
    );
}

/// A descriptor that can be dropped while something waits for it.
type Shared = Rc<RefCell<Option<AsyncFd<UnixStream>>>>;

/// Ready when the descriptor is gone.
fn poll_gone(shared: &Shared, cx: &mut Context<'_>) -> Poll<()> {
    match &*shared.borrow() {
        Some(fd) => fd.poll_read_with(cx, |mut fd| fd.read(&mut [0; 8])).map(drop),
        None => Poll::Ready(()),
    }
}

struct CountsWakes(AtomicUsize);

impl Wake for CountsWakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn is_readable(event_loop: &EventLoop) -> bool {
    poll([event_loop.as_fd()], Some(Duration::ZERO)) == [true]
}

fn run_until_idle(event_loop: &EventLoop) {
    while event_loop.next_deadline().is_some() || is_readable(event_loop) {
        event_loop.run_once(Some(Duration::ZERO)).unwrap();
    }
}

#[test]
fn a_drop_outside_the_loop_wakes_who_waits_and_makes_the_loops_descriptor_readable() {
    let event_loop = EventLoop::new().unwrap();
    for is_foreign in [false, true] {
        let (ours, _peer) = UnixStream::pair().unwrap();
        let shared = Shared::new(RefCell::new(Some(AsyncFd::new(ours).unwrap())));
        let wakes = Arc::new(CountsWakes(AtomicUsize::new(0)));
        let foreign = Waker::from(Arc::clone(&wakes));
        let waiting = Rc::clone(&shared);
        let task = event_loop.spawn(poll_fn(move |cx| {
            let cx = &mut Context::from_waker(if is_foreign { &foreign } else { cx.waker() });
            poll_gone(&waiting, cx)
        }));
        run_until_idle(&event_loop);
        assert!(!task.is_finished() && !is_readable(&event_loop));
        let fd = shared.take();
        drop(fd);
        assert!(is_readable(&event_loop), "the outer loop would sleep for ever");
        run_until_idle(&event_loop);
        let woken = wakes.0.load(Ordering::Relaxed);
        assert_eq!((task.is_finished(), woken), (!is_foreign, usize::from(is_foreign)));
    }
}

#[test]
fn a_foreign_waker_is_woken_when_a_task_drops_the_descriptor_at_the_end_of_the_loop() {
    struct Guard(Shared);
    impl Drop for Guard {
        fn drop(&mut self) {
            let fd = self.0.take();
            drop(fd);
        }
    }
    let event_loop = EventLoop::new().unwrap();
    let (ours, _peer) = UnixStream::pair().unwrap();
    let shared = Shared::new(RefCell::new(Some(AsyncFd::new(ours).unwrap())));
    let guard = Guard(Rc::clone(&shared));
    let task = event_loop.spawn(async move {
        let _guard = guard;
        pending::<()>().await
    });
    run_until_idle(&event_loop);
    let wakes = Arc::new(CountsWakes(AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&wakes));
    {
        let _entered = event_loop.enter();
        assert!(poll_gone(&shared, &mut Context::from_waker(&waker)).is_pending());
    }
    drop(event_loop);
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    assert!(task.is_finished() && shared.borrow().is_none());
}
