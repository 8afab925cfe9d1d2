//! monoio, on either of its drivers.

use std::future::Future;
use std::io;
use std::net::TcpListener;

use ::monoio::io::{AsyncReadRent, AsyncReadRentExt, AsyncWriteRent, AsyncWriteRentExt};
use ::monoio::net::TcpStream;
use ::monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};

use crate::service::{CHUNK, ECHO_BUFFER, REQUEST, Service};

pub(crate) fn serve_on_epoll(listener: TcpListener, service: Service) -> io::Result<()> {
    RuntimeBuilder::<LegacyDriver>::new().build()?.block_on(serve(listener, service))
}

pub(crate) fn serve_on_uring(listener: TcpListener, service: Service) -> io::Result<()> {
    RuntimeBuilder::<IoUringDriver>::new().build()?.block_on(serve(listener, service))
}

async fn serve(listener: TcpListener, service: Service) -> io::Result<()> {
    match service {
        Service::Echo => accept(listener, echo).await,
        Service::Once => accept(listener, once).await,
        Service::Sink => accept(listener, sink).await,
        Service::Source => accept(listener, source).await,
        other => Err(other.not_offered()),
    }
}

async fn accept<F>(listener: TcpListener, handler: fn(TcpStream) -> F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>> + 'static,
{
    listener.set_nonblocking(true)?;
    let listener = ::monoio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        ::monoio::spawn(handler(stream));
    }
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(ECHO_BUFFER);
    loop {
        let (read, full) = stream.read(buffer).await;
        if read? == 0 {
            return Ok(());
        }
        let (written, mut empty) = stream.write_all(full).await;
        written?;
        empty.clear();
        buffer = empty;
    }
}

async fn once(mut stream: TcpStream) -> io::Result<()> {
    let (read, request) = stream.read_exact(vec![0; REQUEST]).await;
    read?;
    let (written, _) = stream.write_all(request).await;
    written?;
    stream.shutdown().await
}

async fn sink(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(CHUNK);
    loop {
        let (read, full) = stream.read(buffer).await;
        if read? == 0 {
            return Ok(());
        }
        buffer = full;
        buffer.clear();
    }
}

async fn source(mut stream: TcpStream) -> io::Result<()> {
    let mut left = usize::try_from(stream.read_u64_le().await?).expect("64 bits");
    let mut chunk = vec![0; CHUNK];
    while left > 0 {
        chunk.truncate(left);
        left -= chunk.len();
        let (written, same) = stream.write_all(chunk).await;
        written?;
        chunk = same;
    }
    stream.shutdown().await
}
