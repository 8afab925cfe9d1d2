//! A TCP proxy: copies bytes between two streams. Each direction ends on its own, and a reset of one
//! side reaches the other as a reset.
//!
//! ```text
//! cargo run --release --example proxy -- --listen 127.0.0.1:7779 --to example.org:80
//! curl -H 'Host: example.org' http://127.0.0.1:7779/
//! ```

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use futures_lite::future::or;
use lexopt::prelude::*;
use squall_net::{
    ConnectOptions, IoStream, TcpServer, TcpStream, block_on, copy_bidirectional, signal,
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
        let told_to_end = async { signal::termination().await.map(drop) };
        let ended = or(told_to_end, server.closed()).await;
        server.drain(Duration::from_secs(1)).await;
        Ok(ended?)
    })
}

async fn splice(mut client: IoStream, to: &str) -> io::Result<()> {
    let options = ConnectOptions::default().deadline(Duration::from_secs(10));
    let mut server = IoStream::new(TcpStream::connect_with(to, options).await?);
    let (up, down) = copy_bidirectional(&mut client, &mut server).await?;
    log::debug!("{up} bytes to the server, {down} bytes to the client");
    Ok(())
}
