//! The body of an answer, read piece by piece.

use std::fmt;
use std::rc::Rc;

use bytes::Bytes;
use tiny_http::chunked::{ChunkLimits, ChunkStep, Chunked};

use crate::answer_head::AnswerFraming;
use crate::deadline::Deadline;
use crate::exchange::Exchange;
use crate::fetch_error::FetchError;
use crate::pool::{Pool, PoolKey};
use crate::slots::Slot;

/// The most bytes that are reserved for a body before it has come.
const MAX_RESERVED: usize = 1 << 20;
const TOO_LARGE: &str = "the body is larger than the limit";

/// The body of an answer, from [`HttpClient::fetch_streaming`](crate::HttpClient::fetch_streaming).
///
/// The server can send only as fast as the body is read. Until its end, the body occupies one of the
/// client's [`max_clients`](crate::ClientConfig::max_clients); a body that is dropped before its end
/// closes the connection.
pub struct ResponseBody {
    state: State,
    deadline: Deadline,
}

enum State {
    Reading(Box<Reading>),
    Ended,
    /// An earlier read has failed.
    Failed,
}

/// A body that has not ended.
pub(crate) struct Reading {
    pub(crate) exchange: Exchange,
    pub(crate) rest: Rest,
    pub(crate) max_trailer_bytes: usize,
    /// The pool that gets the connection. `None` if the connection ends with the answer.
    pub(crate) pool: Option<(Rc<Pool>, PoolKey)>,
    pub(crate) slot: Slot,
}

/// What is left of a body.
pub(crate) enum Rest {
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

impl From<AnswerFraming> for Rest {
    fn from(framing: AnswerFraming) -> Rest {
        match framing {
            AnswerFraming::Length(length) => Rest::Length(length),
            AnswerFraming::Chunked => Rest::Chunked(Chunked::new()),
            AnswerFraming::UntilClose => Rest::UntilClose,
        }
    }
}

impl ResponseBody {
    pub(crate) fn new(reading: Reading, deadline: Deadline) -> ResponseBody {
        let is_empty = matches!(reading.rest, Rest::Length(0));
        let mut body = ResponseBody { state: State::Reading(Box::new(reading)), deadline };
        if is_empty {
            body.end();
        }
        body
    }

    /// Reads the next piece, or returns `None` at the end of the body.
    ///
    /// # Errors
    /// - [`Truncated`](FetchError::Truncated): the connection ended before the body.
    /// - [`RequestTimeout`](FetchError::RequestTimeout): the deadline of the request has passed. For
    ///   a body without end, set it to zero, and put a `timeout` around each call.
    /// - The other errors of the connection, of the answer and of the request's body. After any
    ///   error, further calls fail.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        self.take(Bytes::copy_from_slice).await
    }

    /// Reads the whole rest; at most `max_bytes`.
    pub(crate) async fn read_to_end(&mut self, max_bytes: usize) -> Result<Bytes, FetchError> {
        let mut whole = Vec::new();
        if let State::Reading(reading) = &self.state
            && let Rest::Length(length) = reading.rest
        {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if length > max_bytes {
                return Err(FetchError::TooLarge(TOO_LARGE));
            }
            whole.reserve(length.min(MAX_RESERVED));
        }
        while self.take(|data| whole.extend_from_slice(data)).await?.is_some() {
            if whole.len() > max_bytes {
                return Err(FetchError::TooLarge(TOO_LARGE));
            }
        }
        Ok(whole.into())
    }

    /// Reads and discards the rest, so that the connection can be kept. Gives up after `max_bytes`.
    pub(crate) async fn discard(&mut self, max_bytes: usize) -> Result<(), FetchError> {
        let mut discarded = 0;
        while let Some(n) = self.take(<[u8]>::len).await? {
            discarded += n;
            if discarded > max_bytes {
                break;
            }
        }
        Ok(())
    }

    /// Waits for bytes of the body, calls `f` with all that are there, and drops them. Returns
    /// `None` at the end of the body.
    async fn take<R>(&mut self, f: impl FnOnce(&[u8]) -> R) -> Result<Option<R>, FetchError> {
        let reading = match &mut self.state {
            State::Reading(reading) => reading,
            State::Ended => return Ok(None),
            State::Failed => return Err(FetchError::Truncated),
        };
        match self.deadline.limit(FetchError::RequestTimeout, reading.fill()).await {
            Ok(0) => {
                self.end();
                Ok(None)
            }
            Ok(n) => {
                let taken = f(&reading.exchange.buffer()[..n]);
                reading.consume(n);
                Ok(Some(taken))
            }
            Err(error) => {
                self.state = State::Failed; // closes the connection
                Err(error)
            }
        }
    }

    /// Ends the body. The connection goes back first, so that the request that gets the slot can
    /// have it.
    fn end(&mut self) {
        if let State::Reading(reading) = std::mem::replace(&mut self.state, State::Ended) {
            let Reading { exchange, pool, slot, .. } = *reading;
            if let (Some((pool, key)), Some(stream)) = (pool, exchange.into_idle()) {
                pool.put(key, stream);
            }
            drop(slot);
        }
    }
}

impl Reading {
    /// Reads until the buffer begins with bytes of the body. Returns their number; 0 at the end.
    async fn fill(&mut self) -> Result<usize, FetchError> {
        loop {
            match self.step()? {
                ChunkStep::Data(n) => return Ok(n),
                ChunkStep::Done => return Ok(0),
                ChunkStep::Framing(n) => self.exchange.consume(n),
                ChunkStep::NeedsMore => {
                    if self.exchange.fill().await? == 0 {
                        match self.rest {
                            Rest::UntilClose => return Ok(0),
                            _ => return Err(FetchError::Truncated),
                        }
                    }
                }
            }
        }
    }

    fn step(&mut self) -> Result<ChunkStep, FetchError> {
        let data = self.exchange.buffer();
        Ok(match &mut self.rest {
            Rest::Length(0) => ChunkStep::Done,
            Rest::Length(_) | Rest::UntilClose if data.is_empty() => ChunkStep::NeedsMore,
            Rest::Length(left) => {
                ChunkStep::Data(data.len().min(usize::try_from(*left).unwrap_or(usize::MAX)))
            }
            Rest::UntilClose => ChunkStep::Data(data.len()),
            Rest::Chunked(chunked) => {
                // The caller limits the body.
                let trailer_bytes = self.max_trailer_bytes;
                chunked.step(data, ChunkLimits { body_bytes: u64::MAX, trailer_bytes })?
            }
        })
    }

    fn consume(&mut self, n: usize) {
        self.exchange.consume(n);
        match &mut self.rest {
            Rest::Length(left) => *left -= n as u64,
            Rest::Chunked(chunked) => chunked.taken(n),
            Rest::UntilClose => {}
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Reading(_) => "reading",
            State::Ended => "ended",
            State::Failed => "failed",
        };
        f.debug_struct("ResponseBody").field("state", &state).finish_non_exhaustive()
    }
}
