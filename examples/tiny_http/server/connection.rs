//! Serves one connection: answers its requests in order, until the client or the server ends it.
//!
//! ```text
//!   ┌─▶ wait ── end of stream, idle timeout, or shutdown ──────────▶ linger, close
//!   │     │ bytes
//!   │     ▼                                             Rejection ──▶ reject ──┐
//!   │ ┌▶ read a head ── no other for a second, or end ─┐    │                   │
//!   │ │   │ Head                                       │    │                   ▼
//!   │ │ run_handler ─── may read the body ─────────────┼────┘             linger, close
//!   │ │   │ Response                                   │                         ▲
//!   │ │ queue ── sends it when the connection waits    │                         │
//!   │ │   │                                            │                         │
//!   │ └─ finish ─ sends or discards the rest of bodies ┼── too much is left ─────┘
//!   └──────────────────────────────────────────────────┘
//! ```
//!
//! Responses to pipelined requests leave in one system call: queued bytes are sent only when the
//! connection waits. An idle connection holds little memory: the state of a request is in a box of
//! its own, which lives from the first byte until no request has come for a second. While a handler
//! waits, [`disconnect`](crate::server::disconnect) looks whether the client is still there.

use std::cell::{Cell, RefCell};
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::FutureExt;
use http::{Method, StatusCode};
use squall_net::{IoStream, StreamError, yield_now};

use crate::server::body::Body;
use crate::server::body_source::Filled;
use crate::server::config::Config;
use crate::server::disconnect::unless_client_leaves;
use crate::server::head::Head;
use crate::server::head_text::HeadText;
use crate::server::rejection::Rejection;
use crate::server::request::Request;
use crate::server::request_handler::{HandlerResult, RequestHandler};
use crate::server::response::{Payload, Persistence, Response};
use crate::server::shutdown::ShutdownWatcher;
use crate::server::streamed_body::{HIGH_WATER, StreamedBody};
use crate::server::takeover::Takeover;
use crate::server::transport::Transport;
use crate::server::wire::{NextPart, SharedWire, Wire};

/// The most bytes of an unread body that are skipped. If more are left, the connection is closed.
const MAX_DISCARD: usize = 64 << 10;
/// The most bytes that a closing connection reads and discards.
const MAX_LINGER: usize = 64 << 20;
/// How long the server waits for the client to close too, when it closes between two requests or
/// because of a shutdown.
const IDLE_LINGER: Duration = Duration::from_secs(1);
/// How long a shutdown waits for the first request of a new connection.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a connection keeps the memory for its requests while none comes.
const WARM_TIME: Duration = Duration::from_secs(1);
/// The number of pipelined requests after which the task yields to the rest of the loop.
const REQUESTS_PER_TURN: usize = 64;
/// A whole body of at most this many bytes is copied after the head. Larger ones are not copied.
const SMALL_BODY: usize = 1 << 10;

/// What the connections of a server share.
pub(crate) struct Shared<H> {
    config: Config,
    handler: H,
    /// For the next request, unless a connection in use has it.
    spare_head: Cell<Option<Box<Head>>>,
    /// Borrowed only while a response is queued, which runs no foreign code.
    head_text: RefCell<HeadText>,
}

impl<H> Shared<H> {
    pub(crate) fn new(config: Config, handler: H) -> Shared<H> {
        Shared { config, handler, spare_head: Cell::default(), head_text: RefCell::default() }
    }
}

/// Serves the connection until it is closed.
///
/// This is no `async fn`, whose future would hold the arguments beside the connection. A waiting
/// connection is little more than this future.
pub(crate) fn serve<S: Transport, H: RequestHandler>(
    stream: IoStream<S>,
    shared: Rc<Shared<H>>,
    shutdown: ShutdownWatcher,
) -> impl Future<Output = io::Result<()>> {
    let mut connection = Connection { wire: Wire::new(stream), shared, shutdown, is_fresh: true };
    async move {
        loop {
            connection.allow_idling();
            let (wire, shutdown) = (&mut connection.wire, &mut connection.shutdown);
            let filled = match wire.fill_unless(Some(shutdown)).await? {
                Filled::Shutdown if connection.is_fresh => {
                    Box::pin(connection.wait_for_first_request()).await?
                }
                filled => filled,
            };
            if !matches!(filled, Filled::Bytes) {
                break;
            }
            connection.is_fresh = false;
            let takeover = match Box::pin(connection.answer_all()).await? {
                Answered::All => continue,
                Answered::Last => return Ok(()),
                Answered::Takeover(takeover) => takeover.run(connection.wire.stream),
            };
            return takeover.await;
        }
        let limit = connection.shared.config.linger_timeout.min(IDLE_LINGER);
        Ok(Box::pin(connection.linger(limit)).await?)
    }
}

