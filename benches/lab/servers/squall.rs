//! squall.

use std::io;
use std::net::{SocketAddr, TcpListener};

use bytes::Bytes;
use squall_net::{IoStream, TcpServer, block_on};
use tiny_http::{Config, Request, Response, Server};

use crate::service::{CHUNK, HELLO, REQUEST, Service};

pub(crate) fn serve(listener: TcpListener, service: Service) -> io::Result<()> {
    block_on(async {
        let server = match service {
            Service::Echo => TcpServer::new(echo),
            Service::Once => TcpServer::new(once),
            Service::Sink => TcpServer::new(sink),
            Service::EchoSome => TcpServer::new(echo_some),
            Service::EchoLine => TcpServer::new(echo_line),
            Service::Source => TcpServer::new(source),
            Service::Http => return serve_http(listener).await,
        };
        server.add_sockets(vec![listener])?;
        std::future::pending().await
    })
}

async fn echo(mut stream: IoStream, _peer: SocketAddr) -> io::Result<()> {
    let (reader, writer) = stream.halves();
    while reader.fill().await? > 0 {
        writer.write_all(reader.buffer()).await?;
        reader.consume(reader.buffer().len());
    }
    Ok(())
}

async fn echo_some(mut stream: IoStream, _peer: SocketAddr) -> io::Result<()> {
    loop {
        let bytes = stream.read_some(CHUNK).await?;
        stream.write_all(&bytes).await?;
    }
}

async fn echo_line(mut stream: IoStream, _peer: SocketAddr) -> io::Result<()> {
    loop {
        let line = stream.read_until(b"\n").await?;
        stream.write(line)?;
    }
}

async fn serve_http(listener: TcpListener) -> io::Result<()> {
    let server = Server::new(Config::default(), async |_: &mut Request<'_>| {
        Ok(Response::text(Bytes::from_static(HELLO.as_bytes())))
    });
    server.add_sockets(vec![listener])?;
    std::future::pending().await
}

async fn once(mut stream: IoStream, _peer: SocketAddr) -> io::Result<()> {
    let request = stream.read_bytes(REQUEST).await?;
    stream.write(request)?;
    Ok(stream.shutdown().await?)
}

async fn sink(mut stream: IoStream, _peer: SocketAddr) -> io::Result<()> {
    while stream.fill().await? > 0 {
        stream.consume(stream.buffer().len());
    }
    Ok(())
}

async fn source(mut stream: IoStream, _peer: SocketAddr) -> io::Result<()> {
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
