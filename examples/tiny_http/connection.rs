//! Serves one connection: answers its requests in order, until the client or the server ends it.
//!
//! ```text
//!   ┌─▶ wait ── end of stream, idle timeout, or shutdown ──────────▶ linger, close
//!   │     │ bytes
//!   │     ▼                                            Rejection ──▶ refuse ──┐
//!   │   next_head ── no byte of another request ──┐     │                     │
//!   │     │ Head                                  │     │                     ▼
//!   │   handler ── may read the body ─────────────┼─────┘               linger, close
//!   │     │ Response                              │                           ▲
//!   │   respond ── queues it                      │                           │
//!   │     │                                       │                           │
//!   │   skip_body ── discards the unread body ────┼── too much is left ───────┘
//!   └─────────────────────────────────────────────┘
//! ```
//!
//! Responses to pipelined requests leave in one system call: queued bytes are sent only when the
//! connection waits. A waiting connection holds little memory: the state of a request is in a
//! separate box, which lives from the first byte until all requests are answered. While a handler
//! waits, [`disconnect`](crate::disconnect) looks whether the client is still there.

use std::cell::Cell;
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::time::Duration;

use futures_lite::{FutureExt, StreamExt};
use http::{Method, StatusCode};
use squall_net::{IoStream, StreamError, yield_now};

use crate::body::Body;
use crate::config::Config;
use crate::disconnect::{NextPart, unless_client_leaves};
use crate::head::Head;
use crate::rejection::Rejection;
use crate::request::Request;
use crate::response::{HandlerResult, Payload, Persistence, Pieces, Response};
use crate::shutdown::ShutdownWatcher;
use crate::wire::{Filled, SharedWire, Wire};

/// If more response bytes than this are queued, the connection waits until the kernel has them.
const HIGH_WATER: usize = 64 << 10;
/// The most bytes of an unread body that are skipped. If more are left, the connection is closed.
const MAX_DISCARD: usize = 64 << 10;
/// The most bytes that a closing connection reads and discards.
const MAX_LINGER: usize = 64 << 20;
/// How long the server waits for the client to close too, when it closes between two requests or
/// because of a shutdown.
const IDLE_LINGER: Duration = Duration::from_secs(1);
/// How long a shutdown waits for the first request of a new connection.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
/// The number of pipelined requests after which the task yields to the rest of the loop.
const REQUESTS_PER_TURN: usize = 64;
/// A whole body of at most this many bytes is copied after the head. Larger ones are not copied.
const SMALL_BODY: usize = 1 << 10;

/// Serves the connection until it is closed.
pub(crate) async fn serve(
    stream: IoStream,
    config: &Config,
    shutdown: ShutdownWatcher,
    app: &impl AsyncFn(&mut Request<'_>) -> HandlerResult,
) -> io::Result<()> {
    let mut connection = Connection { wire: Wire::new(stream), config, shutdown, is_fresh: true };
    while connection.wait().await? {
        if Box::pin(connection.answer_or_refuse(app)).await? == Persistence::Close {
            return Ok(());
        }
    }
    Ok(Box::pin(connection.linger(config.linger_timeout.min(IDLE_LINGER))).await?)
}

struct Connection<'a> {
    wire: Wire,
    config: &'a Config,
    shutdown: ShutdownWatcher,
    /// True until the first byte arrives.
    is_fresh: bool,
}

