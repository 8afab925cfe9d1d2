//! What a request sends, checked, and what a redirect makes of it.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_lite::Stream;
use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_LOCATION,
    CONTENT_TYPE, COOKIE, EXPECT, HOST, HeaderName, LOCATION, PROXY_AUTHORIZATION,
    TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::url::Url;

/// The fields that only the client sets: they decide where the request ends.
const FRAMING: [HeaderName; 3] = [CONTENT_LENGTH, TRANSFER_ENCODING, EXPECT];
/// The fields that describe a body, and go with it.
const OF_BODY: [HeaderName; 4] =
    [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION];
/// The fields that another server must not see.
const SECRET: [HeaderName; 3] = [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION];

/// A request, and the options that hold for it alone.
#[derive(Debug)]
pub(crate) struct RequestParts {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: RequestBody,
    /// The credentials of [`basic_auth`](crate::FetchRequest::basic_auth).
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) expects_continue: bool,
    pub(crate) source: Option<IpAddr>,
    pub(crate) follows_redirects: bool,
    pub(crate) accepts_any_status: bool,
    pub(crate) max_redirects: Option<usize>,
    pub(crate) queue_timeout: Option<Duration>,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) request_timeout: Option<Duration>,
}

/// The pieces of a body.
pub(crate) type Pieces = Pin<Box<dyn Stream<Item = io::Result<Bytes>>>>;

/// The body of a request.
pub(crate) enum RequestBody {
    Absent,
    Whole(Bytes),
    Stream {
        /// `None` once they were sent.
        pieces: Option<Pieces>,
        length: Option<u64>,
    },
}

impl RequestParts {
    pub(crate) fn new(method: Method, url: Url) -> RequestParts {
        RequestParts {
            method,
            url,
            headers: HeaderMap::new(),
            body: RequestBody::Absent,
            authorization: None,
            expects_continue: false,
            source: None,
            follows_redirects: true,
            accepts_any_status: false,
            max_redirects: None,
            queue_timeout: None,
            connect_timeout: None,
            request_timeout: None,
        }
    }

