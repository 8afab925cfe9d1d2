//! A client's connection: a socket and the bytes that have come and are not read yet.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A client that gets no whole answer in this time has found a server that hangs.
pub(crate) const HANG: Duration = Duration::from_secs(10);
const CHUNK: usize = 32 << 10;

/// A blocking connection with a deadline for each exchange.
pub(crate) struct Connection {
    socket: TcpStream,
    received: Vec<u8>,
    /// When the exchange that runs must be over.
    deadline: Instant,
    /// Whether a byte has come since the exchange began.
    has_bytes: bool,
    /// When the connection was opened, or the last exchange on it ended.
    idle_since: Instant,
    /// The time that the connection was idle before the exchange that runs.
    idle_time: Duration,
    is_reused: bool,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> io::Result<Connection> {
        let socket = TcpStream::connect_timeout(&address, HANG)?;
        socket.set_nodelay(true)?;
        Ok(Connection {
            socket,
            received: Vec::new(),
            deadline: Instant::now() + HANG,
            has_bytes: false,
            idle_since: Instant::now(),
            idle_time: Duration::ZERO,
            is_reused: false,
        })
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// If the exchange that runs is not the first and has brought no byte yet, returns how long the
    /// connection had been idle before. The server may have closed it in that time.
    pub(crate) fn stale_for(&self) -> Option<Duration> {
        (self.is_reused && !self.has_bytes).then_some(self.idle_time)
    }

    /// The exchange is over, and the connection is kept for another.
    pub(crate) fn keep(&mut self) {
        self.idle_since = Instant::now();
        self.is_reused = true;
    }

    /// Begins an exchange: sends the request.
    pub(crate) fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.deadline = Instant::now() + HANG;
        self.has_bytes = false;
        self.idle_time = self.idle_since.elapsed();
        self.socket.set_write_timeout(Some(HANG))?;
        self.socket.write_all(request)
    }

    /// The bytes that have come and are not consumed.
    pub(crate) fn received(&self) -> &[u8] {
        &self.received
    }

    pub(crate) fn consume(&mut self, n: usize) -> Vec<u8> {
        let rest = self.received.split_off(n);
        std::mem::replace(&mut self.received, rest)
    }

    /// Waits for more bytes.
    pub(crate) fn fill(&mut self) -> io::Result<()> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(silence());
        }
        self.socket.set_read_timeout(Some(left))?;
        let len = self.received.len();
        self.received.resize(len + CHUNK, 0);
        let outcome = self.socket.read(&mut self.received[len..]);
        self.received.truncate(len + *outcome.as_ref().unwrap_or(&0));
        match outcome {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {
                self.has_bytes = true;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(silence()),
            Err(error) => Err(error),
        }
    }

    /// Reads exactly `n` bytes.
    pub(crate) fn read_exactly(&mut self, n: usize) -> io::Result<Vec<u8>> {
        while self.received.len() < n {
            self.fill()?;
        }
        Ok(self.consume(n))
    }

    /// Reads up to and including `delimiter`.
    pub(crate) fn read_until(&mut self, delimiter: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = memchr::memmem::find(&self.received, delimiter) {
                return Ok(self.consume(at + delimiter.len()));
            }
            self.fill()?;
        }
    }
}

fn silence() -> io::Error {
    let text = format!("no whole answer after {HANG:?}");
    io::Error::new(io::ErrorKind::TimedOut, text)
}
