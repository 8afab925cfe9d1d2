//! Reads what a server sends over one connection, as a client does that trusts nothing.

/// The field by which the handler of these tests numbers its answers.
pub(crate) const HANDLED: &str = "x-handled";

/// An answer, without what may differ from run to run: its date and how its body is framed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The lines of its head after the first.
    pub(crate) fields: Vec<String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The value of the first field with this name, which is in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut pairs = self.fields.iter().filter_map(|line| line.split_once(": "));
        pairs.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn ends_connection(&self) -> bool {
        self.field("connection") == Some("close")
    }

    /// The number that the handler has given to this answer. `None` if the server itself answers.
    pub(crate) fn handled(&self) -> Option<usize> {
        self.field(HANDLED).map(|number| number.parse().expect("a number"))
    }
}

/// Takes the first answer from `bytes`, and the interim ones before it. `is_head` is whether an
/// answer with this number is to a HEAD request, and so has no body.
///
/// # Panics
/// If the bytes do not begin with a whole answer.
pub(crate) fn take(bytes: &mut &[u8], is_head: impl Fn(usize) -> bool) -> Answer {
    let (mut answer, is_chunked) = take_head(bytes);
    let length = answer.field("content-length").map(|length| length.parse().expect("a number"));
    let has_no_body = answer.handled().is_some_and(is_head)
        // The server does not send the body of an error either, if the request is HEAD.
        || (answer.handled().is_none() && answer.ends_connection() && bytes.is_empty());
    answer.body = match length {
        _ if has_no_body => Vec::new(),
        Some(length) => split_off(bytes, length),
        None if is_chunked => take_chunks(bytes),
        None => split_off(bytes, bytes.len()),
    };
    answer
}

/// As [`take`], without the body. Returns also whether the body is chunked.
pub(crate) fn take_head(bytes: &mut &[u8]) -> (Answer, bool) {
    let head = loop {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no head: {}", bytes.escape_ascii()));
        let head = str::from_utf8(&bytes[..end]).expect("only ASCII was sent");
        *bytes = &bytes[end + 4..];
        if head != "HTTP/1.1 100 Continue" {
            break head;
        }
    };
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
    let status = status.and_then(|status| status.get(..3)?.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no status: {head:?}"));
    let (framing, fields): (Vec<_>, Vec<_>) =
        lines.map(str::to_owned).partition(|line| line.starts_with("Transfer-Encoding: "));
    let fields = fields.into_iter().filter(|line| !line.starts_with("Date: ")).collect();
    (Answer { status, fields, body: Vec::new() }, !framing.is_empty())
}

fn split_off(bytes: &mut &[u8], length: usize) -> Vec<u8> {
    assert!(length <= bytes.len(), "{} of {length} bytes of a body", bytes.len());
    let (first, rest) = bytes.split_at(length);
    *bytes = rest;
    first.to_vec()
}

fn take_chunks(bytes: &mut &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|window| window == b"\r\n").expect("a chunk-size line");
        let size = split_off(bytes, end + 2);
        let size = str::from_utf8(&size).expect("only digits").trim_end();
        let size = usize::from_str_radix(size, 16).expect("only digits");
        body.extend(split_off(bytes, size));
        assert_eq!(split_off(bytes, 2), b"\r\n");
        if size == 0 {
            return body;
        }
    }
}
