//! tokio, `current_thread`.

use std::future::Future;
use std::io;
use std::net::TcpListener;

use ::tokio::io::{AsyncReadExt, AsyncWriteExt};
use ::tokio::net::TcpStream;

use crate::service::{CHUNK, ECHO_BUFFER, REQUEST, Service};

pub(crate) fn serve(listener: TcpListener, service: Service) -> io::Result<()> {
    let runtime = ::tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
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
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    listener.set_nonblocking(true)?;
    let listener = ::tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        ::tokio::spawn(handler(stream));
    }
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; ECHO_BUFFER];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            n => stream.write_all(&buffer[..n]).await?,
        }
    }
}

async fn once(mut stream: TcpStream) -> io::Result<()> {
    let mut request = [0; REQUEST];
    stream.read_exact(&mut request).await?;
    stream.write_all(&request).await?;
    stream.shutdown().await
}

async fn sink(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

async fn source(mut stream: TcpStream) -> io::Result<()> {
    let mut left = usize::try_from(stream.read_u64_le().await?).expect("64 bits");
    let chunk = vec![0; CHUNK];
    while left > 0 {
        let n = left.min(CHUNK);
        stream.write_all(&chunk[..n]).await?;
        left -= n;
    }
    stream.shutdown().await
}
