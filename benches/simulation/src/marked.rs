//! One run between two lines on standard error, for `strace`.

use std::io;
use std::time::Duration;

use squall_net::sim::Simulation;
use squall_net::{IoStream, TcpServer, TcpStream, sleep, spawn_blocking};

/// Few enough that the allocator asks the kernel for nothing: the trace grows with them.
const LINES: u32 = 200;

pub(crate) fn run() {
    let simulation = Simulation::new(1);
    simulation.host("server", async || {
        let server = TcpServer::new(async |mut stream: IoStream, _| {
            loop {
                let line = stream.read_until(b"\n").await?;
                stream.write_all(&line).await?;
            }
        });
        server.listen("0.0.0.0:80")?;
        server.closed().await
    });
    let script = async |lines: u32| {
        let mut stream = IoStream::new(TcpStream::connect("server:80").await?);
        for _ in 0..lines {
            stream.write("line\n")?;
            stream.read_until(b"\n").await?;
            sleep(Duration::from_millis(10)).await;
        }
        spawn_blocking(|| ()).await?;
        io::Result::Ok(())
    };
    let outcome = simulation.block_on(async {
        sleep(Duration::from_millis(10)).await; // the loops of the hosts exist
        eprintln!("the first event");
        let outcome = script(LINES).await;
        eprintln!("the last event");
        outcome
    });
    outcome.expect("the server answers");
}
