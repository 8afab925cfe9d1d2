//! After two thousand connections, no descriptor, task, timer or byte is left. The only test of
//! this program, because it counts for the whole process.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use squall_net::{PeriodicCallback, Stats, stats};
use support::{LocalServer, WATCHDOG, say};
use tiny_http::{Config, Request, Response};

struct Counting;

static LIVE: AtomicIsize = AtomicIsize::new(0);

thread_local! {
    /// True on the server's thread. The allocations of clients and of the test runner do not count.
    static IS_COUNTED: Cell<bool> = const { Cell::new(false) };
}

/// The counters of the server's loop and the live bytes. The loop writes them every millisecond,
/// without a message that one thread would allocate and the other would free.
static SNAPSHOT: Mutex<Option<(Stats, isize)>> = Mutex::new(None);

fn count(bytes: isize) {
    if IS_COUNTED.get() {
        LIVE.fetch_add(bytes, Ordering::Relaxed);
    }
}

#[allow(unsafe_code, reason = "an allocator that counts")]
// SAFETY: every call goes unchanged to the system's allocator, which satisfies the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller meets the contract of `alloc`, which is that of `System.alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: the caller meets the contract of `dealloc`, and `System` allocated `memory`.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Opens 2,000 connections, one after the other, which end in five different ways.
fn churn(server: &LocalServer) {
    for n in 0..2000 {
        let mut client = server.connect();
        match n % 5 {
            0 => drop(client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").rest()),
            1 => drop(client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").answer()),
            2 => drop(client.send("nonsense\r\n\r\n").end().rest()),
            3 => drop(client.send("GET / HTTP/1.1\r\nHo")), // closes inside the head
            _ => drop(client),
        }
    }
}

/// Makes the loop of the server count its allocations and write snapshots.
fn begin_counting() {
    IS_COUNTED.set(true);
    let write = || *SNAPSHOT.lock().unwrap() = Some((stats(), LIVE.load(Ordering::Relaxed)));
    PeriodicCallback::new(Duration::from_millis(1), write).start();
}

/// Waits until no connection is left. Returns the counters, the live bytes and the descriptors.
fn settled() -> (Stats, isize, usize) {
    let begin = Instant::now();
    SNAPSHOT.lock().unwrap().take();
    loop {
        if let Some((stats, live)) = *SNAPSHOT.lock().unwrap()
            && stats.live_tasks == 1
        {
            return (stats, live, descriptors());
        }
        assert!(begin.elapsed() < WATCHDOG, "connections are left");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn two_thousand_connections_leave_nothing_behind() {
    let server =
        LocalServer::start(Config::default(), async |_: &mut Request<'_>| Ok(Response::text("x")));
    server.run_on_loop(begin_counting);
    // Pools and tables reach their final size: later, far fewer connections are open at once.
    let crowd: Vec<_> = (0..200).map(|_| server.connect()).collect();
    for mut client in crowd {
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").answer();
    }
    churn(&server);
    let (before, bytes_before, descriptors_before) = settled();
    churn(&server);
    let (after, bytes_after, descriptors_after) = settled();
    let live = |stats: Stats| (stats.live_tasks, stats.live_timers, stats.live_sources);
    assert_eq!(live(after), live(before));
    assert_eq!(descriptors_after, descriptors_before);
    assert_eq!(bytes_after - bytes_before, 0, "bytes left by 2,000 connections");
    // At most one EPOLL_CTL_ADD and one EPOLL_CTL_DEL per connection.
    let added = after.registrations - before.registrations;
    assert!(added <= 2000, "{added} registrations for 2,000 connections");
    assert_eq!(after.deregistrations - before.deregistrations, added);
    say(&format!(
        "2,000 connections: {added} ADD, {added} DEL; 0 descriptors, tasks, timers, bytes left"
    ));
}
