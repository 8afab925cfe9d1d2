//! The error of a connect that found no address, or failed for every address of a host.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// How many failures the message lists. A name may have thousands of addresses.
const MAX_LISTED: usize = 8;

/// The failures of a connect that tried several addresses, found none to try, or timed out. The
/// connect's `io::Error` contains this error; see [`get_ref`](io::Error::get_ref).
///
/// ```
/// use squall_net::{ConnectError, TcpStream, block_on};
///
/// let error = block_on(TcpStream::connect("[fe80::1%no-interface]:80")).unwrap_err();
/// let reason = error.get_ref().and_then(|error| error.downcast_ref::<ConnectError>());
/// assert!(reason.is_some_and(ConnectError::is_lookup));
/// assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
/// ```
#[derive(Debug)]
pub struct ConnectError {
    target: String,
    attempts: Vec<(SocketAddr, io::Error)>,
    is_lookup: bool,
    has_timed_out: bool,
    /// The resolver's error.
    lookup_error: Option<io::Error>,
}

/// What a connect has done so far.
#[derive(Default)]
pub(crate) struct Progress {
    /// Whether the resolver is at work.
    pub(crate) is_lookup: bool,
    /// The failed addresses with their errors, in the order in which they failed.
    pub(crate) failures: Vec<(SocketAddr, io::Error)>,
}

impl ConnectError {
    /// Returns the failed addresses with their errors, in the order in which they failed.
    pub fn attempts(&self) -> &[(SocketAddr, io::Error)] {
        &self.attempts
    }

    /// Whether the lookup of the name has failed, has found no address, or was not over at the
    /// deadline. No address was tried then.
    ///
    /// If the lookup failed, the connect's `io::Error` has the kind of the resolver's error, and
    /// [`source`](Error::source) returns that error. For [`SystemResolver`](crate::SystemResolver),
    /// the kind is `NotFound` if the name does not exist, and `HostUnreachable` if the name service
    /// fails.
    pub fn is_lookup(&self) -> bool {
        self.is_lookup
    }

    /// Makes the error of a connect whose lookup failed with `error`, or found no address.
    pub(crate) fn lookup(target: impl fmt::Display, error: Option<io::Error>) -> io::Error {
        let kind = error.as_ref().map_or(io::ErrorKind::NotFound, io::Error::kind);
        let error =
            ConnectError { is_lookup: true, lookup_error: error, ..ConnectError::new(target) };
        io::Error::new(kind, error)
    }

    /// Makes the error of a connect for which every address has failed. A single failure is
    /// returned as it is, without a `ConnectError` around it.
    pub(crate) fn all_failed(
        target: impl fmt::Display,
        mut attempts: Vec<(SocketAddr, io::Error)>,
    ) -> io::Error {
        if attempts.len() == 1 {
            return attempts.remove(0).1;
        }
        let kind = attempts.last().map_or(io::ErrorKind::NotFound, |(_, error)| error.kind());
        io::Error::new(kind, ConnectError { attempts, ..ConnectError::new(target) })
    }

    /// Makes the error of a connect whose deadline passed before an attempt succeeded.
    pub(crate) fn timed_out(target: impl fmt::Display, progress: Progress) -> io::Error {
        let Progress { is_lookup, failures: attempts } = progress;
        let new = ConnectError::new(target);
        let error = ConnectError { attempts, is_lookup, has_timed_out: true, ..new };
        io::Error::new(io::ErrorKind::TimedOut, error)
    }

    fn new(target: impl fmt::Display) -> ConnectError {
        ConnectError {
            target: target.to_string(),
            attempts: Vec::new(),
            is_lookup: false,
            has_timed_out: false,
            lookup_error: None,
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect to {}", self.target)?;
        if self.has_timed_out {
            f.write_str(" in time")?;
        } else if let Some(error) = &self.lookup_error {
            write!(f, ": {error}")?;
        } else if self.attempts.is_empty() {
            f.write_str(": it has no address that fits")?;
        }
        for (n, (address, error)) in self.attempts.iter().take(MAX_LISTED).enumerate() {
            write!(f, "{} {address}: {error}", if n == 0 { ":" } else { ";" })?;
        }
        match self.attempts.len().saturating_sub(MAX_LISTED) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let attempt = self.attempts.last().map(|(_, error)| error);
        self.lookup_error.as_ref().or(attempt).map(|error| error as _)
    }
}

const _: () = {
    const fn is_error<T: Error + Send + Sync>() {}
    is_error::<ConnectError>();
};
