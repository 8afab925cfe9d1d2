//! Reads the body of a request piece by piece, with a Content-Length or chunked.

use bytes::{Bytes, BytesMut};

use crate::server::config::Config;
use crate::server::head::{Framing, Head};
use crate::server::rejection::Rejection;
use crate::server::wire::{Filled, SharedWire, Wire};

/// The longest chunk-size line in bytes, extensions included.
const MAX_CHUNK_LINE: usize = 256;
/// The most bytes of chunk extensions in one body.
const MAX_EXTENSION_BYTES: usize = 16 << 10;
/// The most trailer fields after the last chunk. They are parsed and discarded.
const MAX_TRAILERS: usize = 32;

/// The decoder of one request's body.
#[derive(Debug)]
pub(crate) struct Body {
    state: State,
    /// The client waits for `100 Continue` before it sends the body.
    owes_continue: bool,
    /// Decoded bytes so far.
    received: u64,
    /// Bytes of chunk extensions so far; at most [`MAX_EXTENSION_BYTES`].
    extension_bytes: usize,
    /// The deadline of [`Config::body_timeout`] is set.
    has_deadline: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// This many bytes are left of a body with a Content-Length.
    Plain(u64),
    /// A chunk-size line comes next.
    ChunkLine,
    /// This many bytes are left of a chunk.
    Chunk(u64),
    /// The line end after a chunk comes next.
    ChunkEnd,
    /// The trailer fields after the last chunk come next.
    Trailers,
    Done,
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
            Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Plain(length),
            Framing::Chunked => State::ChunkLine,
        };
        let owes_continue = head.expects_continue && state != State::Done;
        Body { state, owes_continue, received: 0, extension_bytes: 0, has_deadline: false }
    }

    /// Whether the whole body was read, or there is none.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
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
        let used = match self.state {
            State::Done => return Ok(Step::Done),
            State::Plain(left) | State::Chunk(left) => {
                let n = data.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                if n == 0 {
                    return Ok(Step::NeedsMore);
                }
                let piece = Bytes::copy_from_slice(&data[..n]);
                wire.stream.consume(n);
                self.count_piece(n as u64);
                return Ok(Step::Piece(piece));
            }
            State::ChunkLine => {
                let window = &data[..data.len().min(MAX_CHUNK_LINE)];
                let Some(end) = memchr::memchr(b'\n', window) else {
                    return match window.len() {
                        MAX_CHUNK_LINE => {
                            Err(Rejection::bad_request("a chunk-size line is too long"))
                        }
                        _ => Ok(Step::NeedsMore),
                    };
                };
                let size = self.chunk_size(&window[..end])?;
                if size > config.max_body_bytes.saturating_sub(self.received) {
                    return Err(Rejection::body_too_large());
                }
                self.state = if size == 0 { State::Trailers } else { State::Chunk(size) };
                end + 1
            }
            State::ChunkEnd => match data {
                [b'\r', b'\n', ..] => {
                    self.state = State::ChunkLine;
                    2
                }
                [] | [b'\r'] => return Ok(Step::NeedsMore),
                _ => return Err(Rejection::bad_request("a chunk is longer than its size")),
            },
            State::Trailers => {
                let window = &data[..data.len().min(config.max_head_bytes)];
                let mut fields = [httparse::EMPTY_HEADER; MAX_TRAILERS];
                match httparse::parse_headers(window, &mut fields) {
                    Ok(httparse::Status::Complete((length, _))) => {
                        self.state = State::Done;
                        length
                    }
                    Ok(httparse::Status::Partial) if window.len() < config.max_head_bytes => {
                        return Ok(Step::NeedsMore);
                    }
                    Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
                        return Err(Rejection::head_too_large());
                    }
                    Err(_) => return Err(Rejection::bad_request("the trailers are malformed")),
                }
            }
        };
        wire.stream.consume(used);
        self.owes_continue = false; // the client sends without waiting
        Ok(Step::FramingConsumed)
    }

    /// Counts `n` body bytes that were consumed from the buffer.
    fn count_piece(&mut self, n: u64) {
        self.owes_continue = false;
        self.received += n;
        self.state = match self.state {
            State::Plain(left) if left == n => State::Done,
            State::Plain(left) => State::Plain(left - n),
            State::Chunk(left) if left == n => State::ChunkEnd,
            State::Chunk(left) => State::Chunk(left - n),
            other => other,
        };
    }

    /// Parses a chunk-size line, given without its LF: hexadecimal digits, then optional
    /// extensions. Returns the size.
    fn chunk_size(&mut self, line: &[u8]) -> Result<u64, Rejection> {
        let bad = || Rejection::bad_request("a chunk-size line is malformed");
        let line = line.strip_suffix(b"\r").ok_or_else(bad)?;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (digits, extensions) = line.split_at(digits);
        let is_allowed = |byte: &u8| *byte == b'\t' || (b' '..0x7f).contains(byte);
        if digits.is_empty()
            || !(extensions.is_empty() || extensions.starts_with(b";"))
            || !extensions.iter().all(is_allowed)
        {
            return Err(bad());
        }
        self.extension_bytes += extensions.len();
        if self.extension_bytes > MAX_EXTENSION_BYTES {
            return Err(Rejection::bad_request("the chunk extensions are too long"));
        }
        digits.iter().try_fold(0_u64, |size, byte| {
            let digit = char::from(*byte).to_digit(16).ok_or_else(bad)?;
            size.checked_mul(16).map(|size| size | u64::from(digit)).ok_or_else(bad)
        })
    }
}
