//! The answer that a caller gets.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::url::Url;

/// An answer. Tornado: `HTTPResponse`.
#[derive(Clone, Debug)]
pub struct ClientResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) original_url: String,
    pub(crate) url: String,
    pub(crate) timings: Timings,
    pub(crate) body: Bytes,
}

/// What a fetch spent its time on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// The wait for the request's turn. This and the next two count for the last redirect only.
    pub queue: Duration,
    /// The time to look up the name and to connect. `None` if the connection was kept from an
    /// earlier request.
    pub connect: Option<Duration>,
    /// The time from the request's turn to the end of the answer's head, the connect included.
    pub head: Duration,
    /// The time from the call to the end of the body, redirects included. If the body is streamed,
    /// to the end of the last head.
    pub total: Duration,
}

impl ClientResponse {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The header fields. Values may contain bytes that are not ASCII.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The body, decoded from chunks. Empty if it is streamed.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Returns the body without a copy.
    pub fn into_body(self) -> Bytes {
        self.body
    }

    /// The URL that has answered, after all redirects, without credentials and fragment. Tornado:
    /// `effective_url`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The URL of the request, without credentials and fragment.
    pub fn original_url(&self) -> &str {
        &self.original_url
    }

    /// The absolute URL that a link in this answer's body means, without fragment and credentials.
    /// Characters that a URL must not contain are escaped, as a browser does. `None` if it is not a
    /// URL of the scheme `http` or `https`.
    pub fn resolve(&self, link: &str) -> Option<String> {
        let base = Url::parse(&self.url).ok()?;
        let url = base.join(link.trim_ascii().as_bytes()).ok()?;
        Some(url.to_string())
    }

    /// What the fetch spent its time on.
    pub fn timings(&self) -> Timings {
        self.timings
    }
}
