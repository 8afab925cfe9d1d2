//! Requests that are sent at fixed times, whether or not the server has answered the earlier ones.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;

use super::answer::{Answer, Progress, is_refusal};
use super::poller::Poller;
use super::{WATCHDOG, connect, ended};
use crate::exchange::Exchange;
use crate::service::CHUNK;

/// Connections that get the requests in turn.
///
/// A late server gets no fewer requests: a request that is due waits until its connection has the
/// earlier answers, and this wait is a part of its latency. So a latency is the time from when the
/// request is due, and not from when it is sent. The loop does not sleep: a sleep ends late.
pub(crate) struct OpenLoop {
    poller: Poller,
    connections: Vec<Connection>,
    request: Vec<u8>,
    answer: Answer,
    /// Whether the server may answer with 503.
    allows_refusals: bool,
    buffer: Vec<u8>,
}

/// The latencies of a run, in order of size.
pub(crate) struct Outcome {
    pub(crate) served: Vec<Duration>,
    /// Of the requests that were answered with 503.
    pub(crate) refused: Vec<Duration>,
    /// The time until the last answer.
    pub(crate) elapsed: Duration,
}

struct Connection {
    socket: TcpStream,
    progress: Progress,
    /// When the requests without an answer are due. The first of them is sent.
    due: VecDeque<Duration>,
}

impl OpenLoop {
    pub(crate) fn open(
        address: SocketAddr,
        connections: usize,
        exchange: Exchange,
    ) -> io::Result<OpenLoop> {
        let poller = Poller::new()?;
        let answer = Answer::first(address, exchange)?;
        let connections = (0..connections).map(|index| {
            let socket = connect(address)?;
            poller.add(&socket, index, EventFlags::IN)?;
            Ok(Connection { socket, progress: Progress::new(0), due: VecDeque::new() })
        });
        Ok(OpenLoop {
            connections: connections.collect::<io::Result<_>>()?,
            poller,
            request: exchange.one_request(),
            answer,
            allows_refusals: false,
            buffer: vec![0; CHUNK],
        })
    }

    /// Lets the server answer with 503.
    pub(crate) fn allow_refusals(self) -> OpenLoop {
        OpenLoop { allows_refusals: true, ..self }
    }

    /// Sends `rate` requests a second for `time`, and waits for all answers.
    pub(crate) fn run(&mut self, rate: f64, time: Duration) -> io::Result<Outcome> {
        let due = |number: usize| Duration::from_secs_f64(number as f64 / rate);
        let mut next = 0;
        let (mut served, mut refused) = (Vec::new(), Vec::new());
        let since = Instant::now();
        while due(next) < time || served.len() + refused.len() < next {
            let now = since.elapsed();
            while due(next) < time.min(now) {
                let place = next % self.connections.len();
                self.connections[place].add(due(next), &self.request)?;
                next += 1;
            }
            for index in self.poller.ready()? {
                let connection = &mut self.connections[index];
                let n = connection.socket.read(&mut self.buffer)?;
                if n == 0 {
                    return Err(ended());
                }
                let bytes = &self.buffer[..n];
                let is_refused = self.allows_refusals && is_refusal(bytes)?;
                if is_refused {
                    connection.progress = Progress::new(0);
                }
                if is_refused || self.answer.check(&mut connection.progress, bytes)? > 0 {
                    let due = connection.due.pop_front().expect("its request was sent");
                    let latencies = if is_refused { &mut refused } else { &mut served };
                    latencies.push(since.elapsed() - due);
                    connection.send_next(&self.request)?;
                }
            }
            if now > time + WATCHDOG {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the server does not answer"));
            }
        }
        let elapsed = since.elapsed();
        served.sort_unstable();
        refused.sort_unstable();
        Ok(Outcome { served, refused, elapsed })
    }
}

