//! The request that a handler gets.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use cookie::Cookie;
use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;

use crate::server::arguments::Arguments;
use crate::server::body::Body;
use crate::server::body_source::BodySource;
use crate::server::head::Head;
use crate::server::http_error::HttpError;

/// Names and decoded values.
pub(crate) type PathArguments = Vec<(Rc<str>, String)>;

/// One request. The handler reads the body from the connection; the server discards what the
/// handler leaves unread.
pub struct Request<'a> {
    pub(crate) head: &'a Head,
    pub(crate) body: &'a mut Body,
    pub(crate) wire: &'a dyn BodySource,
    /// The decoded arguments of the path, with the names of the route's pattern. `None` before an
    /// application has found the route, or if there are none.
    pub(crate) path_arguments: Option<Box<PathArguments>>,
}

impl Request<'_> {
    /// The method as the client sent it. A handler may treat HEAD as GET: the server sends no body
    /// in response to HEAD.
    pub fn method(&self) -> &Method {
        &self.head.method
    }

    /// The method to route by: GET if the request's method is HEAD.
    pub fn routed_method(&self) -> &Method {
        match self.head.method {
            Method::HEAD => &Method::GET,
            ref method => method,
        }
    }

    /// The path as the client sent it, without the query; percent-encoding is not decoded. It
    /// begins with a slash.
    pub fn path(&self) -> &str {
        self.head.path()
    }

    /// The part of the path that `{name}` stands for in the pattern of the
    /// [`Application`](crate::Application)'s route, decoded.
    ///
    /// # Panics
    /// If the pattern has no such name. The client then gets a 500.
    pub fn path_argument(&self, name: &str) -> &str {
        let arguments = self.path_arguments.as_deref().map_or(&[][..], Vec::as_slice);
        match arguments.iter().find(|(known, _)| **known == *name) {
            Some((_, argument)) => argument,
            None => panic!("the pattern of this route has no {{{name}}}"),
        }
    }

    /// The query, without the question mark; `None` if the target has no question mark.
    pub fn query(&self) -> Option<&str> {
        self.head.query()
    }

    /// The fields of the query, decoded.
    ///
    /// # Errors
    /// 400, if one of them is not UTF-8, or there are more than 1,000.
    pub fn query_arguments(&self) -> Result<Arguments, HttpError> {
        Arguments::parse(self.query().unwrap_or_default().as_bytes())
    }

    /// The host that the client asks for, without the port. Empty if it names none, which only
    /// HTTP/1.0 allows.
    pub fn host(&self) -> &str {
        self.head.host()
    }

    /// The value of the first field with this name. Case does not matter.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.head.header(name)
    }

    /// All fields, in the order in which they came: names as the client wrote them, and values.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.head.headers()
    }

    /// The value of the first cookie with this name, percent-decoded if that gives UTF-8. A client
    /// can send any value.
    ///
    /// Names are compared as they are: `%5F_Host-x` is not `__Host-x`, whose rules a browser enforces.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let fields = self.headers().filter(|(field, _)| field.eq_ignore_ascii_case("cookie"));
        let pairs = fields.flat_map(|(_, value)| value.split(|byte| *byte == b';'));
        let mut cookies = pairs.filter_map(|pair| Cookie::parse(str::from_utf8(pair).ok()?).ok());
        let cookie = cookies.find(|cookie| cookie.name() == name)?;
        let decoded = percent_decode_str(cookie.value()).decode_utf8();
        Some(decoded.map_or_else(|_| cookie.value().to_owned(), Cow::into_owned))
    }

    /// Whether the client has the version with this entity tag, quotes included, already: its
    /// `If-None-Match` lists the tag, weak or strong, or is `*`. Then a handler may return the status
    /// 304.
    pub fn has_current(&self, entity_tag: &str) -> bool {
        let wanted = opaque(entity_tag.as_bytes());
        let fields = self.headers().filter(|(name, _)| name.eq_ignore_ascii_case("if-none-match"));
        fields.flat_map(|(_, value)| value.split(|byte| *byte == b',')).any(|listed| {
            let listed = listed.trim_ascii();
            listed == b"*" || opaque(listed) == wanted
        })
    }

    /// Whether the client asks to go on with another protocol, for example `websocket`. Then the
    /// handler may return [`Response::upgrade`](crate::Response::upgrade).
    pub fn asks_to_upgrade(&self, protocol: &str) -> bool {
        self.head.asks_to_upgrade(protocol)
    }

    /// The address of the client, or of the proxy before it.
    ///
    /// # Errors
    /// As `getpeername`; a client on a Unix socket has no address.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.wire.peer_addr()
    }

    /// Sets the most bytes of this request's body, in place of
    /// [`Config::max_body_bytes`](crate::Config::max_body_bytes).
    pub fn set_max_body_bytes(&mut self, max_body_bytes: u64) {
        self.body.limits.body_bytes = max_body_bytes;
    }

    /// Sets the time for this request's body, in place of
    /// [`Config::body_timeout`](crate::Config::body_timeout). It begins with the first wait.
    pub fn set_body_timeout(&mut self, body_timeout: Duration) {
        self.body.timeout = body_timeout;
    }

    /// Reads the next piece of the body. Returns `None` at its end.
    ///
    /// # Errors
    /// An error that the handler should return: 400, 408, 413, 431, or a broken connection.
    pub async fn next(&mut self) -> Result<Option<Bytes>, HttpError> {
        Ok(self.body.next(self.wire).await?)
    }

    /// Reads the whole body, or what is left of it; at most [`max_body_bytes`](crate::Config::max_body_bytes).
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn body(&mut self) -> Result<Bytes, HttpError> {
        Ok(self.body.all(self.wire).await?)
    }

    /// Reads the whole body and decodes it as a form of the type
    /// `application/x-www-form-urlencoded`, which is what a browser sends without files.
    ///
    /// # Errors
    /// 415, if the body is of another type; 400, if a field is not UTF-8, or there are more than
    /// 1,000; and as [`next`](Self::next).
    pub async fn form(&mut self) -> Result<Arguments, HttpError> {
        let media_type = self.header("content-type").unwrap_or_default();
        let media_type = media_type.split(|byte| *byte == b';').next().unwrap_or_default();
        if !media_type.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded") {
            let message = "a form is needed";
            return Err(HttpError::of_client(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
        Arguments::parse(&self.body().await?)
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Request");
        debug.field("method", self.method()).field("path", &self.path()).finish_non_exhaustive()
    }
}

/// An entity tag without the mark of a weak one, by which tags are compared (RFC 9110, 8.8.3.2).
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}
