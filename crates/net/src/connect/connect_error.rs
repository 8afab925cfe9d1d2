//! The error of a connect that failed for every address of a host.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// How many failures the message lists. A name may have thousands of addresses.
const MAX_LISTED: usize = 8;

/// The failures of a connect that tried several addresses, found none to try, or timed out. The
/// connect's `io::Error` contains this error; see [`get_ref`](io::Error::get_ref).
#[derive(Debug)]
pub struct ConnectError {
    target: String,
    attempts: Vec<(SocketAddr, io::Error)>,
    has_timed_out: bool,
}

impl ConnectError {
    /// Returns the failed addresses with their errors, in the order in which they failed.
    pub fn attempts(&self) -> &[(SocketAddr, io::Error)] {
        &self.attempts
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
        let target = target.to_string();
        io::Error::new(kind, ConnectError { target, attempts, has_timed_out: false })
    }

    /// Makes the error of a connect whose deadline passed before an attempt succeeded.
    pub(crate) fn timed_out(
        target: impl fmt::Display,
        attempts: Vec<(SocketAddr, io::Error)>,
    ) -> io::Error {
        let error = ConnectError { target: target.to_string(), attempts, has_timed_out: true };
        io::Error::new(io::ErrorKind::TimedOut, error)
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect to {}", self.target)?;
        if self.has_timed_out {
            f.write_str(" in time")?;
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
        self.attempts.last().map(|(_, error)| error as _)
    }
}

const _: () = {
    const fn is_error<T: Error + Send + Sync>() {}
    is_error::<ConnectError>();
};
