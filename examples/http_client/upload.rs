//! Sends the body of a request, piece by piece, while the answer is awaited.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_lite::stream;
use squall_net::{Sleep, StreamError, sleep};

use crate::byte_stream::ByteStream;
use crate::request_parts::{Pieces, RequestBody, RequestParts};

/// No more pieces are made while more bytes than this wait to be sent.
const HIGH_WATER: usize = 64 << 10;
/// How long a body waits for `100 Continue`. Old servers do not send it (RFC 9110, 10.1.1).
const CONTINUE_TIMEOUT: Duration = Duration::from_secs(1);

/// A body that is being sent.
pub(crate) struct Upload {
    pieces: Pieces,
    /// The bytes that are left of a body with a `Content-Length`. `None` if the body is chunked.
    left: Option<u64>,
    /// Ends the wait for `100 Continue`. `None` if the body is not held back.
    hold: Option<Sleep>,
}

/// Why a body was not sent to its end.
pub(crate) enum UploadError {
    /// The pieces are an error, or have another length than was announced.
    Body(io::Error),
    /// The server does not take the body. The read of the answer reports the error.
    Connection,
}

impl Upload {
    /// Takes the body out of a request. `None` if there is none to send.
    pub(crate) fn begin(request: &mut RequestParts) -> Option<Upload> {
        let (pieces, left): (Pieces, _) = match &mut request.body {
            RequestBody::Absent => return None,
            RequestBody::Whole(body) => {
                (Box::pin(stream::once(Ok(body.clone()))), Some(body.len() as u64))
            }
            RequestBody::Stream { pieces, length } => (pieces.take()?, *length),
        };
        let hold = request.expects_continue.then(|| sleep(CONTINUE_TIMEOUT));
        Some(Upload { pieces, left, hold })
    }

    /// Whether the body waits for `100 Continue`.
    pub(crate) fn is_held(&self) -> bool {
        self.hold.is_some()
    }

    /// Ends the wait for `100 Continue`.
    pub(crate) fn release(&mut self) {
        self.hold = None;
    }

    /// Queues pieces until the body ends or must wait. Ready at the end of the body.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut dyn ByteStream,
    ) -> Poll<Result<(), UploadError>> {
        if let Some(hold) = &mut self.hold {
            ready!(Pin::new(hold).poll(cx));
            self.hold = None;
        }
        loop {
            if stream.queued() > HIGH_WATER {
                ready!(stream.poll_flush(cx))?;
            }
            match ready!(self.pieces.as_mut().poll_next(cx)) {
                Some(Ok(piece)) => self.queue(piece, stream)?,
                Some(Err(error)) => return Poll::Ready(Err(UploadError::Body(error))),
                None => return Poll::Ready(self.finish(stream)),
            }
        }
    }

    fn queue(&mut self, piece: Bytes, stream: &mut dyn ByteStream) -> Result<(), UploadError> {
        if piece.is_empty() {
            return Ok(()); // an empty chunk would end the body
        }
        match &mut self.left {
            Some(left) => {
                let longer = || wrong_length("the body is longer than its announced length");
                *left = left.checked_sub(piece.len() as u64).ok_or_else(longer)?;
                stream.write(piece)?;
            }
            None => {
                stream.write(format!("{:x}\r\n", piece.len()).into())?;
                stream.write(piece)?;
                stream.write(Bytes::from_static(b"\r\n"))?;
            }
        }
        Ok(())
    }

    fn finish(&self, stream: &mut dyn ByteStream) -> Result<(), UploadError> {
        match self.left {
            Some(0) => Ok(()),
            Some(_) => Err(wrong_length("the body is shorter than its announced length")),
            None => Ok(stream.write(Bytes::from_static(b"0\r\n\r\n"))?),
        }
    }
}

fn wrong_length(why: &'static str) -> UploadError {
    UploadError::Body(io::Error::new(io::ErrorKind::InvalidData, why))
}

impl From<StreamError> for UploadError {
    fn from(_: StreamError) -> UploadError {
        UploadError::Connection
    }
}
