//! A thousand seeds of one test, on one core and on two.

use std::io;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use squall_net::sim::{Simulation, check, random};
use squall_net::{IoStream, TcpServer, TcpStream, sleep, timeout};

use crate::{Row, fastest};

const SEEDS: u64 = 1_000;
const LINES: usize = 20;

pub(crate) fn measure(rounds: u32, rows: &mut Vec<Row>) -> io::Result<()> {
    let all = sched_getaffinity(None)?;
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core)).collect();
    let mut on_one = None;
    for count in 1..=cores.len().min(2) {
        let mut chosen = CpuSet::new();
        cores[..count].iter().for_each(|core| chosen.set(*core));
        sched_setaffinity(None, &chosen)?; // the threads of `check` inherit it
        let cpu_before = cpu_time();
        let wall = fastest(rounds, || check(0..SEEDS, test));
        let cpu = (cpu_time() - cpu_before).as_secs_f64() / f64::from(rounds.max(1));
        let (wall_on_one, cpu_on_one) = *on_one.get_or_insert((wall.as_secs_f64(), cpu));
        rows.push(Row {
            what: format!("check: {SEEDS} seeds on {count} of {} cores", cores.len()),
            wall,
            figure: format!(
                "{:.2} of the time on one, {:.2} of its CPU time",
                wall.as_secs_f64() / wall_on_one,
                cpu / cpu_on_one
            ),
            goal: if count == 1 { "" } else { "0.60" },
        });
    }
    sched_setaffinity(None, &all)?;
    Ok(())
}

/// The CPU time of this process.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Two clients repeat lines to a server while the link of one fails.
pub(crate) fn test(simulation: &Simulation) {
    simulation.host("server", serve);
    let clients = ["a", "b"].map(|name| simulation.host(name, repeat));
    simulation.block_on(async {
        while clients.iter().any(|client| client.is_running()) {
            sleep(Duration::from_micros(random() % 100_000)).await;
            simulation.partition("a", "server");
            sleep(Duration::from_micros(random() % 2_000_000)).await;
            simulation.heal("a", "server");
        }
    });
}

async fn serve() -> io::Result<()> {
    let server = TcpServer::new(async |mut stream: IoStream, _| {
        loop {
            let line = stream.read_until(b"\n").await?;
            stream.write_all(&line).await?;
        }
    });
    server.listen("0.0.0.0:80")?;
    server.closed().await
}

/// Gets each line back, on a new connection if an answer does not come in a second.
async fn repeat() -> io::Result<()> {
    for n in 0..LINES {
        let line = format!("line {n}\n");
        let attempt = async || {
            let mut stream = IoStream::new(TcpStream::connect("server:80").await?);
            stream.write(line.as_bytes())?;
            stream.read_until(b"\n").await.map_err(io::Error::from)
        };
        while !matches!(timeout(Duration::from_secs(1), attempt()).await, Ok(Ok(_))) {
            sleep(Duration::from_millis(10)).await;
        }
    }
    Ok(())
}
