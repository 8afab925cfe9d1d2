//! Unix sockets under a path, descriptors that are passed, datagrams, and pipes.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::time::Duration;
use std::{env, fs, process};

use squall_net::{
    IoStream, Stats, UdpSocket, UnixDatagram, UnixServer, UnixStream, bind_unix_socket, pipe,
    timeout,
};

use super::on_a_loop::on_a_loop;
use crate::journal;

const ROUNDS: usize = 3;
const LIMIT: Duration = Duration::from_secs(5);

pub(super) fn run() -> Stats {
    on_a_loop(async || {
        journal::outcome("a server under a path", under_a_path().await);
        for _ in 0..ROUNDS {
            journal::outcome("a passed descriptor", passed().await);
            journal::outcome("UDP", udp().await);
            journal::outcome("Unix datagrams", unix_datagrams().await);
            journal::outcome("a pipe", through_a_pipe().await);
        }
        Ok(())
    })
}

async fn under_a_path() -> io::Result<()> {
    let path = env::temp_dir().join(format!("squall-sweep-{}", process::id()));
    let server = UnixServer::new(async |mut stream: IoStream<UnixStream>, _peer| {
        let line = stream.read_until(b"\n").await?;
        stream.write(line)?;
        Ok(stream.shutdown().await?)
    });
    let outcome = async {
        server.add_sockets(vec![bind_unix_socket(&path, 0o600)?])?;
        for _ in 0..ROUNDS {
            let mut client = IoStream::new(UnixStream::connect(&path).await?);
            client.write("over a path\n")?;
            let echoed = client.read_until_close().await?;
            if echoed.is_empty() {
                // A Unix socket has no reset, so the death of the server looks like its end.
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if echoed != "over a path\n" {
                journal::fault(format_args!("{echoed:?} came back over a path"));
            }
        }
        Ok(())
    };
    let outcome = outcome.await;
    if server.drain(LIMIT).await.aborted > 0 {
        journal::fault(format_args!("a connection did not end"));
    }
    let _ = fs::remove_file(&path); // it was not made if the bind has failed
    outcome
}

async fn passed() -> io::Result<()> {
    let (here, there) = UnixStream::pair()?;
    let (mut reader, writer) = io::pipe()?;
    here.send_with_fds(b"x", &[writer.as_fd()]).await?;
    drop(writer);
    let (_, passed) = there.recv_with_fds(&mut [0; 8]).await?;
    if passed.len() != 1 {
        journal::fault(format_args!("{} descriptors came", passed.len()));
    }
    drop(passed); // the last writer of the pipe
    let mut bytes = Vec::new();
    if reader.read_to_end(&mut bytes)? != 0 {
        journal::fault(format_args!("bytes from a pipe that nobody wrote to"));
    }
    Ok(())
}

async fn udp() -> io::Result<()> {
    let (one, other) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    let mut into = [0; 16];
    one.send_to(b"datagram", other.local_addr()?).await?;
    let (n, from) = received(other.recv_from(&mut into)).await?;
    if (&into[..n], from) != (b"datagram", one.local_addr()?) {
        journal::fault(format_args!("{:?} came from {from}", &into[..n]));
    }
    Ok(())
}

async fn unix_datagrams() -> io::Result<()> {
    let (one, other) = UnixDatagram::pair()?;
    let mut into = [0; 16];
    one.send(b"datagram").await?;
    let n = received(other.recv(&mut into)).await?;
    if &into[..n] != b"datagram" {
        journal::fault(format_args!("{:?} came", &into[..n]));
    }
    Ok(())
}

/// A datagram on this machine that was sent without an error arrives.
async fn received<T>(receive: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(LIMIT, receive).await.unwrap_or_else(|elapsed| {
        journal::fault(format_args!("a datagram was lost"));
        Err(elapsed.into())
    })
}

async fn through_a_pipe() -> io::Result<()> {
    let (reader, writer) = pipe()?;
    let (mut reader, mut writer) = (IoStream::new(reader), IoStream::new(writer));
    writer.write("through a pipe\n")?;
    let line = reader.read_until(b"\n").await?;
    if line != "through a pipe\n" {
        journal::fault(format_args!("{line:?} came through a pipe"));
    }
    writer.shutdown().await?;
    if !reader.read_until_close().await?.is_empty() {
        journal::fault(format_args!("bytes after the end of a pipe"));
    }
    Ok(())
}
