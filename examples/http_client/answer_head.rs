//! The head of an answer: parsed by httparse, then checked for where the body ends (RFC 9112, 6).

use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

/// The most header fields of an answer.
const MAX_FIELDS: usize = 128;

/// The head of an answer.
#[derive(Debug)]
pub(crate) struct AnswerHead {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) framing: AnswerFraming,
    /// Whether the server keeps the connection open after this answer.
    pub(crate) keep_alive: bool,
}

/// How the body's end is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerFraming {
    Length(u64),
    Chunked,
    UntilClose,
}

impl AnswerHead {
    /// Parses the head at the beginning of `data`, in answer to a request with this method. Returns
    /// the head and its length, or why it is malformed. `data` must contain an empty line.
    pub(crate) fn parse(data: &[u8], method: &Method) -> Result<(AnswerHead, usize), &'static str> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut answer = httparse::Response::new(&mut fields);
        let parsed = httparse::ParserConfig::default()
            .allow_obsolete_multiline_headers_in_responses(true)
            .parse_response(&mut answer, data);
        let length = match parsed {
            Ok(httparse::Status::Complete(length)) => length,
            Err(httparse::Error::TooManyHeaders) => return Err("the head has too many fields"),
            Ok(httparse::Status::Partial) | Err(_) => return Err("the head is malformed"),
        };
        let (Some(minor), Some(code)) = (answer.version, answer.code) else {
            return Err("the status line is incomplete");
        };
        let status = StatusCode::from_u16(code).map_err(|_| "the status is not valid")?;
        let headers = header_map(answer.headers)?;
        let framing = framing(method, status, &headers)?;
        let keep_alive = framing != AnswerFraming::UntilClose
            && !has_option(&headers, "close")
            // HTTP/1.0 has no chunks, so an answer that has them may have another end (RFC 9112, 6.1).
            && (minor > 0 || framing != AnswerFraming::Chunked && has_option(&headers, "keep-alive"));
        Ok((AnswerHead { status, headers, framing, keep_alive }, length))
    }
}

/// Whether `data` contains the empty line that ends a head.
pub(crate) fn has_empty_line(data: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', data)
        .any(|at| matches!(&data[at + 1..], [b'\n', ..] | [b'\r', b'\n', ..]))
}

/// Whether `Connection` lists this option.
pub(crate) fn has_option(headers: &HeaderMap, option: &str) -> bool {
    items(headers, CONNECTION).any(|item| item.eq_ignore_ascii_case(option.as_bytes()))
}

/// The items of a field that is a list, of all its lines.
fn items(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    let values = headers.get_all(name).into_iter();
    values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

fn header_map(fields: &[httparse::Header<'_>]) -> Result<HeaderMap, &'static str> {
    let mut headers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes())
            .map_err(|_| "the name of a field is not valid")?;
        let value = match memchr::memchr(b'\n', field.value) {
            Some(_) => HeaderValue::from_bytes(&unfold(field.value)),
            None => HeaderValue::from_bytes(field.value),
        };
        headers.append(name, value.map_err(|_| "the value of a field is not valid")?);
    }
    Ok(headers)
}

/// Joins the lines of a folded value with single spaces (RFC 9112, 5.2).
fn unfold(value: &[u8]) -> Vec<u8> {
    let lines = value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(&b' ')
}

fn framing(
    method: &Method,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<AnswerFraming, &'static str> {
    let length = content_length(headers)?;
    let is_chunked = is_chunked(headers)?;
    match (length, is_chunked) {
        (Some(_), true) => Err("Content-Length and Transfer-Encoding contradict"),
        (Some(1..), _) | (_, true) if status == StatusCode::NO_CONTENT => Err("a 204 has a body"),
        (Some(_), _) | (_, true) if status.is_informational() => {
            Err("an interim answer has a body")
        }
        _ if status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            || *method == Method::HEAD =>
        {
            Ok(AnswerFraming::Length(0))
        }
        (None, true) => Ok(AnswerFraming::Chunked),
        (Some(length), false) => Ok(AnswerFraming::Length(length)),
        (None, false) => Ok(AnswerFraming::UntilClose),
    }
}

/// The value of `Content-Length`. It may be repeated if all values are equal.
fn content_length(headers: &HeaderMap) -> Result<Option<u64>, &'static str> {
    let mut length = None;
    for item in items(headers, CONTENT_LENGTH) {
        let value = decimal(item).ok_or("the Content-Length is malformed")?;
        if length.is_some_and(|length| length != value) {
            return Err("two Content-Lengths contradict");
        }
        length = Some(value);
    }
    Ok(length)
}

