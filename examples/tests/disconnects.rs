//! Clients that leave while the server has nothing to send to them, and clients that only end
//! their sending half.

mod support;

use std::future::{pending, poll_fn};
use std::io::Read;
use std::net::Shutdown;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_lite::stream::{self, StreamExt};
use squall_net::sleep;
use support::{Client, LocalServer};
use tiny_http::{Config, HandlerResult, Request, Response};

/// The number of a server's handlers and streams that wait.
#[derive(Clone, Default)]
struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// Counts one more until the result is dropped.
    fn begin(&self) -> OneWaits {
        self.0.fetch_add(1, Ordering::SeqCst);
        OneWaits(self.clone())
    }
}

struct OneWaits(Waiting);

impl Drop for OneWaits {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn start() -> (LocalServer, Waiting) {
    let waiting = Waiting::default();
    let of_app = waiting.clone();
    let app = async move |request: &mut Request<'_>| app(request, of_app.clone()).await;
    (LocalServer::start(Config::default(), app), waiting)
}

async fn app(request: &mut Request<'_>, waiting: Waiting) -> HandlerResult {
    Ok(match request.path() {
        "/wait" => {
            let _one = waiting.begin();
            pending().await
        }
        "/events" => {
            let event = stream::once(Ok(Bytes::from_static(b"data: 1\n\n")));
            let silence = stream::once_future(async move {
                let _one = waiting.begin();
                pending().await
            });
            Response::stream(event.chain(silence))
        }
        "/slow" => {
            let _one = waiting.begin();
            sleep(Duration::from_millis(400)).await;
            Response::text("slow")
        }
        "/slow_stream" => Response::stream(stream::unfold(0, |n| async move {
            sleep(Duration::from_millis(if n == 3 { 0 } else { 200 })).await;
            (n < 3).then(|| (Ok(format!("{n}").repeat(20).into()), n + 1))
        })),
        "/body" => Response::text(request.body().await?),
        "/body_with_another_waker" => Response::text(with_another_waker(request.body()).await?),
        path => Response::text(path.to_owned()),
    })
}

/// A waker that notes its wake and passes it on, as those of `FuturesUnordered` do.
struct NotingWaker {
    is_woken: AtomicBool,
    outer: Waker,
}

impl Wake for NotingWaker {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::SeqCst);
        self.outer.wake_by_ref();
    }
}

/// Polls `future` with a waker of its own, and only after that waker was woken.
async fn with_another_waker<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut waker: Option<Arc<NotingWaker>> = None;
    poll_fn(|cx| {
        let waker = waker.get_or_insert_with(|| {
            let outer = cx.waker().clone();
            Arc::new(NotingWaker { is_woken: AtomicBool::new(true), outer })
        });
        if !waker.is_woken.swap(false, Ordering::SeqCst) {
            return Poll::Pending;
        }
        future.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(waker))))
    })
    .await
}

fn get(path: &str, version: &str) -> String {
    format!("GET {path} HTTP/{version}\r\nHost: x\r\n\r\n")
}

/// Makes a client leave. Returns the client if its socket stays open.
type Leave = fn(Client) -> Option<Client>;

