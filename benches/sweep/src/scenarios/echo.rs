//! Forty requests and their answers, on four connections.

use std::io;
use std::net::SocketAddr;

use futures_lite::future::zip;
use squall_net::{IoStream, Stats, TcpServer, TcpStream};

use super::on_a_loop::on_a_loop;
use super::served::served;
use crate::journal;

/// The requests of a client.
pub(super) const REQUESTS: u8 = 10;
/// The bytes of a body. Head and body leave in one call.
const BODY: usize = 3000;

pub(super) fn run() -> Stats {
    on_a_loop(async || {
        let server = TcpServer::new(async |mut stream: IoStream, _peer| {
            while stream.fill().await? > 0 || !stream.buffer().is_empty() {
                let head = stream.read_until(b"\n").await?;
                let body = stream.read_bytes(BODY).await?;
                stream.write(head)?;
                stream.write(body)?;
                stream.flush().await?;
            }
            Ok(())
        });
        let clients = async |address| {
            for _ in 0..2 {
                let (one, other) = zip(client(address), client(address)).await;
                for outcome in [one, other] {
                    if let Err(error) = outcome {
                        journal::error("a client", &error);
                    }
                }
            }
        };
        served(&server, clients).await;
        Ok(())
    })
}

async fn client(address: SocketAddr) -> io::Result<()> {
    let mut stream = IoStream::new(TcpStream::connect(address).await?);
    for number in 0..REQUESTS {
        let (head, body) = (format!("request {number}\n"), vec![number; BODY]);
        stream.write(head.clone())?;
        stream.write(body.clone())?;
        let echoed = (stream.read_until(b"\n").await?, stream.read_bytes(BODY).await?);
        if echoed != (head.into(), body.into()) {
            journal::fault(format_args!("request {number} came back changed"));
        }
        journal::steps(1);
    }
    stream.shutdown().await?;
    if !stream.read_until_close().await?.is_empty() {
        journal::fault(format_args!("bytes after the last answer"));
    }
    Ok(())
}
