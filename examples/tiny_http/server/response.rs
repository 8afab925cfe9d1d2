//! The response that a handler returns.

use std::fmt;
use std::io;

use bytes::Bytes;
use cookie::Cookie;
use futures_lite::{Stream, StreamExt};
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderName, HeaderValue, InvalidHeaderValue,
    LOCATION, SET_COOKIE, TRANSFER_ENCODING, UPGRADE,
};
use http::{Method, StatusCode};
use squall_net::IoStream;

use crate::server::content_type::ContentType;
use crate::server::head::Head;
use crate::server::piece::Piece;
use crate::server::streamed_body::StreamedBody;
use crate::server::takeover::Takeover;

/// A status, fields and a body. The server adds `Date`, `Connection`, and `Content-Length` or
/// `Transfer-Encoding`.
pub struct Response {
    pub(crate) status: StatusCode,
    pub(crate) content_type: Option<ContentType>,
    /// Further fields, if there are any. The types of names and values exclude line ends.
    fields: Option<Box<Fields>>,
    pub(crate) body: Payload,
}

/// Boxed, because most responses have none, and small ones are cheaper to move.
#[derive(Default)]
struct Fields(Vec<(HeaderName, HeaderValue)>);

pub(crate) enum Payload {
    Whole(Bytes),
    /// Without a length, sent chunked. For HTTP/1.0, the end of the connection ends such a body.
    Streamed(StreamedBody),
    /// The response is the last one, and its head the end of HTTP on this connection.
    Takeover(Takeover),
}

impl Response {
    /// A body of any type with status 200.
    pub fn new(content_type: Option<HeaderValue>, body: impl Into<Bytes>) -> Response {
        Response::whole(content_type.map(ContentType::from), body.into())
    }

    #[inline]
    fn whole(content_type: Option<ContentType>, body: Bytes) -> Response {
        Response { status: StatusCode::OK, content_type, fields: None, body: Payload::Whole(body) }
    }

    /// Plain text with status 200.
    #[inline]
    pub fn text(body: impl Into<Bytes>) -> Response {
        Response::whole(Some(ContentType::Text), body.into())
    }

    /// JSON with status 200.
    pub fn json(body: impl Into<Bytes>) -> Response {
        Response::whole(Some(ContentType::Json), body.into())
    }

    /// Plain text with status 200, sent piece by piece. If `pieces` yields an error, the server
    /// closes the connection before the end of the body.
    pub fn stream(pieces: impl Stream<Item = io::Result<Bytes>> + 'static) -> Response {
        let pieces = pieces.map(|piece| piece.map(Piece::from));
        Response::text("").with_body(Payload::Streamed(StreamedBody::new(pieces, None)))
    }

    /// As [`stream`](Self::stream), with a `Content-Length` and a type of the body. If `pieces`
    /// yields another number of bytes than `length`, the server closes the connection.
    pub fn stream_of(
        content_type: Option<HeaderValue>,
        length: u64,
        pieces: impl Stream<Item = io::Result<Bytes>> + 'static,
    ) -> Response {
        Response::of_pieces(content_type, length, pieces.map(|piece| piece.map(Piece::from)))
    }

    /// As [`stream_of`](Self::stream_of), for pieces of files too.
    pub(crate) fn of_pieces(
        content_type: Option<HeaderValue>,
        length: u64,
        pieces: impl Stream<Item = io::Result<Piece>> + 'static,
    ) -> Response {
        let body = StreamedBody::new(pieces, Some(length));
        Response::new(content_type, "").with_body(Payload::Streamed(body))
    }

    /// HTML with status 200.
    pub fn html(body: impl Into<Bytes>) -> Response {
        Response::whole(Some(ContentType::Html), body.into())
    }

    /// A response with this status, whose body is the code and its standard name. An interim
    /// status (1xx) is sent as 500.
    pub fn status(status: StatusCode) -> Response {
        Response::error(status, "")
    }

    /// Status 303: the browser loads `location` by `GET`, for example after a form was stored.
    ///
    /// # Errors
    /// `location` contains control characters. In a handler, `?` turns that into a 500.
    pub fn see_other(location: &str) -> Result<Response, InvalidHeaderValue> {
        let location = HeaderValue::from_str(location)?;
        Ok(Response::status(StatusCode::SEE_OTHER).with(LOCATION, location))
    }

