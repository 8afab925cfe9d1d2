//! The body of a response that is made and sent piece by piece.

use std::fmt;
use std::io;
use std::pin::{Pin, pin};

use futures_lite::{Stream, StreamExt};
use squall_net::yield_now;

use crate::server::config::Config;
use crate::server::disconnect::unless_client_leaves;
use crate::server::head::Head;
use crate::server::piece::Piece;
use crate::server::rejection::Rejection;
use crate::server::transport::Transport;
use crate::server::wire::{NextPart, SharedWire, Wire};

/// If more response bytes than this are queued, the connection waits until the kernel has them.
pub(crate) const HIGH_WATER: usize = 64 << 10;

/// The number of empty pieces after which the task yields to the rest of the loop.
const EMPTY_PIECES_PER_TURN: u32 = 64;

/// A body whose pieces are not made yet.
pub(crate) struct StreamedBody {
    pieces: Pin<Box<dyn Stream<Item = io::Result<Piece>>>>,
    /// The bytes of all pieces together, if they are known. Then they are sent without framing.
    pub(crate) length: Option<u64>,
}

impl StreamedBody {
    pub(crate) fn new(
        pieces: impl Stream<Item = io::Result<Piece>> + 'static,
        length: Option<u64>,
    ) -> StreamedBody {
        StreamedBody { pieces: Box::pin(pieces), length }
    }

    /// Sends the body of the response to the request with this `head`.
    ///
    /// # Errors
    /// The connection is broken, or the handler's stream has failed. The head is sent, so only the
    /// end of the connection can report that.
    pub(crate) async fn send<S: Transport>(
        self,
        wire: &mut Wire<S>,
        config: &Config,
        head: &Head,
    ) -> Result<(), Rejection> {
        match self.length {
            Some(length) => self.send_sized(wire, config, length).await,
            None if head.minor == 0 => self.send_until_close(wire, config).await,
            None => self.send_chunks(wire, config).await,
        }
    }

    async fn send_chunks<S: Transport>(
        mut self,
        wire: &mut Wire<S>,
        config: &Config,
    ) -> Result<(), Rejection> {
        while let Some(piece) = self.next(wire, NextPart::ChunkSize).await? {
            wire.stream.write(format!("{:x}\r\n", piece.len()))?;
            send(piece, wire, config).await?;
            wire.stream.write("\r\n")?;
        }
        Ok(wire.stream.write("0\r\n\r\n")?)
    }

    /// Sends a body whose length the head has announced. A stream that yields another number of
    /// bytes ends the connection, and none of them is sent beyond the length.
    async fn send_sized<S: Transport>(
        mut self,
        wire: &mut Wire<S>,
        config: &Config,
        length: u64,
    ) -> Result<(), Rejection> {
        let mut left = length;
        while let Some(piece) = self.next(wire, NextPart::Piece).await? {
            left = left.checked_sub(piece.len()).ok_or_else(|| wrong_length(length))?;
            send(piece, wire, config).await?;
        }
        if left == 0 { Ok(()) } else { Err(wrong_length(length)) }
    }

    /// Sends a body that the end of the connection ends. If the body is not complete, for example
    /// because the handler's stream failed or a shutdown has aborted it, the connection ends in a
    /// reset, so that the client cannot take the part for the whole.
    async fn send_until_close<S: Transport>(
        mut self,
        wire: &mut Wire<S>,
        config: &Config,
    ) -> Result<(), Rejection> {
        wire.set_ends_in_reset(true);
        while let Some(piece) = self.next(wire, NextPart::Piece).await? {
            send(piece, wire, config).await?;
        }
        wire.flush(config.write_timeout).await?;
        wire.set_ends_in_reset(false);
        Ok(())
    }

    /// The next piece that is not empty. An empty chunk would end the body. `part` is what comes
    /// before the piece on the wire.
    async fn next<S: Transport>(
        &mut self,
        wire: &mut Wire<S>,
        part: NextPart,
    ) -> Result<Option<Piece>, Rejection> {
        let pieces = &mut self.pieces;
        let next = pin!(async {
            let mut empty = 0_u32;
            loop {
                match pieces.next().await {
                    Some(Ok(piece)) if piece.len() == 0 => empty += 1,
                    next => return next.transpose(),
                }
                // A stream that is always ready must not stop the loop.
                if empty.is_multiple_of(EMPTY_PIECES_PER_TURN) {
                    yield_now().await;
                }
            }
        });
        let wire = SharedWire::new(wire);
        unless_client_leaves(next, &wire, part).await?.map_err(Rejection::Broken)
    }
}

/// Queues bytes, or sends a part of a file. If too much is queued, waits until the kernel has taken
/// all of it.
async fn send<S: Transport>(
    piece: Piece,
    wire: &mut Wire<S>,
    config: &Config,
) -> Result<(), Rejection> {
    match piece {
        Piece::Bytes(bytes) => wire.stream.write(bytes)?,
        Piece::File(part) => wire.send_file(part, config.write_timeout).await?,
    }
    if wire.stream.queued() > HIGH_WATER {
        wire.flush(config.write_timeout).await?;
    }
    Ok(())
}

fn wrong_length(length: u64) -> Rejection {
    let message = format!("a handler's stream did not yield the {length} bytes that it announced");
    log::error!("{message}");
    Rejection::Broken(io::Error::new(io::ErrorKind::InvalidData, message))
}

impl fmt::Debug for StreamedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamedBody").field("length", &self.length).finish_non_exhaustive()
    }
}
