//! The decoder of the chunked transfer coding (RFC 9112, 7.1), for the server and for clients.
//!
//! The decoder only looks at bytes that were received. Its caller reads and consumes them:
//!
//! ```text
//!   step(buffer) ─▶ Framing(n)   the caller consumes n bytes
//!                ─▶ Data(n)      the caller takes up to n bytes and reports them with `taken`
//!                ─▶ NeedsMore    the caller reads more
//!                ─▶ Done         the body has ended
//! ```
//!
//! ```
//! use tiny_http::chunked::{ChunkLimits, ChunkStep, Chunked};
//!
//! let limits = ChunkLimits { body_bytes: 1 << 20, trailer_bytes: 4 << 10 };
//! let (mut buffer, mut body) = (&b"5\r\nhello\r\n0\r\n\r\nnext"[..], Vec::new());
//! let mut decoder = Chunked::new();
//! while !decoder.is_done() {
//!     match decoder.step(buffer, limits)? {
//!         ChunkStep::Data(n) => {
//!             body.extend_from_slice(&buffer[..n]);
//!             decoder.taken(n);
//!             buffer = &buffer[n..];
//!         }
//!         ChunkStep::Framing(n) => buffer = &buffer[n..],
//!         ChunkStep::NeedsMore | ChunkStep::Done => break,
//!     }
//! }
//! assert_eq!((&*body, buffer), (&b"hello"[..], &b"next"[..]));
//! # Ok::<(), tiny_http::chunked::ChunkError>(())
//! ```

use std::error::Error;
use std::fmt;

/// The longest chunk-size line in bytes, extensions included.
const MAX_CHUNK_LINE: usize = 256;
/// The most bytes of chunk extensions in one body.
const MAX_EXTENSION_BYTES: usize = 16 << 10;
/// The most trailer fields after the last chunk. They are parsed and discarded.
const MAX_TRAILERS: usize = 32;

/// The decoder of one body.
#[derive(Debug, Default)]
pub struct Chunked {
    state: State,
    /// Bytes of data taken so far.
    received: u64,
    /// Bytes of chunk extensions so far; at most [`MAX_EXTENSION_BYTES`].
    extension_bytes: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// A chunk-size line comes next.
    #[default]
    SizeLine,
    /// This many bytes are left of a chunk; at least 1.
    Data(u64),
    /// The line end after a chunk comes next.
    DataEnd,
    /// The trailer fields after the last chunk come next.
    Trailers,
    Done,
}

/// The limits of a body.
#[derive(Clone, Copy, Debug)]
pub struct ChunkLimits {
    /// The most bytes of data in all chunks together.
    pub body_bytes: u64,
    /// The most bytes of all trailer fields together.
    pub trailer_bytes: usize,
}

/// What stands at the begin of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkStep {
    /// This many bytes of the body.
    Data(usize),
    /// This many bytes of framing. The decoder has passed them.
    Framing(usize),
    /// An incomplete line, or nothing.
    NeedsMore,
    /// Whatever follows the body.
    Done,
}

/// Why a body cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkError {
    /// The framing violates RFC 9112, or has more extensions than a body needs.
    Malformed(&'static str),
    /// The body is larger than [`ChunkLimits::body_bytes`].
    BodyTooLarge,
    /// The trailers are larger than [`ChunkLimits::trailer_bytes`], or too many.
    TrailersTooLarge,
}

impl Error for ChunkError {}

impl fmt::Display for ChunkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ChunkError::Malformed(why) => why,
            ChunkError::BodyTooLarge => "the body is larger than the limit",
            ChunkError::TrailersTooLarge => "the trailers are larger than the limit",
        })
    }
}

impl Chunked {
    /// Makes the decoder of a body of which nothing was read.
    pub fn new() -> Chunked {
        Chunked::default()
    }

    /// Whether the body has ended, its trailers included.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Looks at `data`, the bytes that follow those that the caller has consumed.
    ///
    /// # Errors
    /// If the framing is malformed or a limit is exceeded. The body cannot be read further.
    ///
    /// # Cost
    /// Nothing is allocated. An incomplete line is searched anew when more bytes have come.
    pub fn step(&mut self, data: &[u8], limits: ChunkLimits) -> Result<ChunkStep, ChunkError> {
        match self.state {
            State::Done => Ok(ChunkStep::Done),
            State::Data(_) if data.is_empty() => Ok(ChunkStep::NeedsMore),
            State::Data(left) => {
                let left = usize::try_from(left).unwrap_or(usize::MAX);
                Ok(ChunkStep::Data(data.len().min(left)))
            }
            State::SizeLine => self.size_line(data, limits.body_bytes),
            State::DataEnd => match data {
                [b'\r', b'\n', ..] => {
                    self.state = State::SizeLine;
                    Ok(ChunkStep::Framing(2))
                }
                [] | [b'\r'] => Ok(ChunkStep::NeedsMore),
                _ => Err(ChunkError::Malformed("a chunk is longer than its size")),
            },
            State::Trailers => self.trailers(data, limits.trailer_bytes),
        }
    }

    /// Counts `n` bytes of data that the caller has taken; at most as many as
    /// [`step`](Self::step) found.
    pub fn taken(&mut self, n: usize) {
        self.received += n as u64;
        if let State::Data(left) = self.state {
            let left = left.saturating_sub(n as u64);
            self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
        }
    }