/// The ways in which a client leaves for good.
fn ways_to_leave() -> [(&'static str, Leave); 4] {
    [
        ("close", |client| {
            drop(client);
            None
        }),
        ("reset", |client| {
            client.reset();
            None
        }),
        ("shutdown of both halves", |client| {
            client.0.shutdown(Shutdown::Both).unwrap();
            Some(client)
        }),
        ("half-close, then close", |mut client| {
            client.end();
            std::thread::sleep(Duration::from_millis(100)); // longer than the first probes take
            drop(client);
            None
        }),
    ]
}

#[test]
fn a_client_that_leaves_cancels_its_handler_or_its_stream() {
    let (server, waiting) = start();
    // An HTTP/1.0 stream has no bytes that could be sent early. It is noticed at its next piece.
    for (path, version) in [("/wait", "1.1"), ("/wait", "1.0"), ("/events", "1.1")] {
        for (way, leave) in ways_to_leave() {
            let mut client = server.connect();
            client.send(get(path, version));
            server.wait_until("it waits", |_| waiting.count() == 1);
            if path == "/events" {
                let mut event = Vec::new();
                while !event.ends_with(b"data: 1\n\n\r\n") {
                    let mut byte = [0];
                    client.0.read_exact(&mut byte).unwrap();
                    event.extend(byte);
                }
            }
            let left = leave(client);
            let what = format!("{path} of HTTP/{version} ends after a {way}");
            server.wait_until(&what, |stats| waiting.count() == 0 && stats.live_tasks == 1);
            drop(left);
        }
    }
}

/// The text without its Date field.
fn without_date(text: &str) -> String {
    text.split_inclusive("\r\n").filter(|line| !line.starts_with("Date: ")).collect()
}

/// The body of a chunked response.
fn chunked_body(response: &str) -> String {
    let (_, mut rest) = response.split_once("\r\n\r\n").unwrap();
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n").unwrap();
        assert!(size.len() <= 16, "curl refuses a chunk size of more than 16 digits: {size}");
        let size = usize::from_str_radix(size, 16).unwrap();
        body.push_str(&after[..size]);
        rest = after[size..].strip_prefix("\r\n").unwrap();
        if size == 0 {
            assert_eq!(rest, "");
            return body;
        }
    }
}

#[test]
fn a_client_that_ends_its_sending_half_gets_the_same_bytes_as_another() {
    let (server, _) = start();
    for version in ["1.0", "1.1"] {
        let request = format!("GET /slow HTTP/{version}\r\nHost: x\r\nConnection: close\r\n\r\n");
        let whole = server.connect().send(&request).rest();
        let after_half_close = server.connect().send(&request).end().rest();
        assert_eq!(without_date(&after_half_close), without_date(&whole));
    }
    let old = server.connect().send(get("/slow_stream", "1.0")).end().rest();
    let wanted = ["0", "1", "2"].map(|digit| digit.repeat(20)).concat();
    assert_eq!(old.split_once("\r\n\r\n").unwrap().1, wanted);
    let new = server.connect().send(get("/slow_stream", "1.1")).end().rest();
    assert_eq!(chunked_body(&new), wanted, "{new}");
}

#[test]
fn pipelined_requests_before_a_half_close_are_all_answered() {
    let (server, _) = start();
    let batch = get("/slow", "1.1").repeat(2) + &get("/last", "1.1");
    let answers = server.connect().send(batch).end().rest();
    assert_eq!(answers.matches("HTTP/1.1 200 OK\r\n").count(), 3, "{answers}");
    assert_eq!(answers.matches("\r\n\r\nslow").count(), 2, "{answers}");
    assert!(answers.ends_with("\r\n\r\n/last"), "{answers}");
}

#[test]
fn a_handler_reads_the_body_with_any_waker_while_the_client_is_watched() {
    let (server, _) = start();
    for path in ["/body", "/body_with_another_waker"] {
        let mut client = server.connect();
        client.send(format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n"));
        for piece in ["ab", "cd", "ef"] {
            let polls = server.stats().polls;
            client.send(piece);
            server.wait_until("the piece has arrived", |stats| stats.polls > polls);
        }
        assert_eq!(client.answer().1, "abcdef", "{path}");
        // An end of the stream inside the body reaches the handler too.
        client.send(format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nab"));
        let answer = client.end().rest();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{path}: {answer}");
    }
}

#[test]
fn requests_that_come_while_a_handler_waits_are_served_after_it() {
    let (server, waiting) = start();
    let mut client = server.connect();
    client.send(get("/slow", "1.1"));
    server.wait_until("the handler waits", |_| waiting.count() == 1);
    client.send(get("/next", "1.1").repeat(3000)); // more than the read buffer holds
    assert_eq!(client.answer().1, "slow");
    for n in 0..3000 {
        assert_eq!(client.answer().1, "/next", "{n}");
    }
}
