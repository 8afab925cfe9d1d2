//! A TCP proxy: copies bytes between two streams. Each direction ends on its own.
//!
//! ```text
//! cargo run --release --example proxy -- --listen 127.0.0.1:7779 --to example.org:80
//! curl -H 'Host: example.org' http://127.0.0.1:7779/
//! ```

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use futures_lite::future::try_zip;
use lexopt::prelude::*;
use squall_net::{
    ConnectOptions, IoReader, IoStream, IoWriter, StreamError, TcpServer, TcpStream, block_on,
    signal,
};

const HELP: &str = "\
Forwards connections to another server.

Usage: proxy --to HOST:PORT [--listen HOST:PORT]

  --to HOST:PORT       the server to connect to
  --listen HOST:PORT   where to listen (127.0.0.1:7779)
  --help               this text";

fn main() -> ExitCode {
    env_logger::init();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("proxy: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let (mut listen, mut to) = ("127.0.0.1:7779".to_owned(), None);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("listen") => listen = parser.value()?.parse()?,
            Long("to") => to = Some(parser.value()?.parse::<String>()?),
            Long("help") | Short('h') => {
                println!("{HELP}");
                return Ok(());
            }
            _ => return Err(argument.unexpected().into()),
        }
    }
    let to = to.ok_or("--to HOST:PORT is missing (try --help)")?;
    block_on(async {
        let server = TcpServer::new(async move |client: IoStream, _peer| splice(client, &to).await);
        println!("proxying {}", server.listen(&listen)?);
        signal::ctrl_c().await?;
        server.drain(Duration::from_secs(1)).await;
        Ok(())
    })
}

async fn splice(client: IoStream, to: &str) -> io::Result<()> {
    let options = ConnectOptions::default().deadline(Duration::from_secs(10));
    let server = IoStream::new(TcpStream::connect_with(to, options).await?);
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    try_zip(copy(from_client, to_server), copy(from_server, to_client)).await?;
    Ok(())
}

/// Copies bytes as fast as the receiver takes them. At the end of `from`, shuts `to` down.
async fn copy(mut from: IoReader, mut to: IoWriter) -> Result<(), StreamError> {
    while from.fill().await? > 0 {
        to.write_all(from.buffer()).await?;
        from.consume(from.buffer().len());
    }
    to.shutdown().await
}
