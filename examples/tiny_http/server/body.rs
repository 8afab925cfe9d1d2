//! Reads the body of a request piece by piece, with a Content-Length or chunked.

use std::future::poll_fn;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::chunked::{ChunkError, ChunkLimits, ChunkStep, Chunked};
use crate::server::body_source::{BodySource, Filled};
use crate::server::config::Config;
use crate::server::head::{Framing, Head};
use crate::server::rejection::Rejection;

/// The decoder of one request's body.
#[derive(Debug)]
pub(crate) struct Body {
    state: State,
    /// The client waits for `100 Continue` before it sends the body.
    owes_continue: bool,
    /// The deadline is set.
    has_deadline: bool,
    /// Bytes of a body with a Content-Length so far.
    received: u64,
    pub(crate) limits: ChunkLimits,
    /// The time from the first wait to the end.
    pub(crate) timeout: Duration,
}

#[derive(Debug)]
enum State {
    /// This many bytes are left of a body with a Content-Length.
    Plain(u64),
    Chunked(Chunked),
}

/// The outcome of one parse of the buffer.
enum Step {
    /// Bytes of the body.
    Piece(Bytes),
    /// Framing was consumed: parse again.
    FramingConsumed,
    NeedsMore,
    Done,
}

impl Body {
    pub(crate) fn new(head: &Head, config: &Config) -> Body {
        let state = match head.framing {
            Framing::Length(length) => State::Plain(length),
            Framing::Chunked => State::Chunked(Chunked::new()),
        };
        let owes_continue = head.expects_continue && !matches!(state, State::Plain(0));
        let limits =
            ChunkLimits { body_bytes: config.max_body_bytes, trailer_bytes: config.max_head_bytes };
        let timeout = config.body_timeout;
        Body { state, owes_continue, has_deadline: false, received: 0, limits, timeout }
    }

    /// Whether the whole body was read, or there is none.
    pub(crate) fn is_done(&self) -> bool {
        match &self.state {
            State::Plain(left) => *left == 0,
            State::Chunked(chunked) => chunked.is_done(),
        }
    }

    /// Whether the client still waits for `100 Continue`, and so may never send the body.
    pub(crate) fn owes_continue(&self) -> bool {
        self.owes_continue
    }

    /// Whether more than `max_bytes` are known to be left. Always false for a chunked body.
    pub(crate) fn exceeds(&self, max_bytes: usize) -> bool {
        matches!(self.state, State::Plain(left) if left > max_bytes as u64)
    }

    /// Returns the next bytes of the body, or `None` at its end.
    pub(crate) async fn next(
        &mut self,
        source: &dyn BodySource,
    ) -> Result<Option<Bytes>, Rejection> {
        loop {
            let (mut step, mut buffered) = (Ok(Step::Done), 0);
            source.take(&mut |data| {
                buffered = data.len();
                let stepped = self.step(data);
                let consumed = stepped.as_ref().map_or(0, |(_, consumed)| *consumed);
                step = stepped.map(|(step, _)| step);
                consumed
            });
            match step? {
                Step::Piece(piece) => return Ok(Some(piece)),
                Step::FramingConsumed => {}
                Step::NeedsMore => self.wait(source, buffered).await?,
                Step::Done => return Ok(None),
            }
        }
    }

    /// Reads the rest of the body.
    pub(crate) async fn all(&mut self, source: &dyn BodySource) -> Result<Bytes, Rejection> {
        let Some(first) = self.next(source).await? else { return Ok(Bytes::new()) };
        let Some(second) = self.next(source).await? else { return Ok(first) };
        let mut whole = BytesMut::with_capacity(first.len() + second.len());
        whole.extend_from_slice(&first);
        whole.extend_from_slice(&second);
        while let Some(piece) = self.next(source).await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// Reads and discards the rest of the body, so that it is not parsed as the next request.
    /// Returns false if more than `max_bytes` are left.
    pub(crate) async fn discard(
        &mut self,
        source: &dyn BodySource,
        max_bytes: usize,
    ) -> Result<bool, Rejection> {
        let mut discarded = 0;
        while let Some(piece) = self.next(source).await? {
            discarded += piece.len();
            if discarded > max_bytes {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Waits for more than the `buffered` bytes. The first call sets the deadline and sends
    /// `100 Continue` if the client waits for it.
    async fn wait(&mut self, source: &dyn BodySource, buffered: usize) -> Result<(), Rejection> {
        if !std::mem::replace(&mut self.has_deadline, true) {
            source.allow(self.timeout);
        }
        if std::mem::take(&mut self.owes_continue) {
            source.write_response(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        match poll_fn(|cx| source.poll_beyond(cx, buffered)).await? {
            Filled::Bytes => Ok(()),
            Filled::TimedOut => Err(Rejection::timeout("the body took too long")),
            Filled::End | Filled::Shutdown => {
                Err(Rejection::bad_request("the stream ended inside the body"))
            }
        }
    }

    /// Looks at the received bytes. Returns what they are, and how many of them are to be dropped.
    fn step(&mut self, data: &[u8]) -> Result<(Step, usize), Rejection> {
        let step = match &mut self.state {
            State::Plain(0) => ChunkStep::Done,
            State::Plain(left) if *left > self.limits.body_bytes.saturating_sub(self.received) => {
                return Err(Rejection::body_too_large());
            }
            State::Plain(_) if data.is_empty() => ChunkStep::NeedsMore,
            State::Plain(left) => {
                ChunkStep::Data(data.len().min(usize::try_from(*left).unwrap_or(usize::MAX)))
            }
            State::Chunked(chunked) => chunked.step(data, self.limits)?,
        };
        if let ChunkStep::Data(_) | ChunkStep::Framing(_) = step {
            self.owes_continue = false; // the client sends without waiting
        }
        Ok(match step {
            ChunkStep::Data(n) => {
                match &mut self.state {
                    State::Plain(left) => {
                        *left -= n as u64;
                        self.received += n as u64;
                    }
                    State::Chunked(chunked) => chunked.taken(n),
                }
                (Step::Piece(Bytes::copy_from_slice(&data[..n])), n)
            }
            ChunkStep::Framing(n) => (Step::FramingConsumed, n),
            ChunkStep::NeedsMore => (Step::NeedsMore, 0),
            ChunkStep::Done => (Step::Done, 0),
        })
    }
}

impl From<ChunkError> for Rejection {
    fn from(error: ChunkError) -> Rejection {
        match error {
            ChunkError::Malformed(why) => Rejection::bad_request(why),
            ChunkError::BodyTooLarge => Rejection::body_too_large(),
            ChunkError::TrailersTooLarge => Rejection::head_too_large(),
        }
    }
}
