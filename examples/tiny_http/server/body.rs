//! Reads the body of a request piece by piece, with a Content-Length or chunked.

use bytes::{Bytes, BytesMut};

use crate::chunked::{ChunkError, ChunkLimits, ChunkStep, Chunked};
use crate::server::config::Config;
use crate::server::head::{Framing, Head};
use crate::server::rejection::Rejection;
use crate::server::wire::{Filled, SharedWire, Wire};

/// The decoder of one request's body.
#[derive(Debug)]
pub(crate) struct Body {
    state: State,
    /// The client waits for `100 Continue` before it sends the body.
    owes_continue: bool,
    /// The deadline of [`Config::body_timeout`] is set.
    has_deadline: bool,
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
    pub(crate) fn new(head: &Head) -> Body {
        let state = match head.framing {
            Framing::Length(length) => State::Plain(length),
            Framing::Chunked => State::Chunked(Chunked::new()),
        };
        let owes_continue = head.expects_continue && !matches!(state, State::Plain(0));
        Body { state, owes_continue, has_deadline: false }
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
        wire: &SharedWire<'_>,
        config: &Config,
    ) -> Result<Option<Bytes>, Rejection> {
        loop {
            match wire.with(|wire| self.step(wire, config))? {
                Step::Piece(piece) => return Ok(Some(piece)),
                Step::FramingConsumed => {}
                Step::NeedsMore => self.wait(wire, config).await?,
                Step::Done => return Ok(None),
            }
        }
    }

    /// Reads the rest of the body.
    pub(crate) async fn all(
        &mut self,
        wire: &SharedWire<'_>,
        config: &Config,
    ) -> Result<Bytes, Rejection> {
        let Some(first) = self.next(wire, config).await? else { return Ok(Bytes::new()) };
        let Some(second) = self.next(wire, config).await? else { return Ok(first) };
        let mut whole = BytesMut::with_capacity(first.len() + second.len());
        whole.extend_from_slice(&first);
        whole.extend_from_slice(&second);
        while let Some(piece) = self.next(wire, config).await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// Reads and discards the rest of the body, so that it is not parsed as the next request.
    /// Returns false if more than `max_bytes` are left.
    pub(crate) async fn discard(
        &mut self,
        wire: &SharedWire<'_>,
        config: &Config,
        max_bytes: usize,
    ) -> Result<bool, Rejection> {
        let mut discarded = 0;
        while let Some(piece) = self.next(wire, config).await? {
            discarded += piece.len();
            if discarded > max_bytes {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Waits for more bytes. The first call sets the deadline and sends `100 Continue` if the
    /// client waits for it.
    async fn wait(&mut self, wire: &SharedWire<'_>, config: &Config) -> Result<(), Rejection> {
        if !std::mem::replace(&mut self.has_deadline, true) {
            wire.with(|wire| wire.allow(config.body_timeout));
        }
        if std::mem::take(&mut self.owes_continue) {
            wire.with(|wire| wire.write_response(b"HTTP/1.1 100 Continue\r\n\r\n"))?;
        }
        let buffered = wire.with(|wire| wire.stream.buffer().len());
        match wire.fill_beyond(buffered).await? {
            Filled::Bytes => Ok(()),
            Filled::TimedOut => Err(Rejection::timeout("the body took too long")),
            Filled::End | Filled::Shutdown => {
                Err(Rejection::bad_request("the stream ended inside the body"))
            }
        }
    }

    /// Consumes the next piece of body or framing from the buffer.
    fn step(&mut self, wire: &mut Wire, config: &Config) -> Result<Step, Rejection> {
        let data = wire.stream.buffer();
        let step = match &mut self.state {
            State::Plain(0) => ChunkStep::Done,
            State::Plain(_) if data.is_empty() => ChunkStep::NeedsMore,
            State::Plain(left) => {
                ChunkStep::Data(data.len().min(usize::try_from(*left).unwrap_or(usize::MAX)))
            }
            State::Chunked(chunked) => {
                let limits = ChunkLimits {
                    body_bytes: config.max_body_bytes,
                    trailer_bytes: config.max_head_bytes,
                };
                chunked.step(data, limits)?
            }
        };
        Ok(match step {
            ChunkStep::Data(n) => {
                let piece = Bytes::copy_from_slice(&data[..n]);
                self.consume(wire, n);
                match &mut self.state {
                    State::Plain(left) => *left -= n as u64,
                    State::Chunked(chunked) => chunked.taken(n),
                }
                Step::Piece(piece)
            }
            ChunkStep::Framing(n) => {
                self.consume(wire, n);
                Step::FramingConsumed
            }
            ChunkStep::NeedsMore => Step::NeedsMore,
            ChunkStep::Done => Step::Done,
        })
    }

    /// Drops bytes of the body or of its framing from the buffer.
    fn consume(&mut self, wire: &mut Wire, n: usize) {
        wire.stream.consume(n);
        self.owes_continue = false; // the client sends without waiting
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
