//! What a server does with each connection.

use std::io;
use std::str::FromStr;
use std::time::Duration;

/// The size of a request and of its answer, in bytes.
pub(crate) const REQUEST: usize = 64;
/// The size of an echo handler's buffer, in bytes, if its runtime provides none.
#[cfg(feature = "peers")]
pub(crate) const ECHO_BUFFER: usize = 16 << 10;
/// The size of a read or write in large transfers, in bytes.
pub(crate) const CHUNK: usize = 64 << 10;

/// The body of an answer over HTTP.
pub(crate) const HELLO: &str = "Hello, World!";
/// The size of the body of an upload, and of a large answer, in bytes.
pub(crate) const BODY: usize = 10 << 10;
/// The size of the file, in bytes.
pub(crate) const FILE: usize = 1 << 20;
/// The file's name. It is in the working directory of the server.
pub(crate) const FILE_NAME: &str = "file.txt";

/// How long a request of `http-work` keeps its server's core busy.
pub(crate) const WORK: Duration = Duration::from_micros(200);

/// The congestion control of both ends of every connection. Every Linux has it.
pub(crate) const CONGESTION_CONTROL: &str = "reno";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// Sends back all received bytes, until the client closes, as cheaply as the runtime allows.
    Echo,
    /// As `Echo`, with the calls that most users of squall write.
    EchoSome,
    /// Sends back each line, until the client closes.
    EchoLine,
    /// Sends one request back and closes.
    Once,
    /// Reads to the end and closes.
    Sink,
    /// Reads a number (8 bytes, little endian), sends that many bytes, and closes.
    Source,
    /// Answers HTTP requests with `Hello, World!`, until the client closes.
    Http,
    /// As `Http`, and closes each connection after one answer, as its request demands.
    HttpClose,
    /// Sends the body of each HTTP request back.
    HttpEcho,
    /// As `Http`, with a body of 10 KiB.
    HttpLarge,
    /// Sends a file over HTTP.
    HttpFile,
    /// As `Http`, after 200 µs of work.
    HttpWork,
    /// As `HttpWork`, and refuses requests for which it has no time.
    HttpWorkOrRefuse,
    /// As `Http`, with one worker thread that may run on any core.
    OneWorker,
    /// As `OneWorker`, with two worker threads.
    TwoWorkers,
}

impl Service {
    const NAMES: [(&str, Service); 15] = [
        ("echo", Service::Echo),
        ("echo-some", Service::EchoSome),
        ("echo-line", Service::EchoLine),
        ("once", Service::Once),
        ("sink", Service::Sink),
        ("source", Service::Source),
        ("http", Service::Http),
        ("http-close", Service::HttpClose),
        ("http-echo", Service::HttpEcho),
        ("http-large", Service::HttpLarge),
        ("http-file", Service::HttpFile),
        ("http-work", Service::HttpWork),
        ("http-work-or-refuse", Service::HttpWorkOrRefuse),
        ("http-1-worker", Service::OneWorker),
        ("http-2-workers", Service::TwoWorkers),
    ];

    pub(crate) fn name(self) -> &'static str {
        let found = Service::NAMES.iter().find(|(_, service)| *service == self);
        found.expect("every service has a name").0
    }

    /// The number of worker threads that may run on any core. `None` if the server is pinned to
    /// one core.
    pub(crate) fn workers(self) -> Option<usize> {
        match self {
            Service::OneWorker => Some(1),
            Service::TwoWorkers => Some(2),
            _ => None,
        }
    }

    /// The error of a server that does not offer this service.
    pub(crate) fn not_offered(self) -> io::Error {
        io::Error::other(format!("this server does not offer {}", self.name()))
    }
}

impl FromStr for Service {
    type Err = String;

    fn from_str(name: &str) -> Result<Service, String> {
        let found = Service::NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, service)| *service).ok_or_else(|| format!("no service is called {name:?}"))
    }
}