    fn size_line(&mut self, data: &[u8], max_body_bytes: u64) -> Result<ChunkStep, ChunkError> {
        let window = &data[..data.len().min(MAX_CHUNK_LINE)];
        let Some(end) = memchr::memchr(b'\n', window) else {
            return match window.len() {
                MAX_CHUNK_LINE => Err(ChunkError::Malformed("a chunk-size line is too long")),
                _ => Ok(ChunkStep::NeedsMore),
            };
        };
        let size = self.chunk_size(&window[..end])?;
        if size > max_body_bytes.saturating_sub(self.received) {
            return Err(ChunkError::BodyTooLarge);
        }
        self.state = if size == 0 { State::Trailers } else { State::Data(size) };
        Ok(ChunkStep::Framing(end + 1))
    }

    /// Parses a chunk-size line, given without its LF: hexadecimal digits, then optional
    /// extensions. Returns the size.
    fn chunk_size(&mut self, line: &[u8]) -> Result<u64, ChunkError> {
        let bad = || ChunkError::Malformed("a chunk-size line is malformed");
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
            return Err(ChunkError::Malformed("the chunk extensions are too long"));
        }
        digits.iter().try_fold(0_u64, |size, byte| {
            let digit = char::from(*byte).to_digit(16).ok_or_else(bad)?;
            size.checked_mul(16).map(|size| size | u64::from(digit)).ok_or_else(bad)
        })
    }

    fn trailers(&mut self, data: &[u8], max_bytes: usize) -> Result<ChunkStep, ChunkError> {
        let window = &data[..data.len().min(max_bytes)];
        let mut fields = [httparse::EMPTY_HEADER; MAX_TRAILERS];
        match httparse::parse_headers(window, &mut fields) {
            Ok(httparse::Status::Complete((length, _))) => {
                self.state = State::Done;
                Ok(ChunkStep::Framing(length))
            }
            Ok(httparse::Status::Partial) if window.len() < max_bytes => Ok(ChunkStep::NeedsMore),
            Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
                Err(ChunkError::TrailersTooLarge)
            }
            Err(_) => Err(ChunkError::Malformed("the trailers are malformed")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ChunkLimits = ChunkLimits { body_bytes: 100, trailer_bytes: 64 };

    /// A body and the bytes after it.
    type Decoded = (Vec<u8>, Vec<u8>);

    /// Decodes `text`, of which `piece` bytes arrive at a time and `most` bytes of data are taken
    /// at a time. Returns `None` if the body does not end.
    fn decode(text: &str, piece: usize, most: usize) -> Result<Option<Decoded>, ChunkError> {
        let (mut decoder, mut buffer, mut body) = (Chunked::new(), Vec::new(), Vec::new());
        let mut pieces = text.as_bytes().chunks(piece);
        loop {
            match decoder.step(&buffer, LIMITS)? {
                ChunkStep::Data(n) => {
                    let n = n.min(most);
                    body.extend(buffer.drain(..n));
                    decoder.taken(n);
                }
                ChunkStep::Framing(n) => drop(buffer.drain(..n)),
                ChunkStep::NeedsMore => match pieces.next() {
                    Some(piece) => buffer.extend_from_slice(piece),
                    None => return Ok(None),
                },
                ChunkStep::Done => {
                    assert!(decoder.is_done());
                    buffer.extend(pieces.flatten());
                    return Ok(Some((body, buffer)));
                }
            }
        }
    }

    #[test]
    fn a_body_is_the_same_however_its_bytes_arrive_and_are_taken() {
        let text = "4;a=b\r\nasdf\r\n00A\r\n0123456789\r\n0;c\r\nX: y\r\n\r\nrest";
        for piece in 1..text.len() {
            for most in [1, 3, usize::MAX] {
                let (body, rest) = decode(text, piece, most).unwrap().expect("the body ends");
                assert_eq!((&*body, &*rest), (&b"asdf0123456789"[..], &b"rest"[..]), "{piece}");
            }
        }
    }

    #[test]
    fn a_prefix_of_a_body_is_incomplete_and_no_error() {
        let text = "4\r\nasdf\r\n0\r\nX: y\r\n\r\n";
        for end in 0..text.len() {
            assert_eq!(decode(&text[..end], 1, 1), Ok(None), "{:?}", &text[..end]);
        }
    }

    #[test]
    fn malformed_framing_is_refused() {
        for text in ["x\r\n", "+1\r\na\r\n", "1\na\r\n", "1 \r\na", "1\r\nab\r\n", "\r\n"] {
            assert!(matches!(decode(text, 1, 1), Err(ChunkError::Malformed(_))), "{text:?}");
        }
        let overflow = "10000000000000000\r\n";
        assert!(matches!(decode(overflow, 1, 1), Err(ChunkError::Malformed(_))));
        let colonless = "0\r\nnonsense\r\n\r\n";
        assert!(matches!(decode(colonless, 1, 1), Err(ChunkError::Malformed(_))));
    }

    #[test]
    fn the_limits_hold() {
        assert_eq!(decode("65\r\n", 1, 1), Err(ChunkError::BodyTooLarge));
        let chunk = format!("32\r\n{}\r\n", "x".repeat(50));
        assert_eq!(decode(&(chunk.repeat(2) + "1\r\n"), 1, 1), Err(ChunkError::BodyTooLarge));
        assert!(decode(&(chunk.repeat(2) + "0\r\n\r\n"), 1, 1).unwrap().is_some());
        let trailer = format!("0\r\nX: {}", "y".repeat(70));
        assert_eq!(decode(&trailer, 1, 1), Err(ChunkError::TrailersTooLarge));
        let line = format!("1;{}", "x".repeat(MAX_CHUNK_LINE));
        assert!(matches!(decode(&line, 1, 1), Err(ChunkError::Malformed(_))));
        let extended = format!("1;{}\r\na\r\n", "x".repeat(250)).repeat(70);
        assert!(matches!(decode(&extended, 64, 1), Err(ChunkError::Malformed(_))));
    }
}
