//! What the clients of a measurement send, and the answer that they wait for.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use crate::service::{REQUEST, Service};

/// A request and its answer, which a connection repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// 64 bytes and their echo, as cheaply as the runtime allows.
    Echo,
    /// The same, with the calls that most users of squall write.
    EchoSome,
    /// A line of 64 bytes and its echo.
    EchoLine,
    /// A connection for each 64 bytes.
    Connection,
    /// `GET /` over HTTP, on a connection that stays open.
    Http,
    /// As `Http`, 16 requests at once.
    Pipelined,
}

const HTTP_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

impl Exchange {
    pub(crate) const ALL: [Exchange; 6] = [
        Exchange::Echo,
        Exchange::EchoSome,
        Exchange::EchoLine,
        Exchange::Connection,
        Exchange::Http,
        Exchange::Pipelined,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Exchange::Echo => "echo",
            Exchange::EchoSome => "echo-some",
            Exchange::EchoLine => "echo-line",
            Exchange::Connection => "connection",
            Exchange::Http => "http",
            Exchange::Pipelined => "http-pipelined",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Exchange::Echo => "echo",
            Exchange::EchoSome => "echo, `read_some`",
            Exchange::EchoLine => "echo, `read_until`",
            Exchange::Connection => "connection",
            Exchange::Http => "HTTP",
            Exchange::Pipelined => "HTTP, 16 at once",
        }
    }

    /// The service that the server has to offer.
    pub(crate) fn service(self) -> Service {
        match self {
            Exchange::Echo => Service::Echo,
            Exchange::EchoSome => Service::EchoSome,
            Exchange::EchoLine => Service::EchoLine,
            Exchange::Connection => Service::Once,
            Exchange::Http | Exchange::Pipelined => Service::Http,
        }
    }

    /// How many requests are sent at once.
    pub(crate) fn depth(self) -> usize {
        if self == Exchange::Pipelined { 16 } else { 1 }
    }

    /// The bytes of all requests that are sent at once.
    pub(crate) fn request(self) -> Vec<u8> {
        match self {
            Exchange::Http | Exchange::Pipelined => HTTP_REQUEST.repeat(self.depth()),
            Exchange::EchoLine => [&[b'x'; REQUEST - 1][..], b"\n"].concat(),
            Exchange::Echo | Exchange::EchoSome | Exchange::Connection => vec![b'x'; REQUEST],
        }
    }

    /// The length of the answer to [`request`](Self::request). Asks the server once if only the
    /// server knows.
    pub(crate) fn answer_len(self, socket: &mut TcpStream) -> io::Result<usize> {
        match self {
            Exchange::Http | Exchange::Pipelined => {
                socket.write_all(HTTP_REQUEST)?;
                Ok(http_answer_len(socket)? * self.depth())
            }
            _ => Ok(REQUEST),
        }
    }
}

/// Reads one answer of HTTP and returns its length. Every later one is as long, since its date is.
fn http_answer_len(socket: &mut TcpStream) -> io::Result<usize> {
    let (mut answer, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let n = socket.read(&mut chunk)?;
        if n == 0 {
            return Err(io::Error::other("the server has closed a connection"));
        }
        answer.extend_from_slice(&chunk[..n]);
        let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        if !head.starts_with("http/1.1 200") {
            return Err(io::Error::other(format!("the server has answered {head:?}")));
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length
            .and_then(|length| length.trim().parse().ok())
            .ok_or_else(|| io::Error::other("an answer without Content-Length"))?;
        if body.len() >= length {
            return Ok(head.len() + 4 + length);
        }
    }
}
