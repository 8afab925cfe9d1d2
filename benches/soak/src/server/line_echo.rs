//! A server without HTTP: returns each line.

use std::io;
use std::time::Duration;

use futures_lite::future::or;
use squall_net::{Bytes, Draining, IoStream, StreamConfig, TcpServer, sleep};

/// The longest line in bytes.
const MAX_LINE: usize = 64 << 10;
/// How long a drain waits for the first line of a connection. A client that has just connected has sent
/// it, or is about to, and cannot know that the server drains.
const FIRST_LINE_TIME: Duration = Duration::from_secs(1);

/// Makes the server. A draining server ends its idle connections.
pub(crate) fn line_echo() -> TcpServer {
    let server = TcpServer::with_draining(|draining| {
        async move |mut stream: IoStream, _peer| {
            let mut line = first_line(&mut stream, &draining).await;
            while let Some(text) = line {
                stream.write(text?)?;
                stream.flush().await?;
                line = draining.unless_begun(read_line(&mut stream)).await;
            }
            Ok(())
        }
    });
    server.stream_config(StreamConfig::default().max_buffer_size(MAX_LINE))
}

async fn first_line(stream: &mut IoStream, draining: &Draining) -> Option<io::Result<Bytes>> {
    let end = async {
        draining.begun().await;
        sleep(FIRST_LINE_TIME).await;
        None
    };
    or(async { Some(read_line(stream).await) }, end).await
}

async fn read_line(stream: &mut IoStream) -> io::Result<Bytes> {
    Ok(stream.read_until(b"\n").await?)
}
