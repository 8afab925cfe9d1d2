//! How the peer ended the stream.

use crate::stream::stream_error::Cause;

/// How the peer ended the stream, as far as the transport has been read. Bytes read before the end
/// may still be in the buffer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadEnd {
    NotReached,
    Orderly,
    Failed(Cause),
}
