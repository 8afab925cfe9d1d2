//! Clients that send requests while something is restarted.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::program::wait_until;
use crate::support::{WATCHDOG, say};

/// Each client sends a request every 5 ms.
const PERIOD: Duration = Duration::from_millis(5);

/// What a client does for each of its requests.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Request {
    Get,
    /// A body that comes back: a request that no proxy may repeat.
    Post,
}

/// Whether a client keeps its connection for the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connection {
    Kept,
    New,
}

pub(crate) type Kind = (Request, Connection);

/// Clients of a proxy, which keeps their connections while it changes servers.
pub(crate) const ALL_KINDS: [Kind; 4] = [
    (Request::Get, Connection::Kept),
    (Request::Get, Connection::New),
    (Request::Post, Connection::Kept),
    (Request::Post, Connection::New),
];
/// Clients whose requests a proxy may send again.
pub(crate) const GETS: [Kind; 2] =
    [(Request::Get, Connection::Kept), (Request::Get, Connection::New)];
/// Clients of a server without a proxy. A server that ends closes kept connections, and a request
/// may be on its way at that moment.
pub(crate) const NEW_CONNECTIONS: [Kind; 2] = [(Request::Get, Connection::New); 2];

/// Clients, one of each kind, each on a thread of its own.
pub(crate) struct Load {
    is_over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    pub(crate) fn start(address: SocketAddr, kinds: &[Kind]) -> Load {
        let (is_over, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let start = |kind: &Kind| {
            let kind = *kind;
            let (is_over, answered) = (Arc::clone(&is_over), Arc::clone(&answered));
            thread::spawn(move || {
                let mut client = Client { address, kind, connection: None };
                client.run(&is_over, &answered)
            })
        };
        let clients: Vec<_> = kinds.iter().map(start).collect();
        let load = Load { is_over, answered, clients };
        load.wait_for_answers(20);
        load
    }

    /// Waits for `count` more answers.
    pub(crate) fn wait_for_answers(&self, count: usize) {
        let before = self.answered.load(Ordering::Relaxed);
        wait_until("the clients are answered", || {
            self.answered.load(Ordering::Relaxed) >= before + count
                || self.clients.iter().all(JoinHandle::is_finished)
        });
    }

    /// Ends the load, and fails if any request has failed.
    pub(crate) fn end(mut self, what: &str) {
        self.wait_for_answers(20);
        self.is_over.store(true, Ordering::Relaxed);
        let clients = self.clients.drain(..);
        let failures: Vec<_> = clients.flat_map(|client| client.join().unwrap()).collect();
        let answered = self.answered.load(Ordering::Relaxed);
        say(&format!("{what}: {answered} requests were answered, {} failed", failures.len()));
        assert!(failures.is_empty(), "{what}: {:?}", &failures[..failures.len().min(3)]);
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed); // after a panic of the test
    }
}

struct Client {
    address: SocketAddr,
    kind: Kind,
    connection: Option<BufReader<TcpStream>>,
}

impl Client {
    /// Sends requests until the load is over. Returns the errors of those that have failed.
    fn run(&mut self, is_over: &AtomicBool, answered: &AtomicUsize) -> Vec<String> {
        let (begin, mut count, mut failures) = (Instant::now(), 0, Vec::new());
        while !is_over.load(Ordering::Relaxed) {
            thread::sleep((begin + PERIOD * count).saturating_duration_since(Instant::now()));
            count += 1;
            match self.exchange(count) {
                Ok(()) => _ = answered.fetch_add(1, Ordering::Relaxed),
                Err(error) => {
                    failures.push(format!("{:?} {count}: {error}", self.kind));
                    self.connection = None;
                }
            }
        }
        failures
    }

    fn exchange(&mut self, number: u32) -> io::Result<()> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                let stream = TcpStream::connect(self.address)?;
                stream.set_read_timeout(Some(WATCHDOG))?;
                none.insert(BufReader::new(stream))
            }
        };
        let (request, kept) = self.kind;
        let close = if kept == Connection::Kept { "" } else { "Connection: close\r\n" };
        let body = format!("number {number}");
        let (request, wanted) = match request {
            Request::Get => (format!("GET / HTTP/1.1\r\nHost: x\r\n{close}\r\n"), "Hello, World!"),
            Request::Post => {
                let length = body.len();
                let head = format!("Host: x\r\nContent-Length: {length}\r\n{close}");
                (format!("POST /echo HTTP/1.1\r\n{head}\r\n{body}"), body.as_str())
            }
        };
        connection.get_mut().write_all(request.as_bytes())?;
        let (head, answer) = response(connection)?;
        if !head.starts_with("http/1.1 200 ") || answer != wanted {
            return Err(io::Error::other(format!("unexpected response: {head:?} {answer:?}")));
        }
        if kept == Connection::New || head.contains("connection: close") {
            self.connection = None;
        }
        Ok(())
    }
}

/// Reads a response. Returns its head in lower case, and its body.
fn response(connection: &mut impl BufRead) -> io::Result<(String, String)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if connection.read_line(&mut head)? == 0 {
            return Err(io::Error::other(format!("the end after {head:?}")));
        }
    }
    head.make_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length = length.and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    connection.read_exact(&mut body)?;
    Ok((head, String::from_utf8_lossy(&body).into_owned()))
}
