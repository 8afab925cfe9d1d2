//! The head of a request: parsed by httparse, then checked against RFC 9112.
//!
//! The checks are strict where lenient servers allowed request smuggling: one framing, one Host, no
//! folded lines, nothing ambiguous.

use std::mem::MaybeUninit;
use std::ops::Range;

use http::{Method, StatusCode};

use crate::server::authority::is_authority;
use crate::server::config::Config;
use crate::server::rejection::Rejection;

/// The upper bound of [`Config::max_headers`]; larger values count as this one.
const MAX_HEADERS: usize = 128;

/// A request's head, with a copy of the target and of the fields. One request after the other uses
/// its memory.
#[derive(Debug)]
pub struct Head {
    /// The method, as the client sent it.
    pub method: Method,
    /// Minor version: 0 or 1.
    pub minor: u8,
    /// How the body ends.
    pub framing: Framing,
    /// Whether the client wants to send another request on this connection.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// All bytes of the head.
    text: Vec<u8>,
    /// The range of the target in the text. The target is UTF-8.
    target: Range<usize>,
    /// The range of the path in the target.
    path: Range<usize>,
    /// The begin of the query in the target, which it ends.
    query: Option<usize>,
    fields: Vec<Field>,
}

/// How the body's end is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After this many bytes.
    Length(u64),
    /// With its last chunk.
    Chunked,
}

/// A field, as ranges of the head's text.
#[derive(Clone, Debug)]
struct Field {
    name: Range<usize>,
    value: Range<usize>,
}

impl Default for Head {
    fn default() -> Head {
        Head {
            method: Method::GET,
            minor: 1,
            framing: Framing::Length(0),
            keep_alive: false,
            expects_continue: false,
            text: Vec::new(),
            target: 0..0,
            path: 0..0,
            query: None,
            fields: Vec::new(),
        }
    }
}

impl Head {
    /// Parses the head at the beginning of `data`, in place of the former one. Returns its length,
    /// or `None` if more bytes are needed. Unless there is a length, `self` is of no use.
    ///
    /// # Errors
    /// The request is malformed, exceeds a limit of `config`, or is of a kind that is not served.
    #[inline(always)] // called in one place, for each request
    pub fn parse(&mut self, data: &[u8], config: &Config) -> Result<Option<usize>, Rejection> {
        let data = &data[..data.len().min(config.max_head_bytes)];
        let mut fields = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let fields = &mut fields[..config.max_headers.min(MAX_HEADERS)];
        let mut request = httparse::Request::new(&mut []);
        match request.parse_with_uninit_headers(data, fields) {
            Ok(httparse::Status::Complete(length)) => {
                self.set(&request, &data[..length])?;
                Ok(Some(length))
            }
            Ok(httparse::Status::Partial) => unless_too_long(data, config),
            Err(error) => unless_malformed(error, data, config),
        }
    }

    /// Sets all parts to those of a request whose head has this text.
    #[inline(never)] // the parser's array of fields would take the registers
    fn set(&mut self, request: &httparse::Request<'_, '_>, text: &[u8]) -> Result<(), Rejection> {
        let (Some(method), Some(target), Some(minor)) =
            (request.method, request.path, request.version)
        else {
            return Err(Rejection::bad_request("the request line is incomplete"));
        };
        self.minor = minor;
        self.method = match method {
            "GET" => Method::GET, // most requests; the general way costs 30 instructions more
            other => other_method(other)?,
        };
        self.text.clear();
        self.text.extend_from_slice(text);
        self.fields.clear();
        self.fields.reserve(request.headers.len());
        let mut rules = Rules::default();
        let mut hosts = 0;
        for field in &*request.headers {
            let name = range_in(text, field.name.as_bytes());
            self.fields.push(Field { name, value: range_in(text, field.value) });
            // Compares the length first, because that is cheaper than comparing the name.
            match field.name.len() {
                4 if is_host(field.name) => {
                    hosts += 1;
                    // A client whose target has no host sends an empty Host.
                    if !field.value.is_empty() && !is_authority(field.value) {
                        return Err(Rejection::bad_request("the Host is malformed"));
                    }
                }
                6 | 10 | 14 | 17 => rules.add(field, minor)?,
                _ => {}
            }
        }
        if hosts > 1 || (hosts == 0 && minor > 0) {
            return Err(Rejection::bad_request("there must be exactly one Host"));
        }
        self.framing = rules.framing(minor)?;
        self.keep_alive = !rules.close && (minor > 0 || rules.keep_alive);
        self.expects_continue = rules.expects_continue;
        self.target = range_in(text, target.as_bytes());
        (self.path, self.query) = split_target(target, &self.method)?;
        Ok(())
    }

