//! Many clients at once, which stay for a while.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::process::{Resource, getrlimit};

use crate::chaos::clients::long_answer;
use crate::chaos::outcome::Outcome;
use crate::chaos::stage::Stage;
use crate::load::Answer;
use crate::load::connection::{Connection, HANG};
use crate::load::request::Request;

const SLOW_READERS: usize = 30;
/// The receive buffer of a slow reader, in bytes.
const SMALL_BUFFER: usize = 16 << 10;
const SLOW_WRITERS: usize = 100;
/// The connections of the crowd, if the process may have that many descriptors.
const CROWD: usize = 5000;
/// The connections that the crowd opens at a time.
const PORTION: usize = 50;
/// Descriptors of this process that the crowd leaves to others.
const SPARE_DESCRIPTORS: usize = 500;
const PERIOD: Duration = Duration::from_millis(200);

/// Reads long answers slowly; every other client reads nothing, and is cut off by the server. All
/// leave in the end.
pub(crate) fn slow_readers(stage: &Stage, span: Duration) -> Outcome {
    let open = |_| {
        let mut connection = Connection::open(stage.single.addresses.http)?;
        set_socket_recv_buffer_size(connection.socket(), SMALL_BUFFER)?;
        connection.send(&long_answer())?;
        connection.socket().set_nonblocking(true)?;
        Ok(connection)
    };
    let opened: io::Result<Vec<Connection>> = (0..SLOW_READERS).map(open).collect();
    let mut clients = match opened {
        Ok(clients) => clients,
        Err(error) => return Outcome::Violation(format!("a slow reader: {error}")),
    };
    let begin = Instant::now();
    while begin.elapsed() < span && !stage.ending.wait(PERIOD) {
        for client in clients.iter_mut().step_by(2) {
            let _ = client.socket().read(&mut [0; 4096]); // nothing may have come
        }
    }
    Outcome::Done(format!("{} clients read slowly or not at all", clients.len()))
}

/// Sends heads byte by byte. The server must end every connection.
pub(crate) fn slow_loris(stage: &Stage, span: Duration) -> Outcome {
    let open = |_| {
        let mut connection = Connection::open(stage.single.addresses.http)?;
        connection.send(b"GET / HTTP/1.1\r\nX: ")?;
        connection.socket().set_nonblocking(true)?;
        Ok(connection)
    };
    let opened: io::Result<Vec<Connection>> = (0..SLOW_WRITERS).map(open).collect();
    let mut clients = match opened {
        Ok(clients) => clients,
        Err(error) => return Outcome::Violation(format!("a slow writer: {error}")),
    };
    let begin = Instant::now();
    let longest = span + HANG;
    while !clients.is_empty() && begin.elapsed() < longest && !stage.ending.wait(PERIOD) {
        clients.retain_mut(|client| {
            let is_sent = client.socket().write_all(b"x").is_ok();
            let read = client.socket().read(&mut [0; 4096]);
            let is_waiting = matches!(&read, Err(e) if e.kind() == io::ErrorKind::WouldBlock);
            is_sent && (is_waiting || matches!(read, Ok(1..)))
        });
    }
    if clients.is_empty() || stage.ending.is_set() {
        let time = begin.elapsed();
        return Outcome::Done(format!("{SLOW_WRITERS} slow writers were cut off in {time:.1?}"));
    }
    let left = clients.len();
    Outcome::Violation(format!("{left} slow writers are not cut off after {longest:?}"))
}

/// Opens thousands of connections. Some ask for something, at first and while the others are idle.
pub(crate) fn idle_crowd(stage: &Stage, span: Duration) -> Outcome {
    let limit = getrlimit(Resource::Nofile).current;
    let limit = limit.map_or(CROWD, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let size = CROWD.min(limit.saturating_sub(SPARE_DESCRIPTORS));
    let begin = Instant::now();
    let asked = open_crowd(stage, size).and_then(|mut crowd| {
        stage.ending.wait((span / 2).saturating_sub(begin.elapsed()));
        crowd.iter_mut().step_by(PORTION).try_for_each(ask)?;
        stage.ending.wait(span.saturating_sub(begin.elapsed()));
        Ok(crowd.len())
    });
    Outcome::of(asked.map(|size| format!("{size} idle connections")))
}

/// Opens connections in portions. The last one of a portion waits for an answer: so the server has
/// accepted the portion, and its queue does not overflow, which would cost other clients seconds.
fn open_crowd(stage: &Stage, size: usize) -> io::Result<Vec<Connection>> {
    let mut crowd = Vec::with_capacity(size);
    while crowd.len() < size && !stage.ending.is_set() {
        for _ in 0..PORTION.min(size - crowd.len()) {
            crowd.push(Connection::open(stage.single.addresses.http)?);
        }
        crowd.last_mut().map_or(Ok(()), ask)?;
    }
    Ok(crowd)
}

fn ask(client: &mut Connection) -> io::Result<()> {
    let hello = Request::hello();
    client.send(&hello.bytes)?;
    match Answer::read(client)? {
        answer if answer.body == hello.expected => Ok(()),
        answer => Err(io::Error::other(format!("status {} in a crowd", answer.status))),
    }
}
