//! compio, on io_uring if the kernel has it.

use std::future::Future;
use std::io;
use std::net::TcpListener;

use compio_io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use compio_net::TcpStream;

use crate::service::{CHUNK, ECHO_BUFFER, REQUEST, Service};

pub(crate) fn serve(listener: TcpListener, service: Service) -> io::Result<()> {
    compio_runtime::Runtime::new()?.block_on(async {
        match service {
            Service::Echo => accept(listener, echo).await,
            Service::Once => accept(listener, once).await,
            Service::Sink => accept(listener, sink).await,
            Service::Source => accept(listener, source).await,
            other => Err(other.not_offered()),
        }
    })
}

async fn accept<F>(listener: TcpListener, handler: fn(TcpStream) -> F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>> + 'static,
{
    let listener = compio_net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        compio_runtime::spawn(handler(stream)).detach();
    }
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(ECHO_BUFFER);
    loop {
        let read = stream.read(buffer).await;
        if read.0? == 0 {
            return Ok(());
        }
        let written = stream.write_all(read.1).await;
        written.0?;
        buffer = written.1;
        buffer.clear();
    }
}

async fn once(mut stream: TcpStream) -> io::Result<()> {
    let read = stream.read_exact(vec![0; REQUEST]).await;
    read.0?;
    stream.write_all(read.1).await.0?;
    stream.shutdown().await
}

async fn sink(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(CHUNK);
    loop {
        let read = stream.read(buffer).await;
        if read.0? == 0 {
            return Ok(());
        }
        buffer = read.1;
        buffer.clear();
    }
}

async fn source(mut stream: TcpStream) -> io::Result<()> {
    let read = stream.read_exact(vec![0; 8]).await;
    read.0?;
    let number = read.1.try_into().expect("8 bytes");
    let mut left = usize::try_from(u64::from_le_bytes(number)).expect("64 bits");
    let mut chunk = vec![0; CHUNK];
    while left > 0 {
        chunk.truncate(left);
        left -= chunk.len();
        let written = stream.write_all(chunk).await;
        written.0?;
        chunk = written.1;
    }
    stream.shutdown().await
}
