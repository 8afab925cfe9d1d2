//! The same messages in turmoil.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use turmoil::net::{TcpListener, TcpStream};

use crate::echo::{CLIENTS, LATENCY, Load, MESSAGE};

pub(crate) fn run(load: Load) {
    let mut simulation = turmoil::Builder::new()
        .rng_seed(1)
        .min_message_latency(LATENCY.0)
        .max_message_latency(LATENCY.1)
        .simulation_duration(Duration::from_secs(3600))
        .build();
    simulation.host("server", serve);
    for n in 0..CLIENTS {
        simulation.client(format!("client{n}"), send(load));
    }
    simulation.run().expect("every client ends");
}

async fn serve() -> turmoil::Result {
    let listener = TcpListener::bind("0.0.0.0:7000").await?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(echo(stream));
    }
}

async fn echo(mut stream: TcpStream) {
    let mut message = [0; MESSAGE];
    while stream.read_exact(&mut message).await.is_ok() {
        if stream.write_all(&message).await.is_err() {
            return;
        }
    }
}

async fn send(load: Load) -> turmoil::Result {
    let mut stream = TcpStream::connect("server:7000").await?;
    let mut message = [7; MESSAGE];
    for _ in 0..load.rounds {
        for _ in 0..load.at_once {
            stream.write_all(&message).await?;
        }
        for _ in 0..load.at_once {
            stream.read_exact(&mut message).await?;
        }
    }
    Ok(())
}
