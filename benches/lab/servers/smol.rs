//! smol: async-executor's `LocalExecutor` on async-io.

use std::future::Future;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};

use async_executor::LocalExecutor;
use async_io::Async;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use crate::service::{CHUNK, ECHO_BUFFER, REQUEST, Service};

type Stream = Async<TcpStream>;

pub(crate) fn serve(listener: TcpListener, service: Service) -> io::Result<()> {
    let executor = LocalExecutor::new();
    async_io::block_on(executor.run(async {
        match service {
            Service::Echo => accept(listener, &executor, echo).await,
            Service::Once => accept(listener, &executor, once).await,
            Service::Sink => accept(listener, &executor, sink).await,
            Service::Source => accept(listener, &executor, source).await,
            other => Err(other.not_offered()),
        }
    }))
}

async fn accept<F>(
    listener: TcpListener,
    executor: &LocalExecutor<'_>,
    handler: fn(Stream) -> F,
) -> io::Result<()>
where
    F: Future<Output = io::Result<()>> + 'static,
{
    let listener = Async::new(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        executor.spawn(handler(stream)).detach();
    }
}

async fn echo(mut stream: Stream) -> io::Result<()> {
    let mut buffer = vec![0; ECHO_BUFFER];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            n => stream.write_all(&buffer[..n]).await?,
        }
    }
}

async fn once(mut stream: Stream) -> io::Result<()> {
    let mut request = [0; REQUEST];
    stream.read_exact(&mut request).await?;
    stream.write_all(&request).await?;
    stream.get_ref().shutdown(Shutdown::Write) // `close` of async-io only flushes
}

async fn sink(mut stream: Stream) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

async fn source(mut stream: Stream) -> io::Result<()> {
    let mut number = [0; 8];
    stream.read_exact(&mut number).await?;
    let mut left = usize::try_from(u64::from_le_bytes(number)).expect("64 bits");
    let chunk = vec![0; CHUNK];
    while left > 0 {
        let n = left.min(CHUNK);
        stream.write_all(&chunk[..n]).await?;
        left -= n;
    }
    stream.get_ref().shutdown(Shutdown::Write) // `close` of async-io only flushes
}
