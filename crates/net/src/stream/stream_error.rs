//! The errors of a stream.

use std::error::Error;
use std::fmt;
use std::io;

/// Why a read or write of an [`IoStream`](crate::IoStream) failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum StreamError {
    /// The stream has ended: this side or the peer has closed it, or it has failed. Tornado:
    /// `StreamClosedError`.
    Closed {
        /// The transport's error; `None` for an orderly end. Later calls return an error of the
        /// same kind and code.
        cause: Option<io::Error>,
    },
    /// The read does not end within the limit. The bytes stay in the buffer. Tornado:
    /// `UnsatisfiableReadError`.
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The write queue has no room for this write; none of its bytes were queued. Tornado:
    /// `StreamBufferFullError`.
    BufferFull {
        /// The limit, in bytes.
        limit: usize,
    },
}

impl StreamError {
    /// The error for an orderly end.
    pub(crate) fn ended() -> StreamError {
        StreamError::Closed { cause: None }
    }
}

/// The kind and code of an `io::Error`, from which copies can be made. An `io::Error` itself is not
/// `Clone`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    errno: Option<i32>,
    kind: io::ErrorKind,
}

impl Cause {
    pub(crate) fn of(error: &io::Error) -> Cause {
        Cause { errno: error.raw_os_error(), kind: error.kind() }
    }

    pub(crate) fn error(self) -> io::Error {
        self.errno.map_or_else(|| self.kind.into(), io::Error::from_raw_os_error)
    }

    /// Whether a peer or the network can cause such an error. Any other is of this machine.
    pub(crate) fn is_of_peer(self) -> bool {
        use io::ErrorKind::{
            BrokenPipe, ConnectionAborted, ConnectionReset, HostUnreachable, NetworkDown,
            NetworkUnreachable, NotConnected, TimedOut, UnexpectedEof,
        };
        matches!(
            self.kind,
            BrokenPipe
                | ConnectionAborted
                | ConnectionReset
                | HostUnreachable
                | NetworkDown
                | NetworkUnreachable
                | NotConnected
                | TimedOut
                | UnexpectedEof
        )
    }
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StreamError::Closed { cause: None } => f.write_str("the stream is closed"),
            StreamError::Closed { cause: Some(cause) } => {
                write!(f, "the stream is closed: {cause}")
            }
            StreamError::TooLong { limit } => write!(f, "no end of the read within {limit} bytes"),
            StreamError::BufferFull { limit } => {
                write!(f, "the write queue would exceed its limit of {limit} bytes")
            }
        }
    }
}

impl Error for StreamError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            StreamError::Closed { cause: Some(cause) } => Some(cause),
            _ => None,
        }
    }
}

impl From<io::Error> for StreamError {
    fn from(error: io::Error) -> StreamError {
        StreamError::Closed { cause: Some(error) }
    }
}

impl From<StreamError> for io::Error {
    fn from(error: StreamError) -> io::Error {
        match error {
            StreamError::Closed { cause: Some(cause) } => cause,
            StreamError::Closed { cause: None } => {
                io::Error::new(io::ErrorKind::UnexpectedEof, error)
            }
            StreamError::TooLong { .. } => io::Error::new(io::ErrorKind::InvalidData, error),
            StreamError::BufferFull { .. } => io::Error::other(error),
        }
    }
}

const _: () = {
    const fn is_error<T: Error + Send + Sync>() {}
    is_error::<StreamError>();
};
