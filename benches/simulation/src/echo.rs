//! Messages of 64 bytes to an echo server and back, over one connection from each of 8 hosts.

use std::io;
use std::time::Duration;

use squall_net::sim::{NetConfig, Simulation};
use squall_net::{IoStream, TcpListener, TcpStream, spawn};

use crate::{Row, fastest, per_second};

pub(crate) const CLIENTS: u32 = 8;
pub(crate) const MESSAGE: usize = 64;
/// The round trips of a client.
const EXCHANGES: u32 = 20_000;
/// The messages in both directions.
const MESSAGES: u64 = 2 * CLIENTS as u64 * EXCHANGES as u64;

/// Both simulations draw latencies from this range.
pub(crate) const LATENCY: (Duration, Duration) =
    (Duration::from_micros(500), Duration::from_millis(2));

/// How much a client sends.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) rounds: u32,
    /// How many messages a client sends before it reads the answers.
    pub(crate) at_once: u32,
}

pub(crate) const SINGLE: Load = Load { rounds: EXCHANGES, at_once: 1 };
pub(crate) const PIPELINED: Load = Load { rounds: EXCHANGES / 16, at_once: 16 };

pub(crate) fn measure(rounds: u32, rows: &mut Vec<Row>) {
    for (name, load) in [("one at a time", SINGLE), ("16 at once", PIPELINED)] {
        let ours = fastest(rounds, || drop(run(load)));
        let rate = per_second(MESSAGES, ours);
        rows.push(Row {
            what: format!("squall: {MESSAGES} messages of {MESSAGE} bytes, {name}"),
            wall: ours,
            figure: format!("{:.0} messages/s", rate),
            goal: "1,000,000 messages/s",
        });
        #[cfg(feature = "turmoil")]
        {
            let theirs = fastest(rounds, || crate::turmoil_echo::run(load));
            rows.push(Row {
                what: format!("turmoil: {MESSAGES} messages of {MESSAGE} bytes, {name}"),
                wall: theirs,
                figure: format!(
                    "{:.0} messages/s; squall is {:.1} times as fast",
                    per_second(MESSAGES, theirs),
                    theirs.as_secs_f64() / ours.as_secs_f64()
                ),
                goal: "5 times",
            });
        }
    }
}

pub(crate) fn run(load: Load) -> Simulation {
    let net = NetConfig::default().latency(LATENCY.0..LATENCY.1);
    let simulation = Simulation::with(1, net);
    simulation.host("server", serve);
    for n in 0..CLIENTS {
        simulation.host(&format!("client{n}"), async move || send(load).await);
    }
    simulation.run(Duration::from_secs(3600)).expect("every host ends");
    simulation
}

/// Serves each client until it closes the connection.
async fn serve() -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:7000")?;
    let mut tasks = Vec::new();
    for _ in 0..CLIENTS {
        let (stream, _) = listener.accept().await?;
        tasks.push(spawn(echo(stream)));
    }
    for task in tasks {
        task.await?;
    }
    Ok(())
}

async fn echo(stream: TcpStream) {
    let mut stream = IoStream::new(stream);
    let mut message = [0; MESSAGE];
    while stream.read_exact(&mut message).await.is_ok() {
        if stream.write_all(&message).await.is_err() {
            return;
        }
    }
}

async fn send(load: Load) -> io::Result<()> {
    let mut stream = IoStream::new(TcpStream::connect("server:7000").await?);
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
