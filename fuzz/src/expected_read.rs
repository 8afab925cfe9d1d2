//! What a read of a stream must come to, from a queue of all bytes that have arrived.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;

use squall_net::{Bytes, IoStream, StreamError};

use crate::transport::{End, Transport};

/// A read of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Read {
    Until {
        delimiter: &'static [u8],
        most: usize,
    },
    /// Up to the first of these bytes, by a function that searches.
    UntilMatch {
        byte: u8,
        most: usize,
    },
    Bytes(usize),
    Exact(usize),
    Some(usize),
    UntilClose,
    Fill,
}

/// What a read has returned.
#[derive(Debug)]
pub(crate) enum Returned {
    Bytes(Bytes),
    /// The number of bytes that were read into the buffer.
    Count(usize),
}

/// What a read must return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Exactly the first bytes of the queue.
    First(usize),
    /// At least one and at most this many bytes of the queue.
    AtMost(usize),
    /// At least one and at most this many bytes, into the buffer.
    Filled(usize),
    /// The end of the stream, as a count of zero.
    End,
    TooLong,
    /// The end as an error, with the kind of its cause.
    Closed(Option<io::ErrorKind>),
    /// It waits.
    Nothing,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) buffer: usize,
    pub(crate) chunk: usize,
}

/// All bytes that have arrived and were not taken by a read, and what follows them.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) bytes: VecDeque<u8>,
    pub(crate) end: Option<End>,
    pub(crate) limits: Limits,
    /// A read has returned all bytes to the stream's end.
    was_read_to_end: bool,
}

type Reading<'a> = Pin<Box<dyn Future<Output = Result<Returned, StreamError>> + 'a>>;

impl Read {
    pub(crate) fn start(self, stream: &mut IoStream<Transport>) -> Reading<'_> {
        let bytes = |read: Result<Bytes, StreamError>| read.map(Returned::Bytes);
        match self {
            Read::Until { delimiter, most: usize::MAX } => {
                Box::pin(async move { bytes(stream.read_until(delimiter).await) })
            }
            Read::Until { delimiter, most } => {
                Box::pin(async move { bytes(stream.read_until_max(delimiter, most).await) })
            }
            Read::UntilMatch { byte, most } => Box::pin(async move {
                let find = |data: &[u8]| Some(data.iter().position(|other| *other == byte)? + 1);
                bytes(stream.read_until_match(most, find).await)
            }),
            Read::Bytes(n) => Box::pin(async move { bytes(stream.read_bytes(n).await) }),
            Read::Some(most) => Box::pin(async move { bytes(stream.read_some(most).await) }),
            Read::UntilClose => Box::pin(async move { bytes(stream.read_until_close().await) }),
            Read::Fill => Box::pin(async move { Ok(Returned::Count(stream.fill().await?)) }),
            Read::Exact(n) => Box::pin(async move {
                let mut into = vec![0; n];
                stream.read_exact(&mut into).await?;
                Ok(Returned::Bytes(into.into()))
            }),
        }
    }
}

impl Queue {
    pub(crate) fn new(limits: Limits) -> Queue {
        Queue { bytes: VecDeque::new(), end: None, limits, was_read_to_end: false }
    }

    /// What a read must return now. The buffer of the stream held `buffered` bytes when the read
    /// began.
    pub(crate) fn expect(&mut self, read: Read, buffered: usize) -> Expected {
        let limit = self.limits.buffer;
        match read {
            Read::Until { delimiter, most } => {
                let limit = limit.min(most);
                let found = first(self.bytes.make_contiguous(), delimiter, limit);
                found.map_or_else(|| self.too_long_or_end(limit), Expected::First)
            }
            Read::UntilMatch { byte, most } => {
                let limit = limit.min(most);
                let found = first(self.bytes.make_contiguous(), &[byte], limit);
                found.map_or_else(|| self.too_long_or_end(limit), Expected::First)
            }
            Read::Bytes(n) | Read::Exact(n) if n > limit => Expected::TooLong,
            Read::Bytes(n) | Read::Exact(n) if n <= self.bytes.len() => Expected::First(n),
            Read::Some(0) => Expected::First(0),
            Read::Some(most) if !self.bytes.is_empty() => Expected::AtMost(most),
            Read::Bytes(_) | Read::Exact(_) | Read::Some(_) => self.end_as_error(),
            Read::UntilClose if self.was_read_to_end && buffered == 0 => Expected::Closed(None),
            Read::UntilClose if self.bytes.len() > limit => Expected::TooLong,
            Read::UntilClose => match self.end {
                Some(End::Orderly) => Expected::First(self.bytes.len()),
                _ => self.end_as_error(),
            },
            Read::Fill => {
                let room = limit.saturating_sub(buffered);
                match self.end {
                    _ if room == 0 => Expected::TooLong,
                    _ if self.bytes.len() > buffered => {
                        Expected::Filled(room.min(self.limits.chunk))
                    }
                    Some(End::Orderly) => Expected::End,
                    _ => self.end_as_error(),
                }
            }
        }
    }

    fn too_long_or_end(&self, limit: usize) -> Expected {
        if self.bytes.len() >= limit { Expected::TooLong } else { self.end_as_error() }
    }

    fn end_as_error(&self) -> Expected {
        match self.end {
            Some(End::Orderly) => Expected::Closed(None),
            Some(End::Failed(kind)) => Expected::Closed(Some(kind)),
            None => Expected::Nothing,
        }
    }

    /// Takes what a read has returned.
    ///
    /// # Panics
    /// If it is not what was expected.
    pub(crate) fn take(
        &mut self,
        read: Read,
        expected: &Expected,
        returned: Result<Returned, StreamError>,
    ) {
        let is_right = match (&returned, expected) {
            (Ok(Returned::Bytes(bytes)), Expected::First(n)) => bytes.len() == *n,
            (Ok(Returned::Bytes(bytes)), Expected::AtMost(n)) => (1..=*n).contains(&bytes.len()),
            (Ok(Returned::Count(n)), Expected::Filled(most)) => (1..=*most).contains(n),
            (Ok(Returned::Count(0)), Expected::End) => true,
            (Err(StreamError::TooLong { .. }), Expected::TooLong) => true,
            (Err(StreamError::Closed { cause }), Expected::Closed(kind)) => {
                cause.as_ref().map(io::Error::kind) == *kind
            }
            // A full buffer and a known end: which of the two is returned is not promised.
            (Ok(Returned::Count(0)) | Err(StreamError::Closed { .. }), Expected::TooLong) => {
                self.end.is_some() && matches!(read, Read::Fill | Read::UntilClose)
            }
            (Ok(Returned::Bytes(bytes)), Expected::TooLong) => {
                let is_to_end = self.end.is_some() && matches!(read, Read::UntilClose);
                is_to_end && bytes.len() == self.bytes.len()
            }
            _ => false,
        };
        assert!(is_right, "{read:?} has returned {returned:?}, and not {expected:?}");
        if let Ok(Returned::Bytes(bytes)) = returned {
            assert!(self.bytes.make_contiguous().starts_with(&bytes), "other bytes");
            self.bytes.drain(..bytes.len());
            self.was_read_to_end |= matches!(read, Read::UntilClose);
        }
    }
}

/// The end of the first delimiter in the first `limit` bytes, which are all ASCII.
fn first(bytes: &[u8], delimiter: &[u8], limit: usize) -> Option<usize> {
    let text = |bytes| str::from_utf8(bytes).expect("scripts send only ASCII");
    let at = text(&bytes[..bytes.len().min(limit)]).find(text(delimiter))?;
    Some(at + delimiter.len())
}