    fn target(&self) -> &str {
        str::from_utf8(&self.text[self.target.clone()]).unwrap_or_default()
    }

    /// The path, without the query.
    pub fn path(&self) -> &str {
        // `GET http://host` asks for the root (RFC 9110, 4.2.3).
        match &self.target()[self.path.clone()] {
            "" => "/",
            path => path,
        }
    }

    /// Whether the request is about the server and not about one of its paths (`OPTIONS *`).
    pub fn is_for_server(&self) -> bool {
        self.text[self.target.clone()] == *b"*"
    }

    /// What follows the question mark of the target.
    pub fn query(&self) -> Option<&str> {
        self.query.map(|begin| &self.target()[begin..])
    }

    /// The host of the target or of the field Host, without the port.
    pub fn host(&self) -> &str {
        let authority =
            match self.target().get(..self.path.start).and_then(|url| url.split_once("//")) {
                Some((_, authority)) => authority,
                None => str::from_utf8(self.header("host").unwrap_or_default()).unwrap_or_default(),
            };
        // A colon after the bracket of an IPv6 address begins the port.
        match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => host,
            _ => authority,
        }
    }

    /// Whether the client offers to go on with `protocol` after this request (RFC 9110, 7.8).
    pub fn asks_to_upgrade(&self, protocol: &str) -> bool {
        let lists = |field: &str, option: &str| {
            let values = self.headers().filter(|(name, _)| name.eq_ignore_ascii_case(field));
            values
                .flat_map(|(_, value)| value.split(|byte| *byte == b','))
                .any(|listed| listed.trim_ascii().eq_ignore_ascii_case(option.as_bytes()))
        };
        self.minor > 0 && lists("connection", "upgrade") && lists("upgrade", protocol)
    }

    /// The fields: names and values.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|field| {
            let name = str::from_utf8(&self.text[field.name.clone()]).unwrap_or_default();
            (name, &self.text[field.value.clone()])
        })
    }

    /// The value of the first field with this name. Case does not matter.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let has_name =
            |field: &&Field| self.text[field.name.clone()].eq_ignore_ascii_case(name.as_bytes());
        let field = self.fields.iter().find(has_name)?;
        Some(&self.text[field.value.clone()])
    }
}

#[inline]
fn is_host(name: &str) -> bool {
    matches!(name.as_bytes(), [b'H' | b'h', b'O' | b'o', b'S' | b's', b'T' | b't'])
}

/// The place of `part` in `whole`, of which it is a slice. Anywhere, if it is empty.
fn range_in(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr());
    if part.is_empty() { 0..0 } else { start..start + part.len() }
}

/// The outcome of an incomplete head: more bytes are needed, unless it is as long as a head may be.
#[cold]
fn unless_too_long(data: &[u8], config: &Config) -> Result<Option<usize>, Rejection> {
    if data.len() < config.max_head_bytes {
        return Ok(None);
    }
    Err(match request_line(data) {
        Some(_) => Rejection::head_too_large(),
        None => Rejection::target_too_long(),
    })
}

/// The outcome of a syntax error. More bytes are needed after a bad version, which is answered with
/// 505 or 400: only the whole line decides which.
#[cold]
fn unless_malformed(
    error: httparse::Error,
    data: &[u8],
    config: &Config,
) -> Result<Option<usize>, Rejection> {
    let is_version = matches!(error, httparse::Error::Version);
    if is_version && request_line(data).is_none() && data.len() < config.max_head_bytes {
        return Ok(None);
    }
    Err(rejection(error, data))
}

fn other_method(name: &str) -> Result<Method, Rejection> {
    let method = Method::from_bytes(name.as_bytes())
        .map_err(|_| Rejection::bad_request("the method is malformed"))?;
    if method == Method::CONNECT {
        return Err(Rejection::Status(StatusCode::NOT_IMPLEMENTED, "this is not a proxy"));
    }
    Ok(method)
}

