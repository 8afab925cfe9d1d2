//! The request that a handler gets.

use bytes::Bytes;
use http::Method;

use crate::body::Body;
use crate::config::Config;
use crate::head::Head;
use crate::rejection::Rejection;
use crate::wire::SharedWire;

/// One request. The handler reads the body from the connection; the server discards what the
/// handler leaves unread.
#[derive(Debug)]
pub struct Request<'a> {
    pub(crate) head: &'a Head,
    pub(crate) body: &'a mut Body,
    pub(crate) wire: &'a SharedWire<'a>,
    pub(crate) config: &'a Config,
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

    /// The query, without the question mark; `None` if the target has no question mark.
    pub fn query(&self) -> Option<&str> {
        self.head.query()
    }

    /// The value of the first field with this name. Case does not matter.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.head.header(name)
    }

    /// Reads the next piece of the body. Returns `None` at its end.
    ///
    /// # Errors
    /// A [`Rejection`] that the handler should return: 400, 408, 413, 431, or a broken connection.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Rejection> {
        self.body.next(self.wire, self.config).await
    }

    /// Reads the whole body, or what is left of it; at most [`Config::max_body_bytes`].
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn body(&mut self) -> Result<Bytes, Rejection> {
        self.body.all(self.wire, self.config).await
    }
}
