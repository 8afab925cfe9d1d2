//! The error that ends a request and its connection.

use std::error::Error;
use std::fmt;
use std::io;

use http::StatusCode;
use squall_net::StreamError;

/// Why the server does not serve a request. Every rejection closes the connection.
#[derive(Debug)]
pub enum Rejection {
    /// The status and the reason that the client gets. The server then closes the connection,
    /// because it cannot know where the next request begins.
    Status(StatusCode, &'static str),
    /// The connection is broken, so the client gets no answer.
    Broken(io::Error),
}

impl Rejection {
    pub(crate) fn bad_request(why: &'static str) -> Rejection {
        Rejection::Status(StatusCode::BAD_REQUEST, why)
    }

    pub(crate) fn body_too_large() -> Rejection {
        Rejection::Status(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than the limit")
    }

    pub(crate) fn head_too_large() -> Rejection {
        Rejection::Status(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "the head is larger than the limit",
        )
    }

    pub(crate) fn target_too_long() -> Rejection {
        Rejection::Status(StatusCode::URI_TOO_LONG, "the request line is longer than the limit")
    }

    pub(crate) fn timeout(what: &'static str) -> Rejection {
        Rejection::Status(StatusCode::REQUEST_TIMEOUT, what)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rejection::Status(status, why) => write!(f, "{}: {why}", status.as_u16()),
            Rejection::Broken(error) => error.fmt(f),
        }
    }
}

impl Error for Rejection {}

impl From<StreamError> for Rejection {
    fn from(error: StreamError) -> Rejection {
        Rejection::Broken(error.into())
    }
}
