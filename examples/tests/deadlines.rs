//! Deadlines count from the moment at which the server begins to wait, however long a handler has
//! held up the loop.
//!
//! The loop has a manual clock: a handler that computes for some time moves the clock.

mod support;

use std::io::Read;
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::net::{self, AddressFamily, SocketType};
use squall_net::{Clock, EventLoop};
use support::{Client, LocalServer, WATCHDOG};
use tiny_http::{Config, HandlerResult, MaxDelay, Request, RequestHandler, Response};

/// Every deadline of these servers.
const LIMIT: Duration = Duration::from_millis(300);
/// More than [`LIMIT`].
const COMPUTING: Duration = Duration::from_millis(400);
const LARGE: usize = 8 << 20;
const HUGE: usize = 64 << 20;
/// What the kernel does between the two ends of a connection differs from time to time.
const ROUNDS: usize = 8;

thread_local! {
    /// The clock of this thread's loop.
    static CLOCK: Clock = Clock::manual();
}

fn advance(by: Duration) {
    CLOCK.with(|clock| clock.advance(by));
}

/// Lets time pass in steps, and the loop run at each.
fn pass(server: &LocalServer, time: Duration) {
    for _ in 0..10 {
        server.run_on_loop(move || advance(time / 10));
    }
}

fn start<A>(app: A) -> LocalServer
where
    A: AsyncFn(&mut Request<'_>) -> HandlerResult + Send + 'static,
{
    start_handler(|| app)
}

/// Starts a server with the deadlines of this file.
fn start_handler<H: RequestHandler + 'static>(
    make_handler: impl FnOnce() -> H + Send + 'static,
) -> LocalServer {
    let config = Config {
        idle_timeout: LIMIT,
        head_timeout: LIMIT,
        body_timeout: LIMIT,
        write_timeout: LIMIT,
        ..Config::default()
    };
    start_with(config, make_handler)
}

/// Starts a server on the manual clock.
fn start_with<H: RequestHandler + 'static>(
    config: Config,
    make_handler: impl FnOnce() -> H + Send + 'static,
) -> LocalServer {
    let make_loop = || {
        let clock = CLOCK.with(Clock::clone);
        EventLoop::builder().clock(clock).build().unwrap()
    };
    LocalServer::start_on(make_loop, config, make_handler)
}

async fn app(request: &mut Request<'_>) -> HandlerResult {
    if request.path().starts_with("/compute") {
        advance(COMPUTING);
    }
    Ok(match request.path() {
        "/compute/large" => Response::text(vec![b'x'; LARGE]),
        "/huge" => Response::text(vec![b'x'; HUGE]),
        _ => Response::text(request.body().await?),
    })
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
}

fn post(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")
}

#[test]
fn the_idle_limit_counts_from_the_response() {
    let server = start(app);
    let mut client = server.connect();
    server.wait_until("the first request is awaited", |stats| stats.live_timers == 1);
    client.send(get("/compute")).answer();
    pass(&server, Duration::from_millis(100));
    let (head, _) = client.send(get("/compute")).answer();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    pass(&server, LIMIT);
    assert_eq!(client.rest(), "");
}

#[test]
fn the_idle_limit_passes_while_the_loop_is_held_up() {
    let idle_timeout = Duration::from_secs(5);
    let server = start_with(Config { idle_timeout, ..Config::default() }, || app);
    let mut client = server.connect();
    client.send(get("/")).answer();
    server.run_on_loop(move || advance(idle_timeout * 2));
    assert_eq!(client.rest(), "");
}

#[test]
fn the_limit_of_a_body_counts_from_the_first_wait_for_it() {
    let server = start(app);
    let mut client = server.connect();
    client.send(post("/compute") + "a");
    server.wait_until("the body is awaited", |stats| stats.live_timers == 1);
    pass(&server, Duration::from_millis(100));
    let (head, body) = client.send("bc").answer();
    assert!(head.starts_with("HTTP/1.1 200 ") && body == "abc", "{head}");
    let polls = server.stats().polls;
    client.send(post("/compute") + "a");
    server.wait_until("the body is awaited", |stats| stats.polls > polls);
    pass(&server, LIMIT);
    assert!(client.answer().0.starts_with("HTTP/1.1 408 "));
}

/// A client whose kernel takes few bytes, and so no more of them once its window is full.
fn connect_with_small_window(server: &LocalServer) -> Client {
    let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    set_socket_recv_buffer_size(&socket, 4096).unwrap();
    net::connect(&socket, &server.address).unwrap();
    let client = Client(socket.into());
    client.0.set_read_timeout(Some(WATCHDOG)).unwrap();
    client
}

