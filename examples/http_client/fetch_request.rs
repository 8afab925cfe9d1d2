//! The request that a caller builds.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_lite::Stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::basic_auth::basic_auth;
use crate::request_parts::{RequestBody, RequestParts};
use crate::url::Url;

/// A request for [`HttpClient::fetch`](crate::HttpClient::fetch). Tornado: `HTTPRequest`.
///
/// An invalid URL, field or value is reported by `fetch`, before anything is sent.
///
/// ```
/// use std::time::Duration;
/// use http_client::FetchRequest;
///
/// let request = FetchRequest::post("http://127.0.0.1:8080/echo", "hello")
///     .header("content-type", "text/plain")
///     .request_timeout(Duration::from_secs(5));
/// ```
#[derive(Debug)]
#[must_use = "a request does nothing unless it is fetched"]
pub struct FetchRequest {
    /// The request so far, or why it is invalid.
    parts: Result<RequestParts, &'static str>,
}

impl FetchRequest {
    /// Makes a request without a body. The URL may have credentials (`http://user:password@host/`).
    ///
    /// Characters that a URL must not contain, such as spaces, are escaped.
    pub fn new(method: Method, url: impl AsRef<str>) -> FetchRequest {
        let url = Url::parse(url.as_ref());
        FetchRequest { parts: url.map(|url| RequestParts::new(method, url)) }
    }

    /// Makes a GET request.
    pub fn get(url: impl AsRef<str>) -> FetchRequest {
        FetchRequest::new(Method::GET, url)
    }

    /// Makes a POST request.
    pub fn post(url: impl AsRef<str>, body: impl Into<Bytes>) -> FetchRequest {
        FetchRequest::new(Method::POST, url).body(body)
    }

    /// Sets the body. POST, PUT and PATCH need one; GET, HEAD and TRACE have none.
    pub fn body(self, body: impl Into<Bytes>) -> FetchRequest {
        let body = RequestBody::Whole(body.into());
        self.with(|parts| parts.body = body)
    }

    /// Sets a body that is made while it is sent. It is chunked if `length` is `None`. Tornado:
    /// `body_producer`.
    ///
    /// If a piece is an error, or the pieces do not have `length` bytes together, the fetch fails
    /// and the server gets an incomplete request. No pieces are made after an answer that is not a
    /// success. A request with such a body is never sent twice, so a redirect that would send the
    /// body again is not followed.
    pub fn body_stream(
        self,
        pieces: impl Stream<Item = io::Result<Bytes>> + 'static,
        length: Option<u64>,
    ) -> FetchRequest {
        let body = RequestBody::Stream { pieces: Some(Box::pin(pieces)), length };
        self.with(|parts| parts.body = body)
    }

    /// Adds a header field. The client sets `Content-Length`, `Transfer-Encoding` and `Expect`.
    pub fn header<N, V>(mut self, name: N, value: V) -> FetchRequest
    where
        N: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        match (name.try_into(), value.try_into()) {
            (Err(_), _) => self.parts = Err("the name of a header field is not valid"),
            (_, Err(_)) => self.parts = Err("the value of a header field is not valid"),
            (Ok(name), Ok(value)) => {
                return self.with(|parts| {
                    parts.headers.append(name, value);
                });
            }
        }
        self
    }

    /// Adds header fields.
    pub fn headers(self, headers: HeaderMap) -> FetchRequest {
        self.with(|parts| parts.headers.extend(headers))
    }

    /// Sets the credentials of basic authentication. They take precedence over those of the URL.
    pub fn basic_auth(mut self, user: &str, password: &str) -> FetchRequest {
        match basic_auth(user.as_bytes(), password.as_bytes()) {
            Ok(value) => self.with(|parts| parts.authorization = Some(value)),
            Err(why) => {
                self.parts = Err(why);
                self
            }
        }
    }

    /// Sends `Expect: 100-continue` with a body, and waits for the server's consent before the body
    /// is sent, at most 1 s. Tornado: `expect_100_continue`.
    pub fn expect_continue(self) -> FetchRequest {
        self.with(|parts| parts.expects_continue = true)
    }

    /// Sets whether redirects are followed. They are by default.
    pub fn follow_redirects(self, is_followed: bool) -> FetchRequest {
        self.with(|parts| parts.follows_redirects = is_followed)
    }

    /// Overrides [`ClientConfig::max_redirects`](crate::ClientConfig::max_redirects).
    pub fn max_redirects(self, count: usize) -> FetchRequest {
        self.with(|parts| parts.max_redirects = Some(count))
    }

    /// Takes an answer of any status for a success. Tornado: `raise_error=False`.
    pub fn any_status(self) -> FetchRequest {
        self.with(|parts| parts.accepts_any_status = true)
    }

    /// Overrides [`ClientConfig::queue_timeout`](crate::ClientConfig::queue_timeout).
    pub fn queue_timeout(self, time: Duration) -> FetchRequest {
        self.with(|parts| parts.queue_timeout = Some(time))
    }

    /// Overrides [`ClientConfig::connect_timeout`](crate::ClientConfig::connect_timeout).
    pub fn connect_timeout(self, time: Duration) -> FetchRequest {
        self.with(|parts| parts.connect_timeout = Some(time))
    }

    /// Overrides [`ClientConfig::request_timeout`](crate::ClientConfig::request_timeout).
    pub fn request_timeout(self, time: Duration) -> FetchRequest {
        self.with(|parts| parts.request_timeout = Some(time))
    }

    /// Sets the local address to connect from. Addresses of the other family are not tried.
    /// Tornado: `network_interface`.
    pub fn source(self, ip: impl Into<IpAddr>) -> FetchRequest {
        let ip = ip.into();
        self.with(|parts| parts.source = Some(ip))
    }

    /// Returns the checked request, or why it is invalid.
    pub(crate) fn finish(self) -> Result<RequestParts, &'static str> {
        self.parts?.finish()
    }

    fn with(mut self, change: impl FnOnce(&mut RequestParts)) -> FetchRequest {
        if let Ok(parts) = &mut self.parts {
            change(parts);
        }
        self
    }
}

/// A GET request of this URL.
impl From<&str> for FetchRequest {
    fn from(url: &str) -> FetchRequest {
        FetchRequest::get(url)
    }
}

/// A GET request of this URL.
impl From<String> for FetchRequest {
    fn from(url: String) -> FetchRequest {
        FetchRequest::get(url)
    }
}

/// A GET request of this URL.
impl From<&String> for FetchRequest {
    fn from(url: &String) -> FetchRequest {
        FetchRequest::get(url)
    }
}
