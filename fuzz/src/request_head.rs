//! The head of a request: what is accepted, and how the bytes were split.
//!
//! - A prefix of the input is incomplete, or has the outcome of the whole input (H6).
//! - The [reference](crate::reference_head), a parser that sees only whole heads, accepts the same
//!   heads, and finds the same parts in them.
//! - An accepted head, written again from its parts, is accepted with the same parts.

use tiny_http::{Config, Framing, Head, Rejection};

use crate::pieces::{Draw, digest};
use crate::reference_head;

/// Limits that a small input exceeds.
pub(crate) const MAX_BYTES: usize = 256;
pub(crate) const MAX_FIELDS: usize = 8;
/// The prefixes that are tried of an input that is not short.
const PREFIXES: usize = 12;

/// What a server concludes from the bytes that it has received.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Incomplete,
    /// The status of the answer.
    Refused(u16),
    Accepted(Accepted),
}

/// The parts of a head.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) length: usize,
    pub(crate) method: String,
    pub(crate) minor: u8,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    /// Names and values, in order.
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    /// The length of the body; `None` if it is chunked.
    pub(crate) body: Option<u64>,
    pub(crate) keep_alive: bool,
    pub(crate) expects_continue: bool,
}

/// Checks one input: the first bytes of a connection.
///
/// # Panics
/// If the parser is wrong.
pub fn check(input: &[u8]) {
    let whole = parse(input);
    let mut draw = Draw::new(digest(input));
    for nth in 0..PREFIXES.min(input.len()) {
        let end = if input.len() <= PREFIXES { nth } else { draw.below(input.len()) };
        let part = parse(&input[..end]);
        let is_complete = matches!(&whole, Outcome::Accepted(head) if head.length <= end);
        let is_consistent = match &part {
            Outcome::Incomplete => !is_complete,
            part => *part == whole,
        };
        assert!(is_consistent, "the first {end} bytes: {part:?}, all bytes: {whole:?}");
    }
    match (reference_head::accept(input), whole) {
        (Some(expected), Outcome::Accepted(head)) => {
            assert_eq!(head, expected);
            check_rewritten(head, input);
        }
        (None, Outcome::Accepted(head)) => panic!("accepted, against the grammar: {head:?}"),
        (Some(head), outcome) => panic!("{outcome:?}, although it is valid: {head:?}"),
        (None, _) => {}
    }
}

fn parse(input: &[u8]) -> Outcome {
    let config = Config { max_head_bytes: MAX_BYTES, max_headers: MAX_FIELDS, ..Config::default() };
    let mut head = Head::default();
    match head.parse(input, &config) {
        Ok(None) => Outcome::Incomplete,
        Ok(Some(length)) => {
            assert!(length <= MAX_BYTES, "a head of {length} bytes");
            Outcome::Accepted(Accepted::of(&head, length))
        }
        Err(Rejection::Status(status, _)) => Outcome::Refused(status.as_u16()),
        Err(Rejection::Broken(error)) => panic!("{error}"),
    }
}

impl Accepted {
    fn of(head: &Head, length: usize) -> Accepted {
        let fields = head.headers().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Accepted {
            length,
            method: head.method.to_string(),
            minor: head.minor,
            path: head.path().to_owned(),
            query: head.query().map(str::to_owned),
            fields: fields.collect(),
            body: match head.framing {
                Framing::Length(length) => Some(length),
                Framing::Chunked => None,
            },
            keep_alive: head.keep_alive,
            expects_continue: head.expects_continue,
        }
    }
}

/// Writes the head again, in the plainest form, and compares its parts.
fn check_rewritten(head: Accepted, input: &[u8]) {
    let Accepted { method, minor, .. } = &head;
    let target = reference_head::target(input);
    let mut text = format!("{method} {target} HTTP/1.{minor}\r\n").into_bytes();
    for (name, value) in &head.fields {
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value);
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    if text.len() <= MAX_BYTES {
        let length = text.len();
        assert_eq!(parse(&text), Outcome::Accepted(Accepted { length, ..head }));
    }
}
