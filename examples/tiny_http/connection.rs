//! One connection: requests in, answers out, in order, until one side ends it.
//!
//! ```text
//!   ┌─▶ wait ── the client ends, is silent too long, or the server shuts down ──▶ flush, close
//!   │     │ bytes
//!   │     ▼                                            Rejection ──▶ refuse ──┐
//!   │   next_head ── no byte of another request ──┐     │                     │
//!   │     │ Head                                  │     │                     ▼
//!   │   handler ── reads the body if it wants to ─┼─────┘               linger, close
//!   │     │ Response                              │                           ▲
//!   │   respond ── queued                         │                           │
//!   │     │                                       │                           │
//!   │   skip what is left of the body ────────────┼── too much of it ─────────┘
//!   └─────────────────────────────────────────────┘
//! ```
//!
//! Requests that were sent together are answered in one system call, because nothing is sent before the connection waits.
//! While it waits it is small: all that a request needs is in a box of its own, from its first byte to its answer.

use std::cell::Cell;
use std::io;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_lite::{FutureExt, StreamExt};
use http::{Method, StatusCode};
use squall_net::{IoStream, StreamError, yield_now};

use crate::body::Body;
use crate::config::Config;
use crate::head::Head;
use crate::rejection::Rejection;
use crate::request::Request;
use crate::response::{Answer, Connection as Fate, Payload, Pieces, Response};
use crate::shutdown::Watch;
use crate::wire::{Filled, Wire};

/// Answers that are queued before the connection waits until the client has read some.
const HIGH_WATER: usize = 64 << 10;
/// A body that nobody read is skipped up to here; beyond, the connection is closed.
const MAX_DISCARD: usize = 64 << 10;
/// What a refused client may still send while it is told so.
const MAX_LINGER: usize = 64 << 20;
/// How long a connection that ends between two requests, or with its server, waits for the client to end it too.
const IDLE_LINGER: Duration = Duration::from_secs(1);
/// How long a connection that has not said a word yet holds a shutdown.
const FIRST_REQUEST: Duration = Duration::from_secs(1);
/// Answers to pipelined requests before the others on the loop get their turn.
const ANSWERS_AT_ONCE: usize = 64;
/// A whole body up to here is copied behind its head; a larger one is sent from where it is.
const SMALL_BODY: usize = 1 << 10;

pub(crate) async fn serve(
    stream: IoStream,
    config: &Config,
    shutdown: Watch,
    app: &impl AsyncFn(&mut Request<'_>) -> Answer,
) -> io::Result<()> {
    let mut connection = Connection { wire: Wire::new(stream), config, shutdown, is_fresh: true };
    while connection.wait().await? {
        if Box::pin(connection.converse(app)).await? == Fate::Close {
            return Ok(());
        }
    }
    Ok(Box::pin(connection.linger(config.linger_timeout.min(IDLE_LINGER))).await?)
}

struct Connection<'a> {
    wire: Wire,
    config: &'a Config,
    shutdown: Watch,
    /// No request has come yet.
    is_fresh: bool,
}

