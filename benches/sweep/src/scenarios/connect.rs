//! Connects: to an address, to a name with several addresses, to a port where nothing listens, and
//! with a source address and a deadline.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use squall_net::{
    ConnectOptions, IoStream, Resolver, Resolving, Stats, TcpServer, TcpStream, spawn_blocking,
};

use super::on_a_loop::on_a_loop;
use super::served::served;
use crate::journal;

const ROUNDS: usize = 4;

pub(super) fn run() -> Stats {
    on_a_loop(async || {
        let server = TcpServer::new(async |mut stream: IoStream, _peer| {
            stream.write("connected\n")?;
            Ok(stream.shutdown().await?)
        });
        let clients = async |address: SocketAddr| {
            for _ in 0..ROUNDS {
                journal::outcome("an address", greeted(TcpStream::connect(address).await).await);
                let named = TcpStream::connect_with(("name", address.port()), by_name()).await;
                journal::outcome("a name", greeted(named).await);
                let from = ConnectOptions::default().source([127, 0, 0, 3]);
                let from = from.deadline(Duration::from_secs(5));
                let from = TcpStream::connect_with(address, from).await;
                journal::outcome("a source address", greeted(from).await);
                journal::outcome("a closed port", refused(address).await);
            }
        };
        served(&server, clients).await;
        Ok(())
    })
}

fn by_name() -> ConnectOptions {
    let options = ConnectOptions::default().resolver(TwoAddresses);
    options.attempt_delay(Duration::from_millis(1)).deadline(Duration::from_secs(5))
}

async fn greeted(stream: io::Result<TcpStream>) -> io::Result<()> {
    let greeting = IoStream::new(stream?).read_until_close().await?;
    if greeting != "connected\n" {
        journal::fault(format_args!("the greeting is {greeting:?}"));
    }
    Ok(())
}

/// Connects to an address of this machine on which nothing listens.
async fn refused(address: SocketAddr) -> io::Result<()> {
    let closed = SocketAddr::from(([127, 0, 0, 2], address.port()));
    match TcpStream::connect(closed).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(error),
        Ok(_) => {
            journal::fault(format_args!("a closed port was open"));
            Ok(())
        }
    }
}

/// Returns two addresses, from a thread of the pool. Nothing listens on the first.
struct TwoAddresses;

impl Resolver for TwoAddresses {
    fn resolve(&self, _host: &str, port: u16) -> Resolving {
        Box::pin(async move {
            let addresses = [[127, 0, 0, 2], [127, 0, 0, 1]];
            let look_up = move || addresses.map(|ip| SocketAddr::from((ip, port))).to_vec();
            spawn_blocking(look_up).await.map_err(io::Error::other)
        })
    }
}
