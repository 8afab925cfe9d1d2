//! What the load process prints.

use serde::{Deserialize, Serialize};

use crate::records::failure::{Failure, Target};

/// A line of the load's standard output.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LoadReport {
    Second(Second),
    Failure(Failure),
    /// The load pauses: every request is answered, and every connection is closed.
    Paused,
}

/// One second of requests to one server.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Second {
    /// The end of this second, in seconds since the run began.
    pub(crate) at: f64,
    pub(crate) target: Target,
    /// Requests that were answered rightly.
    pub(crate) answers: usize,
    /// Requests that failed, also those that were sent again.
    pub(crate) failures: usize,
    /// Latencies in seconds, from when a request was due to the last byte of its answer, without the
    /// time that the answer takes on purpose.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}
