//! squall.

use std::io;
use std::net::TcpListener;

use squall_net::{IoStream, TcpServer, block_on};

use super::squall_http;
use crate::service::{CHUNK, REQUEST, Service};

pub(crate) fn serve(listener: TcpListener, service: Service) -> io::Result<()> {
    // As with the other runtimes, the tasks do not store the peer's address.
    let server = match service {
        Service::Echo => TcpServer::new(|stream, _peer| echo(stream)),
        Service::Once => TcpServer::new(|stream, _peer| once(stream)),
        Service::Sink => TcpServer::new(|stream, _peer| sink(stream)),
        Service::EchoSome => TcpServer::new(|stream, _peer| echo_some(stream)),
        Service::EchoLine => TcpServer::new(|stream, _peer| echo_line(stream)),
        Service::Source => TcpServer::new(|stream, _peer| source(stream)),
        http => return squall_http::serve(listener, http),
    };
    block_on(async {
        server.add_sockets(vec![listener])?;
        std::future::pending().await
    })
}

async fn echo(mut stream: IoStream) -> io::Result<()> {
    let (reader, writer) = stream.halves();
    while reader.fill().await? > 0 {
        writer.write_all(reader.buffer()).await?;
        reader.consume(reader.buffer().len());
    }
    Ok(())
}

async fn echo_some(mut stream: IoStream) -> io::Result<()> {
    loop {
        let bytes = stream.read_some(CHUNK).await?;
        stream.write_all(&bytes).await?;
    }
}

async fn echo_line(mut stream: IoStream) -> io::Result<()> {
    loop {
        let line = stream.read_until(b"\n").await?;
        stream.write(line)?;
    }
}

async fn once(mut stream: IoStream) -> io::Result<()> {
    let request = stream.read_bytes(REQUEST).await?;
    stream.write(request)?;
    Ok(stream.shutdown().await?)
}

async fn sink(mut stream: IoStream) -> io::Result<()> {
    while stream.fill().await? > 0 {
        stream.consume(stream.buffer().len());
    }
    Ok(())
}

async fn source(mut stream: IoStream) -> io::Result<()> {
    let mut number = [0; 8];
    stream.read_exact(&mut number).await?;
    let mut left = usize::try_from(u64::from_le_bytes(number)).expect("64 bits");
    while left > 0 {
        let n = left.min(CHUNK);
        stream.write_all(&[0; CHUNK][..n]).await?;
        left -= n;
    }
    Ok(stream.shutdown().await?)
}
