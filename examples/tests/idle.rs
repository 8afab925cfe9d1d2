//! Eight thousand idle connections cost no turn of the loop, no system call and little memory.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use support::{Client, LocalServer, ServerProcess, say};
use tiny_http::{Config, Request, Response};

const CONNECTIONS: usize = 8000;
const WINDOW: Duration = Duration::from_secs(2);
/// The most bytes that a connection may use in the server's heap: a task, a stream, its
/// registration and its timer.
const BYTES_EACH: usize = 736;

/// A connection has been idle for long enough to have given back the memory for its requests.
const COLD_AFTER: Duration = Duration::from_millis(1200);

/// Held by the running test: the tests count descriptors and bytes of the whole process.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);

#[allow(unsafe_code, reason = "an allocator that counts")]
// SAFETY: every call goes unchanged to the system's allocator, which satisfies the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller meets the contract of `alloc`, which is that of `System.alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller meets the contract of `dealloc`, and `System` allocated `memory`.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Opens all connections. Half of them get one response; the others send nothing.
fn connect_all(connect: impl Fn() -> Client) -> Vec<Client> {
    let serve_once = |(n, mut client): (usize, Client)| {
        if n % 2 == 0 {
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").answer();
        }
        client
    };
    (0..CONNECTIONS).map(|_| connect()).enumerate().map(serve_once).collect()
}

#[test]
fn idle_connections_cost_no_turn_and_little_memory_and_leave_nothing() {
    let _guard = ONE_AT_A_TIME.lock();
    if !support::may_open(2 * CONNECTIONS as u64 + 100) {
        return;
    }
    let server = LocalServer::start(Config::default(), async |_: &mut Request<'_>| {
        Ok(Response::text("Hello, World!"))
    });
    server.connect().send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").rest();
    let begin = server.wait_until("the first connection is gone", |stats| stats.live_tasks == 1);
    let heap = LIVE.load(Ordering::Relaxed);
    let mut clients = Vec::with_capacity(CONNECTIONS);
    let clients_bytes = LIVE.load(Ordering::Relaxed) - heap;
    clients.extend(connect_all(|| server.connect()));
    server.wait_until("all are accepted", |stats| stats.live_tasks == CONNECTIONS + 1);
    let live = || (LIVE.load(Ordering::Relaxed) - heap - clients_bytes) / CONNECTIONS;
    let warm = live();
    thread::sleep(COLD_AFTER);
    let each = live();
    assert!(each < warm, "{warm} bytes each at first, then {each}");
    say(&format!("{CONNECTIONS} idle HTTP connections: {each} bytes of live heap each"));
    assert!(each <= BYTES_EACH, "{each} bytes each");

    let before = server.stats();
    thread::sleep(WINDOW);
    let waits = server.stats().waits - before.waits;
    say(&format!(
        "{CONNECTIONS} idle HTTP connections: {waits} waits in {WINDOW:?}, this query included"
    ));
    assert!(waits <= 2, "{waits} waits in {WINDOW:?}");

    drop(clients);
    let end = server.wait_until("no connection is left", |stats| stats.live_tasks == 1);
    assert_eq!((end.live_sources, end.live_timers), (begin.live_sources, begin.live_timers));
}

#[test]
fn strace_sees_no_system_call_of_an_idle_server() {
    let _guard = ONE_AT_A_TIME.lock();
    if !support::may_open(CONNECTIONS as u64 + 100) {
        return;
    }
    let server = ServerProcess::start(&[]);
    let clients = connect_all(|| server.client());
    assert!(server.stat("live_tasks") > CONNECTIONS as u64);
    thread::sleep(COLD_AFTER); // the connection of `stat` is gone by then
    let strace = Command::new("strace")
        .args(["-f", "-qq", "-p", &server.child.id().to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut strace) = strace else { return say("skipped: strace is not installed") };
    thread::sleep(WINDOW);
    support::kill(&strace, "INT");
    let mut log = String::new();
    std::io::Read::read_to_string(&mut strace.stderr.take().unwrap(), &mut log).unwrap();
    strace.wait().unwrap();
    if log.contains("ptrace") {
        return say(&format!("skipped: strace may not attach here: {}", log.trim()));
    }
    // When strace attaches, it shows the call in which the loop sleeps. When it detaches, it shows
    // that the call continues.
    let calls: Vec<_> = log.lines().filter(|line| !line.contains("epoll_pwait2")).collect();
    assert!(log.contains("epoll_pwait2") && calls.is_empty(), "{log}");
    assert_eq!(log.matches("epoll_pwait2").count(), 1, "{log}");
    say(&format!("{CONNECTIONS} idle HTTP connections: strace saw 0 system calls in {WINDOW:?}"));
    drop(clients);
}