    /// Checks the request before anything is sent, and puts the credentials into the header.
    pub(crate) fn finish(mut self) -> Result<RequestParts, &'static str> {
        let has_body = !matches!(self.body, RequestBody::Absent);
        match self.method {
            Method::POST | Method::PUT | Method::PATCH if !has_body => {
                return Err("the method needs a body, which may be empty");
            }
            Method::GET | Method::HEAD | Method::TRACE if has_body => {
                return Err("the method has no body");
            }
            Method::CONNECT => return Err("CONNECT is for proxies, which are not supported"),
            _ => {}
        }
        if FRAMING.iter().any(|name| self.headers.contains_key(name)) {
            return Err("Content-Length, Transfer-Encoding and Expect are set by the client");
        }
        if let Some(value) = self.authorization.take().or(self.url.authorization.take()) {
            self.headers.insert(AUTHORIZATION, value);
        }
        Ok(self)
    }

    /// Whether the request may be sent again after an attempt of which the outcome is unknown.
    pub(crate) fn is_repeatable(&self) -> bool {
        self.method.is_idempotent() && !matches!(self.body, RequestBody::Stream { .. })
    }

    /// If the answer with this head redirects the request, turns it into the next request.
    ///
    /// Returns false if there is no redirect, or none that can be followed: `Location` is missing or
    /// no URL of a server, or a body that was a stream would be needed again.
    pub(crate) fn redirect(&mut self, status: StatusCode, headers: &HeaderMap) -> bool {
        let becomes_get = match status.as_u16() {
            301 | 302 => self.method == Method::POST,
            303 => self.method != Method::HEAD,
            307 | 308 => false,
            _ => return false,
        };
        let Some(location) = headers.get(LOCATION) else { return false };
        let Ok(url) = self.url.join(location.as_bytes()) else { return false };
        if becomes_get {
            self.method = Method::GET;
            self.body = RequestBody::Absent;
            self.remove(&OF_BODY);
        } else if matches!(self.body, RequestBody::Stream { .. }) {
            return false;
        }
        if url.origin != self.url.origin {
            self.remove(&SECRET);
        }
        self.remove(&[HOST]);
        self.url = url;
        true
    }

    fn remove(&mut self, names: &[HeaderName]) {
        for name in names {
            self.headers.remove(name);
        }
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestBody::Absent => f.write_str("Absent"),
            RequestBody::Whole(body) => write!(f, "Whole({} bytes)", body.len()),
            RequestBody::Stream { length, .. } => write!(f, "Stream({length:?} bytes)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, url: &str) -> RequestParts {
        let mut request = RequestParts::new(method, Url::parse(url).unwrap());
        request.body = RequestBody::Whole(Bytes::from_static(b"body"));
        for name in OF_BODY.iter().chain(&SECRET).chain(&[HOST]) {
            request.headers.insert(name, HeaderValue::from_static("x"));
        }
        request.headers.insert("x-kept", HeaderValue::from_static("x"));
        request
    }

    fn to(location: &str) -> HeaderMap {
        HeaderMap::from_iter([(LOCATION, HeaderValue::from_str(location).unwrap())])
    }

    // HTC-06
    #[test]
    fn the_method_after_a_redirect_depends_on_the_status() {
        for (status, method, next, keeps_body) in [
            (301, Method::POST, Method::GET, false),
            (302, Method::POST, Method::GET, false),
            (301, Method::PUT, Method::PUT, true),
            (302, Method::HEAD, Method::HEAD, true),
            (303, Method::POST, Method::GET, false),
            (303, Method::DELETE, Method::GET, false),
            (303, Method::HEAD, Method::HEAD, true),
            (307, Method::POST, Method::POST, true),
            (308, Method::PATCH, Method::PATCH, true),
        ] {
            let mut request = request(method.clone(), "http://x/a");
            assert!(request.redirect(StatusCode::from_u16(status).unwrap(), &to("b")));
            assert_eq!(request.method, next, "{status} {method}");
            assert_eq!(matches!(request.body, RequestBody::Whole(_)), keeps_body, "{status}");
            assert_eq!(request.headers.contains_key(CONTENT_TYPE), keeps_body, "{status}");
            assert!(!request.headers.contains_key(HOST), "the host of the first request");
        }
    }

    // HTC-06
    #[test]
    fn what_is_no_redirect_or_leads_nowhere_is_not_followed() {
        for (status, headers) in [
            (200, to("b")),
            (300, to("b")),
            (304, to("b")),
            (305, to("b")),
            (302, HeaderMap::new()),
            (302, to("ftp://x/")),
            (302, to("http://")),
        ] {
            let mut request = request(Method::POST, "http://x/a");
            assert!(!request.redirect(StatusCode::from_u16(status).unwrap(), &headers), "{status}");
            assert_eq!((request.method, &*request.url.target), (Method::POST, "/a"));
        }
    }

    #[test]
    fn a_stream_is_not_sent_again() {
        let stream = |status| {
            let mut request = request(Method::POST, "http://x/a");
            request.body = RequestBody::Stream { pieces: None, length: None };
            request.redirect(status, &to("b"))
        };
        assert!(!stream(StatusCode::TEMPORARY_REDIRECT));
        assert!(stream(StatusCode::SEE_OTHER));
    }

    #[test]
    fn secrets_are_not_sent_to_another_scheme_host_or_port() {
        for (location, keeps) in [
            ("/b", true),
            ("http://X:80/b", true),
            ("https://x/b", false),
            ("http://y/b", false),
            ("//x.y/b", false),
            ("http://x:81/b", false),
        ] {
            let mut request = request(Method::GET, "http://x/a");
            assert!(request.redirect(StatusCode::FOUND, &to(location)));
            for name in SECRET {
                assert_eq!(request.headers.contains_key(&name), keeps, "{name}: {location}");
            }
            assert!(request.headers.contains_key("x-kept"));
        }
    }

    // H13
    #[test]
    fn only_idempotent_requests_with_a_whole_body_are_repeatable() {
        for (method, is_repeatable) in [
            (Method::GET, true),
            (Method::HEAD, true),
            (Method::OPTIONS, true),
            (Method::PUT, true),
            (Method::DELETE, true),
            (Method::POST, false),
            (Method::PATCH, false),
            (Method::from_bytes(b"BREW").unwrap(), false),
        ] {
            let mut request = request(method, "http://x/");
            assert_eq!(request.is_repeatable(), is_repeatable, "{}", request.method);
            request.body = RequestBody::Stream { pieces: None, length: Some(3) };
            assert!(!request.is_repeatable());
        }
    }
}