/// Parses 1 to 19 decimal digits, so that the value fits in 64 bits.
fn decimal(digits: &[u8]) -> Option<u64> {
    let is_decimal = (1..=19).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    str::from_utf8(digits).ok().filter(|_| is_decimal)?.parse().ok()
}

fn is_chunked(headers: &HeaderMap) -> Result<bool, &'static str> {
    let mut codings = items(headers, TRANSFER_ENCODING);
    match (codings.next(), codings.next()) {
        (None, _) => Ok(false),
        (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Ok(true),
        _ => Err("the only transfer coding is chunked"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: &Method, head: &str) -> Result<AnswerHead, &'static str> {
        let text = head.replace('\n', "\r\n") + "\r\n\r\n";
        let (head, length) = AnswerHead::parse(text.as_bytes(), method)?;
        assert_eq!(length, text.len());
        Ok(head)
    }

    fn framing_of(head: &str) -> Result<AnswerFraming, &'static str> {
        parse(&Method::GET, head).map(|head| head.framing)
    }

    // HTC-16, HTC-17, HTC-23
    #[test]
    fn the_fields_decide_where_the_body_ends() {
        use AnswerFraming::{Chunked, Length, UntilClose};
        for (head, framing) in [
            ("HTTP/1.1 200 OK", UntilClose),
            ("HTTP/1.1 200", UntilClose),
            ("HTTP/1.1 200 OK\nContent-Length: 2", Length(2)),
            ("HTTP/1.1 200 OK\nContent-Length: 2,2", Length(2)),
            ("HTTP/1.1 200 OK\nContent-Length: 2, 2,2", Length(2)),
            ("HTTP/1.1 200 OK\nContent-Length: 2\ncontent-length: 02", Length(2)),
            ("HTTP/1.1 404 No\nTransfer-Encoding: Chunked", Chunked),
            ("HTTP/1.0 200 OK\nTransfer-Encoding: chunked", Chunked),
        ] {
            assert_eq!(framing_of(head), Ok(framing), "{head:?}");
        }
    }

    // HTC-16, HTC-19, HTC-23
    #[test]
    fn contradictory_and_malformed_heads_are_refused() {
        for head in [
            "HTTP/1.1 200 OK\nContent-Length: 2,4",
            "HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 4",
            "HTTP/1.1 200 OK\nContent-Length: +2",
            "HTTP/1.1 200 OK\nContent-Length: -2",
            "HTTP/1.1 200 OK\nContent-Length: 0x2",
            "HTTP/1.1 200 OK\nContent-Length: 2 2",
            "HTTP/1.1 200 OK\nContent-Length:",
            "HTTP/1.1 200 OK\nContent-Length: 2,",
            "HTTP/1.1 200 OK\nContent-Length: 10000000000000000000",
            "HTTP/1.1 200 OK\nContent-Length: 2\nTransfer-Encoding: chunked",
            "HTTP/1.1 200 OK\nTransfer-Encoding: gzip",
            "HTTP/1.1 200 OK\nTransfer-Encoding: gzip, chunked",
            "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked",
            "HTTP/1.1 204 No Content\nContent-Length: 5",
            "HTTP/1.1 204 No Content\nTransfer-Encoding: chunked",
            "HTTP/1.1 100 Continue\nContent-Length: 0",
            "HTTP/1.1 103 Early Hints\nTransfer-Encoding: chunked",
            "HTTP/2.0 200 OK",
            "HTTP/1.2 200 OK",
            "HTTP/1.1 20 OK",
            "HTTP/1.1 099 OK",
            "ICY 200 OK",
            "HTTP/1.1 200 OK\nX : y",
            "HTTP/1.1 200 OK\nnonsense",
            "HTTP/1.1 200 OK\nX: a\0b",
        ] {
            assert!(framing_of(head).is_err(), "{head:?}");
        }
        let many = format!("HTTP/1.1 200 OK{}", "\nX: y".repeat(MAX_FIELDS + 1));
        assert_eq!(framing_of(&many), Err("the head has too many fields"));
    }

    // HTC-18, HTC-19, HTC-20
    #[test]
    fn some_answers_have_no_body_whatever_their_length() {
        for head in [
            "HTTP/1.1 304 Not Modified\nContent-Length: 42",
            "HTTP/1.1 204 No Content",
            "HTTP/1.1 204 No Content\nContent-Length: 0",
            "HTTP/1.1 100 Continue",
        ] {
            assert_eq!(framing_of(head), Ok(AnswerFraming::Length(0)), "{head:?}");
        }
        for head in ["HTTP/1.1 200 OK\nContent-Length: 7", "HTTP/1.1 200 OK"] {
            let head = parse(&Method::HEAD, head).unwrap();
            assert_eq!((head.framing, head.keep_alive), (AnswerFraming::Length(0), true));
        }
    }

    #[test]
    fn the_connection_is_kept_only_if_both_sides_know_where_the_answer_ends() {
        for (head, keep_alive) in [
            ("HTTP/1.1 200 OK\nContent-Length: 2", true),
            ("HTTP/1.1 200 OK\nContent-Length: 2\nConnection: Keep-Alive", true),
            ("HTTP/1.1 200 OK\nContent-Length: 2\nConnection: x, Close", false),
            ("HTTP/1.1 200 OK\nContent-Length: 2\nConnection: x\nConnection: close", false),
            ("HTTP/1.1 200 OK", false),
            ("HTTP/1.0 200 OK\nContent-Length: 2", false),
            ("HTTP/1.0 200 OK\nContent-Length: 2\nConnection: keep-alive", true),
            ("HTTP/1.0 200 OK\nContent-Length: 2\nConnection: keep-alive, close", false),
            ("HTTP/1.0 200 OK\nTransfer-Encoding: chunked\nConnection: keep-alive", false),
        ] {
            assert_eq!(parse(&Method::GET, head).unwrap().keep_alive, keep_alive, "{head:?}");
        }
    }

    // HTC-04, HTC-33
    #[test]
    fn folded_values_are_joined_and_bytes_beyond_ascii_are_kept() {
        let folded = "HTTP/1.1 200 OK\nX: a\n  b\n\tc\nY: d";
        let head = parse(&Method::GET, folded).unwrap();
        assert_eq!(
            (&head.headers["x"], &head.headers["y"]),
            (&"a b c".parse().unwrap(), &"d".parse().unwrap())
        );
        let (head, _) =
            AnswerHead::parse(b"HTTP/1.1 200 OK\r\nX: \xe9\r\n\r\n", &Method::GET).unwrap();
        assert_eq!(head.headers["x"].as_bytes(), b"\xe9");
    }

    #[test]
    fn an_empty_line_is_found_with_and_without_carriage_returns() {
        for text in ["a\r\n\r\n", "a\n\n", "a\n\r\nb", "\n\n"] {
            assert!(has_empty_line(text.as_bytes()), "{text:?}");
        }
        for text in ["", "\r\n", "a\r\nb\r\n", "a\r\n\r", "a\n\rb\n"] {
            assert!(!has_empty_line(text.as_bytes()), "{text:?}");
        }
    }
}