    /// Status 101: ends HTTP on this connection, and hands its stream to `run`, with the bytes that
    /// have been received after the request. `protocol` is the value of the field Upgrade. The
    /// connection is closed when `run` returns, as after a handler of a
    /// [`TcpServer`](squall_net::TcpServer). Tornado: `detach`.
    ///
    /// A request that does not [ask for it](crate::Request::asks_to_upgrade) is answered with 426
    /// instead, one whose body is not read with 400, and one that came over another transport than
    /// `S` with 500. So is a response whose status is changed afterwards.
    ///
    /// The stream's read buffer holds at most 64 KiB, or
    /// [`Config::max_head_bytes`](crate::Config::max_head_bytes) if that is more. To read more at
    /// once, take the transport out of it.
    ///
    /// # Panics
    /// If `protocol` contains control characters.
    pub fn upgrade<S, F>(protocol: &'static str, run: F) -> Response
    where
        S: 'static,
        F: AsyncFnOnce(IoStream<S>) -> io::Result<()> + 'static,
    {
        Response::new(None, "")
            .with_status(StatusCode::SWITCHING_PROTOCOLS)
            .with_body(Payload::Takeover(Takeover::new(run)))
            .with_any(CONNECTION, HeaderValue::from_static("Upgrade"))
            .with(UPGRADE, HeaderValue::from_static(protocol))
    }

    /// Changes the status.
    #[must_use]
    pub fn with_status(self, status: StatusCode) -> Response {
        Response { status, ..self }
    }

    /// Changes the type of the body, for example of a [`stream`](Self::stream) to
    /// `text/event-stream`.
    #[must_use]
    pub fn with_content_type(self, content_type: HeaderValue) -> Response {
        Response { content_type: Some(content_type.into()), ..self }
    }

    /// Adds a cookie, percent-encoded.
    ///
    /// # Errors
    /// An attribute contains control characters. In a handler, `?` turns that into a 500.
    pub fn with_cookie(self, cookie: &Cookie<'_>) -> Result<Response, InvalidHeaderValue> {
        let value = HeaderValue::from_str(&cookie.encoded().to_string())?;
        Ok(self.with(SET_COOKIE, value))
    }

    fn with_body(self, body: Payload) -> Response {
        Response { body, ..self }
    }

    /// Adds a header field. `Content-Type` replaces the one that the response has.
    ///
    /// # Panics
    /// If it is `Content-Length`, `Transfer-Encoding`, `Connection` or `Date`, which the server sets:
    /// another value could let the client misread where the response ends. The client then gets a
    /// 500.
    #[must_use]
    #[track_caller]
    pub fn with(self, name: HeaderName, value: HeaderValue) -> Response {
        let is_of_server = matches!(name, CONTENT_LENGTH | TRANSFER_ENCODING | CONNECTION | DATE);
        assert!(!is_of_server, "the server sets {name}, and not a handler");
        match name {
            CONTENT_TYPE => self.with_content_type(value),
            _ => self.with_any(name, value),
        }
    }

    fn with_any(mut self, name: HeaderName, value: HeaderValue) -> Response {
        self.fields.get_or_insert_default().0.push((name, value));
        self
    }

    /// The fields, without those of the body and of the server.
    #[inline]
    pub(crate) fn fields(&self) -> &[(HeaderName, HeaderValue)] {
        self.fields.as_deref().map_or(&[], |fields| &fields.0)
    }

    /// Replaces a response that would not answer the request: an interim one (1xx) by a 500, and an
    /// upgrade that the client did not ask for by a 426. `is_read` is whether the request's body was
    /// read.
    #[inline]
    pub(crate) fn replace_if_unfit<S: 'static>(&mut self, head: &Head, is_read: bool) {
        if self.status.is_informational() || matches!(self.body, Payload::Takeover(_)) {
            self.replace_unfit::<S>(head, is_read);
        }
    }

    #[cold]
    fn replace_unfit<S: 'static>(&mut self, head: &Head, is_read: bool) {
        let protocol = self.fields().iter().find(|(name, _)| name == UPGRADE);
        let protocol = protocol.map(|(_, value)| value.clone());
        let is_upgrade = self.status == StatusCode::SWITCHING_PROTOCOLS
            && matches!(&self.body, Payload::Takeover(takeover) if takeover.takes::<S>());
        *self = match protocol {
            Some(protocol) if is_upgrade => {
                let is_wanted = protocol.to_str().is_ok_and(|text| head.asks_to_upgrade(text));
                match (is_wanted, is_read) {
                    (true, true) => return,
                    (true, false) => {
                        let message = "a request for an upgrade must not have a body";
                        Response::error(StatusCode::BAD_REQUEST, message)
                    }
                    (false, _) => Response::status(StatusCode::UPGRADE_REQUIRED)
                        .with_any(CONNECTION, HeaderValue::from_static("Upgrade"))
                        .with_any(UPGRADE, protocol),
                }
            }
            _ => {
                log::error!("a handler returned the unfit status {}", self.status.as_u16());
                Response::status(StatusCode::INTERNAL_SERVER_ERROR)
            }
        };
    }

    /// The page of an error: the code, its standard name and the message.
    pub(crate) fn error(status: StatusCode, message: &str) -> Response {
        let (code, name) = (status.as_u16(), status.canonical_reason().unwrap_or("Unknown"));
        let text = match message {
            "" => format!("{code} {name}\n"),
            message => format!("{code} {name}: {message}\n"),
        };
        Response::text(text).with_status(status)
    }

    /// Whether the status allows a body. A 204 and a 304 have neither a body nor a length, and a
    /// 205 has a length of zero.
    pub(crate) fn may_have_body(&self) -> bool {
        !matches!(
            self.status,
            StatusCode::SWITCHING_PROTOCOLS
                | StatusCode::NO_CONTENT
                | StatusCode::RESET_CONTENT
                | StatusCode::NOT_MODIFIED
        )
    }

    /// Whether only the end of the connection ends the body.
    pub(crate) fn ends_at_close(&self, head: &Head) -> bool {
        let Payload::Streamed(body) = &self.body else { return false };
        head.minor == 0 && body.length.is_none()
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
