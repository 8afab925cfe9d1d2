//! Why no address of a host could be connected to.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// How many failures the text names; a name may have thousands of addresses.
const NAMED: usize = 8;

/// The failures of a connect that has tried several addresses, or that ran out of time: the source of its `io::Error`.
#[derive(Debug)]
pub struct ConnectError {
    target: String,
    attempts: Vec<(SocketAddr, io::Error)>,
    is_late: bool,
}

impl ConnectError {
    /// What each address said, in the order of the failures.
    pub fn attempts(&self) -> &[(SocketAddr, io::Error)] {
        &self.attempts
    }

    /// Every address has failed. One that failed alone says so itself.
    pub(crate) fn all_failed(
        target: impl fmt::Display,
        mut attempts: Vec<(SocketAddr, io::Error)>,
    ) -> io::Error {
        if attempts.len() == 1 {
            return attempts.remove(0).1;
        }
        let kind = attempts.last().map_or(io::ErrorKind::NotFound, |(_, error)| error.kind());
        io::Error::new(kind, ConnectError { target: target.to_string(), attempts, is_late: false })
    }

    /// Time was up before an address answered.
    pub(crate) fn late(
        target: impl fmt::Display,
        attempts: Vec<(SocketAddr, io::Error)>,
    ) -> io::Error {
        let error = ConnectError { target: target.to_string(), attempts, is_late: true };
        io::Error::new(io::ErrorKind::TimedOut, error)
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect to {}", self.target)?;
        if self.is_late {
            f.write_str(" in time")?;
        } else if self.attempts.is_empty() {
            f.write_str(": it has no address that fits")?;
        }
        for (n, (address, error)) in self.attempts.iter().take(NAMED).enumerate() {
            write!(f, "{} {address}: {error}", if n == 0 { ":" } else { ";" })?;
        }
        match self.attempts.len().saturating_sub(NAMED) {
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
