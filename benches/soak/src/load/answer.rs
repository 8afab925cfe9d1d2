//! Reads an answer over HTTP, whole.

use std::io;

use crate::load::connection::Connection;

/// The most fields of an answer's head.
const MAX_FIELDS: usize = 32;

/// A status and a decoded body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// Whether the server keeps the connection.
    pub(crate) is_kept: bool,
}

/// How the length of a body is told.
enum Framing {
    Length(usize),
    Chunked,
}

impl Answer {
    /// Reads one answer.
    pub(crate) fn read(connection: &mut Connection) -> io::Result<Answer> {
        let head = connection.read_until(b"\r\n\r\n")?;
        let (status, framing, is_kept) = parse_head(&head)?;
        let body = match framing {
            Framing::Length(length) => connection.read_exactly(length)?,
            Framing::Chunked => read_chunks(connection)?,
        };
        Ok(Answer { status, body, is_kept })
    }
}

fn parse_head(head: &[u8]) -> io::Result<(u16, Framing, bool)> {
    let malformed =
        |what| io::Error::new(io::ErrorKind::InvalidData, format!("{what} in {head:?}"));
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let parsed = response.parse(head).map_err(|_| malformed("nonsense"))?;
    let status = response.code.filter(|_| parsed.is_complete());
    let status = status.ok_or_else(|| malformed("no status"))?;
    let field = |name: &str| {
        let field = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        field.map(|field| String::from_utf8_lossy(field.value).to_ascii_lowercase())
    };
    let framing = match (field("content-length"), field("transfer-encoding")) {
        (Some(length), None) => {
            Framing::Length(length.parse().map_err(|_| malformed("a bad length"))?)
        }
        (None, Some(coding)) if coding == "chunked" => Framing::Chunked,
        _ => return Err(malformed("no framing")),
    };
    Ok((status, framing, field("connection").as_deref() != Some("close")))
}

fn read_chunks(connection: &mut Connection) -> io::Result<Vec<u8>> {
    let malformed =
        |line: &[u8]| io::Error::new(io::ErrorKind::InvalidData, format!("a bad chunk: {line:?}"));
    let mut body = Vec::new();
    loop {
        let line = connection.read_until(b"\r\n")?;
        let digits = str::from_utf8(&line[..line.len() - 2]).map_err(|_| malformed(&line))?;
        let length = usize::from_str_radix(digits, 16).map_err(|_| malformed(&line))?;
        let chunk = connection.read_exactly(length + 2)?;
        let data = chunk.strip_suffix(b"\r\n").ok_or_else(|| malformed(b"no line end"))?;
        body.extend_from_slice(data);
        if length == 0 {
            return Ok(body);
        }
    }
}