/// The rejection for a syntax error.
fn rejection(error: httparse::Error, data: &[u8]) -> Rejection {
    match error {
        httparse::Error::TooManyHeaders => Rejection::head_too_large(),
        httparse::Error::Version if names_another_version(data) => Rejection::Status(
            StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            "this server speaks HTTP/1.0 and HTTP/1.1",
        ),
        _ => Rejection::bad_request("the head is malformed"),
    }
}

/// The first non-empty line, without its line end; `None` if the line is incomplete.
fn request_line(data: &[u8]) -> Option<&[u8]> {
    let start = data.iter().position(|byte| !matches!(byte, b'\r' | b'\n'))?;
    let end = memchr::memchr(b'\n', &data[start..])?;
    let line = &data[start..start + end];
    Some(line.strip_suffix(b"\r").unwrap_or(line))
}

/// Whether the request line is well formed and only its version is wrong: `token target HTTP/d.d`.
fn names_another_version(data: &[u8]) -> bool {
    let mut words = request_line(data).unwrap_or_default().split(|byte| *byte == b' ');
    let version = match (words.next(), words.next(), words.next(), words.next()) {
        (Some(_), Some(target), Some(version), None) if !target.is_empty() => version,
        _ => return false,
    };
    matches!(version, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
        if major.is_ascii_digit() && minor.is_ascii_digit())
}

/// Returns the range of the path in a target, and the begin of the query. The target is in origin
/// form or absolute form, or it is the asterisk of `OPTIONS *` (RFC 9112, 3.2).
#[inline(always)] // called in one place, for each request
fn split_target(target: &str, method: &Method) -> Result<(Range<usize>, Option<usize>), Rejection> {
    let start = match target.as_bytes() {
        [b'/', ..] => 0,
        b"*" if *method == Method::OPTIONS => 0,
        _ => path_of_absolute_form(target)?,
    };
    let is_mark = |byte: u8| matches!(byte, b'?' | b'#');
    let Some(mark) = target.bytes().position(is_mark) else {
        return Ok((start..target.len(), None));
    };
    if target[mark..].contains('#') {
        return Err(Rejection::bad_request("the request target has a fragment"));
    }
    Ok((start..mark, Some(mark + 1)))
}

