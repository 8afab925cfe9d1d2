//! Two workers that share a listening socket. Each serves, and is its own client.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::process;
use std::time::Duration;

use squall_net::{
    EventLoop, ForkOptions, IoStream, Role, RunError, Stats, TcpServer, TcpStream, bind_sockets,
    fork_processes,
};

use crate::journal;
use crate::program::end_of_sweep;

const CONNECTIONS: usize = 4;
/// A worker that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(5);
/// A drain that takes longer hangs: the other worker's clients end before.
const DRAIN: Duration = Duration::from_secs(3);
/// How a worker ends that hangs.
const HANGS: i32 = 100;

pub(super) fn run() -> Stats {
    let sockets = match bind_sockets(0, Some("127.0.0.1"), Default::default()) {
        Ok(sockets) => sockets,
        Err(error) => {
            journal::error("the listening socket", &error);
            return Stats::default();
        }
    };
    let short = Duration::from_millis(1);
    let options = ForkOptions::default().restart_delay(short, 4 * short).max_restarts(5);
    match fork_processes(Some(2), options.grace(Some(LIMIT))) {
        Ok(Role::Supervisor) => journal::steps(1),
        Ok(Role::Worker(_)) => process::exit(worker(sockets)),
        Err(error) => journal::error("the workers", &error),
    }
    Stats::default()
}

fn worker(sockets: Vec<TcpListener>) -> i32 {
    let outcome =
        EventLoop::new().map(|event_loop| event_loop.run_sync(serve(sockets), Some(LIMIT)));
    end_of_sweep();
    match outcome {
        Ok(Ok(Ok(Drained::All))) => 0,
        Ok(Ok(Ok(Drained::Aborted)) | Err(RunError::TimedOut)) => {
            eprintln!("a worker hangs");
            HANGS
        }
        _ => 1, // an error: the supervisor logs it, and starts another worker
    }
}

/// How the drain of a worker has ended.
enum Drained {
    All,
    Aborted,
}

async fn serve(sockets: Vec<TcpListener>) -> io::Result<Drained> {
    let address = match sockets.first() {
        Some(socket) => socket.local_addr()?,
        None => return Err(io::Error::other("no socket")),
    };
    let server = TcpServer::new(async |mut stream: IoStream, _peer| {
        stream.write("hello\n")?;
        Ok(stream.shutdown().await?)
    });
    server.add_sockets(sockets)?;
    for _ in 0..CONNECTIONS {
        client(address).await?;
    }
    let report = server.drain(DRAIN).await;
    server.closed().await?;
    Ok(if report.aborted > 0 { Drained::Aborted } else { Drained::All })
}

async fn client(address: SocketAddr) -> io::Result<()> {
    let mut stream = IoStream::new(TcpStream::connect(address).await?);
    let greeting = stream.read_until_close().await?;
    if greeting == "hello\n" { Ok(()) } else { Err(io::Error::other("another greeting")) }
}
