//! What a server does with each connection.

use std::io;
use std::str::FromStr;

/// The size of a request and of its answer, in bytes.
pub(crate) const REQUEST: usize = 64;
/// The size of an echo handler's buffer, in bytes, if its runtime provides none.
#[cfg(feature = "peers")]
pub(crate) const ECHO_BUFFER: usize = 16 << 10;
/// The size of a read or write in large transfers, in bytes.
pub(crate) const CHUNK: usize = 64 << 10;

/// The body of every answer over HTTP.
pub(crate) const HELLO: &str = "Hello, World!";

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
}

impl Service {
    /// The services that every runtime offers.
    #[cfg(feature = "peers")]
    pub(crate) const COMMON: &[Service] =
        &[Service::Echo, Service::Once, Service::Sink, Service::Source];
    #[cfg(feature = "peers")]
    pub(crate) const HTTP: &[Service] = &[Service::Http];
    pub(crate) const ALL: &[Service] = &[
        Service::Echo,
        Service::EchoSome,
        Service::EchoLine,
        Service::Once,
        Service::Sink,
        Service::Source,
        Service::Http,
    ];

    const NAMES: [(&str, Service); 7] = [
        ("echo", Service::Echo),
        ("echo-some", Service::EchoSome),
        ("echo-line", Service::EchoLine),
        ("once", Service::Once),
        ("sink", Service::Sink),
        ("source", Service::Source),
        ("http", Service::Http),
    ];

    pub(crate) fn name(self) -> &'static str {
        let found = Service::NAMES.iter().find(|(_, service)| *service == self);
        found.expect("every service has a name").0
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
