//! Connections that are accepted, greeted and closed, two at a time.

use std::io;
use std::net::SocketAddr;

use futures_lite::future::zip;
use squall_net::{IoStream, Stats, TcpServer, TcpStream};

use super::on_a_loop::on_a_loop;
use super::served::served;
use crate::journal;

const PAIRS: usize = 12;

pub(super) fn run() -> Stats {
    on_a_loop(async || {
        let server = TcpServer::new(async |mut stream: IoStream, _peer| {
            stream.write("hello\n")?;
            Ok(stream.shutdown().await?)
        });
        let clients = async |address| {
            for _ in 0..PAIRS {
                let (one, other) = zip(client(address), client(address)).await;
                journal::outcome("a client", one);
                journal::outcome("a client", other);
            }
        };
        served(&server, clients).await;
        Ok(())
    })
}

async fn client(address: SocketAddr) -> io::Result<()> {
    let mut stream = IoStream::new(TcpStream::connect(address).await?);
    let greeting = stream.read_until_close().await?;
    if greeting != "hello\n" {
        journal::fault(format_args!("the greeting is {greeting:?}"));
    }
    Ok(())
}
