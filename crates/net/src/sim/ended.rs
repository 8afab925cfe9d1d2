//! Why a run of a simulation has ended before every host had.

use std::error::Error;
use std::fmt;
use std::io;

/// Why [`Simulation::run`](super::Simulation::run) has ended before every `main` has returned `Ok`.
pub enum Ended {
    /// The `main` of a host has returned an error.
    Failed {
        /// The name of the host.
        host: String,
        /// What it has returned.
        error: io::Error,
    },
    /// The `main` of a host has panicked, or one of its tasks that nobody awaits.
    #[non_exhaustive]
    Panicked {
        /// The name of the host.
        host: String,
        /// The message of the panic.
        message: String,
    },
    /// The simulated time is over.
    Limit,
    /// Nothing will ever happen: no task is ready, no timer is armed, and nothing is under way. Or a
    /// task is always ready, so that no time passes. The text says which, and lists every task of
    /// every host, with its age and the line that has spawned it.
    Stuck(String),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Failed { host, error } => write!(f, "the host {host} has failed: {error}"),
            Ended::Panicked { host, message } => {
                write!(f, "the host {host} has panicked: {message}")
            }
            Ended::Limit => f.write_str("the simulated time is over, and not every host has ended"),
            Ended::Stuck(report) => write!(f, "stuck: {report}"),
        }
    }
}

impl fmt::Debug for Ended {
    /// As [`Display`](fmt::Display), so that `unwrap` shows the report in lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Ended {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Ended::Failed { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl From<Ended> for io::Error {
    fn from(ended: Ended) -> io::Error {
        io::Error::other(ended.to_string())
    }
}