impl Connection<'_> {
    /// Waits for the first byte of a request. Returns false if the client ends the stream, the idle
    /// timeout passes or the server shuts down.
    async fn wait(&mut self) -> Result<bool, StreamError> {
        self.wire.allow(self.config.idle_timeout);
        let mut filled = self.wire.fill_unless(Some(&mut self.shutdown)).await?;
        if self.is_fresh && matches!(filled, Filled::Shutdown) {
            // A new client may have sent a request that has not arrived yet, and no other process
            // will answer it.
            self.wire.allow(self.config.idle_timeout.min(FIRST_REQUEST_TIMEOUT));
            filled = self.wire.fill().await?;
        }
        self.is_fresh = false;
        Ok(matches!(filled, Filled::Bytes))
    }

    /// Answers requests until the buffer is empty. Refuses a request that is rejected.
    async fn answer_or_refuse(
        &mut self,
        app: &impl AsyncFn(&mut Request<'_>) -> HandlerResult,
    ) -> io::Result<Persistence> {
        match self.answer_all(app).await {
            Ok(persistence) => Ok(persistence),
            Err(Rejection::Status(status, why)) => {
                self.refuse(status, why, true).await?;
                Ok(Persistence::Close)
            }
            Err(Rejection::Broken(error)) => Err(error),
        }
    }

    async fn answer_all(
        &mut self,
        app: &impl AsyncFn(&mut Request<'_>) -> HandlerResult,
    ) -> Result<Persistence, Rejection> {
        let mut answered = 0;
        while let Some(head) = self.next_head().await? {
            let mut body = Body::new(&head);
            let response = match self.run_handler(app, &head, &mut body).await {
                Err(Rejection::Status(status, why)) => {
                    self.refuse(status, why, head.method != Method::HEAD).await?;
                    return Ok(Persistence::Close);
                }
                result => result?.into_final(),
            };
            // A client that got no `100 Continue` may or may not send the body. The next bytes
            // could then be the body or another request.
            let keep_alive = head.keep_alive
                && !body.owes_continue()
                && !body.exceeds(MAX_DISCARD)
                && !self.shutdown.has_begun();
            let persistence = if keep_alive { Persistence::KeepAlive } else { Persistence::Close };
            let persistence = self.respond(&head, response, persistence).await?;
            if persistence == Persistence::Close || !self.skip_body(&mut body).await? {
                self.linger(self.config.linger_timeout).await?;
                return Ok(Persistence::Close);
            }
            answered += 1;
            if answered % REQUESTS_PER_TURN == 0 {
                yield_now().await;
            }
        }
        Ok(Persistence::KeepAlive)
    }

    /// Discards what the handler left unread, so that it is not parsed as the next request. Returns
    /// false if the rest is malformed, late or too large. The client has its response already, so
    /// it gets no error status.
    async fn skip_body(&mut self, body: &mut Body) -> Result<bool, Rejection> {
        let wire = SharedWire::new(&mut self.wire);
        match body.discard(&wire, self.config, MAX_DISCARD).await {
            Err(Rejection::Status(..)) => Ok(false),
            outcome => outcome,
        }
    }

    /// Reads the next request's head. Returns `None` if the buffer holds no byte of it.
    async fn next_head(&mut self) -> Result<Option<Head>, Rejection> {
        // Parses again only when the head may be complete, or when the data has doubled. The cost
        // stays linear even if the head arrives byte by byte.
        let mut next_parse_len = 1;
        let mut search_from = 0;
        loop {
            self.skip_empty_lines();
            let data = self.wire.stream.buffer();
            if data.is_empty() {
                return Ok(None);
            }
            if data.len() >= next_parse_len || has_empty_line(&data[search_from..]) {
                if let Some((head, length)) = Head::parse(data, self.config)? {
                    self.wire.stream.consume(length);
                    return Ok(Some(head));
                }
                let is_first_parse = next_parse_len == 1;
                next_parse_len = (2 * data.len()).min(self.config.max_head_bytes);
                search_from = data.len().saturating_sub(2);
                if is_first_parse {
                    self.wire.allow(self.config.head_timeout);
                }
            } else {
                search_from = data.len().saturating_sub(2);
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

    /// Skips line ends before a request. Old clients send an extra one after a body (RFC 9112,
    /// 2.2).
    fn skip_empty_lines(&mut self) {
        let data = self.wire.stream.buffer();
        let lines = data.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        self.wire.stream.consume(lines);
    }

    /// Runs the handler, unless the request is for the server as a whole. Turns a panic into a 500.
    async fn run_handler(
        &mut self,
        app: &impl AsyncFn(&mut Request<'_>) -> HandlerResult,
        head: &Head,
        body: &mut Body,
    ) -> HandlerResult {
        if head.is_for_server() {
            return Ok(Response::new(None, ""));
        }
        let wire = SharedWire::new(&mut self.wire);
        let mut request = Request { head, body, wire: &wire, config: self.config };
        let running = pin!(AssertUnwindSafe(app(&mut request)).catch_unwind());
        match unless_client_leaves(running, &wire, NextPart::StatusLine).await? {
            Ok(result) => result,
            Err(_) => {
                Err(Rejection::Status(StatusCode::INTERNAL_SERVER_ERROR, "the handler failed"))
            }
        }
    }

    /// Queues a response. Waits only for the pieces of a stream, or if the client reads slowly.
    async fn respond(
        &mut self,
        head: &Head,
        response: Response,
        persistence: Persistence,
    ) -> Result<Persistence, Rejection> {
        let sends_body = response.sends_body(head);
        let ends_at_close = head.minor == 0 && matches!(response.body, Payload::Pieces(_));
        let persistence = if ends_at_close { Persistence::Close } else { persistence };
        let mut text = Scratch::take();
        response.write_head(&mut text.0, head.minor, persistence);
        match response.body {
            Payload::Whole(body) if sends_body && body.len() <= SMALL_BODY => {
                text.0.extend_from_slice(&body);
                self.wire.write_response(&text.0)?;
            }
            Payload::Whole(body) => {
                self.wire.write_response(&text.0)?;
                if sends_body {
                    self.wire.stream.write(body)?;
                }
            }
            Payload::Pieces(pieces) => {
                self.wire.write_response(&text.0)?;
                drop(text); // must not be held while the pieces are awaited
                if sends_body && ends_at_close {
                    self.send_until_close(pieces).await?;
                } else if sends_body {
                    self.send_pieces(pieces, NextPart::ChunkSize).await?;
                }
            }
        }
        self.apply_backpressure().await?;
        Ok(persistence)
    }

    /// Sends a body that the end of the connection ends. If the body is not complete, for example
    /// because the handler's stream failed or a shutdown has aborted it, the connection ends in a
    /// reset, so that the client cannot take the part for the whole.
    async fn send_until_close(&mut self, pieces: Pieces) -> Result<(), Rejection> {
        self.wire.set_ends_in_reset(true);
        self.send_pieces(pieces, NextPart::Piece).await?;
        self.wire.flush(self.config.write_timeout).await?;
        self.wire.set_ends_in_reset(false);
        Ok(())
    }

    /// Sends the pieces, as chunks or as they are. `part` is what comes before each.
    async fn send_pieces(&mut self, mut pieces: Pieces, part: NextPart) -> Result<(), Rejection> {
        let chunked = part == NextPart::ChunkSize;
        loop {
            let wire = SharedWire::new(&mut self.wire);
            let next = pin!(pieces.next());
            let Some(piece) = unless_client_leaves(next, &wire, part).await? else { break };
            // The head is queued, so only closing the connection can report the error.
            let piece = piece.map_err(Rejection::Broken)?;
            if piece.is_empty() {
                continue; // an empty chunk would end the body
            }
            let stream = &mut self.wire.stream;
            if chunked {
                stream.write(format!("{:x}\r\n", piece.len()))?;
            }
            stream.write(piece)?;
            if chunked {
                stream.write("\r\n")?;
            }
            self.apply_backpressure().await?;
        }
        if chunked {
            self.wire.stream.write("0\r\n\r\n")?;
        }
        Ok(())
    }

    /// If too much is queued, waits until the kernel has taken all of it.
    async fn apply_backpressure(&mut self) -> Result<(), StreamError> {
        if self.wire.stream.queued() > HIGH_WATER {
            self.wire.flush(self.config.write_timeout).await?;
        }
        Ok(())
    }

    /// Sends the reason for a rejection and closes the connection. The response arrives even if the
    /// client is still sending.
    async fn refuse(
        &mut self,
        status: StatusCode,
        why: &'static str,
        with_body: bool,
    ) -> Result<(), StreamError> {
        log::debug!("refused with {status}: {why}");
        let response = Response::refusal(status, why);
        let mut text = Scratch::take();
        response.write_head(&mut text.0, 1, Persistence::Close);
        if let (Payload::Whole(body), true) = (&response.body, with_body) {
            text.0.extend_from_slice(body);
        }
        self.wire.write_response(&text.0)?;
        drop(text);
        self.linger(self.config.linger_timeout).await
    }

    /// Ends the connection; every orderly close goes through here. If bytes are unread at a close,
    /// or arrive after it, the kernel sends a reset. A reset destroys the part of the response that
    /// the client has not read yet.
    async fn linger(&mut self, limit: Duration) -> Result<(), StreamError> {
        let limit = if self.shutdown.has_begun() { limit.min(IDLE_LINGER) } else { limit };
        self.wire.flush(self.config.write_timeout).await?;
        self.wire.stream.linger(MAX_LINGER, limit).await
    }
}

/// Whether `data` contains the end of an empty line, which may end a head.
fn has_empty_line(data: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', data).any(|at| {
        let rest = &data[at + 1..];
        rest.starts_with(b"\n") || rest.starts_with(b"\r\n")
    })
}

/// The thread's reusable buffer for the head of a response.
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
