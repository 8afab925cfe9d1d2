//! Ten simulated minutes of HTTP: 100 hosts ask the server of the examples ten times a second each.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use squall_net::sim::{Simulation, random};
use squall_net::{IoStream, TcpStream, interval, sleep};
use tiny_http::{Config, HttpServer, Request, Response};

use crate::{Row, fastest, per_second};

const CLIENTS: u32 = 100;
const INTERVAL: Duration = Duration::from_millis(100);
const REQUESTS_EACH: u32 = 6_000;
const TIME: Duration = Duration::from_secs(600);

pub(crate) fn measure(rounds: u32, rows: &mut Vec<Row>) {
    let wall = fastest(rounds, || drop(run()));
    let requests = u64::from(CLIENTS * REQUESTS_EACH);
    rows.push(Row {
        what: "10 minutes of HTTP: 100 clients, 10 requests a second each".into(),
        wall,
        figure: format!("{:.0} requests/s", per_second(requests, wall)),
        goal: "3 s",
    });
}

pub(crate) fn run() -> Simulation {
    let simulation = Simulation::new(1);
    simulation.host("server", serve);
    for n in 0..CLIENTS {
        simulation.host(&format!("client{n}"), ask);
    }
    simulation.run(2 * TIME).expect("every host ends");
    simulation
}

async fn serve() -> io::Result<()> {
    let server = HttpServer::new(Config::default(), async |_: &mut Request<'_>| {
        Ok(Response::text(Bytes::from_static(b"Hello, World!")))
    });
    server.listen("0.0.0.0:80")?;
    sleep(TIME + Duration::from_secs(2)).await;
    Ok(())
}

async fn ask() -> io::Result<()> {
    sleep(Duration::from_micros(random() % 100_000)).await;
    let mut stream = IoStream::new(TcpStream::connect("server:80").await?);
    let mut ticks = interval(INTERVAL);
    for _ in 0..REQUESTS_EACH {
        ticks.tick().await;
        stream.write("GET / HTTP/1.1\r\nHost: server\r\n\r\n")?;
        stream.read_until(b"\r\n\r\n").await?;
        stream.read_until(b"Hello, World!").await?;
    }
    Ok(())
}
