//! A program with a loop and a dashboard, and a client that reads what the dashboard sends.

#![allow(dead_code, reason = "no test program uses all of this module")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use dashboard::{Dashboard, Options};
use serde_json::Value;
use squall_net::{EventLoop, Handle};

/// The limit of every wait. Only a test that hangs reaches it.
pub(crate) const WATCHDOG: Duration = Duration::from_secs(20);

/// A program whose loop runs on its own thread, with a dashboard.
pub(crate) struct Program {
    pub(crate) dashboard: Dashboard,
    pub(crate) handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Program {
    pub(crate) fn start(options: Options) -> Program {
        let (sender, receiver) = mpsc::channel();
        let thread = thread::spawn(move || {
            let event_loop = EventLoop::new().unwrap();
            let entered = event_loop.enter();
            sender.send((options.serve("127.0.0.1:0").unwrap(), event_loop.handle())).unwrap();
            drop(entered);
            event_loop.run().unwrap();
        });
        let (dashboard, handle) = receiver.recv_timeout(WATCHDOG).unwrap();
        Program { dashboard, handle, thread: Some(thread) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.dashboard.address()
    }

    /// Runs `call` on the program's loop and returns its result.
    pub(crate) fn on_loop<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let (sender, receiver) = mpsc::channel();
        self.handle.add_callback(move || drop(sender.send(call()))).unwrap();
        receiver.recv_timeout(WATCHDOG).expect("the loop runs the callback")
    }

    /// Sticks the loop until the returned value is dropped. Returns when it is stuck.
    #[track_caller]
    pub(crate) fn stick(&self) -> Stuck {
        let (stuck, is_stuck) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let stick = move || {
            stuck.send(()).unwrap();
            let _ = released.recv_timeout(WATCHDOG); // an error: the other end was dropped
        };
        self.handle.add_callback(stick).unwrap();
        is_stuck.recv_timeout(WATCHDOG).unwrap();
        Stuck(release)
    }

    /// The status and the body of the response to `GET path`.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let (head, body) = self.ask(&format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n"));
        (head[9..12].parse().unwrap(), body)
    }

    /// The head and the body of the response to a request that asks for no keep-alive.
    pub(crate) fn ask(&self, request: &str) -> (String, String) {
        let mut stream = connect(self.address());
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").expect(&text);
        (head.to_owned(), body.to_owned())
    }

    /// The value of a metric with these labels.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        metric(&self.get("/metrics").1, series)
    }

    /// Waits until `condition` is true.
    pub(crate) fn wait_until(&self, what: &str, mut condition: impl FnMut(&Program) -> bool) {
        let begin = Instant::now();
        while !condition(self) {
            assert!(begin.elapsed() < WATCHDOG, "not so in time: {what}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn events(&self) -> Events {
        let mut stream = connect(self.address());
        stream.write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        Events(BufReader::new(stream))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.dashboard.stop();
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            assert!(thread.join().is_ok() || thread::panicking(), "the program panicked");
        }
    }
}

/// Sticks a loop while it lives.
pub(crate) struct Stuck(mpsc::Sender<()>);

/// The value of a series on a page of metrics.
#[track_caller]
pub(crate) fn metric(page: &str, series: &str) -> f64 {
    let value = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {series} in\n{page}")).parse().unwrap()
}

/// An open page, as far as the server can tell.
pub(crate) struct Events(BufReader<TcpStream>);

impl Events {
    /// The next snapshot.
    pub(crate) fn next(&mut self) -> Value {
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream of events has ended");
            if let Some(snapshot) = line.strip_prefix("data: ") {
                return serde_json::from_str(snapshot).unwrap();
            }
        }
    }

    /// The first snapshot from now on whose first loop satisfies `condition`.
    pub(crate) fn wait_for(&mut self, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let begin = Instant::now();
        loop {
            let observed = self.next()["loops"][0].take();
            if condition(&observed) {
                return observed;
            }
            assert!(begin.elapsed() < WATCHDOG, "not so in time: {what}: {observed}");
        }
    }

    /// Reads to the end of the stream.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = self.0.read_to_end(&mut rest); // it may end in a reset
        rest
    }
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(WATCHDOG)).unwrap();
    stream.set_write_timeout(Some(WATCHDOG)).unwrap();
    stream
}

/// Prints a line that the test runner does not capture.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
