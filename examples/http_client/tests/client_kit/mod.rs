//! For tests of the client: loops with a limit of time, and servers that answer with scripted bytes.

#![allow(dead_code, reason = "no test program uses all of this module")]

use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::future::Future;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use http_client::{ClientResponse, FetchError};
use squall_net::{Clock, EventLoop, IoStream, TcpServer, block_on, timeout};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MILLISECOND: Duration = Duration::from_millis(1);
/// The limit of every test. Only a test that hangs reaches it.
const WATCHDOG: Duration = Duration::from_secs(60);

/// An answer that keeps the connection.
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Runs a test on a loop of its own.
pub(crate) fn run(test: impl Future<Output = ()>) {
    block_on(async { timeout(WATCHDOG, test).await.expect("the test hangs") });
}

/// Runs a test on a loop whose clock stands still until the test moves it.
pub(crate) fn run_with_clock(test: impl AsyncFnOnce(Clock)) {
    let clock = Clock::manual();
    let event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
    event_loop.block_on(test(clock));
}

/// A server on the loop of the test. Dropping it closes its connections.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    /// How many connections were accepted.
    accepted: Rc<Cell<usize>>,
    /// The requests that [`Peer::request`] has read.
    requests: Rc<RefCell<Vec<String>>>,
    _server: TcpServer,
}

/// The server's side of a connection.
pub(crate) struct Peer {
    pub(crate) stream: IoStream,
    /// Counts the connections of the server from 0.
    pub(crate) number: usize,
    requests: Rc<RefCell<Vec<String>>>,
}

impl Scripted {
    /// Calls `script` for each connection.
    pub(crate) fn new(script: impl AsyncFn(&mut Peer) -> io::Result<()> + 'static) -> Scripted {
        Scripted::on("127.0.0.1:0", script).unwrap()
    }

    pub(crate) fn on(
        address: &str,
        script: impl AsyncFn(&mut Peer) -> io::Result<()> + 'static,
    ) -> io::Result<Scripted> {
        let (accepted, requests) = (Rc::new(Cell::new(0)), Rc::default());
        let (count, log) = (Rc::clone(&accepted), Rc::clone(&requests));
        let server = TcpServer::new(async move |stream, _| {
            let number = count.replace(count.get() + 1);
            script(&mut Peer { stream, number, requests: Rc::clone(&log) }).await
        });
        let address = server.listen(address)?;
        Ok(Scripted { address, accepted, requests, _server: server })
    }

    /// Sends `answer` to each request, as often as the client asks.
    pub(crate) fn answering(answer: impl Into<String>) -> Scripted {
        let answer = answer.into();
        Scripted::new(async move |peer| {
            loop {
                peer.request().await?;
                peer.stream.write(&*answer)?;
            }
        })
    }

    /// Sends `answer` to the first request of each connection, and closes.
    pub(crate) fn closing_after(answer: impl Into<Vec<u8>>) -> Scripted {
        let answer = answer.into();
        Scripted::new(async move |peer| {
            peer.request().await?;
            peer.stream.write(&*answer)?;
            Ok(peer.stream.shutdown().await?)
        })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How many connections were accepted.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.get()
    }

    /// The requests so far, in order, each with its head and its body.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.borrow().clone()
    }

    pub(crate) fn last_request(&self) -> String {
        self.requests.borrow().last().expect("a request").clone()
    }
}

impl Peer {
    /// Reads the head of a request.
    pub(crate) async fn head(&mut self) -> io::Result<String> {
        let head = self.stream.read_until(b"\r\n\r\n").await?;
        Ok(String::from_utf8(head.to_vec()).expect("the head is text"))
    }

    /// Reads a whole request and keeps it for [`Scripted::requests`].
    pub(crate) async fn request(&mut self) -> io::Result<String> {
        let head = self.head().await?;
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
        let body = match (field("content-length: "), field("transfer-encoding: chunked")) {
            (Some(length), _) => self.stream.read_bytes(length.parse().unwrap()).await?,
            (None, Some(_)) => self.stream.read_until(b"0\r\n\r\n").await?,
            (None, None) => Default::default(),
        };
        let request = head + str::from_utf8(&body).expect("the body is text");
        self.requests.borrow_mut().push(request.clone());
        Ok(request)
    }
}

/// The error of a fetch that must fail.
#[track_caller]
pub(crate) fn error_of<T: Debug>(outcome: Result<T, FetchError>) -> FetchError {
    outcome.expect_err("the fetch must fail")
}

/// The answer in the error of a fetch that must fail for its status.
#[track_caller]
pub(crate) fn status_error<T: Debug>(outcome: Result<T, FetchError>) -> ClientResponse {
    match error_of(outcome) {
        FetchError::Status(response) => *response,
        error => panic!("not an error for a status: {error}"),
    }
}

/// Prints a line that the test runner does not capture.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
