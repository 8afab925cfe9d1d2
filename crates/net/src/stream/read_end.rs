//! How the peer ended the stream.

use std::io;

use crate::stream::stream_error::Cause;

/// How the peer ended the stream, as far as the transport has been read. Bytes read before the end
/// may still be in the buffer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadEnd {
    NotReached,
    Orderly,
    Failed(Cause),
}

impl ReadEnd {
    /// The end that a read has found. The read must have returned 0 bytes or an error.
    pub(crate) fn of(read: &io::Result<usize>) -> ReadEnd {
        match read {
            Ok(_) => ReadEnd::Orderly,
            Err(error) => ReadEnd::Failed(Cause::of(error)),
        }
    }
}