impl Connection {
    /// Adds a request that is due. It is sent when the earlier ones are answered.
    fn add(&mut self, due: Duration, request: &[u8]) -> io::Result<()> {
        self.due.push_back(due);
        if self.due.len() == 1 { self.send_next(request) } else { Ok(()) }
    }

    fn send_next(&mut self, request: &[u8]) -> io::Result<()> {
        if self.due.is_empty() {
            return Ok(());
        }
        self.progress.outstanding = 1;
        self.socket.write_all(request)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;

    use super::*;
    use crate::service::HELLO;

    /// Serves HTTP. `answer` gets the number of the request and returns the status.
    fn serve(answer: impl Fn(u64) -> u16 + Send + Sync + 'static) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (answer, number) = (Arc::new(answer), Arc::new(AtomicU64::new(0)));
        thread::spawn(move || {
            for socket in listener.incoming() {
                let (answer, number) = (Arc::clone(&answer), Arc::clone(&number));
                thread::spawn(move || {
                    let mut socket: TcpStream = socket.unwrap();
                    let mut request = Exchange::Http.one_request();
                    while socket.read_exact(&mut request).is_ok() {
                        let status = answer(number.fetch_add(1, Ordering::Relaxed));
                        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: ");
                        let text = format!("{head}{}\r\n\r\n{HELLO}", HELLO.len());
                        let _ = socket.write_all(text.as_bytes()); // the test may have ended
                    }
                });
            }
        });
        address
    }

    #[test]
    fn every_request_that_is_due_is_sent_and_answered() {
        let mut load = OpenLoop::open(serve(|_| 200), 3, Exchange::Http).unwrap();
        let latencies = load.run(10_000.0, Duration::from_millis(50)).unwrap();
        assert_eq!((latencies.served.len(), latencies.refused.len()), (500, 0));
        assert!(latencies.served.is_sorted());
    }

    #[test]
    fn a_latency_counts_from_the_due_time_and_not_from_the_sending() {
        // The first request is that of `open`. While the second waits, all others become due.
        let slow = |number| {
            if number == 1 {
                thread::sleep(Duration::from_millis(100));
            }
            200
        };
        let mut load = OpenLoop::open(serve(slow), 1, Exchange::Http).unwrap();
        let latencies = load.run(1000.0, Duration::from_millis(20)).unwrap().served;
        assert_eq!(latencies.len(), 20);
        assert!(latencies[0] >= Duration::from_millis(80), "{latencies:?}");
    }

    #[test]
    fn an_answer_without_success_ends_the_run() {
        let address = serve(|number| if number == 7 { 503 } else { 200 });
        let mut load = OpenLoop::open(address, 2, Exchange::Http).unwrap();
        let error = load.run(1000.0, Duration::from_millis(50)).err().expect("it was refused");
        assert!(error.to_string().contains("503"), "{error}");
    }

    #[test]
    fn refusals_are_counted_where_they_are_allowed() {
        // The first request is that of `open`.
        let address = serve(|number| if number % 3 == 1 { 503 } else { 200 });
        let mut load = OpenLoop::open(address, 2, Exchange::Http).unwrap().allow_refusals();
        let latencies = load.run(1000.0, Duration::from_millis(60)).unwrap();
        assert_eq!((latencies.served.len(), latencies.refused.len()), (40, 20));
        let address = serve(|number| if number == 7 { 500 } else { 200 });
        let mut load = OpenLoop::open(address, 2, Exchange::Http).unwrap().allow_refusals();
        assert!(load.run(1000.0, Duration::from_millis(50)).is_err());
    }

    #[test]
    fn a_refusal_in_pieces_is_an_error() {
        let refusal = b"HTTP/1.1 503 X\r\nContent-Length: 2\r\n\r\nab";
        assert!(is_refusal(refusal).unwrap());
        assert!(!is_refusal(b"HTTP/1.1 200 OK\r\n").unwrap());
        assert!(is_refusal(&refusal[..refusal.len() - 1]).is_err());
    }
}
