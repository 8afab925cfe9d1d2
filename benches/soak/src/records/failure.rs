//! Requests of well-behaved clients that failed.

use serde::{Deserialize, Serialize};

/// The server that a client talks to.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    /// One process with one loop.
    Single,
    /// A supervisor with forked workers.
    Prefork,
}

/// What a well-behaved client asks for.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Hello,
    Echo,
    Stream,
    File,
    Events,
    Job,
    Line,
}

/// How a request failed.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum How {
    /// The server closed a kept connection before the first byte of the answer. The client has sent
    /// the request again, on a new connection, as HTTP lets it.
    Stale,
    /// No connection was made.
    Refused,
    /// The connection ended before the whole answer had come.
    Cut,
    /// No whole answer within ten seconds.
    Hang,
    /// Another status than 200.
    Status(u16),
    /// A whole answer with other bytes than the expected ones.
    Wrong,
}

/// A failed request.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Failure {
    /// When the request was sent, or since when its stale connection was idle, in seconds since the
    /// run began.
    pub(crate) begun: f64,
    /// When it failed.
    pub(crate) at: f64,
    pub(crate) target: Target,
    pub(crate) kind: Kind,
    pub(crate) how: How,
    pub(crate) detail: String,
}
