//! A connection whose bytes follow a pattern, so that each end knows what must come next.
//!
//! The client sends its number, and then bytes of the pattern. The server returns each of them
//! inverted.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use squall_net::{IoStream, StreamError, TcpServer, TcpStream, timeout};

/// The bytes of the pattern that each client has written, by its number.
pub(crate) type Totals = Rc<RefCell<Vec<usize>>>;

/// The byte at this index of the stream of a client.
fn byte_at(client: usize, index: usize) -> u8 {
    (index ^ (index >> 8) ^ (client * 37)).to_le_bytes()[0]
}

/// The program of a server. Ends when it cannot listen.
pub(crate) async fn serve(totals: Totals) -> io::Result<()> {
    let server = TcpServer::new(async move |mut stream: IoStream, _| {
        let client = usize::from(stream.read_bytes(1).await?[0]);
        let mut received = 0;
        loop {
            let indices = (received..).zip(stream.buffer());
            for (index, byte) in indices {
                assert_eq!(*byte, byte_at(client, index), "byte {index} of client {client}");
            }
            let answer: Vec<u8> = stream.buffer().iter().map(|byte| !byte).collect();
            received += answer.len();
            stream.consume(answer.len());
            stream.write_all(&answer).await?;
            if stream.fill().await? == 0 {
                break;
            }
        }
        assert_eq!(received, totals.borrow()[client], "the end of client {client}");
        Ok(stream.shutdown().await?)
    });
    if server.listen("0.0.0.0:80").is_err() {
        return Ok(()); // it has no socket left
    }
    server.closed().await
}

/// The client's end of a connection.
pub(crate) struct Link {
    /// The server's host.
    pub(crate) host: usize,
    /// The connection has failed, or its server is gone.
    pub(crate) is_lost: bool,
    stream: IoStream,
    number: usize,
    received: usize,
    /// Nothing more may be written.
    is_shut_down: bool,
    totals: Totals,
}

impl Link {
    pub(crate) async fn connect(
        host: usize,
        name: &str,
        totals: Totals,
        limit: Duration,
    ) -> io::Result<Link> {
        let stream = timeout(limit, TcpStream::connect((name, 80))).await??;
        let mut stream = IoStream::new(stream);
        let number = totals.borrow().len();
        totals.borrow_mut().push(0);
        let name = u8::try_from(number).expect("a script is short");
        stream.write(&[name])?;
        let (received, is_lost, is_shut_down) = (0, false, false);
        Ok(Link { host, is_lost, stream, number, received, is_shut_down, totals })
    }

    pub(crate) fn write(&mut self, count: usize) -> String {
        if self.is_shut_down {
            return String::new();
        }
        let sent = self.total();
        let bytes: Vec<u8> =
            (sent..sent + count).map(|index| byte_at(self.number, index)).collect();
        let outcome = self.stream.write(bytes);
        if outcome.is_ok() {
            self.totals.borrow_mut()[self.number] += count;
        }
        self.note("write", outcome)
    }

    /// Reads what has come, for at most `limit`.
    pub(crate) async fn read(&mut self, limit: Duration) -> String {
        match timeout(limit, self.stream.fill()).await {
            Err(_) => "read: nothing".to_owned(),
            Ok(Ok(0)) => {
                let is_whole = self.is_shut_down && self.received == self.total();
                assert!(self.is_lost || is_whole, "the end after byte {}", self.received);
                "read: the end".to_owned()
            }
            Ok(outcome) => {
                self.take();
                self.note("read", outcome.map(drop))
            }
        }
    }

    /// Ends the sending direction, for at most `limit`.
    pub(crate) async fn shut_down(&mut self, limit: Duration) -> String {
        self.is_shut_down = true;
        match timeout(limit, self.stream.shutdown()).await {
            Err(_) => "shutdown: waits".to_owned(),
            Ok(outcome) => self.note("shutdown", outcome),
        }
    }

    /// Ends the sending direction, and reads what is left. The network works again.
    pub(crate) async fn finish(mut self, limit: Duration) {
        let end = timeout(limit, async {
            let (reader, writer) = self.stream.halves();
            let shutdown = writer.shutdown();
            let read = reader.read_until_close();
            futures_lite::future::zip(shutdown, read).await
        });
        let (shutdown, read) = end.await.expect("a connection recovers");
        shutdown.expect("a connection recovers");
        let rest = read.expect("a connection recovers");
        self.check(&rest);
        assert_eq!(self.received, self.total(), "the end of the answer");
    }

    /// The bytes that were written.
    fn total(&self) -> usize {
        self.totals.borrow()[self.number]
    }

    fn take(&mut self) {
        let bytes = self.stream.buffer().to_vec();
        self.stream.consume(bytes.len());
        self.check(&bytes);
    }

    fn check(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let expected = !byte_at(self.number, self.received);
            assert_eq!(*byte, expected, "byte {} of the answer", self.received);
            self.received += 1;
        }
    }

    fn note(&mut self, what: &str, outcome: Result<(), StreamError>) -> String {
        match outcome {
            Ok(()) => format!("{what} ({})", self.received),
            Err(error) => {
                self.is_lost = true;
                format!("{what}: {error}")
            }
        }
    }
}
