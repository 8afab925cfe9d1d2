//! A server without HTTP: returns each line.

use squall_net::{IoStream, StreamConfig, TcpServer};

/// The longest line in bytes.
const MAX_LINE: usize = 64 << 10;

/// Makes the server. A draining server ends its idle connections.
pub(crate) fn line_echo() -> TcpServer {
    let server = TcpServer::with_draining(|draining| {
        async move |mut stream: IoStream, _peer| {
            while let Some(line) = draining.unless_begun(stream.read_until(b"\n")).await {
                stream.write(line?)?;
                stream.flush().await?;
            }
            Ok(())
        }
    });
    server.stream_config(StreamConfig::default().max_buffer_size(MAX_LINE))
}
