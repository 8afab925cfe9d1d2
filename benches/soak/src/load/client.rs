//! One client: sends a request, reads the answer whole and compares it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::load::answer::Answer;
use crate::load::connection::Connection;
use crate::load::lane::Addresses;
use crate::load::request::Request;
use crate::records::failure::{How, Kind};

/// A client that keeps one connection to each of the two services.
pub(crate) struct Client {
    addresses: Addresses,
    http: Option<Connection>,
    lines: Option<Connection>,
}

/// Why a request failed.
pub(crate) struct Failed {
    pub(crate) how: How,
    /// How long the connection had been idle, if it was stale.
    pub(crate) idle: Duration,
    pub(crate) detail: String,
}

impl Failed {
    fn new(how: How, detail: String) -> Failed {
        Failed { how, idle: Duration::ZERO, detail }
    }
}

impl Client {
    pub(crate) fn new(addresses: Addresses) -> Client {
        Client { addresses, http: None, lines: None }
    }

    /// Closes the connections.
    pub(crate) fn rest(&mut self) {
        self.http = None;
        self.lines = None;
    }

    /// Sends a request and waits for the right answer. With `is_fresh`, opens a connection for it.
    pub(crate) fn ask(&mut self, request: &Request, is_fresh: bool) -> Result<(), Failed> {
        let (address, kept) = match request.kind {
            Kind::Line => (self.addresses.lines, &mut self.lines),
            _ => (self.addresses.http, &mut self.http),
        };
        let mut connection = match kept.take() {
            Some(connection) if !is_fresh => connection,
            _ => open(address)?,
        };
        if exchange(&mut connection, request)? {
            connection.keep();
            *kept = Some(connection);
        }
        Ok(())
    }
}

fn open(address: SocketAddr) -> Result<Connection, Failed> {
    Connection::open(address).map_err(|error| {
        let is_hang = error.kind() == io::ErrorKind::TimedOut;
        let how = if is_hang { How::Hang } else { How::Refused };
        Failed::new(how, format!("connect: {error}"))
    })
}

/// Returns whether the connection can be used again.
fn exchange(connection: &mut Connection, request: &Request) -> Result<bool, Failed> {
    let read = |connection: &mut Connection| match request.kind {
        Kind::Line => {
            let body = connection.read_until(b"\n")?;
            Ok(Answer { status: 200, body, is_kept: true })
        }
        _ => Answer::read(connection),
    };
    // A server may answer and close before it has read the whole request.
    let sent = connection.send(&request.bytes);
    let answer = read(connection).map_err(|error| {
        let how = match error.kind() {
            io::ErrorKind::TimedOut => How::Hang,
            io::ErrorKind::InvalidData => How::Wrong,
            _ if connection.stale_for().is_some() => How::Stale,
            _ => How::Cut,
        };
        let idle = connection.stale_for().unwrap_or_default();
        let has = connection.received().len();
        let detail = format!("{error}, {has} bytes unread, the request was sent: {sent:?}");
        Failed { how, idle, detail }
    })?;
    if answer.status != 200 {
        let detail = String::from_utf8_lossy(&answer.body).into_owned();
        return Err(Failed::new(How::Status(answer.status), detail));
    }
    if answer.body != request.expected {
        let (got, wanted) = (answer.body.len(), request.expected.len());
        return Err(Failed::new(How::Wrong, format!("{got} bytes, expected {wanted}")));
    }
    if !connection.received().is_empty() {
        let detail = format!("{} bytes after the answer", connection.received().len());
        return Err(Failed::new(How::Wrong, detail));
    }
    Ok(answer.is_kept)
}
