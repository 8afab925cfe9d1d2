//! An echo server for lines on a Unix socket.
//!
//! ```text
//! cargo run --release --example unix_echo -- /tmp/squall.sock
//! nc -U /tmp/squall.sock
//! ```

use std::env;
use std::io;
use std::time::Duration;

use futures_lite::future::or;
use squall_net::{IoStream, UnixServer, UnixStream, bind_unix_socket, block_on, signal};

fn main() -> io::Result<()> {
    env_logger::init();
    let path = env::args().nth(1).unwrap_or_else(|| "/tmp/squall.sock".to_owned());
    if path == "--help" {
        println!("usage: unix_echo [path]   (/tmp/squall.sock)");
        return Ok(());
    }
    // Replaces the socket file of a dead server, never that of a live one. Only this user may
    // connect.
    let socket = bind_unix_socket(&path, 0o600)?;
    block_on(async {
        let server = UnixServer::new(async |mut stream: IoStream<UnixStream>, _peer| {
            let peer = stream.with_transport(UnixStream::peer_credentials);
            log::info!("a connection from {peer:?}");
            loop {
                let line = stream.read_until(b"\n").await?;
                stream.write(line)?;
                stream.flush().await?;
            }
        });
        server.add_sockets(vec![socket])?;
        println!("echoing lines on {path}");
        let told_to_end = async { signal::termination().await.map(drop) };
        let ended = or(told_to_end, server.closed()).await;
        // The socket file stays: it may already be that of a successor, which has taken the path
        // over. The next start replaces it.
        server.drain(Duration::from_secs(1)).await;
        ended
    })
}
