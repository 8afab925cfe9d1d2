//! What a server does with each connection.

use std::str::FromStr;

/// The size of a request and of its answer, in bytes.
pub(crate) const REQUEST: usize = 64;
/// The size of an echo handler's buffer, in bytes, if its runtime provides none.
#[cfg(feature = "peers")]
pub(crate) const ECHO_BUFFER: usize = 16 << 10;
/// The size of a read or write in large transfers, in bytes.
pub(crate) const CHUNK: usize = 64 << 10;

/// The congestion control of both ends of every connection. Every Linux has it.
pub(crate) const CONGESTION_CONTROL: &str = "reno";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// Sends back all received bytes, until the client closes.
    Echo,
    /// Sends one request back and closes.
    Once,
    /// Reads to the end and closes.
    Sink,
    /// Reads a number (8 bytes, little endian), sends that many bytes, and closes.
    Source,
}

impl Service {
    const NAMES: [(&str, Service); 4] = [
        ("echo", Service::Echo),
        ("once", Service::Once),
        ("sink", Service::Sink),
        ("source", Service::Source),
    ];

    pub(crate) fn name(self) -> &'static str {
        let found = Service::NAMES.iter().find(|(_, service)| *service == self);
        found.expect("every service has a name").0
    }
}

impl FromStr for Service {
    type Err = String;

    fn from_str(name: &str) -> Result<Service, String> {
        let found = Service::NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, service)| *service).ok_or_else(|| format!("no service is called {name:?}"))
    }
}