struct Connection<S, H> {
    wire: Wire<S>,
    shared: Rc<Shared<H>>,
    shutdown: ShutdownWatcher,
    /// True until the first byte arrives.
    is_fresh: bool,
}

/// Where a connection is after the answer to a request.
enum Answered {
    /// All received requests are answered. No other has come for [`WARM_TIME`], or none will come.
    All,
    /// The connection has ended.
    Last,
    /// The stream goes on with another protocol.
    Takeover(Takeover),
}

/// What a handler returns, unless it panics.
type Outcome = std::thread::Result<HandlerResult>;

/// What is left of an exchange after the handler.
enum Rest {
    /// The response is queued, but the next request cannot be read at once.
    Queued(Persistence),
    /// The head is queued. The body is still to be made and sent.
    Body(StreamedBody, Persistence),
    Takeover(Takeover),
    /// There is no response.
    Rejection(Rejection),
}

impl<S: Transport, H: RequestHandler> Connection<S, H> {
    /// Sets the deadline for the first byte of the next request.
    fn allow_idling(&mut self) {
        let limit = self.shared.config.idle_timeout;
        if self.is_fresh {
            self.wire.allow(limit);
        } else {
            self.wire.extend(limit.saturating_sub(WARM_TIME)); // it has waited in `answer_all`
        }
    }

    /// Waits for the first byte of a new connection although the server shuts down. Its client may
    /// have sent a request that has not arrived yet, and no other process will answer it.
    async fn wait_for_first_request(&mut self) -> Result<Filled, StreamError> {
        self.wire.allow(self.shared.config.idle_timeout.min(FIRST_REQUEST_TIMEOUT));
        self.wire.fill().await
    }

    /// Answers requests until none has come for [`WARM_TIME`], or none will come: the next wait sees
    /// which. Refuses a request that is rejected.
    ///
    /// What most requests do not need is boxed, so that this future stays small.
    async fn answer_all(&mut self) -> io::Result<Answered> {
        let mut head = self.shared.spare_head.take().unwrap_or_default();
        let mut answered = 0;
        loop {
            if self.wire.stream.buffer().is_empty() {
                self.shared.spare_head.set(Some(head));
                self.wire.allow(self.shared.config.idle_timeout.min(WARM_TIME));
                match self.wire.fill_unless(Some(&mut self.shutdown)).await? {
                    Filled::Bytes => {}
                    _ => return Ok(Answered::All),
                }
                head = self.shared.spare_head.take().unwrap_or_default();
                answered = 0;
            }
            let read = match self.read_buffered_head(&mut head) {
                Ok(false) if self.wire.stream.buffer().is_empty() => continue,
                Ok(false) => Box::pin(self.read_rest_of_head(&mut head)).await,
                Ok(true) => Ok(()),
                Err(rejection) => Err(rejection),
            };
            if let Err(rejection) = read {
                self.shared.spare_head.set(Some(head));
                return Box::pin(self.reject(rejection, true)).await;
            }
            let mut body = Body::new(&head, &self.shared.config);
            let outcome = self.run_handler(&head, &mut body).await;
            if let Some(rest) = self.respond(&head, &body, outcome) {
                let ended = Box::pin(self.finish(&head, &mut body, rest)).await?;
                if let Some(ended) = ended {
                    self.shared.spare_head.set(Some(head));
                    return Ok(ended);
                }
            }
            answered += 1;
            if answered % REQUESTS_PER_TURN == 0 {
                yield_now().await;
            }
        }
    }

