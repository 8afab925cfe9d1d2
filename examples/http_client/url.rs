//! The URL of a request, split into the parts that a client uses.

use std::fmt;

use http::HeaderValue;
use iri_string::format::ToDedicatedString;
use iri_string::types::{UriAbsoluteStr, UriReferenceStr, UriStr};
use percent_encoding::{AsciiSet, percent_decode_str, percent_encode};

use crate::basic_auth::basic_auth;

/// The printable characters that a URL must not contain (RFC 3986, 2). They are escaped, and so are
/// all bytes that are not ASCII. A URL with a control character is refused.
const ILLEGAL: &AsciiSet = &AsciiSet::EMPTY
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');
/// As above, for the part after the host, where brackets are illegal too but common.
const ILLEGAL_AFTER_HOST: &AsciiSet = &ILLEGAL.add(b'[').add(b']');

/// An absolute URL of the scheme `http` or `https`. It has no fragment.
#[derive(Clone, Debug)]
pub(crate) struct Url {
    pub(crate) origin: Origin,
    /// The path and the query. Begins with a slash.
    pub(crate) target: String,
    /// The value of `Authorization` for the credentials of the URL.
    pub(crate) authorization: Option<HeaderValue>,
}

/// The server of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) scheme: Scheme,
    /// In lower case; an IPv6 address is in brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Url {
    /// Parses an absolute URL. An error is the reason for the caller.
    pub(crate) fn parse(text: &str) -> Result<Url, &'static str> {
        let text = escape(text.trim_ascii().as_bytes());
        let url = UriStr::new(&text).map_err(|_| "the URL is not an absolute URL")?;
        let scheme = match url.scheme_str() {
            scheme if scheme.eq_ignore_ascii_case("http") => Scheme::Http,
            scheme if scheme.eq_ignore_ascii_case("https") => Scheme::Https,
            _ => return Err("the scheme of the URL is neither http nor https"),
        };
        let authority = url.authority_components().ok_or("the URL has no host")?;
        let host = authority.host().to_ascii_lowercase();
        // A name with an escape would need the rules for internationalized names; a comma would
        // join two hosts in the field `Host`. A literal that is no IPv6 address begins with "[v".
        if host.is_empty() || host.contains(['%', ',']) || host.starts_with("[v") {
            return Err("the host of the URL is neither a name in ASCII nor an address");
        }
        let port = match authority.port() {
            None | Some("") => scheme.default_port(),
            Some(port) => port.parse().map_err(|_| "the port of the URL is not valid")?,
        };
        let mut target = url.path_str().to_owned();
        if target.is_empty() {
            target.push('/');
        }
        if let Some(query) = url.query_str() {
            target = target + "?" + query;
        }
        let authorization = authority.userinfo().map(authorization).transpose()?;
        Ok(Url { origin: Origin { scheme, host, port }, target, authorization })
    }

    /// Resolves the value of a `Location` that came in answer to this URL (RFC 3986, 5.2).
    ///
    /// Credentials in the value are dropped: the server that sent it must not choose them.
    pub(crate) fn join(&self, location: &[u8]) -> Result<Url, &'static str> {
        let (base, location) = (self.to_string(), escape(location));
        let base = UriAbsoluteStr::new(&base).map_err(|_| "the URL is malformed")?;
        let location = UriReferenceStr::new(&location).map_err(|_| "the location is malformed")?;
        let url = Url::parse(location.resolve_against(base).to_dedicated_string().as_str())?;
        Ok(Url { authorization: None, ..url })
    }
}

/// Escapes the illegal characters of a URL or of a reference.
fn escape(text: &[u8]) -> String {
    let is_end = |byte: &u8| matches!(byte, b'/' | b'?' | b'#');
    let path_from = |start: usize| text[start..].iter().position(is_end).map(|at| start + at);
    let path = match path_from(0) {
        Some(slash) if text[slash..].starts_with(b"//") => path_from(slash + 2),
        path => path,
    };
    let (authority, rest) = text.split_at(path.unwrap_or(text.len()));
    let rest = percent_encode(rest, ILLEGAL_AFTER_HOST);
    format!("{}{rest}", percent_encode(authority, ILLEGAL))
}

