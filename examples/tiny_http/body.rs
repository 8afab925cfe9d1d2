//! The body of a request, piece by piece, whatever its framing.

use bytes::{Bytes, BytesMut};

use crate::config::Config;
use crate::head::{Framing, Head};
use crate::rejection::Rejection;
use crate::wire::{Filled, Wire};

/// The longest line that announces a chunk, extensions included.
const MAX_CHUNK_LINE: usize = 256;
/// All chunk extensions of a body together.
const MAX_EXTENSIONS: usize = 16 << 10;
/// Fields behind the last chunk; they are read and forgotten.
const MAX_TRAILERS: usize = 32;

/// What is left of a body on the wire.
#[derive(Debug)]
pub(crate) struct Body {
    state: State,
    /// The client waits for `100 Continue` before it sends.
    owes_continue: bool,
    /// Decoded bytes so far.
    received: u64,
    extensions: usize,
    timed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many bytes of a body with a length.
    Plain(u64),
    /// A line that announces a chunk.
    ChunkLine,
    /// So many bytes of a chunk.
    Chunk(u64),
    /// The line end behind a chunk.
    ChunkEnd,
    /// The fields behind the last chunk.
    Trailers,
    Done,
}

/// What looking at the buffer came to.
enum Step {
    /// Bytes of the body.
    Piece(Bytes),
    /// Framing was taken out of the buffer: look again.
    Moved,
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
        Body { state, owes_continue, received: 0, extensions: 0, timed: false }
    }

    /// Tells whether the client may send no body at all, because it was never told to.
    pub(crate) fn owes_continue(&self) -> bool {
        self.owes_continue
    }

    /// Tells whether what is left is known to be more than `most`.
    pub(crate) fn exceeds(&self, most: usize) -> bool {
        matches!(self.state, State::Plain(left) if left > most as u64)
    }

    /// The next bytes; `None` at the end.
    pub(crate) async fn next(
        &mut self,
        wire: &mut Wire,
        config: &Config,
    ) -> Result<Option<Bytes>, Rejection> {
        loop {
            match self.step(wire, config)? {
                Step::Piece(piece) => return Ok(Some(piece)),
                Step::Moved => {}
                Step::NeedsMore => self.wait(wire, config).await?,
                Step::Done => return Ok(None),
            }
        }
    }

    /// The whole body.
    pub(crate) async fn all(
        &mut self,
        wire: &mut Wire,
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

    /// Reads what nobody wanted, so that it is not taken for the next request; `false` if that is more than `most`.
    pub(crate) async fn discard(
        &mut self,
        wire: &mut Wire,
        config: &Config,
        most: usize,
    ) -> Result<bool, Rejection> {
        let mut seen = 0;
        while let Some(piece) = self.next(wire, config).await? {
            seen += piece.len();
            if seen > most {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn wait(&mut self, wire: &mut Wire, config: &Config) -> Result<(), Rejection> {
        if !self.timed {
            self.timed = true;
            wire.allow(config.body_timeout);
        }
        if std::mem::take(&mut self.owes_continue) {
            wire.stream.write("HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        match wire.fill().await? {
            Filled::Bytes => Ok(()),
            Filled::TimedOut => Err(Rejection::timeout("the body took too long")),
            Filled::End | Filled::Shutdown => {
                Err(Rejection::bad_request("the stream ended inside the body"))
            }
        }
    }

    /// Takes from the buffer what the current state can use.
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
                self.took(n as u64);
                return Ok(Step::Piece(piece));
            }
            State::ChunkLine => {
                let window = &data[..data.len().min(MAX_CHUNK_LINE)];
                let Some(end) = memchr::memchr(b'\n', window) else {
                    return match window.len() {
                        MAX_CHUNK_LINE => {
                            Err(Rejection::bad_request("the line of a chunk is too long"))
                        }
                        _ => Ok(Step::NeedsMore),
                    };
                };
                let size = self.announced(&window[..end])?;
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
                _ => return Err(Rejection::bad_request("a chunk is longer than it says")),
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
        self.owes_continue = false; // it sends without being told to
        Ok(Step::Moved)
    }

    /// Counts bytes of the body that were taken out of the buffer.
    fn took(&mut self, n: u64) {
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

    /// The size on a chunk's line, which is given without its LF: hexadecimal digits, then nothing or extensions.
    fn announced(&mut self, line: &[u8]) -> Result<u64, Rejection> {
        let bad = || Rejection::bad_request("the line of a chunk is malformed");
        let line = line.strip_suffix(b"\r").ok_or_else(bad)?;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (digits, extensions) = line.split_at(digits);
        let in_order = |byte: &u8| *byte == b'\t' || (b' '..0x7f).contains(byte);
        if digits.is_empty()
            || !(extensions.is_empty() || extensions.starts_with(b";"))
            || !extensions.iter().all(in_order)
        {
            return Err(bad());
        }
        self.extensions += extensions.len();
        if self.extensions > MAX_EXTENSIONS {
            return Err(Rejection::bad_request("there are too many chunk extensions"));
        }
        digits.iter().try_fold(0_u64, |size, byte| {
            let digit = char::from(*byte).to_digit(16).ok_or_else(bad)?;
            size.checked_mul(16).map(|size| size | u64::from(digit)).ok_or_else(bad)
        })
    }
}