/// Returns the index at which the path begins.
fn path_of_absolute_form(target: &str) -> Result<usize, Rejection> {
    let scheme = ["http://", "https://"].iter().find(|scheme| {
        target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    let Some(scheme) = scheme else {
        return Err(Rejection::bad_request("the request target is malformed"));
    };
    let rest = &target[scheme.len()..];
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    if !is_authority(&rest.as_bytes()[..end]) {
        return Err(Rejection::bad_request("the request target has no valid host"));
    }
    Ok(scheme.len() + end)
}

/// What the fields other than Host say about the whole message.
#[derive(Default)]
struct Rules {
    length: Option<u64>,
    is_chunked: bool,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
}

impl Rules {
    /// Notes what a field says about the message, if it is one of the four that say something.
    #[inline(never)] // keeps the loop over the fields small
    fn add(&mut self, field: &httparse::Header<'_>, minor: u8) -> Result<(), Rejection> {
        let bad = |why| Err(Rejection::bad_request(why));
        let is = |name| field.name.eq_ignore_ascii_case(name);
        let value = field.value;
        if is("content-length") {
            if self.length.is_some() {
                return bad("Content-Length is repeated");
            }
            self.length = Some(decimal(value)?);
        } else if is("transfer-encoding") {
            if self.is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return bad("the only transfer coding is chunked");
            }
            self.is_chunked = true;
        } else if is("connection") {
            for option in value.split(|byte| *byte == b',') {
                let option = option.trim_ascii();
                self.close |= option.eq_ignore_ascii_case(b"close");
                self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            }
        } else if is("expect") {
            if !value.eq_ignore_ascii_case(b"100-continue") {
                let why = "the only expectation is 100-continue";
                return Err(Rejection::Status(StatusCode::EXPECTATION_FAILED, why));
            }
            self.expects_continue = minor > 0;
        }
        Ok(())
    }

    #[inline]
    fn framing(&self, minor: u8) -> Result<Framing, Rejection> {
        if !self.is_chunked {
            return Ok(Framing::Length(self.length.unwrap_or(0)));
        }
        match self.length {
            Some(_) => {
                let why = "Content-Length and Transfer-Encoding contradict";
                Err(Rejection::bad_request(why))
            }
            None if minor == 0 => Err(Rejection::bad_request("HTTP/1.0 has no transfer codings")),
            None => Ok(Framing::Chunked),
        }
    }
}

/// Parses a Content-Length: 1 to 19 decimal digits, so that the value fits in 64 bits.
fn decimal(value: &[u8]) -> Result<u64, Rejection> {
    let bad = || Rejection::bad_request("the Content-Length is malformed");
    if value.is_empty() || value.len() > 19 {
        return Err(bad());
    }
    value.iter().try_fold(0, |sum, byte| match byte {
        b'0'..=b'9' => Ok(sum * 10 + u64::from(byte - b'0')),
        _ => Err(bad()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Option<(Head, usize)>, Rejection> {
        parse_with(text, &Config::default())
    }

    fn parse_with(text: &str, config: &Config) -> Result<Option<(Head, usize)>, Rejection> {
        let mut head = Head::default();
        let length = head.parse(text.as_bytes(), config)?;
        Ok(length.map(|length| (head, length)))
    }

    #[test]
    fn a_head_gives_its_parts_and_its_length() {
        let text = "GET /a/b?c=d HTTP/1.1\r\nHost: x\r\nX-Y:  z \r\n\r\nrest";
        let (head, length) = parse(text).unwrap().unwrap();
        assert_eq!(length, text.len() - 4);
        assert_eq!((head.path(), head.query()), ("/a/b", Some("c=d")));
        assert_eq!((head.header("x-y"), head.header("z")), (Some(&b"z"[..]), None));
        assert_eq!((head.minor, head.framing, head.keep_alive), (1, Framing::Length(0), true));
    }

    #[test]
    fn the_absolute_form_is_cut_to_its_path() {
        for (target, path) in [
            ("http://h/p", "/p"),
            ("HTTPS://h", "/"),
            ("http://h?q", "/"),
            ("/http://h/p", "/http://h/p"),
        ] {
            let text = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
            assert_eq!(parse(&text).unwrap().unwrap().0.path(), path, "{target}");
        }
        assert!(parse("GET h:80 HTTP/1.1\r\nHost: h\r\n\r\n").is_err());
    }

    // H6: a split anywhere in the bytes does not change the outcome
    #[test]
    fn a_prefix_of_a_bad_head_is_incomplete_or_gets_the_same_status() {
        let status = |outcome| match outcome {
            Ok(None) => None,
            Ok(Some(_)) => Some(200),
            Err(Rejection::Status(status, _)) => Some(status.as_u16()),
            Err(Rejection::Broken(error)) => panic!("{error}"),
        };
        for (text, wanted) in [
            ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
            ("GET /  HTTP/1.1\r\nHost: x\r\n\r\n", 400),
            ("GET / HTTP/1.1 \r\nHost: x\r\n\r\n", 400),
            ("GET / HTTP/1.11\r\nHost: x\r\n\r\n", 400),
            ("\r\nGET / HTTP/0.9\r\n\r\n", 505),
            ("GET / HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: x\r\n y\r\n\r\n", 400),
            ("CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 501),
            ("POST / HTTP/1.1\r\nHost: x\r\nExpect: y\r\nHost: x\r\n\r\n", 417),
        ] {
            assert_eq!(status(parse(text)), Some(wanted), "{text:?}");
            for end in 0..text.len() {
                let early = status(parse(&text[..end]));
                assert!(early.is_none() || early == Some(wanted), "{:?}: {early:?}", &text[..end]);
            }
        }
    }

    // H6
    #[test]
    fn every_prefix_of_a_good_head_is_incomplete_and_none_is_an_error() {
        let text = "\r\nPOST /x HTTP/1.1\r\nHost: a.b:80\r\nContent-Length: 12\r\nConnection: close\r\n\r\n";
        for end in 0..text.len() {
            assert!(matches!(parse(&text[..end]), Ok(None)), "{:?}", &text[..end]);
        }
        let (head, length) = parse(text).unwrap().unwrap();
        assert_eq!(
            (head.framing, head.keep_alive, length),
            (Framing::Length(12), false, text.len())
        );
    }

    #[test]
    fn a_head_of_exactly_max_head_bytes_is_accepted() {
        let text = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        let exact = Config { max_head_bytes: text.len(), ..Config::default() };
        assert!(parse_with(text, &exact).unwrap().is_some());
        let less = Config { max_head_bytes: text.len() - 1, ..Config::default() };
        assert!(matches!(
            parse_with(text, &less),
            Err(Rejection::Status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, _))
        ));
    }
}
