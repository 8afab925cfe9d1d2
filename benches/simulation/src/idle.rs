//! A simulated hour of 1,000 keep-alive connections. Each idles until the server closes it, and its
//! client connects again.

use std::io;
use std::time::{Duration, Instant};

use squall_net::sim::Simulation;
use squall_net::{IoStream, TcpServer, TcpStream, now, sleep, spawn, timeout};

use crate::{Row, fastest};

const HOUR: Duration = Duration::from_secs(3600);
const HOSTS: u32 = 10;
const CONNECTIONS_EACH: u32 = 100;
/// How long the server waits for the next request.
const IDLE: Duration = Duration::from_secs(60);

pub(crate) fn measure(rounds: u32, rows: &mut Vec<Row>) {
    let wall = fastest(rounds, || drop(run()));
    let events = run().trace().len();
    rows.push(Row {
        what: "an hour of 1,000 idle connections, each closed after 60 s and made again".into(),
        wall,
        figure: format!("{events} events"),
        goal: "1 s",
    });
}

pub(crate) fn run() -> Simulation {
    let simulation = Simulation::new(1);
    simulation.host("server", serve);
    for n in 0..HOSTS {
        simulation.host(&format!("clients{n}"), keep_connected);
    }
    simulation.run(2 * HOUR).expect("every host ends");
    simulation
}

async fn serve() -> io::Result<()> {
    let server = TcpServer::new(async |mut stream: IoStream, _| {
        while let Ok(line) = timeout(IDLE, stream.read_until(b"\n")).await {
            stream.write(line?)?;
        }
        Ok(())
    });
    server.listen("0.0.0.0:80")?;
    sleep(HOUR + 2 * IDLE).await;
    Ok(())
}

async fn keep_connected() -> io::Result<()> {
    let end = now() + HOUR;
    let tasks: Vec<_> = (0..CONNECTIONS_EACH).map(|_| spawn(connect_until(end))).collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

async fn connect_until(end: Instant) -> io::Result<()> {
    while now() < end {
        let mut stream = IoStream::new(TcpStream::connect("server:80").await?);
        stream.write("hello\n")?;
        stream.read_until(b"\n").await?;
        let rest = stream.read_until_close().await?;
        assert!(rest.is_empty(), "the server says nothing before it closes");
    }
    Ok(())
}
