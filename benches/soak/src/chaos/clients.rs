//! Clients that behave badly for a moment.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

use crate::chaos::outcome::Outcome;
use crate::chaos::stage::Stage;
use crate::content;
use crate::load::Answer;
use crate::load::connection::Connection;
use crate::load::request::Request;

/// The clients of each act.
const CLIENTS: usize = 50;
/// Longer than what the kernel buffers, so that the server is in the middle of its answer.
const LONG_ANSWER: usize = 16 << 20;

/// Resets connections to a server, in the middle of answers.
pub(crate) fn resets(stage: &Stage, random: &mut fastrand::Rng) -> Outcome {
    let address = any_server(stage, random);
    let reset = |_| {
        let mut connection = Connection::open(address)?;
        connection.send(&long_answer())?;
        connection.fill()?;
        Ok(set_socket_linger(connection.socket(), Some(Duration::ZERO))?)
    };
    count(reset, "connections reset in the middle of an answer")
}

/// Leaves a server in the middle of requests and of answers.
pub(crate) fn leavers(stage: &Stage, random: &mut fastrand::Rng) -> Outcome {
    let address = any_server(stage, random);
    let leave = |number| {
        let mut connection = Connection::open(address)?;
        match number % 4 {
            0 => connection.send(b"GET /hello HTTP/1.1\r\nHo"),
            1 => connection
                .send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\nabc"),
            2 => connection
                .send(b"GET /events/1000 HTTP/1.1\r\nHost: x\r\n\r\n")
                .and_then(|()| connection.fill()),
            _ => connection.send(&long_answer()).and_then(|()| connection.fill()),
        }
    };
    count(leave, "clients left in the middle")
}

/// Aborts connections of the single server from outside, with their answers half sent.
pub(crate) fn socket_kills(stage: &Stage) -> Outcome {
    let address = stage.single.addresses.http;
    let opened: io::Result<Vec<Connection>> = (0..CLIENTS / 2)
        .map(|_| {
            let mut connection = Connection::open(address)?;
            connection.send(&long_answer())?;
            connection.fill()?;
            Ok(connection)
        })
        .collect();
    let mut connections = match opened {
        Ok(connections) => connections,
        Err(error) => return Outcome::Violation(format!("a long answer does not begin: {error}")),
    };
    for connection in &connections {
        let Ok(local) = connection.socket().local_addr() else { continue };
        // Exactly this connection: a filter that matches more would abort those of others.
        let filter =
            format!("src 127.0.0.1 and sport = :{} and dport = :{}", address.port(), local.port());
        let mut command = Command::new("ss");
        command.args(["-K", "-n", "-t", &filter]);
        match command.stdout(Stdio::null()).stderr(Stdio::null()).status() {
            Ok(status) if status.success() => {}
            _ => return Outcome::Skipped("there is no ss -K".into()),
        }
    }
    let aborted = connections.iter_mut().map(is_reset).filter(|is_reset| *is_reset).count();
    match aborted {
        0 => Outcome::Skipped("ss -K has no effect".into()),
        aborted => Outcome::Done(format!("{aborted} connections aborted by ss -K")),
    }
}

/// Reads to the end of a connection, or to its deadline. Returns whether it was reset.
fn is_reset(connection: &mut Connection) -> bool {
    loop {
        let n = connection.received().len();
        connection.consume(n);
        if let Err(error) = connection.fill() {
            return error.kind() == io::ErrorKind::ConnectionReset;
        }
    }
}

/// Sends requests, ends the sending half and reads the answers, which must be whole.
pub(crate) fn half_closes(stage: &Stage, random: &mut fastrand::Rng) -> Outcome {
    let mut half_close = || {
        let request = match random.u32(0..3) {
            0 => Request::echo(random.u64(..), 100_000),
            1 => Request::stream(random.u64(..), 1 << 20),
            _ => Request::hello(),
        };
        let mut connection = Connection::open(stage.single.addresses.http)?;
        connection.send(&request.bytes)?;
        connection.socket().shutdown(Shutdown::Write)?;
        let answer = Answer::read(&mut connection)?;
        if answer.status != 200 || answer.body != request.expected {
            return Err(io::Error::other("a half-closed client got another answer"));
        }
        Ok(())
    };
    let outcome: io::Result<()> = (0..CLIENTS).try_for_each(|_| half_close());
    Outcome::of(outcome.map(|()| format!("{CLIENTS} half-closed clients got whole answers")))
}

/// Sends what is no HTTP.
pub(crate) fn garbage(stage: &Stage) -> Outcome {
    let send = |seed| {
        let mut connection = Connection::open(stage.single.addresses.http)?;
        let mut bytes = content::whole(seed, 200);
        bytes[0] = 0; // begins no method
        bytes.extend_from_slice(b"\r\n\r\n");
        connection.send(&bytes)?;
        let answer = Answer::read(&mut connection)?;
        if answer.status == 400 && !answer.is_kept {
            return Ok(());
        }
        Err(io::Error::other(format!("garbage got the status {}", answer.status)))
    };
    let outcome: io::Result<()> = (0..CLIENTS as u64).try_for_each(send);
    Outcome::of(outcome.map(|()| format!("{CLIENTS} pieces of garbage got 400")))
}

/// A request for a long answer.
pub(crate) fn long_answer() -> Vec<u8> {
    format!("GET /stream/1/{LONG_ANSWER} HTTP/1.1\r\nHost: soak\r\n\r\n").into_bytes()
}

fn any_server(stage: &Stage, random: &mut fastrand::Rng) -> SocketAddr {
    if random.bool() { stage.single.addresses.http } else { stage.prefork.addresses.http }
}

/// Runs clients whose errors are no fault of the server: it may be killed meanwhile.
fn count(client: impl FnMut(usize) -> io::Result<()>, what: &str) -> Outcome {
    let done = (0..CLIENTS).map(client).filter(Result::is_ok).count();
    Outcome::Done(format!("{done} {what}"))
}