impl Connection<'_> {
    /// Waits for a request; `false` when the client, its silence or the server ends the connection instead.
    async fn wait(&mut self) -> Result<bool, StreamError> {
        self.wire.allow(self.config.idle_timeout);
        let mut filled = self.wire.fill_unless(Some(&mut self.shutdown)).await?;
        if self.is_fresh && matches!(filled, Filled::Shutdown) {
            // Who has just connected has a request on the way, which nobody else will answer.
            self.wire.allow(self.config.idle_timeout.min(FIRST_REQUEST));
            filled = self.wire.fill().await?;
        }
        self.is_fresh = false;
        Ok(matches!(filled, Filled::Bytes))
    }

    /// Answers what has come, and what comes meanwhile, until no byte of another request is there.
    async fn converse(
        &mut self,
        app: &impl AsyncFn(&mut Request<'_>) -> Answer,
    ) -> io::Result<Fate> {
        match self.answer_all(app).await {
            Ok(fate) => Ok(fate),
            Err(Rejection::Status(status, why)) => {
                self.refuse(status, why, true).await?;
                Ok(Fate::Close)
            }
            Err(Rejection::Broken(error)) => Err(error),
        }
    }

    async fn answer_all(
        &mut self,
        app: &impl AsyncFn(&mut Request<'_>) -> Answer,
    ) -> Result<Fate, Rejection> {
        let mut answered = 0;
        while let Some(head) = self.next_head().await? {
            let mut body = Body::new(&head);
            let response = match self.ask(app, &head, &mut body).await {
                Err(Rejection::Status(status, why)) => {
                    self.refuse(status, why, head.method != Method::HEAD).await?;
                    return Ok(Fate::Close);
                }
                answer => answer?,
            };
            // A client that was never told to continue may send the body or may not: nobody knows what comes next.
            let keeps = head.keep_alive
                && !body.owes_continue()
                && !body.exceeds(MAX_DISCARD)
                && !self.shutdown.begun();
            let fate = if keeps { Fate::KeepAlive } else { Fate::Close };
            let fate = self.respond(&head, response, fate).await?;
            if fate == Fate::Close || !self.skip(&mut body).await? {
                self.linger(self.config.linger_timeout).await?;
                return Ok(Fate::Close);
            }
            answered += 1;
            if answered % ANSWERS_AT_ONCE == 0 {
                yield_now().await;
            }
        }
        Ok(Fate::KeepAlive)
    }

    /// Reads what the handler left of a body, so that it is not taken for the next request; `false` if that cannot be done.
    /// The request has its answer already, so the client is not told why.
    async fn skip(&mut self, body: &mut Body) -> Result<bool, Rejection> {
        match body.discard(&mut self.wire, self.config, MAX_DISCARD).await {
            Err(Rejection::Status(..)) => Ok(false),
            outcome => outcome,
        }
    }

    /// The next request's head; `None` if no byte of it is there.
    async fn next_head(&mut self) -> Result<Option<Head>, Rejection> {
        // Parsed again only when the head may be complete or twice as much is there: linear, however it trickles in.
        let mut worth_parsing = 1;
        let mut searched = 0;
        loop {
            self.skip_empty_lines();
            let data = self.wire.stream.buffer();
            if data.is_empty() {
                return Ok(None);
            }
            if data.len() >= worth_parsing || ends_head(&data[searched..]) {
                if let Some((head, length)) = Head::parse(data, self.config)? {
                    self.wire.stream.consume(length);
                    return Ok(Some(head));
                }
                let first = worth_parsing == 1;
                worth_parsing = (2 * data.len()).min(self.config.max_head_bytes);
                searched = data.len().saturating_sub(2);
                if first {
                    self.wire.allow(self.config.head_timeout);
                }
            } else {
                searched = data.len().saturating_sub(2);
            }
            match self.wire.fill().await? {
                Filled::Bytes => {}
                Filled::TimedOut => return Err(Rejection::timeout("the head took too long")),
                Filled::End | Filled::Shutdown => {
                    return Err(Rejection::bad_request("the stream ended inside the head"));
                }
            }
        }
    }

    /// Clients of old end a body with a line end that is not part of it (RFC 9112, 2.2).
    fn skip_empty_lines(&mut self) {
        let data = self.wire.stream.buffer();
        let lines = data.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        self.wire.stream.consume(lines);
    }

    /// Runs the handler; one that panics has failed.
    async fn ask(
        &mut self,
        app: &impl AsyncFn(&mut Request<'_>) -> Answer,
        head: &Head,
        body: &mut Body,
    ) -> Answer {
        let mut request = Request { head, body, wire: &mut self.wire, config: self.config };
        match AssertUnwindSafe(app(&mut request)).catch_unwind().await {
            Ok(answer) => answer,
            Err(_) => {
                Err(Rejection::Status(StatusCode::INTERNAL_SERVER_ERROR, "the handler failed"))
            }
        }
    }

    /// Queues an answer, and waits only if the client is slow to read.
    async fn respond(
        &mut self,
        head: &Head,
        response: Response,
        fate: Fate,
    ) -> Result<Fate, Rejection> {
        let sends_body = response.sends_body(head);
        let endless = head.minor == 0 && matches!(response.body, Payload::Pieces(_));
        let fate = if endless { Fate::Close } else { fate };
        let mut text = Scratch::take();
        response.write_head(&mut text.0, head.minor, fate);
        let stream = &mut self.wire.stream;
        match response.body {
            Payload::Whole(body) if sends_body && body.len() <= SMALL_BODY => {
                text.0.extend_from_slice(&body);
                stream.write(&text.0)?;
            }
            Payload::Whole(body) => {
                stream.write(&text.0)?;
                if sends_body {
                    stream.write(body)?;
                }
            }
            Payload::Pieces(pieces) => {
                stream.write(&text.0)?;
                drop(text); // not held while the pieces are awaited
                if sends_body {
                    self.send_pieces(pieces, head.minor > 0).await?;
                }
            }
        }
        self.hold_back().await?;
        Ok(fate)
    }

    async fn send_pieces(&mut self, mut pieces: Pieces, chunked: bool) -> Result<(), Rejection> {
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(Rejection::Broken)?; // the head is out: only the end can tell
            if piece.is_empty() {
                continue; // a chunk of no bytes would end the body
            }
            let stream = &mut self.wire.stream;
            if chunked {
                stream.write(format!("{:x}\r\n", piece.len()))?;
            }
            stream.write(piece)?;
            if chunked {
                stream.write("\r\n")?;
            }
            self.hold_back().await?;
        }
        if chunked {
            self.wire.stream.write("0\r\n\r\n")?;
        }
        Ok(())
    }

    /// Lets a client that is slow to read take what is queued before more is made.
    async fn hold_back(&mut self) -> Result<(), StreamError> {
        if self.wire.stream.queued() > HIGH_WATER {
            self.wire.flush(self.config.write_timeout).await?;
        }
        Ok(())
    }

    /// Tells a client why its request is not served, in a way that reaches it while it is still sending.
    async fn refuse(
        &mut self,
        status: StatusCode,
        why: &'static str,
        with_body: bool,
    ) -> Result<(), StreamError> {
        log::debug!("refused with {status}: {why}");
        let response = Response::refusal(status, why);
        let mut text = Scratch::take();
        response.write_head(&mut text.0, 1, Fate::Close);
        if let (Payload::Whole(body), true) = (&response.body, with_body) {
            text.0.extend_from_slice(body);
        }
        self.wire.stream.write(&text.0)?;
        drop(text);
        self.linger(self.config.linger_timeout).await
    }

    /// Ends the connection. Always so: bytes that are unread at a close, or come after it, would turn it into a reset, which
    /// destroys what the client has not read yet of its answer.
    async fn linger(&mut self, limit: Duration) -> Result<(), StreamError> {
        let limit = if self.shutdown.begun() { limit.min(IDLE_LINGER) } else { limit };
        self.wire.flush(self.config.write_timeout).await?;
        self.wire.stream.linger(MAX_LINGER, limit).await
    }
}

/// Tells whether an empty line ends in `data`.
fn ends_head(data: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', data).any(|at| {
        let rest = &data[at + 1..];
        rest.starts_with(b"\n") || rest.starts_with(b"\r\n")
    })
}

/// A vector for the head of an answer, which the thread's answers use one after the other.
struct Scratch(Vec<u8>);

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Scratch {
    fn take() -> Scratch {
        let mut text = SCRATCH.take();
        text.clear();
        Scratch(text)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        SCRATCH.set(std::mem::take(&mut self.0));
    }
}
