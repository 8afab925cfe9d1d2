//! An echo server: sends each line back, for any number of clients.
//!
//! ```text
//! cargo run --release --example echo
//! nc 127.0.0.1 7777
//! ```

use std::io;

use squall_net::{IoStream, TcpServer, block_on};

fn main() -> io::Result<()> {
    env_logger::init();
    block_on(async {
        let server = TcpServer::new(async |mut stream: IoStream, _peer| {
            loop {
                let line = stream.read_until(b"\n").await?;
                stream.write(line)?;
                // Backpressure: a client that does not read makes only its own task wait, and no
                // further line is buffered.
                stream.flush().await?;
            }
        });
        println!("echoing lines on {}", server.listen("127.0.0.1:7777")?);
        server.closed().await // for ever, unless the listening socket fails
    })
}
