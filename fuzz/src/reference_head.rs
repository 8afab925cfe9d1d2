//! A second parser of heads, which is slow and plain: RFC 9112 as this server reads it.
//!
//! It sees only whole heads and does not say why it refuses one.

use std::net::Ipv6Addr;

use crate::request_head::{Accepted, MAX_BYTES, MAX_FIELDS};

/// Returns the parts of the head at the begin of `input`. `None` if the head is not complete, or is
/// not to be accepted.
pub(crate) fn accept(input: &[u8]) -> Option<Accepted> {
    let window = &input[..input.len().min(MAX_BYTES)];
    let lines = Lines::of(window)?;
    let (method, target, minor) = request_line(lines.first)?;
    let fields: Vec<_> = lines.fields.iter().map(|line| field(line)).collect::<Option<_>>()?;
    if fields.len() > MAX_FIELDS || method == "CONNECT" {
        return None;
    }
    let values = |name: &str| -> Vec<&[u8]> {
        let named = fields.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_slice()).collect()
    };
    let hosts = values("host");
    let allowed_hosts = if minor == 0 { 0..=1 } else { 1..=1 };
    if !allowed_hosts.contains(&hosts.len())
        || !hosts.iter().all(|host| host.is_empty() || is_authority(host))
    {
        return None;
    }
    let body = match (values("content-length").as_slice(), values("transfer-encoding").as_slice()) {
        ([], []) => Some(0),
        ([length], []) => Some(length_of(length)?),
        ([], [coding]) if minor == 1 && coding.eq_ignore_ascii_case(b"chunked") => None,
        _ => return None,
    };
    let expectations = values("expect");
    if !expectations.iter().all(|value| value.eq_ignore_ascii_case(b"100-continue")) {
        return None;
    }
    let options = values("connection");
    let options = options.iter().flat_map(|value| value.split(|byte| *byte == b','));
    let has = |option: &[u8]| options.clone().any(|other| trim(other).eq_ignore_ascii_case(option));
    let (path, query) = split(target, &method)?;
    Some(Accepted {
        length: lines.length,
        method,
        minor,
        path,
        query,
        body,
        keep_alive: !has(b"close") && (minor == 1 || has(b"keep-alive")),
        expects_continue: minor == 1 && !expectations.is_empty(),
        fields,
    })
}

/// The target of a head that was accepted.
pub(crate) fn target(input: &[u8]) -> &str {
    let lines = Lines::of(input).expect("it was accepted");
    request_line(lines.first).expect("it was accepted").1
}

/// The lines of a head, without their ends.
struct Lines<'a> {
    first: &'a [u8],
    fields: Vec<&'a [u8]>,
    /// The length of the head, with the empty lines around it.
    length: usize,
}

impl<'a> Lines<'a> {
    /// `None` if there is no empty line after the first other one.
    fn of(input: &'a [u8]) -> Option<Lines<'a>> {
        let (mut lines, mut length) = (Vec::new(), 0);
        for line in input.split_inclusive(|byte| *byte == b'\n') {
            length += line.len();
            let line = line.strip_suffix(b"\n")?;
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            match (line, lines.is_empty()) {
                ([], true) => {}
                ([], false) => {
                    return Some(Lines { first: lines[0], fields: lines.split_off(1), length });
                }
                _ => lines.push(line),
            }
        }
        None
    }
}

/// The method, the target and the minor version.
fn request_line(line: &[u8]) -> Option<(String, &str, u8)> {
    let words: Vec<_> = line.split(|byte| *byte == b' ').collect();
    let [method, target, version] = words[..] else { return None };
    let minor = match version {
        b"HTTP/1.0" => 0,
        b"HTTP/1.1" => 1,
        _ => return None,
    };
    let is_in_target = |byte: &u8| !byte.is_ascii_control();
    if !is_token(method) || target.is_empty() || !target.iter().all(is_in_target) {
        return None;
    }
    Some((String::from_utf8(method.to_vec()).ok()?, str::from_utf8(target).ok()?, minor))
}

fn field(line: &[u8]) -> Option<(String, Vec<u8>)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
    let is_in_value = |byte: &u8| *byte == b'\t' || !byte.is_ascii_control();
    (is_token(name) && value.iter().all(is_in_value))
        .then(|| (String::from_utf8_lossy(name).into_owned(), value.to_vec()))
}

/// The text without the spaces and tabs around it.
fn trim(text: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = text.iter().take_while(|byte| is_space(byte)).count();
    let end = text.iter().rev().take_while(|byte| is_space(byte)).count();
    text.get(start..text.len() - end).unwrap_or_default()
}

fn is_token(text: &[u8]) -> bool {
    let is_in_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(is_in_token)
}

/// A Content-Length: at most 19 digits.
fn length_of(value: &[u8]) -> Option<u64> {
    let digits = str::from_utf8(value).ok()?;
    let is_number = digits.len() <= 19 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

/// The path and the query.
fn split(target: &str, method: &str) -> Option<(String, Option<String>)> {
    if target.contains('#') {
        return None;
    }
    let (before, query) = match target.split_once('?') {
        Some((before, query)) => (before, Some(query.to_owned())),
        None => (target, None),
    };
    if before.starts_with('/') || (target == "*" && method == "OPTIONS") {
        return Some((before.to_owned(), query));
    }
    let (scheme, rest) = before.split_once("://")?;
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, "/"),
    };
    let is_http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    (is_http && is_authority(authority.as_bytes())).then(|| (path.to_owned(), query))
}

/// Whether this is a host, and perhaps a port (RFC 3986, 3.2), without a comma.
fn is_authority(text: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(text) else { return false };
    let end_of_host = text.find(']').map_or(text.find(':').unwrap_or(text.len()), |at| at + 1);
    let (host, port) = text.split_at(end_of_host);
    let is_port = match port.strip_prefix(':') {
        Some(digits) => {
            digits.bytes().all(|byte| byte.is_ascii_digit())
                && (digits.is_empty() || digits.parse::<u16>().is_ok())
        }
        None => port.is_empty(),
    };
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => is_name(host),
    };
    is_host && is_port
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let mut is_allowed = !name.is_empty();
    while let Some(byte) = bytes.next() {
        is_allowed &= match byte {
            b'%' => [bytes.next(), bytes.next()]
                .iter()
                .all(|digit| digit.is_some_and(|digit| digit.is_ascii_hexdigit())),
            _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=".contains(&byte),
        };
    }
    is_allowed
}
