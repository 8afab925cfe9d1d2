//! A server without free descriptors: what it costs, and how soon it recovers. Only for squall: the
//! accept loops of the other servers, as written here, end with the first error.

use std::fs;
use std::io;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::counts::{scratch, summary};
use crate::exchange::Exchange;
use crate::load::{PingPong, Until};
use crate::plan::Plan;
use crate::process::{Process, ServerArgs};
use crate::service::Service;
use crate::table::{Cell, Table};

const DESCRIPTORS: u64 = 64;
const CLIENTS: usize = 200;
const WINDOW: Duration = Duration::from_secs(5);

pub(crate) fn measure(plan: &Plan) -> io::Result<Vec<Table>> {
    let title = "200 clients of a server that has 64 descriptors";
    let steps = plan.progress(title, 2);
    let args =
        ServerArgs { descriptors: Some(DESCRIPTORS), ..ServerArgs::new("squall", Service::Echo) };

    let process = Process::start(args, &[])?;
    let clients = crowd(&process)?;
    let before = process.used()?;
    thread::sleep(WINDOW);
    let used = process.used()?.since(before);
    let percent = used.all.as_secs_f64() / WINDOW.as_secs_f64() * 100.0;
    drop(clients);
    let begin = Instant::now();
    PingPong::open(process.address, 1, Exchange::Echo)?.run(Until::Requests(1))?;
    let recovery = begin.elapsed();
    process.end()?;
    steps.inc(1);

    let file = scratch("accepts");
    let tool = format!("strace -f -c -e trace=accept4 -U calls,name -o {}", file.display());
    let tool: Vec<_> = tool.split(' ').map(str::to_owned).collect();
    let process = Process::start(args, &tool)?;
    let clients = crowd(&process)?;
    thread::sleep(WINDOW);
    drop(clients);
    process.end()?;
    let calls = summary(&fs::read_to_string(&file)?).values().sum::<u64>();
    fs::remove_file(file)?;
    steps.inc(1);
    steps.finish_and_clear();

    let failed = calls.saturating_sub(DESCRIPTORS) as f64 / WINDOW.as_secs_f64();
    let mut table = Table::new("full", title, "server")
        .column("CPU while full", "% of a core", 2)
        .column("accept calls that fail", "a second", 1)
        .column("first answer after the clients left", "ms", 0);
    let figures = [percent, failed, recovery.as_secs_f64() * 1e3];
    table.row("squall", figures.map(Cell::once).into());
    Ok(vec![table])
}

/// Connects more clients than the server can accept, and returns when the server is full.
fn crowd(process: &Process) -> io::Result<Vec<TcpStream>> {
    let clients = (0..CLIENTS).map(|_| TcpStream::connect(process.address)).collect();
    thread::sleep(Duration::from_millis(500));
    clients
}