/// Returns the value of `Authorization` for the part of an authority before its `@`.
fn authorization(userinfo: &str) -> Result<HeaderValue, &'static str> {
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let decode = |text| percent_decode_str(text).collect::<Vec<u8>>();
    basic_auth(&decode(user), &decode(password))
}

impl Origin {
    /// The host, and the port unless it is the scheme's default: the value of `Host`.
    pub(crate) fn authority(&self) -> String {
        let Origin { scheme, host, port } = self;
        if *port == scheme.default_port() { host.clone() } else { format!("{host}:{port}") }
    }
}

impl Scheme {
    fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// The URL without credentials.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.origin.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        write!(f, "{scheme}://{}{}", self.origin.authority(), self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(url: &str) -> String {
        Url::parse(url).map_or_else(str::to_owned, |url| url.to_string())
    }

    // HTC-25, HTC-29
    #[test]
    fn a_url_gives_its_host_its_port_and_its_target() {
        for (url, same) in [
            ("http://x", "http://x/"),
            ("HTTP://EXAMPLE.org:080/A%2fb?c=d/?#e", "http://example.org/A%2fb?c=d/?"),
            ("https://x:443?q", "https://x/?q"),
            ("https://x:80/", "https://x:80/"),
            ("http://u:p@x:81/", "http://x:81/"),
            ("http://[::1]:8080/a", "http://[::1]:8080/a"),
            (" http://x/\u{e4} b|c ", "http://x/%C3%A4%20b%7Cc"),
            ("http://x/?\"<>", "http://x/?%22%3C%3E"),
            ("http://[::1]/a[1]?b[]=c", "http://[::1]/a%5B1%5D?b%5B%5D=c"),
            ("http://[::1]?[#]", "http://[::1]/?%5B"),
        ] {
            assert_eq!(text_of(url), same, "{url:?}");
        }
    }

    #[test]
    fn what_is_not_a_url_of_a_server_is_refused() {
        for url in [
            "",
            "x",
            "/a",
            "//x/a",
            "ftp://x/",
            "file:///a",
            "http:a",
            "http:///a",
            "http://:80/",
            "http://x:65536/",
            "http://x:y/",
            "http://a,b/",
            "http://\u{e4}/",
            "http://a%41/",
            "http://[x]/",
            "http://[v1.x]/",
            "http://[fe80::1%25eth0]/",
            "http://[::1/",
            "http://x:+80/",
            "http://x/\r\nX: y",
            "http://x/%zz",
            "http://a%3ab:c@x/",
        ] {
            assert!(Url::parse(url).is_err(), "{url:?} is {}", text_of(url));
        }
    }

    // HTC-05
    #[test]
    fn credentials_are_decoded_and_are_no_part_of_the_text() {
        let url = Url::parse("http://us%65r:p%40:ss@x/").unwrap();
        assert_eq!(url.authorization, basic_auth(b"user", b"p@:ss").ok());
        assert_eq!(url.to_string(), "http://x/");
        assert!(!format!("{url:?}").contains("ss"));
        let name_only = Url::parse("http://user@x/").unwrap();
        assert_eq!(name_only.authorization, basic_auth(b"user", b"").ok());
        assert_eq!(Url::parse("http://x/").unwrap().authorization, None);
    }

    // The examples of RFC 3986, 5.4
    #[test]
    fn locations_are_resolved() {
        let base = Url::parse("http://u:p@a/b/c/d;p?q").unwrap();
        for (location, resolved) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y#s", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q"),
            ("", "http://a/b/c/d;p?q"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../../../g", "http://a/g"),
            ("/./g/../h", "http://a/h"),
            ("https://x:1/y", "https://x:1/y"),
            ("http://v:w@x/", "http://x/"),
            ("a b", "http://a/b/c/a%20b"),
            ("/g?h[]=//i", "http://a/g?h%5B%5D=//i"),
            ("//[::1]:8/g", "http://[::1]:8/g"),
        ] {
            let url = base.join(location.as_bytes()).unwrap();
            assert_eq!((&*url.to_string(), url.authorization), (resolved, None), "{location:?}");
        }
        assert_eq!(base.join(b"/\xe9").unwrap().target, "/%E9");
        for bad in ["ftp://x/", "mailto:x", "http://", "a\0b"] {
            assert!(base.join(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
