//! The response that a handler returns.

use std::fmt;
use std::io;
use std::pin::Pin;

use bytes::Bytes;
use futures_lite::Stream;
use http::header::{HeaderName, HeaderValue};
use http::{Method, StatusCode};

use crate::head::Head;
use crate::rejection::Rejection;

/// A status, fields and a body. The server adds `Date`, `Connection`, and `Content-Length` or
/// `Transfer-Encoding`.
pub struct Response {
    pub(crate) status: StatusCode,
    pub(crate) content_type: Option<HeaderValue>,
    /// Further fields. The types of names and values exclude line ends.
    pub(crate) fields: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Payload,
}

pub(crate) type Pieces = Pin<Box<dyn Stream<Item = io::Result<Bytes>>>>;

pub(crate) enum Payload {
    Whole(Bytes),
    /// Sent chunked. For HTTP/1.0, the end of the connection ends the body.
    Pieces(Pieces),
}

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

impl Response {
    /// A body of any type with status 200.
    pub fn new(content_type: Option<HeaderValue>, body: impl Into<Bytes>) -> Response {
        Response {
            status: StatusCode::OK,
            content_type,
            fields: Vec::new(),
            body: Payload::Whole(body.into()),
        }
    }

    /// Plain text with status 200.
    pub fn text(body: impl Into<Bytes>) -> Response {
        Response::new(Some(TEXT), body)
    }

    /// JSON with status 200.
    pub fn json(body: impl Into<Bytes>) -> Response {
        Response::new(Some(HeaderValue::from_static("application/json")), body)
    }

    /// Plain text with status 200, sent piece by piece. If `pieces` yields an error, the server
    /// closes the connection before the end of the body.
    pub fn stream(pieces: impl Stream<Item = io::Result<Bytes>> + 'static) -> Response {
        Response { body: Payload::Pieces(Box::pin(pieces)), ..Response::text("") }
    }

    /// A response with this status, whose body is the code and its standard name. An interim
    /// status (1xx) is sent as 500.
    pub fn status(status: StatusCode) -> Response {
        let name = status.canonical_reason().unwrap_or("Unknown");
        Response { status, ..Response::text(format!("{} {name}\n", status.as_u16())) }
    }

    /// Status 405. `allow` lists the methods that the path allows, separated by commas.
    pub fn method_not_allowed(allow: &'static str) -> Response {
        Response::status(StatusCode::METHOD_NOT_ALLOWED)
            .with(http::header::ALLOW, HeaderValue::from_static(allow))
    }

    /// Adds a header field.
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Response {
        self.fields.push((name, value));
        self
    }

    /// Replaces an interim response (1xx), which would not answer the request, by a 500.
    #[inline]
    pub(crate) fn replace_if_interim(&mut self) {
        if self.status.is_informational() {
            log::error!("a handler returned the interim status {}", self.status.as_u16());
            *self = Response::status(StatusCode::INTERNAL_SERVER_ERROR);
        }
    }

    /// The response to a rejected request, whose body gives the reason.
    pub(crate) fn refusal(status: StatusCode, why: &'static str) -> Response {
        let name = status.canonical_reason().unwrap_or("Unknown");
        Response { status, ..Response::text(format!("{} {name}: {why}\n", status.as_u16())) }
    }

    /// Whether the status allows a body. A 204 and a 304 have neither a body nor a length, and a
    /// 205 has a length of zero.
    pub(crate) fn may_have_body(&self) -> bool {
        !matches!(
            self.status,
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
        )
    }

    /// Whether only the end of the connection ends the body.
    pub(crate) fn ends_at_close(&self, head: &Head) -> bool {
        head.minor == 0 && matches!(self.body, Payload::Pieces(_))
    }

    /// Whether a body follows the head, in the response to the request with this `head`.
    pub(crate) fn sends_body(&self, head: &Head) -> bool {
        head.method != Method::HEAD && self.may_have_body()
    }
}

/// What happens to the connection after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    KeepAlive,
    Close,
}

impl From<StatusCode> for Response {
    fn from(status: StatusCode) -> Response {
        Response::status(status)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response").field("status", &self.status).finish_non_exhaustive()
    }
}

/// The result of a handler.
pub(crate) type HandlerResult = Result<Response, Rejection>;