    /// Does what is left of an exchange. Returns whether the connection ends with it.
    async fn finish(
        &mut self,
        head: &Head,
        body: &mut Body,
        rest: Rest,
    ) -> io::Result<Option<Answered>> {
        let mut takeover = None;
        let persistence = match rest {
            Rest::Queued(persistence) => persistence,
            Rest::Body(streamed, persistence) => {
                let sent = streamed.send(&mut self.wire, &self.shared.config, head).await;
                if let Err(rejection) = sent {
                    return self.reject(rejection, true).await.map(Some);
                }
                persistence
            }
            Rest::Takeover(run) => {
                takeover = Some(run);
                Persistence::KeepAlive
            }
            Rest::Rejection(rejection) => {
                return self.reject(rejection, head.method != Method::HEAD).await.map(Some);
            }
        };
        if self.wire.stream.queued() > HIGH_WATER {
            self.wire.flush(self.shared.config.write_timeout).await?;
        }
        if persistence == Persistence::Close || !self.skip_body(body).await? {
            self.linger(self.shared.config.linger_timeout).await?;
            return Ok(Some(Answered::Last));
        }
        Ok(takeover.map(Answered::Takeover))
    }

    /// What happens to the connection after this response.
    fn persistence(&self, head: &Head, body: &Body, response: &Response) -> Persistence {
        if matches!(response.body, Payload::Takeover(_)) {
            return Persistence::KeepAlive;
        }
        // A client that got no `100 Continue` may or may not send the body. The next bytes could
        // then be the body or another request.
        let keep_alive = head.keep_alive
            && !body.owes_continue()
            && !body.exceeds(MAX_DISCARD)
            && !self.shutdown.has_begun()
            && !response.ends_at_close(head);
        if keep_alive { Persistence::KeepAlive } else { Persistence::Close }
    }

    /// Discards what the handler left unread, so that it is not parsed as the next request. Returns
    /// false if the rest is malformed, late or too large. The client has its response already, so
    /// it gets no error status.
    async fn skip_body(&mut self, body: &mut Body) -> io::Result<bool> {
        let wire = SharedWire::new(&mut self.wire);
        match body.discard(&wire, MAX_DISCARD).await {
            Ok(is_skipped) => Ok(is_skipped),
            Err(Rejection::Status(..)) => Ok(false),
            Err(Rejection::Broken(error)) => Err(error),
        }
    }

    /// Takes the next request's head from the buffer. Returns false if it is not complete.
    #[inline(never)] // keeps the parser's array off the stack while the handler runs
    fn read_buffered_head(&mut self, head: &mut Head) -> Result<bool, Rejection> {
        self.skip_empty_lines();
        let data = self.wire.stream.buffer();
        let Some(length) = head.parse(data, &self.shared.config)? else { return Ok(false) };
        self.wire.stream.consume(length);
        Ok(true)
    }

    /// Reads the rest of a head of which the buffer holds a part.
    async fn read_rest_of_head(&mut self, head: &mut Head) -> Result<(), Rejection> {
        self.wire.allow(self.shared.config.head_timeout);
        let max = self.shared.config.max_head_bytes;
        // Parses again only when the head may be complete, or when the data has doubled. The cost
        // stays linear even if the head arrives byte by byte.
        let mut next_parse_len = max.min(2 * self.wire.stream.buffer().len());
        loop {
            let search_from = self.wire.stream.buffer().len().saturating_sub(2);
            let ended = match self.wire.fill().await? {
                Filled::Bytes => None,
                Filled::TimedOut => Some(Rejection::timeout("the head took too long")),
                Filled::End | Filled::Shutdown => {
                    Some(Rejection::bad_request("the stream ended inside the head"))
                }
            };
            if let Some(ended) = ended {
                // The last bytes may not have been parsed. The answer must not depend on how they
                // came.
                return if self.read_buffered_head(head)? { Ok(()) } else { Err(ended) };
            }
            let data = self.wire.stream.buffer();
            if data.len() >= next_parse_len || has_empty_line(&data[search_from..]) {
                next_parse_len = max.min(2 * data.len());
                if self.read_buffered_head(head)? {
                    return Ok(());
                }
            }
        }
    }

    /// Skips line ends before a request. Old clients send an extra one after a body (RFC 9112,
    /// 2.2).
    fn skip_empty_lines(&mut self) {
        let data = self.wire.stream.buffer();
        if let Some(b'\r' | b'\n') = data.first() {
            let lines = data.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            self.wire.stream.consume(lines);
        }
    }

