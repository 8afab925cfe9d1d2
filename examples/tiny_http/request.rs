//! What a handler sees of a request.

use bytes::Bytes;
use http::Method;

use crate::body::Body;
use crate::config::Config;
use crate::head::Head;
use crate::rejection::Rejection;
use crate::wire::Wire;

/// One request. Its body is still on the wire; what the handler does not read is thrown away.
#[derive(Debug)]
pub struct Request<'a> {
    pub(crate) head: &'a Head,
    pub(crate) body: &'a mut Body,
    pub(crate) wire: &'a mut Wire,
    pub(crate) config: &'a Config,
}

impl Request<'_> {
    /// The method as it was sent. A server answers HEAD as it answers GET and leaves the body out by itself.
    pub fn method(&self) -> &Method {
        &self.head.method
    }

    /// The method to route by: GET for HEAD.
    pub fn routed_method(&self) -> &Method {
        match self.head.method {
            Method::HEAD => &Method::GET,
            ref method => method,
        }
    }

    /// The path as it was sent, without the query; percent signs are not decoded.
    pub fn path(&self) -> &str {
        self.head.path()
    }

    /// What follows the question mark.
    pub fn query(&self) -> Option<&str> {
        self.head.query()
    }

    /// The value of the first field of that name, in whatever case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.head.header(name)
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// A [`Rejection`] to be returned from the handler: 400, 408 or 413, or a broken connection.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Rejection> {
        self.body.next(self.wire, self.config).await
    }

    /// The whole body, at most [`Config::max_body_bytes`].
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn body(&mut self) -> Result<Bytes, Rejection> {
        self.body.all(self.wire, self.config).await
    }
}
