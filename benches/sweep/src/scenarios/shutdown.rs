//! Ways to end a connection: a large answer that is sent after the handler has returned, a half-close,
//! an early answer to a peer that still sends, a reset, and the drain of idle connections.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_lite::future::try_zip;
use squall_net::{IoStream, Stats, TcpListener, TcpServer, TcpStream, yield_now};

use super::on_a_loop::on_a_loop;
use super::served::served;
use crate::journal;

const LARGE: usize = 6 << 20;
const UPLOAD: usize = 300 << 10;
const LIMIT: Duration = Duration::from_secs(5);

pub(super) fn run() -> Stats {
    on_a_loop(async || {
        let server = TcpServer::with_draining(|draining| {
            async move |mut stream: IoStream, _peer| {
                let Some(command) = draining.unless_begun(stream.read_until(b"\n")).await else {
                    return Ok(()); // idle
                };
                match &command?[..] {
                    b"large\n" => stream.write(vec![7; LARGE])?,
                    b"count\n" => {
                        let rest = stream.read_until_close().await?;
                        stream.write(format!("{} bytes", rest.len()))?;
                    }
                    b"early\n" => {
                        stream.write("enough")?;
                        stream.linger(usize::MAX, LIMIT).await?;
                    }
                    other => journal::fault(format_args!("the command is {other:?}")),
                }
                Ok(())
            }
        });
        let clients = async |address| {
            journal::outcome("a large answer", large(address).await);
            for _ in 0..2 {
                journal::outcome("a half-close", half_closed(address).await);
                journal::outcome("an early answer", early(address).await);
                journal::outcome("a reset", reset().await);
            }
            // Both stay open and silent, until the drain ends them.
            for idle in [idle(address).await, idle(address).await] {
                journal::outcome("an idle connection", idle);
            }
        };
        served(&server, clients).await;
        Ok(())
    })
}

/// Reads slowly, so that the server has to wait for room.
async fn large(address: SocketAddr) -> io::Result<()> {
    let mut stream = IoStream::new(TcpStream::connect(address).await?);
    stream.write("large\n")?;
    let mut received = 0;
    while stream.fill().await? > 0 {
        received += stream.buffer().len();
        stream.consume(stream.buffer().len());
        yield_now().await;
    }
    if received != LARGE {
        journal::fault(format_args!("{received} of {LARGE} bytes came, and an orderly end"));
    }
    Ok(())
}

async fn half_closed(address: SocketAddr) -> io::Result<()> {
    let mut stream = IoStream::new(TcpStream::connect(address).await?);
    stream.write("count\n")?;
    stream.write_all(&[1; 1000]).await?;
    stream.shutdown().await?;
    let answer = stream.read_until_close().await?;
    if answer != "1000 bytes" {
        journal::fault(format_args!("the answer to a half-close is {answer:?}"));
    }
    Ok(())
}

async fn early(address: SocketAddr) -> io::Result<()> {
    let mut stream = IoStream::new(TcpStream::connect(address).await?);
    stream.write("early\n")?;
    stream.write_all(&vec![2; UPLOAD]).await?;
    stream.shutdown().await?;
    let answer = stream.read_until_close().await?;
    if answer != "enough" {
        journal::fault(format_args!("the early answer is {answer:?}"));
    }
    Ok(())
}

async fn reset() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let (client, (server, _)) = try_zip(TcpStream::connect(address), listener.accept()).await?;
    let (mut client, mut server) = (IoStream::new(client), IoStream::new(server));
    client.write_all(b"a part").await?;
    client.reset();
    drop(client);
    match server.read_until(b"\n").await {
        Ok(line) => journal::fault(format_args!("a line from a reset connection: {line:?}")),
        Err(error) => {
            let error = io::Error::from(error);
            if error.kind() != io::ErrorKind::ConnectionReset {
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Connects, and waits for the end in a task.
async fn idle(address: SocketAddr) -> io::Result<()> {
    let mut stream = IoStream::new(TcpStream::connect(address).await?);
    squall_net::spawn(async move {
        match stream.read_until_close().await {
            Ok(bytes) if bytes.is_empty() => {}
            Ok(bytes) => journal::fault(format_args!("an idle connection got {bytes:?}")),
            Err(error) => journal::error("the end of an idle connection", &error),
        }
    });
    Ok(())
}