#[test]
fn the_limit_of_a_slow_reader_counts_from_the_response() {
    let server = start(app);
    for _ in 0..ROUNDS {
        let mut client = connect_with_small_window(&server);
        client.send(get("/compute/large"));
        server.wait_until("the response waits for its reader", |stats| stats.live_tasks == 3);
        pass(&server, Duration::from_millis(100));
        assert_eq!(client.answer().1.len(), LARGE);
        drop(client);
        server.wait_until("the connection is gone", |stats| stats.live_tasks == 1);
    }
}

/// A server, and two channels: the first says that `GET /hold` holds up the loop, and the second
/// lets it go on. Meanwhile [`COMPUTING`] passes.
fn start_with_hold() -> (LocalServer, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (entered, has_entered) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let may_go_on = Mutex::new(may_go_on);
    let server = start(async move |request: &mut Request<'_>| {
        if request.path() == "/hold" {
            entered.send(()).unwrap();
            may_go_on.lock().unwrap().recv_timeout(WATCHDOG).unwrap();
            advance(COMPUTING);
        }
        app(request).await
    });
    (server, has_entered, go_on)
}

/// Waits until no task has run in many turns of the loop.
fn settle(server: &LocalServer) {
    let mut quiet_turns = 0;
    let mut polls = server.stats().polls;
    server.wait_until("no task runs", |stats| {
        quiet_turns = if stats.polls == polls { quiet_turns + 1 } else { 0 };
        polls = stats.polls;
        quiet_turns == 50
    });
}

/// Reads and discards what the kernel holds, at most about 2 MiB. Returns the number of bytes.
fn read_what_has_come(client: &mut Client) -> usize {
    client.0.set_nonblocking(true).unwrap();
    let mut buffer = vec![0; 1 << 16];
    let mut received = 0;
    while received < 2 << 20
        && let Ok(n) = client.0.read(&mut buffer)
        && n > 0
    {
        received += n;
    }
    client.0.set_nonblocking(false).unwrap();
    received
}

#[test]
fn a_client_that_reads_while_the_loop_is_held_up_is_not_cut() {
    let (server, has_entered, go_on) = start_with_hold();
    let mut reader = server.connect();
    reader.send(get("/huge"));
    server.wait_until("the response waits for its reader", |stats| stats.live_tasks == 3);
    let mut received = 0;
    for _ in 0..ROUNDS {
        settle(&server);
        let polls = server.stats().polls;
        received += read_what_has_come(&mut reader);
        server.wait_until("more is sent", |stats| stats.polls > polls);
        settle(&server);
        pass(&server, LIMIT); // the server sees that the client reads, and begins a new limit
        let mut other = server.connect();
        other.send(get("/hold"));
        has_entered.recv_timeout(WATCHDOG).unwrap();
        received += read_what_has_come(&mut reader);
        go_on.send(()).unwrap();
        assert!(other.answer().0.starts_with("HTTP/1.1 200 "));
    }
    let mut rest = vec![0; HUGE - received];
    reader.0.read_exact(&mut rest).expect("the response goes on");
}

#[test]
fn bytes_that_came_while_the_loop_was_held_up_are_in_time() {
    let (server, has_entered, go_on) = start_with_hold();
    let mut slow = server.connect();
    slow.send(post("/echo") + "a");
    let mut idle = server.connect();
    idle.send(get("/first")).answer();
    let mut other = server.connect();
    other.send(get("/hold"));
    has_entered.recv_timeout(WATCHDOG).unwrap();
    slow.send("bc");
    idle.send(get("/second"));
    go_on.send(()).unwrap();
    assert_eq!(slow.answer().1, "abc");
    assert!(idle.answer().0.starts_with("HTTP/1.1 200 "));
}

#[test]
fn requests_that_the_loop_comes_to_too_late_are_refused_and_served_when_they_come_again() {
    let server = start_handler(|| MaxDelay::new(LIMIT, app));
    let mut clients: Vec<_> = (0..3).map(|_| server.connect()).collect();
    server.wait_until("the first requests are awaited", |stats| stats.live_timers == 3);
    // The loop finds all requests at once. The handler of the first computes for too long.
    let (go_on, may_go_on) = mpsc::channel();
    server.handle.add_callback(move || may_go_on.recv().unwrap()).unwrap();
    for client in &mut clients {
        client.send(post("/compute") + "abc");
    }
    go_on.send(()).unwrap();
    let answers: Vec<_> = clients.iter_mut().map(Client::answer).collect();
    let (served, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|(head, _)| head.starts_with("HTTP/1.1 200 "));
    assert_eq!(served.len(), 1, "{answers:?}");
    for (head, body) in refused {
        assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("retry-after: 1"), "{head}");
        assert_eq!(body, "503 Service Unavailable\n");
    }
    for client in &mut clients {
        let (head, body) = client.send(post("/echo") + "abc").answer();
        assert!(head.starts_with("HTTP/1.1 200 ") && body == "abc", "{head}");
    }
}
