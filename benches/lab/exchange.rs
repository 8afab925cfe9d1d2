//! What the clients of a measurement send, and the answer that they wait for.

use crate::service::{BODY, FILE, FILE_NAME, HELLO, REQUEST, Service};

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
    /// As `Http`, with a connection for each request.
    HttpClose,
    /// `POST /echo` with 10 KiB, which come back.
    HttpEcho,
    /// `GET` of a file of 1 MiB.
    HttpFile,
    /// As `Http`, from a server that works 200 µs for each request.
    HttpWork,
    /// As `HttpWork`, from a server that refuses requests for which it has no time.
    HttpWorkOrRefuse,
    /// As `Http`, from a server on one thread that may run on any core.
    OneWorker,
    /// As `OneWorker`, on two threads.
    TwoWorkers,
}

impl Exchange {
    /// The exchanges whose instructions and system calls are counted.
    pub(crate) const COUNTED: [Exchange; 8] = [
        Exchange::Echo,
        Exchange::EchoSome,
        Exchange::EchoLine,
        Exchange::Connection,
        Exchange::Http,
        Exchange::Pipelined,
        Exchange::HttpClose,
        Exchange::HttpEcho,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Exchange::Echo => "echo",
            Exchange::EchoSome => "echo-some",
            Exchange::EchoLine => "echo-line",
            Exchange::Connection => "connection",
            Exchange::Http => "http",
            Exchange::Pipelined => "http-pipelined",
            Exchange::HttpClose => "http-close",
            Exchange::HttpEcho => "http-echo",
            Exchange::HttpFile => "http-file",
            Exchange::HttpWork => "http-work",
            Exchange::HttpWorkOrRefuse => "http-work-or-refuse",
            Exchange::OneWorker => "http-1-worker",
            Exchange::TwoWorkers => "http-2-workers",
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
            Exchange::HttpClose => "HTTP, a connection each",
            Exchange::HttpEcho => "HTTP, 10 KiB both ways",
            Exchange::HttpFile => "HTTP, 1 MiB file",
            Exchange::HttpWork => "HTTP, 200 µs of work",
            Exchange::HttpWorkOrRefuse => "HTTP, 200 µs of work or a refusal",
            Exchange::OneWorker => "1 worker",
            Exchange::TwoWorkers => "2 workers",
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
            Exchange::HttpClose => Service::HttpClose,
            Exchange::HttpEcho => Service::HttpEcho,
            Exchange::HttpFile => Service::HttpFile,
            Exchange::HttpWork => Service::HttpWork,
            Exchange::HttpWorkOrRefuse => Service::HttpWorkOrRefuse,
            Exchange::OneWorker => Service::OneWorker,
            Exchange::TwoWorkers => Service::TwoWorkers,
        }
    }

    /// Whether each request has a connection of its own.
    pub(crate) fn closes(self) -> bool {
        matches!(self, Exchange::Connection | Exchange::HttpClose)
    }

    /// How many requests are sent at once.
    pub(crate) fn depth(self) -> usize {
        if self == Exchange::Pipelined { 16 } else { 1 }
    }

    /// The bytes of all requests that are sent at once.
    pub(crate) fn request(self) -> Vec<u8> {
        self.one_request().repeat(self.depth())
    }

    /// The bytes of one request.
    pub(crate) fn one_request(self) -> Vec<u8> {
        match self {
            Exchange::Echo | Exchange::EchoSome | Exchange::Connection => vec![b'x'; REQUEST],
            Exchange::EchoLine => [&[b'x'; REQUEST - 1][..], b"\n"].concat(),
            Exchange::HttpClose => http("GET /", "Connection: close\r\n"),
            Exchange::HttpEcho => {
                let fields = format!("Content-Type: text/plain\r\nContent-Length: {BODY}\r\n");
                [http("POST /echo", &fields), vec![b'x'; BODY]].concat()
            }
            Exchange::HttpFile => http(&format!("GET /{FILE_NAME}"), ""),
            Exchange::Http
            | Exchange::Pipelined
            | Exchange::HttpWork
            | Exchange::HttpWorkOrRefuse
            | Exchange::OneWorker
            | Exchange::TwoWorkers => http("GET /", ""),
        }
    }

    /// The body of each answer over HTTP. `None` if the exchange is another.
    pub(crate) fn http_body(self) -> Option<Vec<u8>> {
        match self {
            Exchange::Echo | Exchange::EchoSome | Exchange::EchoLine | Exchange::Connection => None,
            Exchange::HttpEcho => Some(vec![b'x'; BODY]),
            Exchange::HttpFile => Some(vec![b'x'; FILE]),
            Exchange::Http
            | Exchange::Pipelined
            | Exchange::HttpClose
            | Exchange::HttpWork
            | Exchange::HttpWorkOrRefuse
            | Exchange::OneWorker
            | Exchange::TwoWorkers => Some(HELLO.into()),
        }
    }
}

/// The head of a request.
fn http(what: &str, fields: &str) -> Vec<u8> {
    format!("{what} HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}\r\n").into()
}