    /// Runs the handler, unless the request is for the server as a whole.
    async fn run_handler(&mut self, head: &Head, body: &mut Body) -> Result<Outcome, Rejection> {
        if head.is_for_server() {
            return Ok(Ok(Ok(Response::new(None, ""))));
        }
        let wire = SharedWire::new(&mut self.wire);
        let mut request = Request { head, body, wire: &wire, path_arguments: None };
        let running =
            pin!(AssertUnwindSafe(self.shared.handler.handle(&mut request)).catch_unwind());
        unless_client_leaves(running, &wire, NextPart::StatusLine).await
    }

    /// Queues what answers the request. Returns `None` if the next request can be read at once.
    #[inline]
    fn respond(
        &mut self,
        head: &Head,
        body: &Body,
        outcome: Result<Outcome, Rejection>,
    ) -> Option<Rest> {
        let queued = match response_of(outcome, head) {
            Ok(response) => self.queue(head, body, response),
            Err(rejection) => return Some(Rest::Rejection(rejection)),
        };
        queued.unwrap_or_else(|error| Some(Rest::Rejection(error.into())))
    }

    /// Queues a response, without the part of it that takes time.
    #[inline]
    fn queue(
        &mut self,
        head: &Head,
        body: &Body,
        mut response: Response,
    ) -> Result<Option<Rest>, StreamError> {
        response.replace_if_unfit::<S>(head, body.is_done());
        let persistence = self.persistence(head, body, &response);
        let sends_body = response.sends_body(head);
        let mut is_body_queued = !sends_body;
        {
            let mut text = self.shared.head_text.borrow_mut();
            text.write(&response, head.minor, persistence);
            if let Payload::Whole(whole) = &response.body
                && sends_body
                && whole.len() <= SMALL_BODY
            {
                text.append(whole);
                is_body_queued = true;
            }
            self.wire.write_response(text.as_bytes())?;
        }
        match response.body {
            Payload::Whole(whole) if !is_body_queued => self.wire.stream.write(whole)?,
            Payload::Streamed(streamed) if sends_body => {
                return Ok(Some(Rest::Body(streamed, persistence)));
            }
            Payload::Takeover(takeover) => return Ok(Some(Rest::Takeover(takeover))),
            _ => {}
        }
        let is_over = persistence == Persistence::KeepAlive
            && body.is_done()
            && self.wire.stream.queued() <= HIGH_WATER;
        Ok(if is_over { None } else { Some(Rest::Queued(persistence)) })
    }

    /// Sends the reason for a rejection, if the client can get it, and closes the connection.
    async fn reject(&mut self, rejection: Rejection, with_body: bool) -> io::Result<Answered> {
        match rejection {
            Rejection::Status(status, why) => {
                self.refuse(status, why, with_body).await?;
                Ok(Answered::Last)
            }
            Rejection::Broken(error) => Err(error),
        }
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
        let response = Response::error(status, why);
        {
            let mut text = self.shared.head_text.borrow_mut();
            text.write(&response, 1, Persistence::Close);
            if let (Payload::Whole(body), true) = (&response.body, with_body) {
                text.append(body);
            }
            self.wire.write_response(text.as_bytes())?;
        }
        self.linger(self.shared.config.linger_timeout).await
    }

    /// Ends the connection; every orderly close goes through here. If bytes are unread at a close,
    /// or arrive after it, the kernel sends a reset. A reset destroys the part of the response that
    /// the client has not read yet.
    async fn linger(&mut self, limit: Duration) -> Result<(), StreamError> {
        let limit = if self.shutdown.has_begun() { limit.min(IDLE_LINGER) } else { limit };
        self.wire.flush(self.shared.config.write_timeout).await?;
        self.wire.stream.linger(MAX_LINGER, limit).await
    }
}

/// The response that an outcome stands for.
#[inline(always)] // a response is large to move
fn response_of(outcome: Result<Outcome, Rejection>, head: &Head) -> Result<Response, Rejection> {
    match outcome? {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error)) => {
            error.log(&head.method, head.path());
            error.into_response()
        }
        Err(_) => Err(Rejection::Status(StatusCode::INTERNAL_SERVER_ERROR, "the handler failed")),
    }
}

/// Whether `data` contains the end of an empty line, which may end a head.
fn has_empty_line(data: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', data).any(|at| {
        let rest = &data[at + 1..];
        rest.starts_with(b"\n") || rest.starts_with(b"\r\n")
    })
}
